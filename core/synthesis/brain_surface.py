"""The surface of the brain, where a virtual probe may stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.image.brain_mask import brain_mask
from core.synthesis.virtual_sweep import Point, SweepError, told_point
from core.volume import Mask, Volume

REACH = 10.0
"""mm: radius of a ball that a gap in the brain must let in for a probe's face to enter it. A face
of the usual width lies across sulci, and across notches that a mask has by mistake."""
FINE = 1.0
"""mm between the voxels the closing is worked out on; finer grids are thinned."""


@dataclass(frozen=True, eq=False)
class BrainSurface:
    """A brain and its surface.

    Attributes:
        brain: a mask, non-zero inside.
    """

    brain: Volume

    @cached_property
    def points(self) -> NDArray[np.float64]:
        """(points, 3) RAS mm, the middles of the outermost voxels, across narrow gaps."""
        from scipy import ndimage

        inside = closed(self.brain.voxels > 0, self.brain.grid.spacing)
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


def closed(
    inside: Mask, spacing: Sequence[float] | NDArray[np.float64], reach: float = REACH
) -> Mask:
    """Fill what a ball outside a shape cannot enter: a morphological closing, in millimetres.

    Args:
        inside: (i, j, k), the shape.
        spacing: of the voxels, mm.
        reach: radius of the ball, mm.

    Returns:
        The shape with its gaps filled, of the same size.
    """
    from scipy import ndimage

    if not inside.any():
        return inside
    box = ndimage.find_objects(inside.astype(np.uint8))[0]
    steps = [max(1, int(FINE / side)) for side in spacing]
    sides = [n * side for n, side in zip(steps, spacing, strict=True)]
    thin = inside[box][tuple(slice(None, None, n) for n in steps)]
    room = [int(np.ceil(reach / side)) + 1 for side in sides]  # the ball comes from all around
    wide = np.pad(thin, [(n, n) for n in room])
    grown = ndimage.distance_transform_edt(~wide, sampling=sides) <= reach
    filled = ndimage.distance_transform_edt(grown, sampling=sides) > reach
    whole = filled[tuple(slice(n, -n) for n in room)]
    for axis, n in enumerate(steps):
        whole = whole.repeat(n, axis)
    found = inside.copy()
    found[box] |= whole[tuple(slice(n) for n in inside[box].shape)]
    return found
