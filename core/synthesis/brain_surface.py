"""The surface of the brain, where a virtual probe may stand."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.image.brain_mask import brain_mask
from core.synthesis.virtual_sweep import Point, SweepError, told_point
from core.volume import Volume


@dataclass(frozen=True, eq=False)
class BrainSurface:
    """A brain and its surface.

    Attributes:
        brain: a mask, non-zero inside.
    """

    brain: Volume

    @cached_property
    def points(self) -> NDArray[np.float64]:
        """(points, 3) RAS mm, the middles of the outermost voxels."""
        from scipy import ndimage

        inside = self.brain.voxels > 0
        surface = inside & ~ndimage.binary_erosion(inside)
        return np.asarray(self.brain.grid.to_world(np.argwhere(surface)), np.float64)

    @cached_property
    def middle(self) -> Point:
        """(3,) RAS mm, the middle of the surface."""
        return np.asarray(self.points.mean(axis=0))

    def ready(self) -> BrainSurface:
        """Work out what is worked out once, where a thread has time for it; return itself."""
        _ = self.points, self._tree
        return self

    @cached_property
    def _tree(self) -> Any:
        from scipy.spatial import cKDTree

        return cKDTree(self.points)

    def holds(self, points: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
        """Tell which (..., 3) RAS mm lie inside."""
        grid = self.brain.grid
        at = np.rint(grid.to_voxel(points)).astype(int)
        there = np.asarray(((at >= 0) & (at < grid.shape)).all(axis=-1))
        i, j, k = np.moveaxis(np.where(there[..., None], at, 0), -1, 0)
        return np.asarray(there & (self.brain.voxels[i, j, k] > 0))

    def nearest(self, point: Point) -> Point:
        """Return the (3,) RAS mm of the surface nearest to a point."""
        _, n = self._tree.query(np.asarray(point, float))
        return np.asarray(self.points[n])

    def above(self, target: Point) -> Point:
        """Return the point of the surface nearest to a target, not from below it, RAS mm.

        Raises:
            SweepError: the target lies outside the brain.
        """
        if not self.holds(np.asarray(target, float)):
            raise SweepError(
                f"Target {told_point(target)}: expected a point inside the brain; it lies outside "
                "of what the T2 shows as brain. Give RAS millimetres, as the window's status bar "
                "shows them."
            )
        # A craniotomy is above or beside the target: the skull's base lies below.
        above = self.points[self.points[:, 2] >= target[2]]
        points = above if len(above) else self.points
        return np.asarray(points[np.linalg.norm(points - target, axis=1).argmin()], float)


def surface_of(volume: Volume) -> BrainSurface:
    """Return the surface of the brain that a volume of a head shows, on its canonical grid."""
    canonical = volume.canonical()
    mask = brain_mask(canonical).astype(np.float32)
    return BrainSurface(Volume(mask, canonical.grid, "", "brain"))
