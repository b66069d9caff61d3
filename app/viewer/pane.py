"""One pane: a plane of a layer, with its counterpart and overlays, painted into a rectangle."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QRegion

from app.state import Compare, Interpolation, Kind, Layer, Vector
from app.viewer import marks
from app.viewer.arrange import Slot
from app.viewer.geometry import Frame, PlaneAxes, Projection, plane_axes
from app.viewer.pictures import Drawn, Pictures
from app.viewer.sampling import Raster, Sampler
from app.viewer.scene import Scene

BACKGROUND = QColor(0, 0, 0)
CHECKER = 48
"""Side of a checkerboard square in pixels."""
MARGIN = 0.94
"""Share of the pane that the reference volume fills at zoom 1."""


class Pane:
    """Paints one slot; keeps the pictures of what it shows."""

    def __init__(self, scene: Scene, slot: Slot) -> None:
        self.scene = scene
        self.slot = slot
        self.pictures = Pictures(scene)

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
        painter.fillRect(self.rect, BACKGROUND)
        display = self.scene.session.display
        painter.setRenderHint(
            QPainter.RenderHint.SmoothPixmapTransform,
            display.interpolation is Interpolation.LINEAR,
        )
        projection = self.projection()
        depth = self.depth()
        other = self.counterpart()
        shown = [self.layer]
        if other is None:
            self._draw(painter, projection, self.layer, depth)
        else:
            shown = self._compare(painter, projection, depth, other, pointer, flicker)
        self._overlays(painter, projection, depth)
        marks.paint(painter, self, projection, shown, pointer)
        painter.restore()

    def _compare(
        self,
        painter: QPainter,
        projection: Projection,
        depth: float,
        other: Layer,
        pointer: QPointF | None,
        flicker: bool,
    ) -> list[Layer]:
        """Draw the layer and its counterpart together; return the layers that can be seen."""
        display = self.scene.session.display
        mode = display.compare
        if mode is Compare.DIFFERENCE:
            picture = self.pictures.difference(self.layer, other, self.axes, depth)
            self._paint_picture(painter, projection, picture, 1.0)
            return [self.layer, other]
        if mode is Compare.FLICKER:
            top = other if flicker else self.layer
            self._draw(painter, projection, top, depth)
            return [top]
        self._draw(painter, projection, self.layer, depth)
        if mode is Compare.BLEND:
            self._draw(painter, projection, other, depth, display.mix)
            return [self.layer, other]
        region = self._region(pointer)
        if region is not None:
            painter.save()
            painter.setClipRegion(region, Qt.ClipOperation.IntersectClip)
            painter.fillRect(self.rect, BACKGROUND)
            self._draw(painter, projection, other, depth)
            painter.restore()
        return [self.layer, other]

    def swipe_x(self) -> int:
        """Return the swipe line's pixel column."""
        return self.rect.left() + round(self.scene.session.display.swipe * self.rect.width())

    def _region(self, pointer: QPointF | None) -> QRegion | None:
        """Return where the counterpart shows: right of the line, in the disc, on odd squares."""
        display, rect = self.scene.session.display, self.rect
        if display.compare is Compare.SWIPE:
            return QRegion(rect.adjusted(self.swipe_x() - rect.left(), 0, 0, 0))
        if display.compare is Compare.REVEAL:
            if pointer is None:
                return None
            r = display.reveal
            disc = QRect(round(pointer.x()) - r, round(pointer.y()) - r, 2 * r, 2 * r)
            return QRegion(disc, QRegion.RegionType.Ellipse)
        region = QRegion()
        for row in range(-(-rect.height() // CHECKER)):
            for column in range(1 - row % 2, -(-rect.width() // CHECKER), 2):
                x, y = rect.left() + column * CHECKER, rect.top() + row * CHECKER
                region += QRect(x, y, CHECKER, CHECKER)
        return region

    def _overlays(self, painter: QPainter, projection: Projection, depth: float) -> None:
        """Draw label maps and fields of view."""
        session = self.scene.session
        for layer in session.label_layers():
            self._draw(painter, projection, layer, depth)
            if layer.outline and session.display.outlines:
                sampler = self.scene.sampler(layer)
                self._outline(painter, projection, layer, sampler, depth, QColor(255, 255, 255))
        if not session.display.outlines:
            return
        for layer in session.image_layers():
            field = self.scene.field_sampler(layer)
            if field is not None:
                self._outline(painter, projection, layer, field, depth, marks.FIELD)

    def _draw(
        self,
        painter: QPainter,
        projection: Projection,
        layer: Layer,
        depth: float,
        opacity: float = 1.0,
    ) -> None:
        picture = self.pictures.picture(layer, self.axes, depth)
        smooth = layer.kind is not Kind.LABEL
        self._paint_picture(painter, projection, picture, opacity * layer.opacity, smooth)

    def _paint_picture(
        self,
        painter: QPainter,
        projection: Projection,
        drawn: Drawn | None,
        opacity: float,
        smooth: bool = True,
    ) -> None:
        if drawn is None:
            return
        image, where = drawn
        hint = QPainter.RenderHint.SmoothPixmapTransform
        before = painter.testRenderHint(hint)
        painter.setRenderHint(hint, before and smooth)
        painter.setOpacity(opacity)
        painter.drawImage(target_rect(projection, where), image)
        painter.setOpacity(1.0)
        painter.setRenderHint(hint, before)

    def _outline(
        self,
        painter: QPainter,
        projection: Projection,
        layer: Layer,
        sampler: Sampler,
        depth: float,
        colour: QColor,
    ) -> None:
        kept = self.pictures.outline(layer, sampler, self.axes, depth)
        if kept is None:
            return
        lines, cells = kept
        target = target_rect(projection, cells)
        painter.save()
        painter.translate(target.topLeft())
        painter.scale(target.width() / cells.columns, target.height() / cells.rows)
        pen = QPen(colour, 1.5)
        pen.setCosmetic(True)
        painter.setPen(pen)
        painter.drawLines(lines)
        painter.restore()


def target_rect(projection: Projection, cells: Raster) -> QRectF:
    """Return where a cut's raster lies on screen, in pixels."""
    return QRectF(
        projection.x(cells.left),
        projection.y(cells.top),
        cells.columns * cells.width * projection.scale,
        cells.rows * cells.height * projection.scale,
    )
