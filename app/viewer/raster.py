"""Cuts become pictures: values through a window and a colour map, masks into outlines."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QLineF
from PySide6.QtGui import QImage

from app.state.values import Window
from app.viewer.colormaps import Table
from app.viewer.sampling import Cut

Lines = list[QLineF]


def to_image(cut: Cut, window: Window, colours: Table) -> QImage:
    """Return the cut's picture, transparent outside the volume; one pixel per value."""
    low, high = window
    scaled = np.subtract(cut.values, np.float32(low), dtype=np.float32)
    scaled *= np.float32(255.0 / (high - low))
    scaled += np.float32(0.5)
    np.clip(scaled, 0, 255, out=scaled)
    return _image(np.take(colours, scaled.astype(np.uint8)), cut.inside)


def to_labels(cut: Cut, colours: Table) -> QImage:
    """Return a label map's picture: 0 transparent, labels above 255 reuse colours 1 to 255."""
    labels = np.rint(cut.values).astype(np.int64)
    index = np.where(labels > 0, (labels - 1) % 255 + 1, 0).astype(np.uint8)
    return _image(np.take(colours, index), cut.inside)


def _image(pixels: NDArray[np.uint32], inside: NDArray[np.bool_] | None) -> QImage:
    rows, columns = pixels.shape
    opaque = inside is None and int(pixels.min()) >= 0xFF000000
    if inside is not None:
        pixels = pixels * inside
    pixels = np.ascontiguousarray(pixels)
    form = QImage.Format.Format_RGB32 if opaque else QImage.Format.Format_ARGB32_Premultiplied
    # The picture owns its pixels: the array dies with this call.
    return QImage(pixels.data, columns, rows, columns * 4, form).copy()


def outline(values: NDArray[Any], inside: NDArray[np.bool_] | None) -> Lines:
    """Return the borders between unequal neighbours as lines between pixels.

    Args:
        values: (rows, columns) bool or labels; outside counts as 0.
        inside: (rows, columns) bool or None.

    Returns:
        Lines in pixel edge coordinates: pixel (row r, column c) covers x in [c, c+1], y in
        [r, r+1]. Straight runs are one line.
    """
    field = values if inside is None else np.where(inside, values, 0)
    padded = np.pad(field, 1)
    # Borders between column c-1 and c, run along rows; then the same with the axes exchanged.
    upright = padded[1:-1, 1:] != padded[1:-1, :-1]
    level = padded[1:, 1:-1] != padded[:-1, 1:-1]
    lines = [QLineF(c, a, c, b) for c, a, b in _runs(upright.T)]
    lines += [QLineF(a, r, b, r) for r, a, b in _runs(level)]
    return lines


def _runs(marks: NDArray[np.bool_]) -> list[list[int]]:
    """Return (row, begin, end) of every run of True along the rows."""
    steps = np.diff(np.pad(marks, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row, begin = np.nonzero(steps == 1)
    _, end = np.nonzero(steps == -1)
    return np.stack([row, begin, end], axis=1).tolist()
