"""One pane: a plane of a layer, with its counterpart and overlays, painted into a rectangle."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPointF
from PySide6.QtGui import QPainter

from app.state.values import Interpolation, Kind, Layer
from app.viewer import colormaps, overlay
from app.viewer.compare import Compared, mode_of
from app.viewer.geometry import Projection
from app.viewer.layouts import Slot
from app.viewer.pane_geometry import Extra, PaneGeometry
from app.viewer.pictures import Drawn, Pictures, Place
from app.viewer.sampling import Sampler, Visible
from app.viewer.strokes import Backing, Outline, Part, Picture, Stroke, place

DRAFT = 2
"""How many times coarser oblique cuts are while something moves."""
FIELD_EDGE = "#50dcff"


class Pane(PaneGeometry):
    """Paints one slot, and keeps its composed pixels.

    Args:
        pictures: makes what is painted.
        slot: where, and what of which layer.
        extras: called at the end of the painting.
    """

    def __init__(self, pictures: Pictures, slot: Slot, extras: Sequence[Extra] = ()) -> None:
        super().__init__(pictures.scene, slot)
        self.pictures = pictures
        self.extras = extras
        self._backing = Backing()

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
        overlay.paint(painter, self, projection, shown, pointer)
        for extra in self.extras:
            extra(painter, self, projection)
        painter.restore()

    def compose(
        self, projection: Projection, pointer: QPointF | None, flicker: bool
    ) -> tuple[list[Stroke], list[Layer]]:
        """Return what to paint, from bottom to top, and the layers that can be seen."""
        at, other = self.place(projection), self.counterpart()
        if other is None:
            strokes, shown = self._picture(projection, self.layer, at), [self.layer]
        else:
            mode = mode_of(self.scene.session.display)
            strokes, shown = mode.compose(self._compared(projection, at, other, pointer, flicker))
        return strokes + self._overlays(projection, at), shown

    def _compared(
        self,
        projection: Projection,
        at: Place,
        other: Layer,
        pointer: QPointF | None,
        flicker: bool,
    ) -> Compared:
        """Return what a compare mode works with."""

        def difference() -> list[Stroke]:
            drawn = self.pictures.difference(self.layer, other, at)
            return self._stroke(projection, drawn, 1.0, self._smooth())

        def over(weight: float, part: Part | None) -> list[Stroke]:
            return self._picture(projection, other, at, weight, part, inside_field=True)

        def alone(layer: Layer) -> list[Stroke]:
            return self._picture(projection, layer, at)

        return Compared(self, self.layer, other, pointer, flicker, alone, over, difference)

    def _overlays(self, projection: Projection, at: Place) -> list[Stroke]:
        """Return label maps and fields of view."""
        session = self.scene.session
        strokes: list[Stroke] = []
        outlined: list[tuple[Layer, Sampler, str]] = []
        for layer in session.label_layers():
            strokes += self._picture(projection, layer, at)
            if layer.outline:
                outlined.append((layer, self.scene.sampler(layer), ""))
        for layer in self._fields():
            field = self.scene.field_sampler(layer)
            assert field is not None
            outlined.append((layer, field, FIELD_EDGE))
        for layer, sampler, colour in outlined if session.display.outlines else []:
            kept = self.pictures.outline(layer, sampler, at)
            if kept is not None:
                found, cells = kept
                rect = place(projection, cells)
                for label, lines in found.items():
                    edge = colour or colormaps.label_colour(layer.colormap, label)
                    strokes.append(Outline(lines, rect, cells.columns, cells.rows, edge))
        return strokes

    def _fields(self) -> list[Layer]:
        """Return the layers whose field of view is outlined: one a modality.

        It is the pane's own, else that of the volume the model was given or is judged by, else the
        current result's: two that nearly agree would make one ragged line.
        """
        session, mine = self.scene.session, self.layer
        about = mine.result or session.results.current
        chosen: dict[str, Layer] = {}
        for layer in session.image_layers():
            other = layer.result is not None and about is not None and layer.result.id != about.id
            if layer.field_of_view is None or other or (layer.sample and layer is not mine):
                continue
            known = chosen.get(layer.modality)
            if (
                known is None
                or layer is mine
                or (known is not mine and _rank(layer) > _rank(known))
            ):
                chosen[layer.modality] = layer
        return list(chosen.values())

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


def _rank(layer: Layer) -> tuple[bool, bool]:
    return layer.kind is Kind.REAL, layer.available
