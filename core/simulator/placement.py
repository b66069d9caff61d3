"""Where a surgeon would hold the probe."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from core.simulator.anatomy import Anatomy
from core.simulator.physics import Physics
from core.simulator.probe import Probe, frame_of

LINEAR = 0.35
"""Part of the scans made by a linear array."""
FLAT_MM = 1000.0
"""Radius of a linear array's face: over its width it bends by a quarter of a millimetre."""


def place_probe(rng: np.random.Generator, anatomy: Anatomy, physics: Physics) -> Probe:
    """Put the probe on the brain surface where a surgeon would: over the lesion, or at random.

    The entry lies where the ray from the brain's middle through the target leaves the brain; the
    beam then points at the target give or take some degrees.
    """
    centre = anatomy.centre
    if anatomy.tumour is not None:
        target = anatomy.tumour.centre + rng.normal(0, 4, 3)
        outward = target - centre
        outward[2] += 15.0
    else:
        outward = np.array([rng.choice([-1, 1]) * rng.uniform(0.3, 1), rng.uniform(-1, 0.8), 0.0])
        outward[2] = rng.uniform(0.2, 1.0)
        target = centre + 25 * outward / np.linalg.norm(outward)
    outward = outward / np.linalg.norm(outward) + rng.normal(0, 0.12, 3)
    outward /= np.linalg.norm(outward)
    steps = np.arange(0, 110, 0.5)
    ray = target[None] + steps[:, None] * outward[None]
    depth = ndimage.map_coordinates(
        anatomy.hull, anatomy.grid.to_voxel(ray).T, order=1, mode="nearest"
    )
    left = np.flatnonzero(depth < 0.5)
    entry = ray[left[0] if len(left) else -1]
    direction = target - entry + rng.normal(0, 3, 3)
    if np.linalg.norm(direction) < 4:
        direction = -outward
    axes = frame_of(direction, float(rng.uniform(0, np.pi)))
    half = 0.5 * physics.sweep_mm / (physics.pivot_mm + 0.5 * physics.depth_mm)
    linear = rng.random() < LINEAR
    # A linear array is a convex one whose face is all but flat.
    radius = FLAT_MM if linear else physics.radius_mm
    fan = physics.width_mm / FLAT_MM / 2 if linear else np.deg2rad(physics.fan_deg / 2)
    return Probe(
        entry - axes[2] * rng.uniform(0.0, 3.0),
        axes,
        radius,
        physics.pivot_mm,
        physics.depth_mm,
        float(fan),
        float(min(half, 0.75)),
    )


def sweeps_of(rng: np.random.Generator, probe: Probe) -> list[Probe]:
    """Return the sweeps of a scan: one in half of the scans, else two or three."""
    count = int(rng.choice((1, 1, 2, 3)))
    return [probe] + [jittered(rng, probe) for _ in range(count - 1)]


def jittered(rng: np.random.Generator, probe: Probe) -> Probe:
    """Return a repeat of the sweep: a few mm and degrees away."""
    axes = frame_of(probe.axes[2] + rng.normal(0, 0.05, 3), 0.0)
    # Keep the lateral axis near the first sweep's, up to a small turn.
    lateral = probe.axes[0] + rng.normal(0, 0.08) * probe.axes[1]
    lateral -= axes[2] * (lateral @ axes[2])
    lateral /= np.linalg.norm(lateral)
    axes = np.stack([lateral, np.cross(axes[2], lateral), axes[2]])
    shift = rng.normal(0, 2.5) * axes[0] + rng.normal(0, 2.5) * axes[1]
    return replace(
        probe,
        origin=probe.origin + shift,
        axes=axes,
        sweep=probe.sweep * float(rng.uniform(0.85, 1.1)),
    )
