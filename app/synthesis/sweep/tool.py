"""The viewers' tool that places the virtual probe."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF

from app.synthesis.sweep.placement import ProbePlacement, near_surface
from app.viewer.geometry import Projection
from app.viewer.pane_geometry import PaneGeometry
from core.synthesis.virtual_sweep import SweepError

REACH = 10.0
"""How near an end of the beam a press must be to take it, in pixels."""
STILL = 4.0
"""A press that moved fewer pixels does not aim."""


class ProbeTool:
    """A press at the surface places the probe, and a drag from there aims it.

    A press deep in the brain is a target, with the probe above it; both ends are dragged.

    Args:
        placement: of the probe.
        refuse: told why a probe cannot be there.
    """

    def __init__(self, placement: ProbePlacement, refuse: Callable[[str], None]) -> None:
        self._placement, self._refuse = placement, refuse
        self._taken = ""
        self._from = QPointF()

    def press(self, pane: PaneGeometry, gesture: str, at: QPointF) -> bool:
        """Take an end of the beam, or place the probe."""
        placement = self._placement
        if gesture != "Left":
            return False
        surface = placement.surface
        if surface is None:
            placement.with_surface()
            return True
        self._from, self._taken = at, self._nearest(pane, at)
        placement.begin()
        if self._taken:
            return True
        point = _world(pane, at)
        if near_surface(surface, point):
            placement.enter(point)
            self._taken = "target after a drag"
            return True
        self._taken = "target"
        try:
            placement.stand_above(point)
        except SweepError as error:
            self._refuse(str(error))
            self._taken = ""
        return True

    def drag(self, pane: PaneGeometry, at: QPointF) -> None:
        """Move what was taken."""
        moved = at - self._from
        if self._taken == "entry":
            self._placement.enter(_world(pane, at))
        elif self._taken == "target":
            if moved.manhattanLength() >= STILL:
                self._placement.aim(_world(pane, at))
        elif self._taken and moved.manhattanLength() >= 2 * REACH:
            self._placement.aim(_world(pane, at))

    def release(self, pane: PaneGeometry, at: QPointF) -> None:
        """Let go."""
        self._taken = ""

    def _nearest(self, pane: PaneGeometry, at: QPointF) -> str:
        plan = self._placement.plan
        if plan is None:
            return ""
        projection = pane.projection()
        found = []
        for name, point in (("target", plan.target_ras), ("entry", plan.entry_ras)):
            step = on_pane(pane, projection, np.array(point)) - at
            found.append((math.hypot(step.x(), step.y()), name))
        away, name = min(found)
        return name if away <= REACH else ""


def on_pane(pane: PaneGeometry, projection: Projection, world: NDArray[np.float64]) -> QPointF:
    """Return the pixel of a (3,) RAS mm position, seen from in front of the pane's plane."""
    position, axes = pane.frame.to_frame(world), projection.axes
    return QPointF(
        projection.x(float(position[axes.across])), projection.y(float(position[axes.up]))
    )


def _world(pane: PaneGeometry, at: QPointF) -> NDArray[np.float64]:
    return pane.frame.to_world(pane.projection().to_frame(at.x(), at.y(), pane.depth()))
