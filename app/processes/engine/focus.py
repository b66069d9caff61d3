"""Where the user looks decides what is computed first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from core.synthesis.request import PreparedInput, Tile


def refocus(prepared: PreparedInput, focus: tuple[float, float, float] | None) -> PreparedInput:
    """Reorder a layout's tiles: the one under the focus, its slice, then outward."""
    if focus is None:
        return prepared
    at = prepared.grid.to_voxel(focus)
    along, row, column = prepared.slicing.pixel(at, prepared.grid.shape)
    height, width = prepared.tiling.tile

    def distance(tile: Tile) -> tuple[int, float]:
        down = tile.origin[0] + height / 2 - 0.5 - row
        right = tile.origin[1] + width / 2 - 0.5 - column
        return abs(tile.index - round(along)), float(np.hypot(down, right))

    return replace(prepared, tiles=tuple(sorted(prepared.tiles, key=distance)))


def slice_under(prepared: PreparedInput, focus: tuple[float, float, float] | None) -> int:
    """Return the slice of the model's grid under a RAS mm position; the first one without."""
    if focus is None:
        return prepared.tiles[0].index
    return round(float(prepared.grid.to_voxel(focus)[prepared.axis]))
