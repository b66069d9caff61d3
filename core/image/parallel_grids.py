"""Sampling between grids whose axes are parallel: one axis after the other, several times faster.

Spacing, order, direction and offset may differ; anything turned needs scipy's general transform.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.volume import Voxels

TOLERANCE = 1e-9
BLOCK = 1 << 17
"""Voxels sampled at a time."""


def is_aligned(matrix: NDArray[np.float64]) -> bool:
    """Tell whether a (4, 4) target voxel → source voxel matrix only permutes and scales axes."""
    used = np.abs(matrix[:3, :3]) > TOLERANCE
    return bool((used.sum(axis=0) == 1).all() and (used.sum(axis=1) == 1).all())


def sample_aligned(
    image: Voxels,
    matrix: NDArray[np.float64],
    shape: tuple[int, int, int],
    order: int,
    fill: float,
) -> Voxels:
    """Sample an image at every voxel centre of a parallel grid.

    A voxel reaches half a voxel beyond its centre: positions in the outer half of an edge voxel
    have that voxel's value.

    Args:
        image: (i, j, k) on the source grid.
        matrix: (4, 4) target voxel → source voxel, as :func:`is_aligned` accepts.
        shape: of the target grid.
        order: 0 nearest, 1 linear.
        fill: value outside the source.

    Returns:
        float32 on the target grid.
    """
    source_axes = np.abs(matrix[:3, :3]).argmax(axis=0)
    out = image.transpose(source_axes)
    outside: list[tuple[int, NDArray[np.bool_]]] = []
    positions = []
    for axis, source in enumerate(source_axes):
        where = matrix[source, axis] * np.arange(shape[axis]) + matrix[source, 3]
        last = image.shape[source] - 1
        beyond = (where < -0.5 - TOLERANCE) | (where > last + 0.5 + TOLERANCE)
        if beyond.any():
            outside.append((axis, beyond))
        positions.append(np.clip(where, 0, last))
    result: Voxels = np.empty(shape, np.float32)
    # Block by block, so that what lies between the steps stays in the processor's cache.
    step = max(1, BLOCK // max(1, shape[1] * shape[2]))
    for start in range(0, shape[0], step):
        block = _along(out, positions[0][start : start + step], 0, order)
        for axis in sorted((1, 2), key=lambda a: shape[a] / out.shape[a]):
            block = _along(block, positions[axis], axis, order)
        result[start : start + step] = block
    for axis, beyond in outside:
        np.moveaxis(result, axis, 0)[beyond] = fill
    return result


def _along(image: Voxels, where: NDArray[np.float64], axis: int, order: int) -> Voxels:
    """Sample along one axis at positions inside it."""
    if order == 0:
        return np.take(image, np.rint(where).astype(np.intp), axis=axis)
    low = np.floor(where).astype(np.intp)
    share = (where - low).astype(np.float32)
    out: Voxels = np.take(image, low, axis=axis)
    if share.any():
        high = np.minimum(low + 1, image.shape[axis] - 1)
        weight = share.reshape([-1 if a == axis else 1 for a in range(3)])
        above = np.take(image, high, axis=axis)
        above -= out
        above *= weight
        out += above
    return out
