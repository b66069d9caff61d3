"""Where to synthesise, on no more of the model's grid than that needs.

A whole head on a grid of 0.5 mm has 100 million voxels, its brain a quarter of them. What no tile
sees is never made.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.grid import Grid
from core.image.resample import resample_mask
from core.models.slicing import Slicing
from core.synthesis.tiles import Tiling
from core.volume import Mask

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class View:
    """A region of a grid, known on a block of it.

    Attributes:
        start: voxel of the grid at which the block begins.
        mask: (i, j, k) bool on the block; all false where the region is empty.
    """

    start: tuple[int, int, int]
    mask: Mask


@dataclass(frozen=True, eq=False)
class Block:
    """The part of a grid that the tiles over a region see.

    Attributes:
        grid: of the part.
        fov: (i, j, k) bool on it: the region.
        tiling: of a slice of it.
    """

    grid: Grid
    fov: Mask
    tiling: Tiling


def whole_view(grid: Grid) -> View:
    """Return the region that is the whole grid."""
    return View((0, 0, 0), np.ones(grid.shape, dtype=bool))


def view_of(mask: Mask, source: Grid, grid: Grid) -> View:
    """Bring a mask to another grid, on the block around it.

    Args:
        mask: (i, j, k) bool on ``source``.
        source: its grid.
        grid: the one wanted; parts of the mask outside it are lost.
    """
    nothing = View((0, 0, 0), np.zeros((1, 1, 1), dtype=bool))
    if not mask.any():
        return nothing
    ends = [(s.start - 1, s.stop) for s in reach(mask)]  # a voxel more: half of it is sampled
    corners = grid.to_voxel(source.to_world(np.array(list(product(*ends)), np.float64)))
    low = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 1, grid.shape)
    if (high <= low).any():
        return nothing
    start, stop = [int(n) for n in low], [int(n) for n in high]
    size = (stop[0] - start[0], stop[1] - start[1], stop[2] - start[2])
    found = resample_mask(mask, source, grid.crop(start, size))
    return View((start[0], start[1], start[2]), found)


def block_of(view: View, grid: Grid, slicing: Slicing, tile: tuple[int, int], step: int) -> Block:
    """Lay tiles over a region that is not empty, and cut the grid to what they see.

    The tiles lie where they would on the whole grid, with as much around the region as there is.

    Args:
        view: the region.
        grid: the whole grid.
        slicing: how an array on it becomes slices.
        tile: height and width of a tile.
        step: tiles lie multiples of it apart.
    """
    box = tuple(
        slice(s.start + at, s.stop + at) for s, at in zip(reach(view.mask), view.start, strict=True)
    )
    ends = [slicing.pixel([s.start for s in box], grid.shape)]
    ends.append(slicing.pixel([s.stop - 1 for s in box], grid.shape))
    rows, columns = (
        slice(int(min(e[n] for e in ends)), int(max(e[n] for e in ends)) + 1) for n in (1, 2)
    )
    _, height, width = slicing.slices(np.broadcast_to(np.False_, grid.shape)).shape
    tiling = Tiling((height, width), tile, step, (rows, columns))
    area = (
        slice(max(tiling.rows[0], 0), min(tiling.rows[-1] + tile[0], height)),
        slice(max(tiling.columns[0], 0), min(tiling.columns[-1] + tile[1], width)),
    )
    cut = list(slicing.block(0, area, grid.shape))
    cut[slicing.axis] = box[slicing.axis]
    start = (cut[0].start, cut[1].start, cut[2].start)
    shape = (cut[0].stop - start[0], cut[1].stop - start[1], cut[2].stop - start[2])
    fov = np.zeros(shape, dtype=bool)
    there = tuple(slice(s.start - at, s.stop - at) for s, at in zip(box, start, strict=True))
    own = tuple(slice(s.start - at, s.stop - at) for s, at in zip(box, view.start, strict=True))
    fov[there] = view.mask[own]
    inner = (
        slice(rows.start - area[0].start, rows.stop - area[0].start),
        slice(columns.start - area[1].start, columns.stop - area[1].start),
    )
    plane = (area[0].stop - area[0].start, area[1].stop - area[1].start)
    return Block(_part(grid, start, shape), fov, Tiling(plane, tile, step, inner))


def part_of(values: NDArray[Any], grid: Grid, part: Grid) -> NDArray[Any]:
    """View the values of a grid on a part of it that is made of the same voxels."""
    start = np.rint(grid.to_voxel(part.to_world((0, 0, 0)))).astype(int)
    return values[tuple(slice(int(a), int(a) + n) for a, n in zip(start, part.shape, strict=True))]


def reach(mask: Mask) -> Box:
    """Return the box around what is true in a mask that is not empty."""
    found = []
    for axis in range(3):
        shown = np.flatnonzero(mask.any(axis=tuple(n for n in range(3) if n != axis)))
        found.append(slice(int(shown[0]), int(shown[-1]) + 1))
    return found[0], found[1], found[2]


@lru_cache(maxsize=4)
def _part(grid: Grid, start: tuple[int, int, int], shape: tuple[int, int, int]) -> Grid:
    """Cut a grid; the same part is the same object, so that images on it are found again."""
    return grid.crop(start, shape)


def forget_parts() -> None:
    """Let go of the grids of parts."""
    _part.cache_clear()
