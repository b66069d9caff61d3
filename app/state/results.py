"""The results of synthesis in the case, as the rows of the Case panel hold them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.state.layers import Layers
from app.state.record import Result
from app.state.values import Kind, Layer
from core.marks import synthetic_notice

OUTDATED = " – outdated, "
"""Begins what is added to the names of layers that are out of date."""


class Results(QObject):
    """A view of the layers: every row carries the record of its result, so nothing can part them.

    Args:
        layers: where the results' volumes are.
    """

    changed = Signal()
    """Results came or went, became whole, or another one is the current one."""

    def __init__(self, layers: Layers) -> None:
        super().__init__(layers)
        self._layers = layers
        self._chosen = ""
        self._last = 0
        self._seen: list[tuple[str, int, bool]] = []
        layers.layers_changed.connect(self._look)
        layers.layer_changed.connect(self._layer_changed)

    @property
    def all(self) -> list[Result]:
        """Every whole result, the oldest first."""
        return self._found(live=False)

    @property
    def live(self) -> list[Result]:
        """Results under way."""
        return self._found(live=True)

    @property
    def by_target(self) -> dict[str, Result]:
        """Target → its newest whole result whose volume is in the case."""
        return {r.target: r for r in self.all if r.layer_id in self._layers}

    @property
    def current(self) -> Result | None:
        """The result the viewers are about: the chosen one, else the newest."""
        everything = [*self.all, *self.live]
        chosen = [r for r in everything if r.id == self._chosen]
        return chosen[0] if chosen else everything[-1] if everything else None

    def choose(self, result_id: str) -> None:
        """Make a result the current one; ``""`` returns to the newest."""
        if result_id != self._chosen:
            self._chosen = result_id
            self.changed.emit()

    def rows(self, result: Result) -> list[Layer]:
        """Return the layers that belong to a result, its volume first."""
        found = [x for x in self._layers.layers if x.result and x.result.id == result.id]
        return sorted(found, key=lambda x: x.id != result.layer_id)

    def row(self, result: Result, kind: Kind) -> Layer | None:
        """Return a result's volume, difference or σ map; None where it has none."""
        found = (x for x in self.rows(result) if x.kind is kind and not x.sample)
        return next(found, None)

    def samples(self, result: Result) -> list[Layer]:
        """Return the single samples of a result, the first first; none where they were not kept."""
        return sorted((x for x in self.rows(result) if x.sample), key=lambda x: x.sample)

    def shown_sample(self, result: Result) -> int:
        """Return which single sample stands for a result in the viewers; 0 for their mean."""
        return next((x.sample for x in self.samples(result) if x.visible), 0)

    def show_sample(self, result: Result, number: int) -> None:
        """Let a single sample stand for a result in the viewers; 0 returns to their mean."""
        for layer in self.samples(result):
            self._layers.update_layer(layer.id, visible=layer.sample == number)
        self.changed.emit()

    def next_number(self) -> int:
        """Return a number that no result of this case has or had."""
        self._last = max([self._last, *(r.number for r in [*self.all, *self.live])]) + 1
        return self._last

    def start_anew(self) -> None:
        """Count from one again, for another case."""
        self._last, self._chosen = 0, ""

    def marks(self, layer: Layer) -> Mapping[str, Any]:
        """Return the provenance that belongs to a layer; empty for a real volume."""
        if not layer.made_by_model:
            return {}
        about: dict[str, Any] = {"layer": str(layer.kind), "synthetic": True}
        if layer.sample:
            about["sample"] = layer.sample
        if layer.result is not None:
            return {**layer.result.provenance, "result": layer.result.id, **about}
        return {"notice": synthetic_notice(), **about}

    # ---- inside

    def _found(self, *, live: bool) -> list[Result]:
        found: dict[str, Result] = {}
        for layer in self._layers.layers:
            if layer.result is not None and layer.live is live:
                found.setdefault(layer.result.id, layer.result)
        return sorted(found.values(), key=lambda r: (r.number, r.id))

    def _layer_changed(self, _: str, field: str) -> None:
        if field in ("result", "live"):
            self._look()

    def _look(self) -> None:
        seen = [(x.id, id(x.result), x.live) for x in self._layers.layers if x.result is not None]
        if seen != self._seen:
            self._seen = seen
            self.changed.emit()
