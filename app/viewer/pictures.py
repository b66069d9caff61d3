"""Cuts, pictures and outlines of one pane's layers, kept until what they depend on changes."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QImage

from app.state import Interpolation, Kind, Layer
from app.viewer import colormaps, raster
from app.viewer.geometry import PlaneAxes
from app.viewer.sampling import Cut, Raster, Sampler
from app.viewer.scene import Scene

T = TypeVar("T")
Drawn = tuple[QImage, Raster]


class Pictures:
    """Makes and keeps the last cut, picture, difference and outline of every layer asked for."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._kept: dict[tuple[str, str], tuple[Hashable, object]] = {}

    def cut(self, layer: Layer, axes: PlaneAxes, depth: float) -> Cut | None:
        """Return the layer's cut at frame depth ``depth`` mm, None where it misses the volume."""
        sampler, linear = self.scene.sampler(layer), self._linear(layer)
        where: Hashable = round(depth, 4)
        if sampler.aligned:
            where = sampler.planes_at(axes, depth, linear)
        # Keys hold the objects themselves, not their ids: a freed object's id may come again.
        key = (sampler, self.scene.version(layer.id), where, linear, axes)
        return self._keep((layer.id, "cut"), key, lambda: sampler.cut(axes, depth, linear))

    def picture(self, layer: Layer, axes: PlaneAxes, depth: float) -> Drawn | None:
        """Return the layer's picture and where it lies, None where the plane misses it."""
        cut = self.cut(layer, axes, depth)
        if cut is None:
            return None

        def make() -> QImage:
            colours = colormaps.table(layer.colormap)
            if layer.kind is Kind.LABEL:
                return raster.to_labels(cut, colours)
            return raster.to_image(cut, layer.window, colours)

        key = (cut, layer.window, layer.colormap)
        return self._keep((layer.id, "picture"), key, make), cut.raster

    def difference(self, layer: Layer, other: Layer, axes: PlaneAxes, depth: float) -> Drawn | None:
        """Return the picture of ``other`` minus ``layer`` on the layer's raster.

        If only ``layer`` was made by a model the sign is turned, so that synthetic minus real is
        shown whichever is active. The difference is in the volumes' units where both are of one
        modality, ± half the layer's window; else of what the two windows show, ± 1.
        """
        cut = self.cut(layer, axes, depth)
        if cut is None:
            return None
        sampler, linear = self.scene.sampler(other), self._linear(layer)

        def make() -> QImage | None:
            second = sampler.cut_on(axes, depth, linear, cut.raster)
            if second is None:
                return None
            if layer.modality == other.modality:
                values = second.values - cut.values
                reach = (layer.window[1] - layer.window[0]) / 2
            else:
                values = _windowed(second, other) - _windowed(cut, layer)
                reach = 1.0
            if layer.made_by_model and not other.made_by_model:
                values = -values
            masks = [m for m in (cut.inside, second.inside) if m is not None]
            inside = np.logical_and.reduce(masks) if masks else None
            colours = colormaps.table("diverging")
            return raster.to_image(Cut(values, inside, cut.raster), (-reach, reach), colours)

        version = self.scene.version(other.id)
        key = (cut, sampler, version, round(depth, 4), layer.window, other.window)
        image = self._keep((other.id, "difference"), key, make)
        return None if image is None else (image, cut.raster)

    def outline(
        self, layer: Layer, sampler: Sampler, axes: PlaneAxes, depth: float
    ) -> tuple[raster.Lines, Raster] | None:
        """Return the borders of a mask or label map of the layer, in pixel edges of the raster."""
        where: Hashable = round(depth, 4)
        if sampler.aligned:
            where = sampler.planes_at(axes, depth, False)

        def make() -> tuple[raster.Lines, Raster] | None:
            cut = sampler.cut(axes, depth, False)
            if cut is None:
                return None
            values = cut.values if cut.values.dtype == bool else np.rint(cut.values)
            return raster.outline(values, cut.inside), cut.raster

        key = (sampler, self.scene.version(layer.id), where, axes)
        return self._keep((layer.id, "outline"), key, make)

    def _linear(self, layer: Layer) -> bool:
        linear = self.scene.session.display.interpolation is Interpolation.LINEAR
        return linear and layer.kind is not Kind.LABEL

    def _keep(self, slot: tuple[str, str], key: Hashable, make: Callable[[], T]) -> T:
        """Return the kept value of a slot if its key is unchanged, else make and keep it."""
        kept = self._kept.get(slot)
        if kept is None or kept[0] != key:
            kept = (key, make())
            self._kept[slot] = kept
        return cast(T, kept[1])


def _windowed(cut: Cut, layer: Layer) -> NDArray[np.float32]:
    low, high = layer.window
    return np.clip((cut.values - np.float32(low)) / np.float32(high - low), 0, 1)
