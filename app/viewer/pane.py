"""One pane: a plane of a layer, with its counterpart and overlays, painted into a rectangle."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRect, QRectF
from PySide6.QtGui import QImage, QPainter

from app.state import Compare, Interpolation, Kind, Layer, Vector
from app.viewer import marks
from app.viewer.arrange import Slot
from app.viewer.geometry import Frame, PlaneAxes, Projection, plane_axes
from app.viewer.pictures import Drawn, Pictures
from app.viewer.sampling import Raster, Sampler
from app.viewer.scene import Scene
from app.viewer.strokes import Backing, Disc, Outline, Part, Picture, Squares, Stroke, Swipe, place

MARGIN = 0.94
"""Share of the pane that the reference volume fills at zoom 1."""
FIELD_EDGE = "#50dcff"
LABEL_EDGE = "#ffffff"
NOTHING: Drawn = (QImage(1, 1, QImage.Format.Format_ARGB32_Premultiplied), Raster(0, 0, 0, 0, 1, 1))


class Pane:
    """Paints one slot; keeps the pictures of what it shows."""

    def __init__(self, scene: Scene, slot: Slot) -> None:
        self.scene = scene
        self.slot = slot
        self.pictures = Pictures(scene)
        self._backing = Backing()

    # ---- geometry

    @property
    def rect(self) -> QRect:
        """Where the pane is."""
        return self.slot.rect

    @property
    def layer(self) -> Layer:
        """The layer it is about."""
        return self.scene.session.layer(self.slot.layer_id)

    @property
    def axes(self) -> PlaneAxes:
        """Which frame axes run across, up and through."""
        return plane_axes(self.slot.plane, self.scene.session.display.convention)

    @property
    def frame(self) -> Frame:
        """The frame all panes cut along."""
        frame = self.scene.frame
        assert frame is not None
        return frame

    def cursor(self) -> Vector:
        """Return the (3,) frame position of this pane's cursor."""
        return self.frame.to_frame(self.scene.session.cursor_of(self.slot.layer_id))

    def depth(self) -> float:
        """Return the plane's position along the through axis, mm."""
        return float(self.cursor()[self.axes.through])

    def fit_scale(self) -> float:
        """Return the pixels per mm at zoom 1."""
        axes, size = self.axes, self.frame.size
        return MARGIN * min(
            self.rect.width() / size[axes.across], self.rect.height() / size[axes.up]
        )

    def projection(self) -> Projection:
        """Return the pane's mm → pixel map."""
        view = self.scene.session.view_of(self.slot.layer_id)
        pan = np.asarray(view.pan) @ self.frame.axes
        axes = self.axes
        middle = QRectF(self.rect).center()
        return Projection(
            axes,
            (middle.x(), middle.y()),
            (float(pan[axes.across]), float(pan[axes.up])),
            self.fit_scale() * view.zoom,
        )

    def counterpart(self) -> Layer | None:
        """Return what the compare mode lays over this pane: in panes of the active layer only."""
        session = self.scene.session
        active = session.active
        if session.display.compare is Compare.OFF or active is None:
            return None
        return session.secondary if active.id == self.slot.layer_id else None

    def shows(self, layer_id: str) -> bool:
        """Tell whether a layer appears in the pane."""
        other = self.counterpart()
        labels = [x.id for x in self.scene.session.label_layers()]
        return layer_id in (self.slot.layer_id, other.id if other else "", *labels)

    # ---- painting

    def paint(self, painter: QPainter, pointer: QPointF | None, flicker: bool) -> None:
        """Paint everything of the pane.

        Args:
            painter: on a device in whose coordinates ``rect`` lies.
            pointer: where the mouse is, for the reveal mode.
            flicker: whether the flicker mode shows the counterpart now.
        """
        painter.save()
        painter.setClipRect(self.rect)
        projection = self.projection()
        strokes, shown = self.compose(projection, pointer, flicker)
        self._backing.paint(painter, self.rect, strokes)
        marks.paint(painter, self, projection, shown, pointer)
        painter.restore()

    def compose(
        self, projection: Projection, pointer: QPointF | None, flicker: bool
    ) -> tuple[list[Stroke], list[Layer]]:
        """Return what to paint, from bottom to top, and the layers that can be seen."""
        depth, other = self.depth(), self.counterpart()
        mode, mix = self.scene.session.display.compare, self.scene.session.display.mix
        shown = [self.layer] if other is None else [self.layer, other]
        if other is None:
            strokes = self._picture(projection, self.layer, depth)
        elif mode is Compare.DIFFERENCE:
            drawn = self.pictures.difference(self.layer, other, self.axes, depth)
            strokes = self._stroke(projection, drawn, 1.0, self._smooth())
        elif mode is Compare.FLICKER:
            shown = [other if flicker else self.layer]
            strokes = self._picture(projection, shown[0], depth)
        else:
            weight = mix if mode is Compare.BLEND else 1.0
            part = self._part(pointer)
            strokes = self._picture(projection, self.layer, depth)
            if mode is Compare.BLEND or part is not None:
                strokes += self._picture(projection, other, depth, weight, part)
        return strokes + self._overlays(projection, depth), shown

    def swipe_x(self) -> int:
        """Return the swipe line's pixel column."""
        return self.rect.left() + round(self.scene.session.display.swipe * self.rect.width())

    def _part(self, pointer: QPointF | None) -> Part | None:
        """Return where alone the counterpart shows, in the modes that divide the pane."""
        display = self.scene.session.display
        box = (self.rect.x(), self.rect.y(), self.rect.width(), self.rect.height())
        if display.compare is Compare.SWIPE:
            return Swipe(box, self.swipe_x())
        if display.compare is Compare.CHECKER:
            return Squares(box)
        if display.compare is Compare.REVEAL and pointer is not None:
            return Disc(round(pointer.x()), round(pointer.y()), display.reveal)
        return None

    def _overlays(self, projection: Projection, depth: float) -> list[Stroke]:
        """Return label maps and fields of view."""
        session = self.scene.session
        strokes: list[Stroke] = []
        outlined: list[tuple[Layer, Sampler, str]] = []
        for layer in session.label_layers():
            strokes += self._picture(projection, layer, depth)
            if layer.outline:
                outlined.append((layer, self.scene.sampler(layer), LABEL_EDGE))
        for layer in session.image_layers():
            field = self.scene.field_sampler(layer)
            if field is not None:
                outlined.append((layer, field, FIELD_EDGE))
        for layer, sampler, colour in outlined if session.display.outlines else []:
            kept = self.pictures.outline(layer, sampler, self.axes, depth)
            if kept is not None:
                lines, cells = kept
                rect = place(projection, cells)
                strokes.append(Outline(lines, rect, cells.columns, cells.rows, colour))
        return strokes

    def _smooth(self) -> bool:
        return self.scene.session.display.interpolation is Interpolation.LINEAR

    def _picture(
        self,
        projection: Projection,
        layer: Layer,
        depth: float,
        weight: float = 1.0,
        part: Part | None = None,
    ) -> list[Stroke]:
        drawn = self.pictures.picture(layer, self.axes, depth)
        smooth = self._smooth() and layer.kind is not Kind.LABEL
        return self._stroke(projection, drawn, weight * layer.opacity, smooth, part)

    def _stroke(
        self,
        projection: Projection,
        drawn: Drawn | None,
        opacity: float,
        smooth: bool,
        part: Part | None = None,
    ) -> list[Stroke]:
        """Return a picture's stroke; where the plane misses the volume, none (black in a part)."""
        if drawn is None:
            if part is None:
                return []
            drawn = NOTHING
        image, cells = drawn
        return [Picture(image, place(projection, cells), opacity, smooth, part)]
