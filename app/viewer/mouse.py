"""Mouse gestures: which drag does what, and what it does to the session."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from PySide6.QtCore import QPointF, Qt

from app.state.session import Session
from app.state.values import Compare, MousePreset, Ruler, Tool
from app.viewer.key_bindings import DRAGS, Gesture
from app.viewer.pane_geometry import PaneGeometry
from app.viewer.slice_slider import SliceSlider
from app.viewer.tool import Handler

GRAB = 8
"""How near the swipe line a press must be to take it, in pixels."""
ZOOM_LIMITS = (0.2, 60.0)
CLICK = 4
"""A press that moved fewer pixels is a click."""


def gesture_name(button: Qt.MouseButton, modifiers: Qt.KeyboardModifier) -> str:
    """Return how the tables call a button with modifiers, for example ``"Shift+Left"``."""
    names = {
        Qt.MouseButton.LeftButton: "Left",
        Qt.MouseButton.MiddleButton: "Middle",
        Qt.MouseButton.RightButton: "Right",
    }
    return _prefix(modifiers) + names.get(button, "")


def _prefix(modifiers: Qt.KeyboardModifier) -> str:
    ctrl = modifiers & Qt.KeyboardModifier.ControlModifier
    shift = modifiers & Qt.KeyboardModifier.ShiftModifier
    return ("Ctrl+" if ctrl else "") + ("Shift+" if shift else "")


class Mouse:
    """Turns presses, moves and wheel turns on panes into changes of the session.

    Attributes:
        tools: who takes the presses while a tool is chosen; what they leave is a usual gesture.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.tools: dict[Tool, Handler] = {}
        self._slider = SliceSlider()
        self._handler: Handler | None = None
        self._pane: PaneGeometry | None = None
        self._button = Qt.MouseButton.NoButton
        self._gesture: Gesture | None = None
        self._other = ""  # "ruler", "swipe" or "tool" while one of them is drawn
        self._start = QPointF()
        self._last = QPointF()
        self._wheel = 0
        self._held: tuple[Ruler, ...] = ()  # the rulers that are not drawn now
        self._fixed: tuple[float, float, float] | None = None  # the end that stays
        self._carried: Ruler | None = None  # the ruler that is moved whole

    @property
    def dragging(self) -> bool:
        """Whether a button is held."""
        return self._pane is not None

    def press(
        self, pane: PaneGeometry, button: Qt.MouseButton, keys: Qt.KeyboardModifier, at: QPointF
    ) -> None:
        """Begin a gesture; further buttons are ignored until the first is released."""
        if self._pane is not None:
            return
        name = gesture_name(button, keys)
        gesture = DRAGS[self.session.display.mouse].get(name)
        if name == "Left" and self.session.tool is Tool.WINDOW:
            gesture = Gesture.WINDOW
        self._other = ""
        tool = self.tools.get(self.session.tool)
        takers = (self._slider, tool) if tool else (self._slider,)
        self._handler = next((x for x in takers if x.press(pane, name, at)), None)
        if self._handler is not None:
            self._other = "tool"
        elif name == "Left" and self._takes_swipe(pane, at):
            self._other = "swipe"
        elif name == "Left" and self.session.display.measuring:
            self._other = "ruler"
            self._take_ruler(pane, at)
        elif gesture is None:
            return
        self._pane, self._button, self._gesture = pane, button, gesture
        self._start = self._last = at
        if self._other:
            self.move(at)
        elif gesture is Gesture.CROSSHAIR:
            self._place(pane, at)

    def move(self, at: QPointF) -> None:
        """Go on with the gesture; nothing without one."""
        pane = self._pane
        if pane is None or pane.slot.layer_id not in self.session:
            return
        step = at - self._last
        self._last = at
        if self._other == "tool" and self._handler is not None:
            self._handler.drag(pane, at)
        elif self._other == "swipe":
            share = (at.x() - pane.rect.left()) / pane.rect.width()
            self.session.set_display(swipe=min(max(share, 0.0), 1.0))
        elif self._other == "ruler":
            self._measure(pane, at)
        elif self._gesture is Gesture.CROSSHAIR:
            self._place(pane, at)
        elif self._gesture is Gesture.PAN:
            self._pan(pane, step)
        elif self._gesture is Gesture.ZOOM:
            self.zoom(pane, self._start, math.exp(-step.y() / 120))
        elif self._gesture is Gesture.WINDOW:
            self._window(pane, step)

    def release(self, button: Qt.MouseButton, at: QPointF) -> None:
        """End the gesture of this button; in the PACS preset a click places the crosshair."""
        pane = self._pane
        if pane is None or button != self._button:
            return
        self._pane = None
        if self._other == "tool" and self._handler is not None:
            self._handler.release(pane, at)
        still = (at - self._start).manhattanLength() < CLICK
        drawn = self._fixed is None and self._carried is None
        if self._other == "ruler" and still and drawn:
            self.session.set_rulers(self._held)  # a click draws nothing
        elif (
            still
            and not self._other
            and button == Qt.MouseButton.LeftButton
            and self._gesture is Gesture.WINDOW
            and self.session.display.mouse is MousePreset.PACS
        ):
            self._place(pane, at)

    def hover(self, pane: PaneGeometry, keys: Qt.KeyboardModifier, at: QPointF) -> None:
        """Move over a pane without a button: with Shift the crosshair follows, as in Slicer."""
        name = _prefix(keys) + "Move"
        if DRAGS[self.session.display.mouse].get(name) is Gesture.CROSSHAIR:
            self._place(pane, at)

    def wheel(self, pane: PaneGeometry, delta: int, keys: Qt.KeyboardModifier, at: QPointF) -> None:
        """Turn the wheel by ``delta`` eighths of a degree (120 is one notch)."""
        gesture = DRAGS[self.session.display.mouse].get(_prefix(keys) + "Wheel")
        if gesture is Gesture.ZOOM:
            self.zoom(pane, at, 1.0015**delta)
        elif gesture is Gesture.SLICE:
            if self._wheel * delta < 0:
                self._wheel = 0  # a new direction answers at once
            self._wheel += delta
            notches = int(self._wheel / 120)
            self._wheel -= notches * 120
            if notches:
                step_cursor(pane, pane.axes.through, notches)

    def zoom(self, pane: PaneGeometry, at: QPointF, factor: float) -> None:
        """Zoom a pane by ``factor``, keeping the point at pixel ``at`` where it is."""
        layer_id = pane.slot.layer_id
        view = self.session.view_of(layer_id)
        zoom = min(max(view.zoom * factor, ZOOM_LIMITS[0]), ZOOM_LIMITS[1])
        held = pane.projection().to_frame(at.x(), at.y(), 0.0)
        focus = np.asarray(view.pan) @ pane.frame.axes
        shift = (held - focus) * (1 - view.zoom / zoom)
        shift[pane.axes.through] = 0.0
        self._set_pan(pane, focus + shift, zoom)

    # ---- effects

    def _takes_swipe(self, pane: PaneGeometry, at: QPointF) -> bool:
        swiping = self.session.display.compare is Compare.SWIPE and pane.counterpart() is not None
        return swiping and abs(at.x() - pane.swipe_x()) <= GRAB

    def _place(self, pane: PaneGeometry, at: QPointF) -> None:
        position = pane.projection().to_frame(at.x(), at.y(), pane.depth())
        world = pane.scene.place(pane.layer, position)
        self.session.set_cursor(world, pane.slot.layer_id)

    def _take_ruler(self, pane: PaneGeometry, at: QPointF) -> None:
        """Take a ruler by an end, or whole by its line, or begin a new ruler."""
        self._held, self._fixed, self._carried = self.session.rulers, None, None
        projection = pane.projection()

        def pixel(end: tuple[float, float, float]) -> QPointF:
            place, axes = pane.frame.to_frame(end), projection.axes
            return QPointF(
                projection.x(float(place[axes.across])), projection.y(float(place[axes.up]))
            )

        for ruler in reversed(self.session.rulers):
            if not (pane.on_plane(ruler.start) and pane.on_plane(ruler.end)):
                continue
            start, end = pixel(ruler.start), pixel(ruler.end)
            if _apart(at, end) <= GRAB:
                self._fixed = ruler.start
            elif _apart(at, start) <= GRAB:
                self._fixed = ruler.end
            elif _apart(at, _nearest(at, start, end)) <= GRAB:
                self._carried = ruler
            else:
                continue
            self._held = tuple(r for r in self.session.rulers if r is not ruler)
            return

    def _measure(self, pane: PaneGeometry, at: QPointF) -> None:
        """Draw the ruler from the press to here; it is not bound to voxel centres."""
        projection, depth = pane.projection(), pane.depth()
        ends = [
            pane.frame.to_world(projection.to_frame(p.x(), p.y(), depth)).tolist()
            for p in (self._start, at)
        ]
        if self._carried is not None:
            step = np.subtract(ends[1], ends[0])
            moved = (np.add(e, step).tolist() for e in (self._carried.start, self._carried.end))
            ruler = Ruler.of(list(moved))
        else:
            ruler = Ruler(self._fixed or tuple(ends[0]), tuple(ends[1]))
        self.session.set_rulers([*self._held, ruler])

    def _pan(self, pane: PaneGeometry, step: QPointF) -> None:
        projection, axes = pane.projection(), pane.axes
        view = self.session.view_of(pane.slot.layer_id)
        focus = np.asarray(view.pan) @ pane.frame.axes
        focus[axes.across] -= step.x() / projection.scale * axes.across_sign
        focus[axes.up] += step.y() / projection.scale
        self._set_pan(pane, focus, view.zoom)

    def _set_pan(
        self,
        pane: PaneGeometry,
        focus: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
        zoom: float,
    ) -> None:
        x, y, z = (pane.frame.axes @ focus).tolist()
        layer_id = pane.slot.layer_id
        view = replace(self.session.view_of(layer_id), zoom=zoom, pan=(x, y, z))
        self.session.set_view(view, layer_id)

    def _window(self, pane: PaneGeometry, step: QPointF) -> None:
        """Right widens the window, up raises its level; 300 pixels are the robust window."""
        layer = pane.layer
        low, high = layer.window
        unit = (layer.auto[1] - layer.auto[0]) / 300
        width = max(high - low + step.x() * unit, unit)
        level = (low + high) / 2 - step.y() * unit
        self.session.set_window(layer.id, level - width / 2, level + width / 2)


def step_cursor(pane: PaneGeometry, axis: int, steps: int) -> None:
    """Move the pane's cursor by whole voxels along a frame axis."""
    position = pane.cursor()
    position[axis] += steps * pane.scene.steps(pane.layer)[axis]
    world = pane.scene.place(pane.layer, position)
    pane.scene.session.set_cursor(world, pane.slot.layer_id)


def _apart(one: QPointF, other: QPointF) -> float:
    return math.hypot(one.x() - other.x(), one.y() - other.y())


def _nearest(at: QPointF, start: QPointF, end: QPointF) -> QPointF:
    """Return the point of a line nearest to ``at``."""
    along = end - start
    square = QPointF.dotProduct(along, along)
    share = QPointF.dotProduct(at - start, along) / square if square else 0.0
    return start + along * min(max(share, 0.0), 1.0)
