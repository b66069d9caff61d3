"""A volume from many 2-D images that lie anywhere: every pixel is shared among its neighbours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from core.grid import Grid
from core.volume import Mask, Voxels

LARGEST = 1 << 30
"""Voxels of a grid; more is a mistake in the places or in the voxel size."""


class CompoundError(ValueError):
    """Images of which no volume can be made."""


def box_of(shape: tuple[int, int], places: NDArray[np.float64], spacing: float) -> Grid:
    """Return the isotropic grid, parallel to the axes, that holds every image.

    Args:
        shape: width and height of an image, in pixels.
        places: (n, 4, 4) pixel (x, y, 0, 1) → mm.
        spacing: mm.

    Raises:
        CompoundError: there is none, or it would be too large.
    """
    ends = np.array([[x, y, 0.0, 1.0] for x in (0, shape[0] - 1) for y in (0, shape[1] - 1)])
    corners = (places @ ends.T)[:, :3].transpose(0, 2, 1).reshape(-1, 3)
    if not len(corners) or not np.isfinite(corners).all():
        raise CompoundError("no image has a usable place")
    low = corners.min(0)
    sizes = np.floor((corners.max(0) - low) / spacing + 1e-9) + 2
    if float(np.prod(sizes)) > LARGEST:
        raise CompoundError(
            f"a volume of {' × '.join(f'{n:.0f}' for n in sizes)} voxels would hold it"
        )
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = low
    return Grid((int(sizes[0]), int(sizes[1]), int(sizes[2])), affine)


def compound(
    images: Voxels,
    places: NDArray[np.float64],
    grid: Grid,
    *,
    holes: float = 0.0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Voxels, Mask]:
    """Share every pixel among its eight neighbours by their distance, then fill small holes.

    Pixels that are 0 in every image lie outside the probe's fan and count for nothing.

    Args:
        images: (width, height, n).
        places: (n, 4, 4) pixel (x, y, 0, 1) → mm.
        grid: of the volume.
        holes: gaps up to this width are filled from around them, mm.
        progress: called with (done, n).

    Returns:
        float32 volume on ``grid``, 0 where no image lies; and where one does.
    """
    seen = np.argwhere(images.max(axis=2) > 0)
    pixels = np.column_stack([seen, np.zeros(len(seen)), np.ones(len(seen))])
    total = np.zeros(np.prod(grid.shape), np.float32)
    weight = np.zeros_like(total)
    sizes = np.array(grid.shape)
    count = images.shape[2]
    for n in range(count):
        at = (pixels @ (grid.inverse @ places[n]).T)[:, :3]
        base = np.floor(at).astype(np.int64)
        rest = at - base
        values = images[seen[:, 0], seen[:, 1], n]
        for corner in np.ndindex(2, 2, 2):
            index = base + corner
            share = np.prod(np.where(np.array(corner) == 1, rest, 1 - rest), axis=1)
            held = ((index >= 0) & (index < sizes)).all(axis=1) & (share > 0)
            flat = np.ravel_multi_index(tuple(index[held].T), grid.shape)
            np.add.at(weight, flat, share[held].astype(np.float32))
            np.add.at(total, flat, (share[held] * values[held]).astype(np.float32))
        if progress:
            progress(n + 1, count)
    return _filled(total.reshape(grid.shape), weight.reshape(grid.shape), grid, holes)


def _filled(total: Voxels, weight: Voxels, grid: Grid, holes: float) -> tuple[Voxels, Mask]:
    from scipy import ndimage

    inside: Mask = weight > 1e-3
    volume = np.where(inside, total / np.maximum(weight, 1e-3), 0).astype(np.float32)
    reach = holes / 2 / float(grid.spacing[0])
    if reach >= 0.5:
        # A gap is closed where every way out of it is longer than the reach.
        margin = int(np.ceil(reach)) + 1
        padded = np.pad(inside, margin)
        grown = ndimage.distance_transform_edt(~padded) <= reach + 0.5
        closed = ndimage.distance_transform_edt(grown) > reach + 0.5
        closed = closed[(slice(margin, -margin),) * 3] & ~inside
        sigma = max(reach / 2, 0.7)
        known = ndimage.gaussian_filter(inside.astype(np.float32), sigma, truncate=4.0)
        spread = ndimage.gaussian_filter(volume, sigma, truncate=4.0)
        fill = closed & (known > 1e-4)
        volume[fill] = spread[fill] / known[fill]
        inside = inside | fill
    return volume, inside
