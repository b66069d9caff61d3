"""Sampling along beams, and putting sweeps back onto a voxel grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.grid import Grid
from core.simulator.noise import Field
from core.simulator.probe import Probe


@dataclass(frozen=True, eq=False)
class Sweep:
    """One sweep in beam coordinates.

    Attributes:
        probe: its geometry.
        image: (r, theta, roll) float32, display value 0-1.
        steps: distance between samples: mm, rad, rad.
        edge: (roll,) float32, how many radians each frame lacks at its sides.
    """

    probe: Probe
    image: Field
    steps: tuple[float, float, float]
    edge: Field


def beam_axes(
    probe: Probe, spacing: float
) -> tuple[Field, Field, Field, tuple[float, float, float]]:
    """Return r (mm), theta, roll (rad) of the samples as broadcastable arrays, and the steps.

    Samples are 0.45 voxels apart in depth and about 0.8 voxels across at two thirds of the depth.
    """
    dr = 0.45 * spacing
    far = 0.67 * probe.depth
    dt = 0.75 * spacing / (far + probe.radius)
    dp = 0.85 * spacing / (far + probe.pivot)
    r = np.arange(0, probe.depth + dr, dr, dtype=np.float32)
    nt, np_ = int(np.ceil(probe.fan / dt)), int(np.ceil(probe.sweep / dp))
    theta = (np.arange(-nt, nt + 1) * dt).astype(np.float32)
    roll = (np.arange(-np_, np_ + 1) * dp).astype(np.float32)
    return r[:, None, None], theta[None, :, None], roll[None, None, :], (dr, dt, dp)


def frame_edges(rng: np.random.Generator, frames: int, probe: Probe) -> Field:
    """Return what each frame lacks at its sides, rad: freehand sweeps have ragged borders."""
    wander = np.cumsum(rng.normal(0, 1, frames))
    wander = ndimage.gaussian_filter1d(wander, 3.0)
    span = np.ptp(wander) or 1.0
    jag = np.repeat(rng.uniform(0, 1, frames // 3 + 1), 3)[:frames]
    edge = probe.fan * (0.1 * (wander - wander.min()) / span + 0.05 * jag)
    return edge.astype(np.float32)


def compound(sweeps: list[Sweep], grid: Grid) -> tuple[Field, NDArray[np.bool_]]:
    """Average sweeps onto ``grid``.

    Returns:
        (i, j, k) float32 display values 0-1, 0 outside; and the union of the swept volumes.
    """
    total = np.zeros(grid.shape, np.float32)
    weight = np.zeros(grid.shape, np.float32)
    spacing = float(grid.spacing[0])
    for sweep in sweeps:
        box = bounding_box(sweep.probe, grid)
        world = [
            (np.arange(s.start, s.stop, dtype=np.float32) * np.float32(spacing))
            + np.float32(grid.affine[a, 3])
            for a, s in enumerate(box)
        ]
        world = [w.reshape([-1 if a == b else 1 for b in range(3)]) for a, w in enumerate(world)]
        probe = sweep.probe
        r, theta, roll = probe.to_beam(world)
        dr, dt, dp = sweep.steps
        image = ndimage.gaussian_filter(sweep.image, (0.42 * spacing / dr, 0.6, 0.6))
        middle_t, middle_p = (image.shape[1] - 1) / 2, (image.shape[2] - 1) / 2
        frame = roll / np.float32(dp) + np.float32(middle_p)
        lack = sweep.edge[np.clip(np.rint(frame), 0, len(sweep.edge) - 1).astype(np.intp)]
        margin = np.minimum(
            (probe.fan - lack - np.abs(theta)) / dt, (probe.sweep - np.abs(roll)) / dp
        )
        inside = (r >= 0) & (r <= probe.depth) & (margin >= 0)
        coords = [r[inside] / dr, theta[inside] / dt + middle_t, frame[inside]]
        value = ndimage.map_coordinates(image, coords, output=np.float32, order=1, mode="nearest")
        near = np.clip((margin[inside] + 1) / 6, 0.1, 1)
        total[box][inside] += value * near
        weight[box][inside] += near
    fov = weight > 0
    return np.where(fov, total / np.maximum(weight, 1e-6), 0).astype(np.float32), fov


def bounding_box(probe: Probe, grid: Grid) -> tuple[slice, slice, slice]:
    """Return the voxel box of ``grid`` that holds the swept volume."""
    r = np.linspace(0, probe.depth, 5, dtype=np.float32)[:, None, None]
    theta = np.linspace(-probe.fan, probe.fan, 7, dtype=np.float32)[None, :, None]
    roll = np.linspace(-probe.sweep, probe.sweep, 7, dtype=np.float32)[None, None, :]
    points = np.stack([w.ravel() for w in probe.to_world(r, theta, roll)], axis=1)
    voxels = grid.to_voxel(points)
    low = np.clip(np.floor(voxels.min(0) - 3), 0, grid.shape).astype(int)
    high = np.clip(np.ceil(voxels.max(0) + 4), 0, grid.shape).astype(int)
    return slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2])
