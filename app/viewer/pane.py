"""One pane: a plane of a layer, with its counterpart and overlays, painted into a rectangle."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRect, QRectF
from PySide6.QtGui import QPainter

from app.state.values import Compare, Interpolation, Kind, Layer, Vector
from app.viewer import marks
from app.viewer.arrange import Slot
from app.viewer.geometry import Frame, PlaneAxes, Projection, plane_axes
from app.viewer.pictures import Drawn, Pictures, Place
from app.viewer.sampling import Sampler, Visible
from app.viewer.strokes import Backing, Disc, Outline, Part, Picture, Squares, Stroke, Swipe, place

MARGIN = 0.94
"""Share of the pane that the reference volume fills at zoom 1."""
DRAFT = 2
"""How many times coarser oblique cuts are while something moves."""
FIELD_EDGE = "#50dcff"
LABEL_EDGE = "#ffffff"


class Pane:
    """Paints one slot, and keeps its composed pixels."""

    def __init__(self, pictures: Pictures, slot: Slot) -> None:
        self.scene = pictures.scene
        self.slot = slot
        self.pictures = pictures
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

    def place(self, projection: Projection) -> Place:
        """Return where the pane cuts, and what of the plane it shows."""
        r = self.rect
        a = projection.to_frame(r.left(), r.bottom() + 1, 0.0)
        b = projection.to_frame(r.right() + 1, r.top(), 0.0)
        axes = projection.axes
        sides = sorted((float(a[axes.across]), float(b[axes.across])))
        pixel = (DRAFT if self.pictures.draft else 1) / projection.scale
        up = (float(a[axes.up]), float(b[axes.up]))
        return Place(axes, self.depth(), Visible((sides[0], sides[1]), up, pixel))

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
        for extra in self.scene.extras:
            extra(painter, self, projection)
        painter.restore()

    def compose(
        self, projection: Projection, pointer: QPointF | None, flicker: bool
    ) -> tuple[list[Stroke], list[Layer]]:
        """Return what to paint, from bottom to top, and the layers that can be seen."""
        at, other = self.place(projection), self.counterpart()
        mode, mix = self.scene.session.display.compare, self.scene.session.display.mix
        shown = [self.layer] if other is None else [self.layer, other]
        if other is None:
            strokes = self._picture(projection, self.layer, at)
        elif mode is Compare.DIFFERENCE:
            drawn = self.pictures.difference(self.layer, other, at)
            strokes = self._stroke(projection, drawn, 1.0, self._smooth())
        elif mode is Compare.FLICKER:
            shown = [other if flicker else self.layer]
            strokes = self._picture(projection, shown[0], at)
        else:
            weight = mix if mode is Compare.BLEND else 1.0
            part = self._part(pointer)
            strokes = self._picture(projection, self.layer, at)
            if mode is Compare.BLEND or part is not None:
                strokes += self._picture(projection, other, at, weight, part, inside_field=True)
        return strokes + self._overlays(projection, at), shown

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

    def _overlays(self, projection: Projection, at: Place) -> list[Stroke]:
        """Return label maps and fields of view."""
        session = self.scene.session
        strokes: list[Stroke] = []
        outlined: list[tuple[Layer, Sampler, str]] = []
        for layer in session.label_layers():
            strokes += self._picture(projection, layer, at)
            if layer.outline:
                outlined.append((layer, self.scene.sampler(layer), LABEL_EDGE))
        for layer in session.image_layers():
            field = self.scene.field_sampler(layer)
            if field is not None:
                outlined.append((layer, field, FIELD_EDGE))
        for layer, sampler, colour in outlined if session.display.outlines else []:
            kept = self.pictures.outline(layer, sampler, at)
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
        at: Place,
        weight: float = 1.0,
        part: Part | None = None,
        inside_field: bool = False,
    ) -> list[Stroke]:
        if not layer.visible:
            return []
        drawn = self.pictures.picture(layer, at, inside_field=inside_field)
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
        if drawn is None:
            return []
        image, cells = drawn
        return [Picture(image, place(projection, cells), opacity, smooth, part)]
