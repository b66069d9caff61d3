"""Sampling of images and masks at another grid's voxel centres."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.grid import Grid
from core.image.parallel_grids import TOLERANCE, is_aligned, sample_aligned
from core.volume import Mask, Voxels


def resample(
    voxels: NDArray[np.generic], source: Grid, target: Grid, *, order: int = 1, fill: float = 0.0
) -> Voxels:
    """Sample an image at another grid's voxel centres.

    Args:
        voxels: (i, j, k) on ``source``.
        source: grid of ``voxels``.
        target: grid wanted.
        order: 0 nearest, 1 linear.
        fill: value outside the source.

    Returns:
        float32 on ``target``. Where the target is coarser, the image is smoothed first, so that
        speckle and noise do not alias; turning a grid changes nothing about that. A voxel reaches
        half a voxel beyond its centre, whichever way the grid is turned.
    """
    from scipy import ndimage

    if source.same_as(target):
        return np.ascontiguousarray(voxels, dtype=np.float32)
    matrix = source.inverse @ target.affine
    # How far one target voxel reaches along each source axis, in source voxels.
    reach = np.linalg.norm(matrix[:3, :3], axis=1)
    image: Voxels = np.asarray(voxels, dtype=np.float32)
    if order > 0:
        sigma = np.where(reach > 1.05, 0.5 * np.sqrt(np.maximum(reach**2 - 1, 0)), 0.0)
        if sigma.any():
            image = ndimage.gaussian_filter(image, sigma, mode="nearest", truncate=3.0)
    if is_aligned(matrix):
        return sample_aligned(image, matrix, target.shape, order, fill)
    result: Voxels = ndimage.affine_transform(
        image,
        matrix[:3, :3],
        matrix[:3, 3],
        target.shape,
        output=np.float32,
        order=order,
        mode="nearest",
        prefilter=False,
    )
    _fill_outside(result, matrix, source.shape, fill)
    return result


def _fill_outside(
    image: Voxels, matrix: NDArray[np.float64], shape: tuple[int, int, int], fill: float
) -> None:
    """Set what lies more than half a voxel beyond a source's outermost centres, in place.

    Args:
        image: (i, j, k) on the target grid.
        matrix: (4, 4) target voxel → source voxel.
        shape: of the source.
        fill: the value.
    """
    steps = [np.arange(n, dtype=np.float64) for n in image.shape]
    planes = [
        matrix[axis, 1] * steps[1][:, None] + matrix[axis, 2] * steps[2] + matrix[axis, 3]
        for axis in range(3)
    ]
    lows = [float(plane.min()) for plane in planes]
    highs = [float(plane.max()) for plane in planes]
    for i in range(image.shape[0]):
        beyond: NDArray[np.bool_] | None = None
        for axis, plane in enumerate(planes):
            shift = matrix[axis, 0] * i
            low, high = -0.5 - TOLERANCE - shift, shape[axis] - 0.5 + TOLERANCE - shift
            if lows[axis] >= low and highs[axis] <= high:
                continue
            out = (plane < low) | (plane > high)
            beyond = out if beyond is None else beyond | out
        if beyond is not None:
            image[i][beyond] = fill


def resample_mask(mask: Mask, source: Grid, target: Grid) -> Mask:
    """Sample a mask at another grid: at least half of the neighbourhood must be inside."""
    if source.same_as(target):
        return mask.copy()
    return np.asarray(resample(mask.astype(np.float32), source, target) >= 0.5)


def resample_inside(voxels: Voxels, mask: Mask, source: Grid, target: Grid) -> tuple[Voxels, Mask]:
    """Sample an image that is only known inside a mask, without mixing in the background.

    Returns:
        image and mask on ``target``; the image is 0 outside the mask.
    """
    if source.same_as(target):
        return np.where(mask, voxels, np.float32(0)).astype(np.float32), mask.copy()
    weight = resample(mask.astype(np.float32), source, target)
    inside = np.asarray(weight >= 0.5)
    total = resample(np.where(mask, voxels, np.float32(0)), source, target)
    # In place: on a whole head at 0.5 mm each of these arrays has 400 MB.
    np.maximum(weight, 0.5, out=weight)
    total /= weight
    total *= inside
    return total, inside
