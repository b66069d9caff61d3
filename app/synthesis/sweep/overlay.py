"""What the virtual probe draws over the panes: its fan, its beam, the ends of its sweep."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QPolygonF

from app.state.values import Tool
from app.synthesis.sweep.placement import ProbePlacement
from app.synthesis.sweep.tool import on_pane
from app.viewer.geometry import Projection
from app.viewer.overlay import write
from app.viewer.pane_geometry import PaneGeometry
from core.synthesis.virtual_sweep import VirtualSweep

FAN = QColor("#7fe0a0")
PALE = QColor(127, 224, 160, 110)
BEAM = QColor("#ffe650")
AWAY = QColor(255, 230, 80, 110)
"""For an end of the beam that the plane does not pass."""
PASSES = 3.0
"""mm from the plane within which an end of the beam lies in it; another one is only projected, and
may seem to lie inside the brain though it stands on its surface."""
HINT = "Click the brain's surface and drag to aim, or click a target inside. Esc ends."
SHORT = "Click the surface, drag to aim. Esc ends."
RADIUS = 5


class SweepOverlay:
    """Paints over panes; add it to the viewers' extras.

    Args:
        placement: of the probe.
        wanted: tells whether the probe is to be seen.
    """

    def __init__(self, placement: ProbePlacement, wanted: Callable[[], bool]) -> None:
        self._placement, self._wanted = placement, wanted

    def paint(self, painter: QPainter, pane: PaneGeometry, projection: Projection) -> None:
        """Paint one pane."""
        tool = self._placement.session.tool is Tool.PROBE
        frame, sweep = self._placement.frame(), self._placement.sweep()
        if frame is not None and sweep is not None and (tool or self._wanted()):
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            self._fans(painter, pane, projection, frame, sweep)
            self._beam(painter, pane, projection)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        if tool:
            top = QPointF(pane.rect.center().x(), pane.rect.top() + 34)
            wide = pane.rect.width() > 520
            write(painter, HINT if wide else SHORT, top, BEAM, 12 if wide else 9, True, "t")

    def _fans(
        self, painter: QPainter, pane: PaneGeometry, projection: Projection,
        frame: VirtualSweep, sweep: VirtualSweep,
    ) -> None:  # fmt: skip
        """Draw the first and the last frame pale, the shown one, and where it meets the plane."""
        painter.setPen(QPen(PALE, 1, Qt.PenStyle.DashLine))
        edges = outlines(sweep)
        for edge in (edges[0], edges[-1]):
            painter.drawPolyline(_polygon(pane, projection, edge))
        shown = outlines(frame)[0]
        painter.setPen(QPen(FAN, 1.5))
        painter.drawPolyline(_polygon(pane, projection, shown))
        painter.setPen(QPen(FAN, 3))
        depth = pane.frame.to_frame(shown)[:, projection.axes.through] - pane.depth()
        for one, other in crossings(shown, depth):
            painter.drawLine(on_pane(pane, projection, one), on_pane(pane, projection, other))

    def _beam(self, painter: QPainter, pane: PaneGeometry, projection: Projection) -> None:
        plan = self._placement.plan
        assert plan is not None
        ends = np.array([plan.entry_ras, plan.target_ras])
        entry, target = (on_pane(pane, projection, x) for x in ends)
        off = pane.frame.to_frame(ends)[:, projection.axes.through] - pane.depth()
        painter.setPen(QPen(BEAM, 1, Qt.PenStyle.DotLine))
        painter.drawLine(entry, target)
        painter.setPen(_pen(off[0]))
        painter.drawEllipse(entry, RADIUS, RADIUS)
        painter.setPen(_pen(off[1]))
        for dx, dy in ((RADIUS, 0), (0, RADIUS)):
            painter.drawLine(target - QPointF(dx, dy), target + QPointF(dx, dy))


def _pen(off: float) -> QPen:
    """Return the pen for an end of the beam so many mm from the plane."""
    return QPen(BEAM, 2) if abs(off) <= PASSES else QPen(AWAY, 1)


def outlines(sweep: VirtualSweep) -> NDArray[np.float64]:
    """Return the closed edge of every frame's image, (frames, points, 3) RAS mm."""
    flat = sweep.shape.outline()
    local = np.stack([flat[:, 0], np.zeros(len(flat)), flat[:, 1]], axis=1)
    poses = sweep.poses
    return np.asarray(np.einsum("nab,pb->npa", poses[:, :3, :3], local) + poses[:, None, :3, 3])


def crossings(
    edge: NDArray[np.float64], depth: NDArray[np.float64]
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return the pieces of a plane that lie inside a closed flat line, as pairs of ends.

    Args:
        edge: (points, 3) mm, first and last the same.
        depth: (points,) signed distance of each from the plane, mm.
    """
    before, after = depth[:-1], depth[1:]
    where = np.flatnonzero((before < 0) != (after < 0))
    share = before[where] / (before[where] - after[where])
    ends = edge[where] + share[:, None] * (edge[where + 1] - edge[where])
    if len(ends) < 2:
        return []
    along = ends - ends[0]
    far = along[np.linalg.norm(along, axis=1).argmax()]
    ends = ends[np.argsort(along @ far)]
    return [(ends[n], ends[n + 1]) for n in range(0, len(ends) - 1, 2)]


def _polygon(pane: PaneGeometry, projection: Projection, points: NDArray[np.float64]) -> QPolygonF:
    return QPolygonF([on_pane(pane, projection, p) for p in points])
