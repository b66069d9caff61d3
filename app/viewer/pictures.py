"""Cuts, pictures and outlines of one pane's layers, kept until what they depend on changes."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QImage

from app.state.levels import background
from app.state.session import Session
from app.state.values import Interpolation, Kind, Layer
from app.viewer import colormaps, raster
from app.viewer.geometry import PlaneAxes
from app.viewer.sampling import Cut, Raster, Sampler, Visible
from app.viewer.scene import Scene

T = TypeVar("T")
Drawn = tuple[QImage, Raster]
Outlined = tuple[raster.Outlines, Raster]
KEPT = 2
"""How many of each are kept: what is on screen, and the one before (flicker, a step back)."""


@dataclass(frozen=True)
class Place:
    """Where to cut: a pane's axes, the mm along its through axis, and what of it is on screen."""

    axes: PlaneAxes
    depth: float
    visible: Visible


class Pictures:
    """Makes cuts, pictures, differences and outlines, and keeps the latest of each.

    All panes share one: the columns of a row cut label maps and fields of view once.

    Attributes:
        draft: whether oblique cuts are taken coarser, because something moves.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.draft = False
        self._kept: dict[Hashable, dict[Hashable, object]] = {}

    def cut(self, layer: Layer, at: Place) -> Cut | None:
        """Return the layer's cut, None where the place misses the volume."""
        sampler, linear = self.scene.sampler(layer), self._linear(layer)
        # Keys hold the objects themselves, not their ids: a freed object's id may come again.
        key = (sampler, self.scene.version(layer.id), _where(sampler, at, linear), linear)
        return self._keep(
            (layer.id, "cut", at.axes),
            key,
            lambda: sampler.cut(at.axes, at.depth, linear, at.visible),
        )

    def picture(self, layer: Layer, at: Place, *, inside_field: bool = False) -> Drawn | None:
        """Return the layer's picture and where it lies, None where the place misses it.

        With ``inside_field`` it is transparent outside the layer's field of view, if that is known.
        """
        cut = self.cut(layer, at)
        if cut is None:
            return None

        def make() -> QImage:
            colours = colormaps.table(layer.colormap)
            if layer.kind is Kind.LABEL:
                labels = raster.without(cut.values, layer.hidden_labels)
                return raster.to_labels(labels, cut.inside, colours)
            field = self._field(layer, at, cut) if inside_field else None
            if inside_field and field is None:
                field = self._imaged(layer, cut)  # elsewhere what lies below stays
            shown = cut if field is None else Cut(cut.values, _all(cut.inside, field), cut.raster)
            return raster.to_image(shown, layer.window, colours)

        field_of_view = self.scene.field_sampler(layer)
        key = (cut, layer.window, layer.colormap, field_of_view, layer.hidden_labels)
        return self._keep((layer.id, "picture", at.axes, inside_field), key, make), cut.raster

    def difference(self, layer: Layer, other: Layer, at: Place) -> Drawn | None:
        """Return the picture of ``other`` minus ``layer`` on the layer's raster.

        If only ``layer`` was made by a model the sign is turned, so that synthetic minus real is
        shown whichever is active. The difference is in the volumes' units where both are of one
        modality, ± half the layer's window; else of what the two windows show, ± 1. It is
        transparent outside either field of view.
        """
        cut = self.cut(layer, at)
        if cut is None:
            return None
        sampler, linear = self.scene.sampler(other), self._linear(layer)

        def make() -> QImage | None:
            second = sampler.cut_on(at.axes, at.depth, linear, cut.raster)
            if second is None:
                return None
            if layer.modality == other.modality:
                values = second.values - cut.values
            else:
                values = _windowed(second, other) - _windowed(cut, layer)
            if layer.made_by_model and not other.made_by_model:
                values = -values
            pairs = ((layer, cut), (other, second))
            fields = [self._field(x, at, cut) for x, _ in pairs]
            if layer.modality != other.modality:
                # Two kinds of image differ everywhere; where one has none there is nothing to say.
                fields += [self._imaged(x, values_of) for x, values_of in pairs]
            inside = _all(cut.inside, second.inside, *fields)
            colours = colormaps.table("diverging")
            return raster.to_image(Cut(values, inside, cut.raster), (-reach, reach), colours)

        version = self.scene.version(other.id)
        reach = difference_reach(layer, other, self.scene.session)
        key = (cut, sampler, version, round(at.depth, 4), layer, other, reach)
        image = self._keep((layer.id, other.id, "difference", at.axes), key, make)
        return None if image is None else (image, cut.raster)

    def outline(self, layer: Layer, sampler: Sampler, at: Place) -> Outlined | None:
        """Return the borders of a mask or label map of the layer, in pixel edges of the raster."""

        def make() -> Outlined | None:
            cut = sampler.cut(at.axes, at.depth, False, at.visible)
            if cut is None:
                return None
            mask = cut.values.dtype == bool
            values = cut.values if mask else raster.without(cut.values, layer.hidden_labels)
            return raster.outline(values, cut.inside), cut.raster

        where = _where(sampler, at, False)
        key = (sampler, self.scene.version(layer.id), where, layer.hidden_labels)
        return self._keep((layer.id, "outline", at.axes), key, make)

    def forget_missing(self) -> None:
        """Drop what belongs to layers that are gone."""
        session = self.scene.session
        for slot in [s for s in self._kept if isinstance(s, tuple) and s[0] not in session]:
            del self._kept[slot]

    def _field(self, layer: Layer, at: Place, cut: Cut) -> NDArray[np.bool_] | None:
        """Return the layer's field of view on a cut's raster, None when unknown."""
        sampler = self.scene.field_sampler(layer)
        if sampler is None:
            return None
        field = sampler.cut_on(at.axes, at.depth, False, cut.raster)
        if field is None:
            return np.zeros(cut.values.shape, bool)
        return field.values if field.inside is None else field.values & field.inside

    def _imaged(self, layer: Layer, cut: Cut) -> NDArray[np.bool_] | None:
        """Return where a cut is not background, None for a volume that has no background."""
        air = self._background(layer)
        return None if air is None else cut.values > air

    def _background(self, layer: Layer) -> float | None:
        """Return the value of a layer's background, None when it has none."""
        voxels = layer.volume.voxels
        key = self.scene.sampler(layer), self.scene.version(layer.id)
        return self._keep((layer.id, "background"), key, lambda: background(voxels))

    def _linear(self, layer: Layer) -> bool:
        linear = self.scene.session.display.interpolation is Interpolation.LINEAR
        return linear and layer.kind is not Kind.LABEL

    def _keep(self, slot: Hashable, key: Hashable, make: Callable[[], T]) -> T:
        """Return the kept value of a slot if its key is known, else make and keep it."""
        kept = self._kept.setdefault(slot, {})
        if key not in kept:
            made = make()
            while len(kept) >= KEPT:
                del kept[next(iter(kept))]
            kept[key] = made
        return cast(T, kept[key])


def difference_reach(layer: Layer, other: Layer, session: Session) -> float:
    """Return the difference that gets the strongest colour, see ``Pictures.difference``.

    It is that of the difference maps of the modality, where there are any: one scale everywhere.
    """
    if layer.modality != other.modality:
        return 1.0
    known = session.find(Kind.DIFFERENCE, layer.modality)
    return known.window[1] if known else (layer.window[1] - layer.window[0]) / 2


def _where(sampler: Sampler, at: Place, linear: bool) -> Hashable:
    """Return what of a place decides a cut: slices of a parallel array, else place and view."""
    if sampler.aligned:
        return sampler.planes_at(at.axes, at.depth, linear)
    return round(at.depth, 4), at.visible


def _all(*masks: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    """Return where every known mask holds."""
    known = [m for m in masks if m is not None]
    return np.logical_and.reduce(known) if known else None


def _windowed(cut: Cut, layer: Layer) -> NDArray[np.float32]:
    low, high = layer.window
    return np.clip((cut.values - np.float32(low)) / np.float32(high - low), 0, 1)
