"""Where a surgeon would hold the probe."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from core.simulator.anatomy import Anatomy
from core.simulator.physics import Physics
from core.simulator.probe import Probe, frame_of


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
    return Probe(
        entry - axes[2] * rng.uniform(0.0, 3.0),
        axes,
        physics.radius_mm,
        physics.pivot_mm,
        physics.depth_mm,
        float(np.deg2rad(physics.fan_deg / 2)),
        float(min(half, 0.75)),
    )


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
