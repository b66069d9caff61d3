"""What alignment draws over the panes: landmarks, the middle of a turn, and what is being done."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QLineF, QPointF, Qt
from PySide6.QtGui import QColor, QPainter, QPen

from app.alignment.landmarks import FIXED, MOVING, Landmarks
from app.alignment.manual import ManualAlignment
from app.alignment.tools import on_screen, sides
from app.state.values import Tool
from app.viewer.geometry import Projection
from app.viewer.overlay import write
from app.viewer.pane_geometry import PaneGeometry

COLOURS = {FIXED: QColor("#4fc3ff"), MOVING: QColor("#ff7ad9")}
HINT = QColor("#ffe650")
RADIUS = 5
HINTS = {
    Tool.MOVE: "Drag moves {moving}, Ctrl+drag turns it. Esc ends.",
    Tool.LANDMARKS: "Click the same point in both. Esc ends.",
}


class AlignmentOverlay:
    """Paints over panes; add it to the viewers' extras."""

    def __init__(self, hand: ManualAlignment, landmarks: Landmarks) -> None:
        self._hand, self._landmarks = hand, landmarks

    def paint(self, painter: QPainter, pane: PaneGeometry, projection: Projection) -> None:
        """Paint one pane."""
        pair = self._hand.aligner.pair()
        if pair is None:
            return
        session, moving = pane.scene.session, pair[0]
        if session.tool is Tool.MOVE and pane.shows(moving.id):
            self._middle(painter, pane, projection)
        if not session.peeked:
            self._points(painter, pane, projection)
        text = HINTS.get(session.tool, "").format(moving=moving.modality or "the volume")
        if session.peeked and pane.shows(moving.id):
            text = "BEFORE the last alignment. V shows the present one."
        if text:
            top = QPointF(pane.rect.center().x(), pane.rect.top() + 34)
            size = 12 if pane.rect.width() > 380 else 9
            write(painter, text, top, HINT, size, True, "t")

    def _middle(self, painter: QPainter, pane: PaneGeometry, projection: Projection) -> None:
        """Draw a cross where the moving volume turns about."""
        matrix, pivot = self._hand.aligner.matrix, self._hand.pivot()
        position = pane.frame.to_frame(matrix[:3, :3] @ pivot + matrix[:3, 3])
        axes = projection.axes
        x = projection.x(float(position[axes.across]))
        y = projection.y(float(position[axes.up]))
        painter.setPen(QPen(HINT, 1.5))
        painter.drawLines([QLineF(x - 7, y, x + 7, y), QLineF(x, y - 7, x, y + 7)])

    def _points(self, painter: QPainter, pane: PaneGeometry, projection: Projection) -> None:
        shown, landmarks = sides(pane, self._landmarks), self._landmarks
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for n, pair in enumerate(landmarks.pairs):
            ends = {s: on_screen(pane, projection, landmarks.position(pair, s)) for s in shown}
            a, b = ends.get(FIXED), ends.get(MOVING)
            if a is not None and b is not None:
                painter.setPen(QPen(HINT, 1, Qt.PenStyle.DotLine))
                painter.drawLine(a, b)
            for side, at in ends.items():
                if at is None:
                    continue
                width = 2.5 if n == landmarks.selected else 1.5
                painter.setPen(QPen(COLOURS[side], width))
                painter.drawEllipse(at, RADIUS, RADIUS)
                painter.drawPoint(at)
                away = QPointF(8, -16) if side == FIXED else QPointF(8, 2)
                write(painter, pair.name, at + away, COLOURS[side], 11, n == landmarks.selected)
        for side, point in landmarks.half.items():
            world = landmarks.to_case(point) if side == MOVING else np.array(point)
            at = on_screen(pane, projection, world)
            if at is not None and side in shown:
                painter.setPen(QPen(COLOURS[side], 1.5, Qt.PenStyle.DashLine))
                painter.drawEllipse(at, RADIUS, RADIUS)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
