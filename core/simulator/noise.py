"""Smooth random fields and soft steps: the raw material of every simulated structure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.grid import Grid

Field = NDArray[np.float32]
Coverage = NDArray[np.uint8]
"""Part of a voxel that a tissue covers, 255 for all of it: a quarter of the memory of a Field."""

REACH = 140.0
"""Half side of the cube around world 0 that holds a simulated head, mm."""


def bspline_weights(positions: NDArray[np.float64], knots: int) -> NDArray[np.float32]:
    """Return (n, knots) cubic B-spline weights of knots 0…knots-1 at fractional ``positions``."""
    distance = np.abs(positions[:, None] - np.arange(knots)[None, :])
    near = (4 - 6 * distance**2 + 3 * distance**3) / 6
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    return np.where(distance < 1, near, far).astype(np.float32)


def smooth_noise(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    spacing: float,
    knot: float,
) -> Field:
    """Draw a smooth random field of mean about 0 and standard deviation 1.

    Args:
        rng: where the randomness comes from.
        shape: voxels along the three axes.
        spacing: voxel size, mm.
        knot: distance between the random control points, mm; structures are about twice as wide.

    Returns:
        (i, j, k) float32: a tensor-product cubic B-spline of white noise, evaluated as three small
        matrix products, which is far cheaper than filtering white noise on the full grid.
    """
    axes = [np.arange(n) * spacing / knot + 1.0 for n in shape]
    counts = [int(np.ceil(a[-1])) + 3 for a in axes]
    # The offset keeps knots from sitting at the same voxels in every case.
    shift = rng.uniform(0, 1, 3)
    field = rng.standard_normal(counts, dtype=np.float32)
    for axis, positions in enumerate(axes):
        weights = bspline_weights(positions + shift[axis], counts[axis])
        field = np.moveaxis(np.tensordot(weights, field, axes=(1, axis)), 0, axis)
    # A cubic B-spline of unit white noise keeps 0.479 of the variance along every axis.
    return np.ascontiguousarray(field / np.float32(0.479**1.5))


def head_noise(rng: np.random.Generator, grid: Grid, knot: float) -> Field:
    """Draw a smooth random field of a head, of mean about 0 and standard deviation 1, on a grid.

    Unlike :func:`smooth_noise` the field belongs to the world and not to the grid: the same state
    of ``rng`` gives the same field wherever it is evaluated, so that a head can be looked at coarse
    as a whole and fine in a box.

    Args:
        rng: where the randomness comes from; the same numbers are used up on every grid.
        grid: axis-aligned RAS+, inside the cube of ``REACH`` mm around world 0.
        knot: distance between the random control points, mm.
    """
    count = int(np.ceil(2 * REACH / knot)) + 5
    field = rng.standard_normal((count, count, count), dtype=np.float32)
    shift = rng.uniform(0, 1, 3)
    for axis in range(3):
        place = grid.affine[axis, 3] + grid.affine[axis, axis] * np.arange(grid.shape[axis])
        positions = np.clip((place + REACH) / knot + 1 + shift[axis], 1, count - 3)
        low, high = int(positions.min()) - 1, int(positions.max()) + 3
        weights = bspline_weights(positions - low, high - low)
        part = field.take(range(low, high), axis=axis)
        field = np.moveaxis(np.tensordot(weights, part, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(field / np.float32(0.479**1.5))


def soft_step(signed_distance: Field, width: float) -> Field:
    """Return the fraction of a voxel inside a surface: 0 outside, 1 inside, linear over ``width``.

    Args:
        signed_distance: (…) mm, positive inside.
        width: mm over which the fraction goes from 0 to 1, about one voxel.
    """
    return np.clip(signed_distance / np.float32(width) + np.float32(0.5), 0, 1)


def sigmoid(x: Field) -> Field:
    """Return the logistic function, safe for large arguments."""
    return np.float32(0.5) * (np.tanh(np.float32(0.5) * x) + np.float32(1))


def covering(part: Field) -> Coverage:
    """Turn parts of a voxel, 0-1, into whole steps of 1/255."""
    return np.rint(np.clip(part, 0, 1) * np.float32(255)).astype(np.uint8)
