"""Two volumes laid out for registration: the swept one with its field of view, and the other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from core.grid import Grid
from core.image.field_of_view import field_of_view
from core.image.resample import resample, resample_inside, resample_mask
from core.modalities import SWEPT
from core.registration.alignment import AlignError
from core.volume import Mask, Volume, Voxels

MARGIN = 30.0
"""How far around the field of view (mm) the other image is kept, for it to move into."""
EDGE_MM = 1.0
"""Scale at which borders are found."""


@dataclass(frozen=True, eq=False)
class Pair:
    """Both images on axis-aligned RAS grids around the field of view, at one spacing.

    Attributes:
        swept: (i, j, k) float32 on ``grid``, 0 outside ``mask``; the image that has the field of
            view.
        mask: (i, j, k) bool on ``grid``.
        grid: of the swept image.
        other: (i, j, k) float32 on ``other_grid``.
        edges: (i, j, k) float32 on ``other_grid``: the other image's gradient magnitude, found at
            the finest spacing and smoothed from there, as thin borders are gone in a coarse image.
        inside: (i, j, k) bool on ``other_grid``: where the other volume has voxels.
        other_grid: covers the swept grid and 30 mm around it.
    """

    swept: Voxels
    mask: Mask
    grid: Grid
    other: Voxels
    edges: Voxels
    inside: Mask
    other_grid: Grid

    def coarser(self, spacing: float) -> Pair:
        """Return the same pair at a larger spacing (mm)."""
        grid, wide = self.grid.with_spacing(spacing), self.other_grid.with_spacing(spacing)
        swept, mask = resample_inside(self.swept, self.mask, self.grid, grid)
        other, edges = (resample(v, self.other_grid, wide) for v in (self.other, self.edges))
        inside = resample_mask(self.inside, self.other_grid, wide)
        return Pair(swept, mask, grid, other, edges, inside, wide)

    @property
    def centre(self) -> NDArray[np.float64]:
        """(3,) world centre of the field of view, mm."""
        return np.asarray(self.points.mean(0))

    @property
    def points(self) -> NDArray[np.float64]:
        """(n, 3) world positions of the field of view's voxels, mm."""
        return self.grid.to_world(np.argwhere(self.mask))


# A window measures the same volumes again and again while a slider moves.
@lru_cache(maxsize=4)
def swept_region(volume: Volume) -> Mask:
    """Return where a volume has an image, (i, j, k) bool on its grid.

    Raises:
        IntensityError: nowhere.
    """
    return field_of_view(volume)


def which_is_swept(fixed: Volume, moving: Volume) -> bool:
    """Tell whether ``fixed`` is the volume whose field of view counts (else ``moving`` is).

    That is the swept one by its name; without a name, the volume whose image fills less space.
    """
    named = [v.modality in SWEPT for v in (fixed, moving)]
    if named[0] != named[1]:
        return named[0]
    sizes = [
        float(swept_region(v).sum()) * abs(np.linalg.det(v.grid.affine[:3, :3]))
        for v in (fixed, moving)
    ]
    return sizes[0] <= sizes[1]


def make_pair(swept: Volume, other: Volume, spacing: float) -> Pair:
    """Bring two volumes that share space onto the working grids.

    Raises:
        AlignError: the field of view has too few voxels at this spacing.
    """
    mask = swept_region(swept)
    box = np.argwhere(mask)
    corners = swept.grid.to_world(_corners(box.min(0), box.max(0)))
    grid = _around(corners.min(0), corners.max(0), spacing)
    image, inside = resample_inside(swept.voxels, mask, swept.grid, grid)
    if inside.sum() < 200:
        raise AlignError(
            f"{swept.source or 'The volume'}: the field of view has {int(inside.sum())} voxels of "
            f"{spacing:g} mm; expected an ultrasound of some centimetres. Choose another volume."
        )
    wide = _around(corners.min(0) - MARGIN, corners.max(0) + MARGIN, spacing)
    # What a model made ends where it was told to stop; that is no border of the brain.
    known = swept_region(other) if other.synthetic else np.ones(other.grid.shape, dtype=bool)
    values, there = resample_inside(other.voxels, known, other.grid, wide)
    if not there.any():
        raise AlignError(
            f"{swept.source or 'The ultrasound'}: nothing of {other.source or 'the other volume'} "
            "lies within 30 mm of its field of view, so there is nothing to register. Centre the "
            "volumes first (--centre), or check that both are of one patient."
        )
    from scipy import ndimage

    edges = ndimage.gaussian_gradient_magnitude(values, EDGE_MM / spacing)
    return Pair(image, inside, grid, values, edges, there, wide)


def coverage(pair: Pair, across: NDArray[np.float64]) -> float:
    """Return the part of the field of view that lies inside the other volume.

    Args:
        pair: the volumes.
        across: (4, 4) RAS+ mm, swept → other.
    """
    points = pair.points[:: max(1, int(pair.mask.sum()) // 20_000)]
    voxel = np.rint(pair.other_grid.to_voxel(points @ across[:3, :3].T + across[:3, 3])).astype(int)
    good = np.all((voxel >= 0) & (voxel < pair.other_grid.shape), axis=1)
    good[good] = pair.inside[tuple(voxel[good].T)]
    return float(good.mean())


def _corners(low: NDArray[np.int64], high: NDArray[np.int64]) -> NDArray[np.float64]:
    ends = [(float(a) - 0.5, float(b) + 0.5) for a, b in zip(low, high, strict=True)]
    return np.array([(x, y, z) for x in ends[0] for y in ends[1] for z in ends[2]])


def _around(low: NDArray[np.float64], high: NDArray[np.float64], spacing: float) -> Grid:
    """Return an axis-aligned isotropic RAS grid that covers a box."""
    shape = np.maximum(np.ceil((high - low) / spacing).astype(int), 1)
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = (low + high) / 2 - spacing * (shape - 1) / 2
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)
