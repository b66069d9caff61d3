"""The widget that holds all panes: it paints what changed and passes on mouse and keys."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QPointF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QHideEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QRegion,
    QResizeEvent,
    QShowEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QWidget

from app.state.layers import Region
from app.state.session import Session
from app.state.values import Layout, Plane, Tool
from app.viewer import slice_slider
from app.viewer.actions import actions
from app.viewer.column_events import ColumnEvents
from app.viewer.column_titles import column_menu, on_title, title_rect
from app.viewer.compare import mode_of
from app.viewer.geometry import plane_axes
from app.viewer.key_bindings import action_of
from app.viewer.layouts import arrange
from app.viewer.mouse import Mouse
from app.viewer.pane import Pane
from app.viewer.pane_geometry import Extra
from app.viewer.pictures import Pictures
from app.viewer.scene import Scene
from app.viewer.timers import Timers

BETWEEN = QColor(45, 45, 48)
FOCUS = QColor(90, 150, 230)


class ViewerArea(QWidget):
    """Shows a session. One widget paints every pane, so a cursor move is one paint event.

    Attributes:
        extras: called at the end of every pane's painting.
    """

    help_requested = Signal()
    """The user asked for the sheet of keys."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.scene = Scene(session)
        self.pictures = Pictures(self.scene)
        self.panes: list[Pane] = []
        self.extras: list[Extra] = []
        self.mouse = Mouse(session)
        self._actions = actions(self, self.help_requested.emit)
        self._focus: tuple[Plane, str] | None = None
        self._maximised: tuple[Plane, str] | None = None
        self._before = Layout.PLANES
        self._pointer: QPointF | None = None
        self._timers = Timers(self)
        self._timers.flickered.connect(self._update_compared)
        self._timers.settled.connect(self._on_settled)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        ColumnEvents(self, session, self.pane_at)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMinimumSize(240, 180)
        self.setAccessibleName("Viewers")
        session.layers_changed.connect(self._rebuild)
        session.active_changed.connect(self._rebuild)
        session.layer_changed.connect(self._on_layer)
        session.voxels_touched.connect(self._on_touch)
        session.cursor_changed.connect(self._on_cursor)
        session.view_changed.connect(self._on_cursor)
        session.display_changed.connect(self._on_display)

    # ---- what others ask for

    @property
    def focus_pane(self) -> Pane | None:
        """The pane keys act on: the last one under the pointer, else that of the chosen plane."""
        for pane in self.panes:
            if (pane.slot.plane, pane.slot.layer_id) == self._focus:
                return pane
        plane = self._focus[0] if self._focus else self.session.display.plane
        same = [p for p in self.panes if p.slot.plane is plane] or self.panes
        return same[0] if same else None

    def pane_at(self, at: QPointF) -> Pane | None:
        """Return the pane under a pixel of the widget."""
        return next((p for p in self.panes if p.rect.contains(at.toPoint())), None)

    def perform(self, name: str) -> None:
        """Do one of the actions in ``keys.ACTIONS``.

        Raises:
            KeyError: no action has this name.
        """
        self._actions[name]()

    def show_plane(self, plane: Plane) -> None:
        """Make a plane the chosen one, and give it the keys."""
        layer_id = self._focus[1] if self._focus else ""
        if self._maximised is not None:
            self._maximised = (plane, self._maximised[1])
        self._focus = (plane, layer_id)
        self.session.set_display(plane=plane)
        self._rebuild()

    def toggle_maximised(self) -> None:
        """Maximise the focused pane, or return to the layout before."""
        shown = self.session.display.layout
        if shown is Layout.SINGLE:
            self.session.set_display(layout=self._before)
            return
        if (pane := self.focus_pane) is not None:
            self._maximised = (pane.slot.plane, pane.slot.layer_id)
            self.session.set_display(layout=Layout.SINGLE)

    def render_image(self, ratio: float = 0.0) -> QImage:
        """Return a picture of all panes as on screen, marks included.

        Args:
            ratio: pixels per widget pixel; 0 takes the screen's.
        """
        self.pictures.draft = False
        ratio = ratio or self.devicePixelRatioF()
        image = QImage(self.size() * ratio, QImage.Format.Format_RGB32)
        image.setDevicePixelRatio(ratio)
        painter = QPainter(image)
        self._paint(painter, QRegion(self.rect()))
        painter.end()
        return image

    def _paint(self, painter: QPainter, region: QRegion) -> list[Pane]:
        """Paint the panes that meet a region, and return them."""
        painter.fillRect(region.boundingRect(), BETWEEN)
        met = [pane for pane in self.panes if region.intersects(pane.rect)]
        for pane in met:
            pane.paint(painter, self._pointer, self._timers.flicker_on)
        return met

    # ---- the session changed

    def _rebuild(self) -> None:
        """Arrange the panes anew; panes that stay keep their pictures."""
        self.scene.forget_missing()
        self.pictures.forget_missing()
        kept = {(p.slot.plane, p.slot.layer_id): p for p in self.panes}
        panes = []
        for slot in arrange(self.session, self.rect(), self._maximised, self._aspect()):
            pane = kept.get((slot.plane, slot.layer_id)) or Pane(self.pictures, slot, self.extras)
            pane.slot = slot
            panes.append(pane)
        self.panes = panes
        self._run_flicker()
        self.update()

    def _aspect(self) -> float:
        """Return width to height of the reference volume in the chosen plane."""
        frame, shown = self.scene.frame, self.session.display
        if frame is None:
            return 1.0
        axes = plane_axes(shown.plane, shown.convention)
        return float(frame.size[axes.across] / frame.size[axes.up])

    def _on_layer(self, layer_id: str, field: str) -> None:
        if field in ("visible", "volume", "modality"):
            self._rebuild()
        elif field == "position":
            self._on_cursor("")
        elif field == "field_of_view":
            self.update()
        elif field != "available":
            self._update_panes(lambda p: p.shows(layer_id))

    def _on_touch(self, layer_id: str, region: Region | None) -> None:
        self.scene.touched(layer_id)
        layer = self.session.layer(layer_id)
        self._update_panes(
            lambda p: (
                p.shows(layer_id) and self.scene.region_meets(layer, region, p.axes, p.depth())
            )
        )

    def _on_cursor(self, layer_id: str) -> None:
        self._update_panes(lambda p: not layer_id or p.slot.layer_id == layer_id)
        if self.panes and self.scene.has_oblique:
            self.pictures.draft = True
            self._timers.moved()

    def _on_settled(self) -> None:
        self.pictures.draft = False
        self.update()

    def _on_display(self, field: str) -> None:
        if field == "layout":
            if self.session.display.layout is not Layout.SINGLE:
                self._before = self.session.display.layout
                self._maximised = None
            self._rebuild()
        elif field in ("plane", "world_axes", "compare"):
            self._rebuild()
        elif field in ("mix", "swipe", "reveal"):
            self._update_compared()
        else:
            self.update()
            if field == "tool":
                cross = Qt.CursorShape.CrossCursor
                self.unsetCursor() if self.session.tool is Tool.NONE else self.setCursor(cross)

    def _update_panes(self, wanted: Callable[[Pane], bool]) -> None:
        for pane in self.panes:
            if wanted(pane):
                self.update(pane.rect)

    # ---- flicker

    def _run_flicker(self) -> None:
        """Let the timer run only while a visible pane flickers."""
        wanted = (
            mode_of(self.session.display).flickers
            and self.isVisible()
            and any(p.counterpart() is not None for p in self.panes)
        )
        self._timers.run_flicker(wanted)

    def _update_compared(self) -> None:
        self._update_panes(lambda p: p.counterpart() is not None)

    # ---- Qt events

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the panes that need it."""
        painter = QPainter(self)
        focus = self.focus_pane if len(self.panes) > 1 else None
        for pane in self._paint(painter, event.region()):
            slice_slider.paint(painter, pane)
            if pane is focus:
                painter.setPen(QPen(FOCUS, 1))
                painter.drawRect(pane.rect.adjusted(0, 0, -1, -1))
        painter.end()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Arrange the panes in the new size."""
        super().resizeEvent(event)
        self._rebuild()

    def showEvent(self, event: QShowEvent) -> None:
        """Start what runs only on screen."""
        super().showEvent(event)
        self._run_flicker()

    def hideEvent(self, event: QHideEvent) -> None:
        """Stop what runs only on screen."""
        super().hideEvent(event)
        self._run_flicker()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin a gesture; the pressed pane's volume becomes the active one."""
        pane = self.pane_at(event.position())
        left = event.button() == Qt.MouseButton.LeftButton
        if pane is not None and left and on_title(pane, event.position()):
            menu = column_menu(self.session, pane.slot.layer_id, self)
            menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            menu.popup(self.mapToGlobal(title_rect(pane).bottomLeft()))
        elif pane is not None:
            self._set_focus(pane)
            self.session.set_active(pane.slot.layer_id)
            self.mouse.press(pane, event.button(), event.modifiers(), event.position())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Go on with a gesture, or let the pane under the pointer have the keys."""
        self._move_pointer(event.position())
        if self.mouse.dragging:
            self.mouse.move(event.position())
        else:
            pane = self.pane_at(event.position())
            self._set_focus(pane)
            if pane is not None:
                self.mouse.hover(pane, event.modifiers(), event.position())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End a gesture."""
        self.mouse.release(event.button(), event.position())

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Maximise the pane, or go back."""
        pane = self.pane_at(event.position())
        if pane is not None and on_title(pane, event.position()):
            return
        if event.button() == Qt.MouseButton.LeftButton and pane is not None:
            self._set_focus(pane)
            self.toggle_maximised()

    def leaveEvent(self, event: QEvent) -> None:
        """Close the reveal disc."""
        super().leaveEvent(event)
        self._move_pointer(None)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Change slice or zoom."""
        pane = self.pane_at(event.position())
        if pane is not None:
            self._set_focus(pane)
            delta = event.angleDelta().y() or event.angleDelta().x()
            self.mouse.wheel(pane, delta, event.modifiers(), event.position())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Do what the key table says; other keys go to the parent."""
        name = action_of(event)
        if name is None:
            super().keyPressEvent(event)
        else:
            self.perform(name)

    def _move_pointer(self, at: QPointF | None) -> None:
        self._pointer = at
        if mode_of(self.session.display).follows_pointer:
            self._update_compared()

    def _set_focus(self, pane: Pane | None) -> None:
        new = None if pane is None else (pane.slot.plane, pane.slot.layer_id)
        if new is not None and new != self._focus:
            old, self._focus = self.focus_pane, new
            self._update_panes(lambda p: p is pane or p is old)
