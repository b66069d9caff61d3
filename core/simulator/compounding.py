"""Sampling along beams, and putting sweeps back onto a voxel grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.grid import Grid
from core.simulator.interpolate import interpolate
from core.simulator.noise import Field
from core.simulator.probe import Probe


@dataclass(frozen=True, eq=False)
class Sweep:
    """One sweep in beam coordinates.

    Attributes:
        probe: its geometry.
        images: (r, theta, roll) float32, display values 0-1: what the scanner shows, and the
            expected echo.
        steps: distance between samples: mm, rad, rad.
        edge: (roll,) float32, how many radians each frame lacks at its sides.
    """

    probe: Probe
    images: tuple[Field, Field]
    steps: tuple[float, float, float]
    edge: Field


def beam_axes(
    probe: Probe, spacing: float
) -> tuple[Field, Field, Field, tuple[float, float, float]]:
    """Return r (mm), theta, roll (rad) of the samples as broadcastable arrays, and the steps.

    Samples are 0.55 voxels apart in depth and about 0.9 voxels across at two thirds of the depth.
    """
    dr = 0.55 * spacing
    far = 0.67 * probe.depth
    dt = 0.9 * spacing / (far + probe.radius)
    dp = 0.95 * spacing / (far + probe.pivot)
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


class Compound:
    """Averages sweeps onto a grid, one after the other, so that only one is held at a time.

    Args:
        grid: axis-aligned RAS+, isotropic.
        images: how many images a sweep has.
    """

    def __init__(self, grid: Grid, images: int = 2) -> None:
        self.grid = grid
        self._totals = [np.zeros(grid.shape, np.float32) for _ in range(images)]
        self._weight = np.zeros(grid.shape, np.float32)

    def add(self, sweep: Sweep) -> None:
        """Add one sweep, with a weight that fades at its ragged borders."""
        spacing, probe = float(self.grid.spacing[0]), sweep.probe
        box = bounding_box(probe, self.grid)
        world = [
            (np.arange(s.start, s.stop, dtype=np.float32) * np.float32(spacing))
            + np.float32(self.grid.affine[a, 3])
            for a, s in enumerate(box)
        ]
        world = [w.reshape([-1 if a == b else 1 for b in range(3)]) for a, w in enumerate(world)]
        r, theta, roll = probe.to_beam(world)
        dr, dt, dp = sweep.steps
        # Half a voxel of smoothing, so that little is lost between the samples of the grid.
        images = [ndimage.gaussian_filter(i, (0.42 * spacing / dr, 0.5, 0.5)) for i in sweep.images]
        middle_t, middle_p = (images[0].shape[1] - 1) / 2, (images[0].shape[2] - 1) / 2
        frame = roll / np.float32(dp) + np.float32(middle_p)
        lack = sweep.edge[np.clip(np.rint(frame), 0, len(sweep.edge) - 1).astype(np.intp)]
        margin = np.minimum(
            (probe.fan - lack - np.abs(theta)) / dt, (probe.sweep - np.abs(roll)) / dp
        )
        inside = (r >= 0) & (r <= probe.depth) & (margin >= 0)
        coords = [r[inside] / dr, theta[inside] / dt + middle_t, frame[inside]]
        near = np.clip((margin[inside] + 1) / 6, 0.1, 1)
        for total, value in zip(self._totals, interpolate(images, coords), strict=True):
            total[box][inside] += value * near
        self._weight[box][inside] += near

    def result(self) -> tuple[list[Field], NDArray[np.bool_]]:
        """Return per image (i, j, k) float32 display values 0-1, 0 outside; and the field of view,
        the union of the swept volumes.
        """
        fov = self._weight > 0
        for total in self._totals:
            np.divide(total, self._weight, out=total, where=fov)
        return self._totals, fov


def bounds(probes: Sequence[Probe]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lowest and highest world x, y, z that some sweeps reach, mm."""
    points = []
    for probe in probes:
        r = np.linspace(0, probe.depth, 5, dtype=np.float32)[:, None, None]
        theta = np.linspace(-probe.fan, probe.fan, 7, dtype=np.float32)[None, :, None]
        roll = np.linspace(-probe.sweep, probe.sweep, 7, dtype=np.float32)[None, None, :]
        points.append(np.stack([w.ravel() for w in probe.to_world(r, theta, roll)], axis=1))
    every = np.concatenate(points).astype(np.float64)
    return every.min(0), every.max(0)


def bounding_box(probe: Probe, grid: Grid) -> tuple[slice, slice, slice]:
    """Return the voxel box of ``grid`` (axis-aligned RAS+) that holds the swept volume."""
    low, high = (grid.to_voxel(corner) for corner in bounds([probe]))
    first = np.clip(np.floor(low - 3), 0, grid.shape).astype(int)
    last = np.clip(np.ceil(high + 4), 0, grid.shape).astype(int)
    return slice(first[0], last[0]), slice(first[1], last[1]), slice(first[2], last[2])
