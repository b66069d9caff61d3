"""Cutting slices into tiles of the model's size and blending them back.

Tile origins depend on the grid and on the box that is asked for, never on what the image shows, so
the same place is computed the same way in one slice as in the whole volume. Origins are multiples
of the pixel of the network's coarsest map of latents apart, which lets one noise plane per level
serve all tiles of a slice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]
SHARED = 1 / 6
"""Of a tile, at least so much is shared with its neighbour (more, as far as the step wants it)."""
COUNTS = 1 / 3
"""Of the largest weight at a pixel, from which a tile has a say there.

The tile with the largest weight always has, so nothing is left out; at most a quarter of a pixel
comes from a tile without.
"""


@dataclass(frozen=True)
class Tiling:
    """Tiles over one plane.

    Attributes:
        plane: height and width of the plane, pixels.
        tile: height and width of a tile; both multiples of ``step``.
        step: origins differ by multiples of this.
        box: rows and columns of the plane that the tiles must cover; the whole plane without it.
    """

    plane: tuple[int, int]
    tile: tuple[int, int]
    step: int
    box: tuple[slice, slice] = (slice(None), slice(None))

    @cached_property
    def rows(self) -> tuple[int, ...]:
        """First row of each row of tiles; negative where a tile sticks out."""
        return _origins(self.plane[0], self.box[0], self.tile[0], self.step)

    @cached_property
    def columns(self) -> tuple[int, ...]:
        """First column of each column of tiles; negative where a tile sticks out."""
        return _origins(self.plane[1], self.box[1], self.tile[1], self.step)

    @cached_property
    def origins(self) -> tuple[tuple[int, int], ...]:
        """Upper left corner (row, column) of every tile."""
        return tuple((r, c) for r in self.rows for c in self.columns)

    @cached_property
    def extent(self) -> tuple[int, int]:
        """Height and width of the union of all tiles, which holds the padded plane."""
        return (
            self.rows[-1] - self.rows[0] + self.tile[0],
            self.columns[-1] - self.columns[0] + self.tile[1],
        )

    @cached_property
    def counts(self) -> Mapping[tuple[int, int], NDArray[np.bool_]]:
        """Origin → where the tile has a say, bool on its part of the plane.

        A tile whose say lies all outside the field of view need not be computed: what it would add
        there is little, and other tiles are there.
        """
        largest = np.zeros(self.plane, np.float32)
        for origin in self.origins:
            inner, outer = self.overlap(origin)
            np.maximum(largest[outer], self.window[inner], out=largest[outer])
        found = {}
        for origin in self.origins:
            inner, outer = self.overlap(origin)
            found[origin] = self.window[inner] >= np.float32(COUNTS) * largest[outer]
        return found

    @cached_property
    def window(self) -> Plane:
        """(tile) float32 blending weight: 1 in the middle, falling smoothly to the edges."""
        return np.outer(_ramp(self.tile[0]), _ramp(self.tile[1])).astype(np.float32)

    def cut(self, plane: Plane, origin: tuple[int, int], fill: float) -> Plane:
        """Return one tile of a plane, filled where it sticks out."""
        out = np.full(self.tile, fill, dtype=np.float32)
        inner, outer = self.overlap(origin)
        out[inner] = plane[outer]
        return out

    def overlap(self, origin: tuple[int, int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Return where a tile and the plane meet: slices into the tile and into the plane."""
        inner, outer = [], []
        for start, size, limit in zip(origin, self.tile, self.plane, strict=True):
            low, high = max(start, 0), min(start + size, limit)
            inner.append(slice(low - start, high - start))
            outer.append(slice(low, high))
        return (inner[0], inner[1]), (outer[0], outer[1])


def _origins(plane: int, box: slice, tile: int, step: int) -> tuple[int, ...]:
    low, high, _ = box.indices(plane)
    stride = max(step, int(tile * (1 - SHARED)) // step * step)
    span = -(-max(0, high - low - tile) // step) * step
    count = -(-span // stride) + 1
    begin = low - (span + tile - (high - low)) // 2
    if span + tile <= plane:  # what lies around the box is worth more than nothing
        begin = min(max(begin, 0), plane - span - tile)
    else:
        begin = -((span + tile - plane) // 2)
    starts = np.round(np.linspace(0, span, count) / step).astype(int) * step
    return tuple(begin + int(s) for s in starts)


def _ramp(length: int) -> NDArray[np.float64]:
    """Return sin² weights; at the usual overlaps they add up without a visible seam."""
    return np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 2 + 1e-3
