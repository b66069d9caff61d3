"""Sampling on grids that are turned against the image's: as smooth as on parallel ones, not more.

A target voxel with steps of its own along each axis is an ellipsoid. Turned, it has no width along
a source axis that a filter of that axis could have: steps of 0.5 x 0.5 x 3 mm at 45° would take
3 mm from two directions. So the image is first sampled with nearly equal steps along the target's
axes, then smoothed along those, each by what its own step asks for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.image.parallel_grids import TOLERANCE
from core.volume import Voxels

UNEQUAL = 1.2
"""Ratio of steps, from which on a turned voxel is no ball."""
REACH = 3.0
"""Where a Gaussian is cut, in its widths."""


def blur(step: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Return the Gaussian's width for steps of so many samples, in samples; 0 for finer ones.

    With half of √(step² - 1), samples that are themselves as wide as their own step become as wide
    as the new one.
    """
    steps = np.asarray(step, np.float64)
    return np.where(steps > 1.05, 0.5 * np.sqrt(np.maximum(steps**2 - 1, 0)), 0.0)


def smoothed(image: Voxels, matrix: NDArray[np.float64]) -> Voxels:
    """Smooth an image for a grid whose voxels reach as far along each source axis as they do.

    Args:
        image: (i, j, k) on the source grid.
        matrix: (4, 4) target voxel → source voxel.
    """
    from scipy import ndimage

    sigma = blur(np.linalg.norm(matrix[:3, :3], axis=1))
    if not sigma.any():
        return image
    result: Voxels = ndimage.gaussian_filter(image, sigma, mode="nearest", truncate=REACH)
    return result


def sample_turned(
    image: Voxels,
    matrix: NDArray[np.float64],
    shape: tuple[int, int, int],
    order: int,
    fill: float,
) -> Voxels:
    """Sample an image at every voxel centre of a turned grid.

    Args:
        image: (i, j, k) on the source grid.
        matrix: (4, 4) target voxel → source voxel.
        shape: of the target grid.
        order: 0 nearest, 1 linear; linear smooths first.
        fill: value more than half a voxel beyond the source's outermost centres.

    Returns:
        float32 on the target grid.
    """
    if order == 0:
        result = _affine(image, matrix, shape, 0)
    else:
        steps = np.linalg.norm(matrix[:3, :3], axis=0)  # of the target, in source voxels
        smallest = max(1.0, float(steps.min()))
        parts = [2 * int(np.ceil((s / smallest - 1) / 2)) + 1 for s in steps]
        if steps.max() < UNEQUAL * smallest:
            result = _affine(smoothed(image, matrix), matrix, shape, order)
        else:
            result = _by_parts(image, matrix, shape, parts, order)
    _fill_outside(result, matrix, (image.shape[0], image.shape[1], image.shape[2]), fill)
    return result


def _by_parts(
    image: Voxels,
    matrix: NDArray[np.float64],
    shape: tuple[int, int, int],
    parts: list[int],
    order: int,
) -> Voxels:
    """Sample with each step in an odd number of parts, smooth along the axes, keep the middles."""
    from scipy import ndimage

    sigma = blur(np.array(parts))
    margin = [int(np.ceil(REACH * s)) for s in sigma]
    finer = matrix @ np.diag([*(1 / n for n in parts), 1.0])
    finer[:3, 3] -= finer[:3, :3] @ np.array(margin, np.float64)
    size = [(n - 1) * p + 1 + 2 * m for n, p, m in zip(shape, parts, margin, strict=True)]
    result = _affine(smoothed(image, finer), finer, (size[0], size[1], size[2]), order)
    for axis in range(3):
        if sigma[axis] > 0:
            result = ndimage.gaussian_filter1d(
                result, sigma[axis], axis, mode="nearest", truncate=REACH
            )
            middles = slice(margin[axis], size[axis] - margin[axis], parts[axis])
            result = result[tuple(middles if a == axis else slice(None) for a in range(3))]
    return np.ascontiguousarray(result)


def _affine(
    image: Voxels, matrix: NDArray[np.float64], shape: tuple[int, int, int], order: int
) -> Voxels:
    from scipy import ndimage

    result: Voxels = ndimage.affine_transform(
        image,
        matrix[:3, :3],
        matrix[:3, 3],
        shape,
        output=np.float32,
        order=order,
        mode="nearest",
        prefilter=False,
    )
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
