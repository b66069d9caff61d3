"""The list of layers and their windows; ``Session`` adds cursor, views and settings to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Unpack

from PySide6.QtCore import QObject, Signal

from app.state.levels import auto_window, fits, full_window, labels_of
from app.state.record import Result
from app.state.values import (
    DEFAULT_COLORMAPS,
    KIND_WORDS,
    Display,
    Kind,
    Label,
    Layer,
    LayerEdit,
    Placement,
    Window,
)
from core.case import Case
from core.grid import Grid
from core.volume import Volume

Region = tuple[slice, slice, slice]
"""A block of voxels (i, j, k) in storage order."""


class Layers(QObject):
    """An observable, ordered list of layers."""

    layers_changed = Signal()
    """Layers were added, removed or reordered."""
    layer_changed = Signal(str, str)
    """(layer id, field): one property of one layer changed; ``"volume"`` when it was replaced,
    ``"position"`` when it was moved."""
    voxels_touched = Signal(str, object)
    """(layer id, Region or None): voxels behind a layer changed in place."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.display = Display()
        self.name = ""
        self.remembered_windows: dict[str, Window] = {}
        self._layers: dict[str, Layer] = {}
        self._count = 0
        self._last_given: dict[str, str] = {}
        """Modality → the real volume that was last available: the one that can be held back."""

    @property
    def layers(self) -> list[Layer]:
        """Every layer, in the order of the Case panel."""
        return list(self._layers.values())

    def layer(self, layer_id: str) -> Layer:
        """Return a layer.

        Raises:
            KeyError: no layer has this id.
        """
        return self._layers[layer_id]

    def __contains__(self, layer_id: str) -> bool:
        return layer_id in self._layers

    def find(self, kind: Kind, modality: str) -> Layer | None:
        """Return the newest layer of a kind and modality, or None."""
        found = [x for x in self.layers if x.kind is kind and x.modality == modality]
        return found[-1] if found else None

    def add_layer(
        self,
        volume: Volume,
        kind: Kind | None = None,
        *,
        name: str = "",
        colormap: str = "",
        window: Window | None = None,
        opacity: float | None = None,
        layer_id: str = "",
        result: Result | None = None,
        sample: int = 0,
        live: bool = False,
        visible: bool = True,
        labels: Sequence[Label] | None = None,
    ) -> str:
        """Add a layer and return its id; the first image becomes active and centres the cursor.

        Args:
            volume: what to show; a voxel array in shared memory stays shared.
            kind: default ``SYNTHETIC`` or ``REAL``, as the volume says.
            name: default "modality (source)".
            colormap, opacity: default by kind.
            window: default: that of a layer of the same modality while windows are locked, else
                the one remembered for the modality, else robust percentiles.
            layer_id: default "kind-n"; an id in use is an error.
            result, sample, live, visible: as in ``Layer``.
            labels: what a label map holds; default: counted, which takes a while.

        Raises:
            ValueError: the id is in use.
        """
        kind = kind or (Kind.SYNTHETIC if volume.synthetic else Kind.REAL)
        if not layer_id:
            self._count += 1
            while f"{kind}-{self._count}" in self._layers:  # a project brings its own ids
                self._count += 1
            layer_id = f"{kind}-{self._count}"
        if layer_id in self._layers:
            raise ValueError(f"layer id {layer_id!r} is in use")
        if labels is None and kind is Kind.LABEL:
            labels = labels_of(volume.voxels, {})
        auto = auto_window(volume.voxels, kind)
        label = " ".join(x for x in (KIND_WORDS.get(kind, kind), volume.modality) if x)
        layer = Layer(
            id=layer_id,
            volume=volume,
            kind=kind,
            name=name or (f"{label} ({volume.source})" if volume.source else label) or layer_id,
            colormap=colormap or DEFAULT_COLORMAPS.get(kind, "gray"),
            window=auto,
            auto=auto,
            opacity=opacity if opacity is not None else 0.4 if kind is Kind.LABEL else 1.0,
            available=kind is Kind.REAL and not self._others(volume.modality, ""),
            result=result,
            sample=sample,
            live=live,
            visible=visible,
            labels=tuple(labels or ()),
        )
        layer = replace(layer, window=window or self._first_window(layer))
        self._layers[layer_id] = layer
        self._note_given(layer)
        self._announce()
        return layer_id

    def remove_layer(self, layer_id: str) -> Layer:
        """Remove a layer and return it, so that a command can put it back.

        Raises:
            KeyError: no layer has this id.
        """
        layer = self._layers.pop(layer_id)
        self._announce()
        return layer

    def restore_layer(self, layer: Layer, index: int | None = None) -> None:
        """Put a removed layer back as it was, at ``index`` of the list (default: the end)."""
        items = list(self._layers.items())
        items.insert(len(items) if index is None else index, (layer.id, layer))
        self._layers = dict(items)
        self._note_given(layer)
        self._announce()

    def clear(self) -> None:
        """Remove every layer; display settings stay."""
        self._layers.clear()
        self._last_given.clear()
        self._announce()

    def update_layer(self, layer_id: str, **edit: Unpack[LayerEdit]) -> None:
        """Change properties of a layer.

        Of several real volumes of one modality one at most is available: making one available
        takes the others out.

        Raises:
            KeyError: no layer has this id.
        """
        for key in edit:
            layer = self._layers[layer_id]
            if key == "modality":
                if edit["modality"] == layer.modality:
                    continue
                new = replace(layer, volume=replace(layer.volume, modality=edit["modality"]))
            else:
                one = {key: edit[key]}  # type: ignore[literal-required]
                if key != "field_of_view" and getattr(layer, key) == one[key]:
                    continue
                new = replace(layer, **one)
            self._put(new, key)
        layer = self._layers[layer_id]
        if layer.available and layer.kind is Kind.REAL:
            for other in self._others(layer.modality, layer_id):
                if other.available:
                    self._put(replace(other, available=False), "available")

    def set_volume(self, layer_id: str, volume: Volume) -> None:
        """Replace a layer's volume (a finished result); an untouched automatic window follows."""
        old = self._layers[layer_id]
        auto = auto_window(volume.voxels, old.kind)
        window = auto if old.window == old.auto else old.window
        fov = old.field_of_view if volume.grid.same_as(old.volume.grid) else None
        self._put(
            replace(old, volume=volume, auto=auto, window=window, field_of_view=fov), "volume"
        )

    def place(self, layer_id: str, placement: Placement | None) -> None:
        """Move a layer: the same voxels elsewhere; None returns to the position in the file."""
        old = self._layers[layer_id]
        grid = old.header
        if placement is not None:
            header = placement.header
            grid = Grid(header.shape, placement.alignment.matrix @ header.affine)
        volume = replace(old.volume, grid=grid)
        self._put(replace(old, volume=volume, placement=placement), "position")

    def touch(self, layer_id: str, region: Region | None = None) -> None:
        """Say that voxels behind a layer changed in place (all of them without ``region``)."""
        if layer_id in self._layers:
            self.voxels_touched.emit(layer_id, region)

    def image_layers(self) -> list[Layer]:
        """Visible layers that are images."""
        return [x for x in self.layers if x.is_image and x.visible]

    def label_layers(self) -> list[Layer]:
        """Visible label maps."""
        return [x for x in self.layers if not x.is_image and x.visible]

    def case_layers(self) -> dict[str, Layer]:
        """Return modality → its real volume in the case: the available, last available or first."""
        chosen: dict[str, Layer] = {}
        for layer in self.layers:
            if layer.kind is Kind.REAL and layer.modality:
                known = chosen.get(layer.modality)
                if known is None or self._rank(layer) > self._rank(known):
                    chosen[layer.modality] = layer
        return chosen

    def case(self) -> Case:
        """Return the case of ``case_layers``."""
        return Case(self.name, {m: x.volume for m, x in self.case_layers().items()})

    def subset(self) -> tuple[str, ...]:
        """Return the modalities the model may see: real, available, named."""
        return tuple(
            x.modality for x in self.layers if x.kind is Kind.REAL and x.available and x.modality
        )

    # ---- window/level

    def set_window(self, layer_id: str, low: float, high: float) -> None:
        """Set a layer's window, and while windows are locked that of its modality's others.

        ``high`` is kept above ``low``. The window is remembered for the modality, relative to the
        automatic one, because units differ between scanners.
        """
        layer = self._layers[layer_id]
        a, b = layer.auto
        if layer.kind is Kind.DIFFERENCE:  # 0 stays in the middle of the colours
            low, high = -(high - low) / 2, (high - low) / 2
        if high - low < 1e-6 * (b - a):
            middle = (low + high) / 2
            low, high = middle - 5e-7 * (b - a), middle + 5e-7 * (b - a)
        if layer.kind in (Kind.REAL, Kind.SYNTHETIC) and layer.modality:
            self.remembered_windows[layer.modality] = ((low - a) / (b - a), (high - a) / (b - a))
        for x in self._window_group(layer):
            if x.window != (low, high):
                self._put(replace(x, window=(low, high)), "window")

    def restore_window(self, layer_id: str, window: Window) -> None:
        """Set one layer's window as it was saved: nothing is remembered, no other layer follows."""
        self._put(replace(self._layers[layer_id], window=window), "window")

    def reset_window(self, layer_id: str) -> None:
        """Return to the robust window and forget the remembered one."""
        layer = self._layers[layer_id]
        self.set_window(layer_id, *layer.auto)
        self.remembered_windows.pop(layer.modality, None)

    def auto_window(self, layer_id: str) -> None:
        """Compute the robust window anew (after live voxels arrived) and use it."""
        layer = self._layers[layer_id]
        auto = auto_window(layer.volume.voxels, layer.kind)
        self._layers[layer_id] = replace(layer, auto=auto)
        self.set_window(layer_id, *auto)

    def refit_window(self, layer_id: str) -> None:
        """Give a layer that became whole the window it would have got as a new one."""
        layer = self._layers[layer_id]
        layer = replace(layer, auto=auto_window(layer.volume.voxels, layer.kind))
        self._put(replace(layer, window=self._first_window(layer)), "window")

    def full_window(self, layer_id: str) -> None:
        """Show the layer's whole range."""
        self.set_window(layer_id, *full_window(self._layers[layer_id].volume.voxels))

    # ---- inside

    def _announce(self) -> None:
        """Say that the list changed; a subclass first repairs what refers to layers by id."""
        self.layers_changed.emit()

    def _put(self, layer: Layer, field: str) -> None:
        self._layers[layer.id] = layer
        self._note_given(layer)
        self.layer_changed.emit(layer.id, field)

    def _others(self, modality: str, layer_id: str) -> list[Layer]:
        """Return other real layers of a named modality."""
        real = [x for x in self.layers if x.kind is Kind.REAL and x.modality]
        return [x for x in real if x.modality == modality and x.id != layer_id]

    def _window_group(self, layer: Layer) -> list[Layer]:
        """Return the layers of one scale; differences and σ of a modality always have one."""
        shared: tuple[Kind, ...] = (Kind.REAL, Kind.SYNTHETIC)
        if layer.kind in (Kind.DIFFERENCE, Kind.SIGMA):
            shared = (layer.kind,)
        elif not self.display.lock_window or layer.kind not in shared:
            return [layer]
        if not layer.modality or layer.own_units:
            return [layer]
        same = (x for x in self.layers if x.kind in shared and x.modality == layer.modality)
        return [x for x in same if not x.own_units]

    def _first_window(self, layer: Layer) -> Window:
        auto, modality = layer.auto, layer.modality
        if not modality:
            return auto
        if layer.own_units:
            return auto
        if layer.kind in (Kind.DIFFERENCE, Kind.SIGMA):
            same = [x for x in self._window_group(layer) if x.id != layer.id]
            return same[0].window if same else auto
        if layer.kind not in (Kind.REAL, Kind.SYNTHETIC):
            return auto
        if layer.kind is Kind.SYNTHETIC and self.display.lock_window:
            known = layer.result.truth if layer.result else ""
            truth = self._layers.get(known) or self.find(Kind.REAL, modality)
            if truth is not None:
                return truth.window
        # What is still being made has no range yet that a remembered window could refer to.
        if modality in self.remembered_windows and not layer.live:
            low, high = self.remembered_windows[modality]
            width = auto[1] - auto[0]
            window = auto[0] + low * width, auto[0] + high * width
            if fits(window, layer.volume.voxels, auto):
                return window
            del self.remembered_windows[modality]
        return auto

    def _note_given(self, layer: Layer) -> None:
        if layer.kind is Kind.REAL and layer.available and layer.modality:
            self._last_given[layer.modality] = layer.id

    def _rank(self, layer: Layer) -> int:
        last = self._last_given.get(layer.modality) == layer.id
        return 2 if layer.available else int(last)
