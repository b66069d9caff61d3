"""The viewers' tools of alignment: drag the moving volume, place and drag landmarks."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF

from app.alignment.landmarks import FIXED, MOVING, Landmarks
from app.alignment.manual import ManualAlignment
from app.viewer.geometry import Projection
from app.viewer.pane_geometry import PaneGeometry

REACH = 10.0
"""How near a landmark a press must be to take it, in pixels."""
SLAB = 2.5
"""Landmarks this far from the plane (mm) are still drawn and can be taken."""


class MoveTool:
    """Left drags the moving volume in the plane, Ctrl+Left turns it there about its middle."""

    def __init__(self, hand: ManualAlignment) -> None:
        self._hand = hand
        self._turning = False
        self._from: NDArray[np.float64] = np.zeros(3)
        self._pivot: NDArray[np.float64] = np.zeros(3)

    def press(self, pane: PaneGeometry, gesture: str, at: QPointF) -> bool:
        """Begin to move or to turn."""
        if gesture not in ("Left", "Ctrl+Left") or self._hand.aligner.moving is None:
            return False
        self._turning = gesture == "Ctrl+Left"
        matrix, pivot = self._hand.aligner.matrix, self._hand.pivot()
        self._pivot = pane.frame.to_frame(matrix[:3, :3] @ pivot + matrix[:3, 3])
        self._from = pane.projection().to_frame(at.x(), at.y(), pane.depth())
        self._hand.begin(hold=True)
        return True

    def drag(self, pane: PaneGeometry, at: QPointF) -> None:
        """Move or turn to a pixel."""
        here = pane.projection().to_frame(at.x(), at.y(), pane.depth())
        frame, axes = pane.frame, pane.axes
        change = np.eye(4)
        if self._turning:
            plane = [axes.across, axes.up]
            (ax, ay), (bx, by) = (self._from - self._pivot)[plane], (here - self._pivot)[plane]
            angle = math.atan2(by, bx) - math.atan2(ay, ax)
            turn = np.eye(3)
            turn[axes.across, axes.across] = turn[axes.up, axes.up] = math.cos(angle)
            turn[axes.up, axes.across] = math.sin(angle)
            turn[axes.across, axes.up] = -math.sin(angle)
            centre = frame.to_world(self._pivot)
            change[:3, :3] = frame.axes @ turn @ frame.axes.T
            change[:3, 3] = centre - change[:3, :3] @ centre
        else:
            change[:3, 3] = frame.axes @ (here - self._from)
        self._hand.shift(change)

    def release(self, pane: PaneGeometry, at: QPointF) -> None:
        """End the movement."""
        self._hand.end()


class LandmarkTool:
    """A click places one end of a pair in the volume under the pointer; a drag moves an end."""

    def __init__(self, landmarks: Landmarks) -> None:
        self._landmarks = landmarks
        self._taken: tuple[int, str] | None = None

    def press(self, pane: PaneGeometry, gesture: str, at: QPointF) -> bool:
        """Take a landmark, or place one."""
        pair = self._landmarks.aligner.pair()
        if gesture != "Left" or pair is None:
            return False
        self._taken = self._nearest(pane, at)
        if self._taken is not None:
            self._landmarks.select(self._taken[0])
            self._landmarks.begin()
            return True
        both = sides(pane, self._landmarks)
        side = next((s for s in both if s not in self._landmarks.half), both[0] if both else "")
        if not side:
            return False
        self._landmarks.click(side, self._world(pane, at))
        return True

    def drag(self, pane: PaneGeometry, at: QPointF) -> None:
        """Move the landmark that was taken."""
        if self._taken is not None and self._taken[0] < len(self._landmarks.pairs):
            self._landmarks.drag(*self._taken, self._world(pane, at))

    def release(self, pane: PaneGeometry, at: QPointF) -> None:
        """Let the landmark go."""
        self._taken = None

    def _nearest(self, pane: PaneGeometry, at: QPointF) -> tuple[int, str] | None:
        projection = pane.projection()
        found: list[tuple[float, int, str]] = []
        # The moving end first: of a new pair, whose ends lie on each other, that one is dragged.
        for side in reversed(sides(pane, self._landmarks)):
            for n, landmark in enumerate(self._landmarks.pairs):
                where = on_screen(pane, projection, self._landmarks.position(landmark, side))
                if where is not None:
                    step = where - at
                    found.append((math.hypot(step.x(), step.y()), n, side))
        near = min(found, key=lambda x: x[0], default=(math.inf, -1, ""))
        return (near[1], near[2]) if near[0] <= REACH else None

    def _world(self, pane: PaneGeometry, at: QPointF) -> NDArray[np.float64]:
        position = pane.projection().to_frame(at.x(), at.y(), pane.depth())
        return pane.frame.to_world(position)


def sides(pane: PaneGeometry, landmarks: Landmarks) -> tuple[str, ...]:
    """Return which ends of pairs belong into a pane: those of the volumes it shows."""
    pair = landmarks.aligner.pair()
    if pair is None:
        return ()
    moving, fixed = pair
    shown = [side for side, x in ((FIXED, fixed), (MOVING, moving)) if pane.shows(x.id)]
    return tuple(shown)


def on_screen(
    pane: PaneGeometry, projection: Projection, world: NDArray[np.float64]
) -> QPointF | None:
    """Return the pixel of a (3,) RAS mm position, None when it is far from the pane's plane."""
    position, axes = pane.frame.to_frame(world), projection.axes
    if abs(float(position[axes.through]) - pane.depth()) > SLAB:
        return None
    return QPointF(
        projection.x(float(position[axes.across])), projection.y(float(position[axes.up]))
    )
