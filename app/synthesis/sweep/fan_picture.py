"""What one frame of the virtual probe shows of everything that is known there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.grid import Grid
from core.synthesis.virtual_sweep import VirtualSweep
from core.volume import Mask, Volume, Voxels


@dataclass(frozen=True, eq=False)
class FanPicture:
    """One frame; every array is (width, height) pixels, x lateral, y away from the face.

    Attributes:
        inside: what the probe shows.
        made: float32, the synthetic image in its units; 0 where nothing is known.
        known: where ``made`` is known.
        under: float32, the volume it is made from.
        labels: int32, 0 where there are none.
        places: (width, height, 3) RAS mm of the pixels.
    """

    inside: Mask
    made: Voxels
    known: Mask
    under: Voxels
    labels: NDArray[np.int32]
    places: NDArray[np.float64]


def fan_picture(
    frame: VirtualSweep,
    under: Volume | None,
    made: Sequence[tuple[Grid, Voxels]],
    labels: Volume | None,
) -> FanPicture:
    """Sample one frame.

    Args:
        frame: a sweep of one.
        under: the volume below, if there is one.
        made: synthetic voxels by trust, the best first; 0 where they hold nothing.
        labels: a label map, if there is one.
    """
    inside = frame.fan()
    x, y = np.nonzero(inside)
    pixels = np.stack([x, y, np.zeros_like(x), np.ones_like(x)]).astype(float)
    world = ((frame.poses[0] @ frame.calibration @ pixels)[:3]).T
    places = np.zeros((*inside.shape, 3))
    places[x, y] = world
    values, known = np.zeros(len(world), np.float32), np.zeros(len(world), bool)
    for grid, voxels in made:
        left = ~known
        if left.any():
            values[left], known[left] = sample_known(voxels, grid, world[left])

    def spread(flat: NDArray[Any], dtype: Any) -> NDArray[Any]:
        out = np.zeros(inside.shape, dtype)
        out[x, y] = flat
        return out

    return FanPicture(
        inside,
        spread(values, np.float32),
        spread(known, bool),
        spread(_sampled(under, world, 1), np.float32),
        spread(np.rint(_sampled(labels, world, 0)), np.int32),
        places,
    )


def sample_known(
    voxels: Voxels, grid: Grid, world: NDArray[np.float64]
) -> tuple[Voxels, NDArray[np.bool_]]:
    """Interpolate between the voxels that hold something (are not 0).

    Args:
        voxels: (i, j, k).
        grid: of ``voxels``.
        world: (points, 3) RAS mm.

    Returns:
        (points,) float32 values, and whether at least half of what is around a point is known.
    """
    at = grid.to_voxel(world)
    low = np.floor(at).astype(int)
    share = (at - low).astype(np.float32)
    total, weights = np.zeros(len(at), np.float32), np.zeros(len(at), np.float32)
    for corner in product((0, 1), repeat=3):
        i, j, k = (low + corner).T
        there = (
            (i >= 0) & (j >= 0) & (k >= 0)
            & (i < grid.shape[0]) & (j < grid.shape[1]) & (k < grid.shape[2])
        )  # fmt: skip
        weight = np.prod(np.where(corner, share, 1 - share), axis=1, dtype=np.float32)
        value = np.zeros(len(at), np.float32)
        value[there] = voxels[i[there], j[there], k[there]]
        weight = np.where(value != 0, weight, np.float32(0))
        total += weight * value
        weights += weight
    known = weights >= 0.5
    return np.where(known, total / np.maximum(weights, 1e-6), np.float32(0)), known


def _sampled(volume: Volume | None, world: NDArray[np.float64], order: int) -> Voxels:
    if volume is None:
        return np.zeros(len(world), np.float32)
    from scipy import ndimage

    at = volume.grid.to_voxel(world).T
    return np.asarray(
        ndimage.map_coordinates(volume.voxels, at, order=order, cval=0.0, output=np.float32)
    )
