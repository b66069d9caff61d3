"""Where the panes go: a layout and a rectangle become slots."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from PySide6.QtCore import QRect

from app.state.session import Session
from app.state.values import Layout, Plane

GAP = 3
"""Pixels between panes."""


@dataclass(frozen=True)
class Slot:
    """One pane's place: which plane of which layer, where."""

    plane: Plane
    layer_id: str
    rect: QRect


def arrange(
    session: Session, area: QRect, maximised: tuple[Plane, str] | None, aspect: float = 1.0
) -> list[Slot]:
    """Return the slots of the session's layout inside ``area``; none without an image.

    Args:
        session: its layout, plane, active layer and columns decide.
        area: pixels to fill.
        maximised: plane and layer of the ``SINGLE`` layout; default the plane of the active layer.
        aspect: width to height of what a column shows.
    """
    active = session.active
    if active is None or area.isEmpty():
        return []
    shown = session.display
    if shown.layout is Layout.SINGLE:
        plane, layer_id = maximised or (shown.plane, active.id)
        return [Slot(plane, layer_id if layer_id in session else active.id, area)]
    if shown.layout is Layout.PLANES:
        return _planes(area, shown.plane, active.id)
    columns = [x.id for x in session.columns()] or [active.id]
    if shown.layout is Layout.COLUMNS:
        return _wrapped(area, shown.plane, columns, aspect)
    planes = list(Plane)
    widths = _split(area.left(), area.width(), len(columns))
    heights = _split(area.top(), area.height(), len(planes))
    return [
        Slot(plane, layer_id, QRect(x, y, min(w for _, w in widths), h))
        for plane, (y, h) in zip(planes, heights, strict=True)
        for layer_id, (x, _) in zip(columns, widths, strict=True)
    ]


def _wrapped(area: QRect, plane: Plane, columns: list[str], aspect: float) -> list[Slot]:
    """Put columns side by side, or in two rows where each is larger then; all of one size."""

    def scale(rows: int) -> float:
        across = -(-len(columns) // rows)
        return min(area.width() / across / aspect, area.height() / rows)

    rows = max((1, 2), key=scale) if len(columns) > 1 else 1
    across = -(-len(columns) // rows)
    widths = _split(area.left(), area.width(), across)
    heights = _split(area.top(), area.height(), rows)
    # To the pixel, or their pictures would not have one scale.
    width, height = min(w for _, w in widths), min(h for _, h in heights)
    return [
        Slot(plane, layer_id, QRect(x, y, width, height))
        for n, layer_id in enumerate(columns)
        for (x, _), (y, _) in [(widths[n % across], heights[n // across])]
    ]


def _planes(area: QRect, large: Plane, layer_id: str) -> list[Slot]:
    """Put the chosen plane large on the left (on top when tall), the other two beside it."""
    small = [plane for plane in Plane if plane is not large]
    if area.width() >= area.height():
        w = (area.width() - GAP) * 3 // 5
        first = QRect(area.left(), area.top(), w, area.height())
        x, rest = area.left() + w + GAP, area.width() - w - GAP
        others = [QRect(x, y, rest, h) for y, h in _split(area.top(), area.height(), 2)]
    else:
        h = (area.height() - GAP) * 3 // 5
        first = QRect(area.left(), area.top(), area.width(), h)
        y, rest = area.top() + h + GAP, area.height() - h - GAP
        others = [QRect(x, y, w, rest) for x, w in _split(area.left(), area.width(), 2)]
    pairs = zip((large, *small), (first, *others), strict=True)
    return [Slot(plane, layer_id, rect) for plane, rect in pairs]


def _split(start: int, length: int, parts: int) -> list[tuple[int, int]]:
    """Divide a length into (start, length) parts that differ by a pixel at most, gaps between."""
    edges = [start + (length + GAP) * n // parts for n in range(parts + 1)]
    return [(a, max(1, b - GAP - a)) for a, b in pairwise(edges)]
