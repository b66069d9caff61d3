"""The slider at the right edge of a pane: where its slice lies, and another one by a drag."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter

from app.viewer.pane_geometry import PaneGeometry

WIDTH = 12
"""Pixels from the pane's edge that take a press; letters keep clear of them."""
ENDS = 32
"""Pixels kept free above and below, for the colours' key and the position."""
KNOB = 14
"""Height of the knob in pixels."""
SMALLEST = 48
TRACK = QColor(255, 255, 255, 60)
KNOB_COLOUR = QColor(215, 220, 228, 210)


class SliceSlider:
    """Takes presses on the slider; see :class:`app.viewer.tool.Handler`."""

    def press(self, pane: PaneGeometry, gesture: str, at: QPointF) -> bool:
        """Begin a drag if the press is a left one on the slider."""
        track = track_of(pane)
        hit = track.adjusted(-WIDTH / 2, -KNOB / 2, WIDTH, KNOB / 2)
        return gesture == "Left" and not track.isEmpty() and hit.contains(at)

    def drag(self, pane: PaneGeometry, at: QPointF) -> None:
        """Show the slice at a pixel."""
        track, axis = track_of(pane), pane.axes.through
        share = min(max((track.bottom() - at.y()) / track.height(), 0.0), 1.0)
        position = pane.cursor()
        position[axis] = (share - 0.5) * float(pane.frame.size[axis])
        world = pane.scene.place(pane.layer, position)
        pane.scene.session.set_cursor(world, pane.slot.layer_id)

    def release(self, pane: PaneGeometry, at: QPointF) -> None:
        """End the drag; the slice stays."""


def track_of(pane: PaneGeometry) -> QRectF:
    """Return the pixels of the slider's track; empty in a pane that is too small for one."""
    rect = QRectF(pane.rect)
    height = rect.height() - 2 * ENDS
    if height < SMALLEST:
        return QRectF()
    return QRectF(rect.right() - WIDTH / 2 - 2, rect.top() + ENDS, 4, height)


def paint(painter: QPainter, pane: PaneGeometry) -> None:
    """Draw the slider; it is a control and not part of a screenshot."""
    track = track_of(pane)
    if track.isEmpty():
        return
    size = float(pane.frame.size[pane.axes.through])
    share = min(max(pane.depth() / size + 0.5, 0.0), 1.0)
    middle = track.bottom() - share * track.height()
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(TRACK)
    painter.drawRoundedRect(track, 2, 2)
    painter.setBrush(KNOB_COLOUR)
    knob = QRectF(track.center().x() - 4, middle - KNOB / 2, 8, KNOB)
    painter.drawRoundedRect(knob, 3, 3)
    painter.restore()
