"""Geometry without voxels: a shape and a voxel → world affine in RAS+ millimetres."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.errors import UserError

FloatArray = NDArray[np.float64]


class GridError(UserError):
    """A shape or an affine that cannot describe an image."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Shape and affine of a volume.

    Attributes:
        shape: number of voxels along (i, j, k).
        affine: (4, 4) float64, voxel index (i, j, k, 1) → world (x, y, z, 1); world is RAS+ in mm,
            and a voxel index names the voxel's centre.
    """

    shape: tuple[int, int, int]
    affine: FloatArray

    def __post_init__(self) -> None:
        shape = tuple(int(n) for n in self.shape)
        if len(shape) != 3 or min(shape) < 1:
            raise GridError(f"A volume needs three axes of at least one voxel; found {shape}.")
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.allclose(affine[3], (0, 0, 0, 1)):
            raise GridError("A voxel-to-world matrix needs 4x4 numbers with last row 0 0 0 1.")
        if not np.isfinite(affine).all():
            raise GridError("The voxel-to-world matrix holds numbers that are not finite.")
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        if spacing.min() <= 0 or abs(np.linalg.det(affine[:3, :3] / spacing)) < 1e-6:
            raise GridError("The voxel-to-world matrix is singular: an axis has no length.")
        affine.setflags(write=False)
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "affine", affine)

    @cached_property
    def spacing(self) -> FloatArray:
        """(3,) distance in mm between neighbouring voxels along i, j, k."""
        return np.sqrt(np.square(self.affine[:3, :3]).sum(axis=0), dtype=np.float64)

    @cached_property
    def inverse(self) -> FloatArray:
        """(4, 4) world → voxel."""
        return np.asarray(np.linalg.inv(self.affine), dtype=np.float64)

    @cached_property
    def corners(self) -> FloatArray:
        """(8, 3) world positions of the outer corners (voxel edges, not centres), mm."""
        edges = [(-0.5, n - 0.5) for n in self.shape]
        return self.to_world(np.array(list(product(*edges))))

    @property
    def centre(self) -> FloatArray:
        """(3,) world position of the middle of the volume, mm."""
        return self.to_world((np.array(self.shape) - 1) / 2)

    def to_world(self, voxels: ArrayLike) -> FloatArray:
        """Map (..., 3) voxel positions to (..., 3) world positions in mm."""
        v = np.asarray(voxels, dtype=np.float64)
        return v @ self.affine[:3, :3].T + self.affine[:3, 3]

    def to_voxel(self, world: ArrayLike) -> FloatArray:
        """Map (..., 3) world positions in mm to (..., 3) fractional voxel positions."""
        w = np.asarray(world, dtype=np.float64)
        return w @ self.inverse[:3, :3].T + self.inverse[:3, 3]

    def contains(self, world: ArrayLike) -> NDArray[np.bool_]:
        """Tell for (..., 3) world positions whether they lie inside the voxels' edges."""
        v = self.to_voxel(world)
        return np.all((v >= -0.5) & (v <= np.array(self.shape) - 0.5), axis=-1)

    def same_as(self, other: Grid, tolerance: float = 1e-3) -> bool:
        """Tell whether both grids have one shape and corners within ``tolerance`` mm."""
        return self.shape == other.shape and bool(
            np.abs(self.corners - other.corners).max() <= tolerance
        )

    @cached_property
    def canonical_order(self) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
        """How the storage axes map onto R, A, S.

        Returns:
            ``order``: the storage axis that runs closest along R, A and S;
            ``flipped``: whether that axis runs towards L, P or I instead.

        The assignment maximises the summed |cosine|, so all 48 storage orders of one volume lead to
        one canonical grid. At a tie (a turn by 45°) products of two cosines of an axis decide:
        they are the same whichever way the axis runs and wherever it is stored.
        """
        cosines = self.affine[:3, :3] / self.spacing
        best: tuple[float, tuple[int, int, int]] | None = None
        for order in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)):
            score = float(sum(abs(cosines[world, axis]) for world, axis in enumerate(order)))
            for weight, world in ((1e-6, 0), (1e-8, 1), (1e-10, 2)):
                a, b = cosines[world, order[world]], cosines[(world + 1) % 3, order[world]]
                score += float(weight * a * b)
            if best is None or score > best[0] + 1e-12:
                best = (score, order)
        assert best is not None
        order = best[1]
        flips = [bool(cosines[world, axis] < 0) for world, axis in enumerate(order)]
        return order, (flips[0], flips[1], flips[2])

    @cached_property
    def axis_codes(self) -> str:
        """Three letters: the direction in which i, j, k grow, for example ``"LPS"``."""
        order, flipped = self.canonical_order
        letters = [""] * 3
        for world, axis in enumerate(order):
            letters[axis] = "LPI"[world] if flipped[world] else "RAS"[world]
        return "".join(letters)

    def canonical(self) -> Grid:
        """Return the same voxels in the storage order closest to RAS+."""
        order, flipped = self.canonical_order
        affine = np.eye(4)
        affine[:3, 3] = self.affine[:3, 3]
        for world, axis in enumerate(order):
            column = self.affine[:3, axis]
            affine[:3, world] = -column if flipped[world] else column
            if flipped[world]:
                affine[:3, 3] += column * (self.shape[axis] - 1)
        return Grid((self.shape[order[0]], self.shape[order[1]], self.shape[order[2]]), affine)

    def with_spacing(self, spacing: ArrayLike) -> Grid:
        """Return a grid of other spacing (scalar or (3,), mm) over the same extent and centre.

        The new grid covers every edge of the old one; it may stick out by less than one new voxel.
        """
        new = np.broadcast_to(np.asarray(spacing, dtype=np.float64), (3,))
        extent = self.spacing * self.shape
        counts = np.maximum(np.ceil(extent / new - 1e-6), 1).astype(int)
        affine = np.eye(4)
        affine[:3, :3] = self.affine[:3, :3] / self.spacing * new
        affine[:3, 3] = self.centre - affine[:3, :3] @ ((counts - 1) / 2)
        return Grid((int(counts[0]), int(counts[1]), int(counts[2])), affine)

    def crop(self, start: ArrayLike, shape: tuple[int, int, int]) -> Grid:
        """Return the grid of a block that begins at voxel ``start`` (may be negative: padding)."""
        affine = self.affine.copy()
        affine[:3, 3] = self.to_world(start)
        return Grid(shape, affine)
