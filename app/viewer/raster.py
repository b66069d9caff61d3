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

Outlines = dict[int, list[QLineF]]
Inside = NDArray[np.bool_] | None
KIN = 3
"""Of a pixel's eight neighbours, how many must be of its label for it to be outlined."""


def to_image(cut: Cut, window: Window, colours: Table) -> QImage:
    """Return the cut's picture, transparent outside the volume; one pixel per value."""
    low, high = window
    scaled = np.subtract(cut.values, np.float32(low), dtype=np.float32)
    scaled *= np.float32(255.0 / (high - low))
    scaled += np.float32(0.5)
    np.clip(scaled, 0, 255, out=scaled)
    return _image(np.take(colours, scaled.astype(np.uint8)), cut.inside)


def to_labels(labels: NDArray[np.int64], inside: Inside, colours: Table) -> QImage:
    """Return a label map's picture: 0 transparent, labels above 255 reuse colours 1 to 255."""
    index = np.where(labels > 0, colour_index(labels), 0).astype(np.uint8)
    return _image(np.take(colours, index), inside)


def colour_index(label: Any) -> Any:
    """Return the place in the table of colours of labels above 0 (a number or an array)."""
    return (label - 1) % 255 + 1


def without(values: NDArray[Any], hidden: frozenset[int]) -> NDArray[np.int64]:
    """Return whole numbers, 0 where a label is hidden."""
    labels = np.rint(values).astype(np.int64)
    return np.where(np.isin(labels, list(hidden)), 0, labels) if hidden else labels


def _image(pixels: NDArray[np.uint32], inside: NDArray[np.bool_] | None) -> QImage:
    rows, columns = pixels.shape
    opaque = inside is None and int(pixels.min()) >= 0xFF000000
    if inside is not None:
        pixels = pixels * inside
    pixels = np.ascontiguousarray(pixels)
    form = QImage.Format.Format_RGB32 if opaque else QImage.Format.Format_ARGB32_Premultiplied
    # The picture owns its pixels: the array dies with this call.
    return QImage(pixels.data, columns, rows, columns * 4, form).copy()


def outline(values: NDArray[Any], inside: Inside) -> Outlines:
    """Return the borders between unequal neighbours as lines between pixels.

    Specks of a few pixels get none: hundreds of them would hide what they lie in.

    Args:
        values: (rows, columns) bool or labels; outside counts as 0.
        inside: (rows, columns) bool or None.

    Returns:
        Label → lines in pixel edge coordinates: pixel (row r, column c) covers x in [c, c+1], y in
        [r, r+1]. Straight runs are one line; a border between two labels is the larger one's.
    """
    field = values if inside is None else np.where(inside, values, 0)
    padded = np.pad(_without_specks(field.astype(np.int64)), 1)
    found: Outlines = {}
    # Borders between column c-1 and c, run along rows; then the same with the axes exchanged.
    for label, c, a, b in _runs(_borders(padded[1:-1, 1:], padded[1:-1, :-1]).T):
        found.setdefault(label, []).append(QLineF(c, a, c, b))
    for label, r, a, b in _runs(_borders(padded[1:, 1:-1], padded[:-1, 1:-1])):
        found.setdefault(label, []).append(QLineF(a, r, b, r))
    return found


def _borders(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the larger label where two differ, else 0."""
    return np.where(one != other, np.maximum(one, other), 0)


def _without_specks(field: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give pixels with fewer than ``KIN`` equal neighbours to the neighbour that has most."""
    for _ in range(2):
        padded = np.pad(field, 1)
        rows, columns = field.shape
        near = [
            padded[1 + y : 1 + y + rows, 1 + x : 1 + x + columns]
            for y in (-1, 0, 1) for x in (-1, 0, 1) if x or y
        ]  # fmt: skip
        kin = sum((n == field).astype(np.int8) for n in near)
        lonely = np.asarray(kin) < KIN
        if not lonely.any():
            break
        others = np.stack([n[lonely] for n in near])
        counts = (others[:, None] == others[None]).sum(axis=1)
        best = others[counts.argmax(axis=0), np.arange(others.shape[1])]
        field = field.copy()
        field[lonely] = best
    return field


def _runs(marks: NDArray[np.int64]) -> list[list[int]]:
    """Return (label, row, begin, end) of every run of one label above 0 along the rows."""
    padded = np.pad(marks, ((0, 0), (1, 1)))
    change = padded[:, 1:] != padded[:, :-1]
    row, begin = np.nonzero(change & (padded[:, 1:] != 0))
    _, end = np.nonzero(change & (padded[:, :-1] != 0))
    return np.stack([marks[row, begin], row, begin, end], axis=1).tolist()
