"""The results of synthesis: the last whole one of every target, and the marks that belong to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.state.layers import Layers
from app.state.values import Layer
from core.grid import Grid
from core.marks import synthetic_notice

OUTDATED = " – outdated, "
"""Begins what is added to the names of layers that are out of date."""


@dataclass(frozen=True)
class Result:
    """One synthesised modality.

    Attributes:
        layer_id: its synthetic layer.
        kind: ``"synthesis"``, or ``"reconstruction"`` when it was an input too.
        subset: the inputs.
        metrics: name → number, inside the field of view; empty when the truth is not known.
        provenance: the marks of a saved file.
        others: ids of its difference and σ layers.
        places: modality → grid of every volume the run was given; empty when not known.
    """

    layer_id: str
    kind: str
    subset: tuple[str, ...]
    metrics: Mapping[str, float]
    provenance: Mapping[str, Any]
    others: tuple[str, ...] = ()
    places: Mapping[str, Grid] = field(default_factory=dict)


class Results(QObject):
    """Target → its last whole result.

    Args:
        layers: where the results' volumes are.
    """

    changed = Signal()

    def __init__(self, layers: Layers) -> None:
        super().__init__(layers)
        self._layers = layers
        self.by_target: dict[str, Result] = {}

    def put(self, results: Mapping[str, Result]) -> None:
        """Take over the results of a run."""
        self.by_target.update(results)
        self.changed.emit()

    def adopt(self, modality: str, result: Result) -> None:
        """Take over a result that was read from a project, made from where volumes are now."""
        if OUTDATED not in self._layers.layer(result.layer_id).name:
            places = {m: v.grid for m, v in self._layers.case().volumes.items()}
            result = replace(result, places=places)
        self.put({modality: result})

    def forget_gone(self) -> None:
        """Drop results whose layers are gone."""
        kept = {m: r for m, r in self.by_target.items() if r.layer_id in self._layers}
        self.by_target = kept
        self.changed.emit()

    def marks(self, layer: Layer) -> Mapping[str, Any]:
        """Return the provenance that belongs to a layer; empty for a real volume."""
        if not layer.made_by_model:
            return {}
        about = {"layer": str(layer.kind), "synthetic": True}
        for result in self.by_target.values():
            if layer.id == result.layer_id or layer.id in result.others:
                return {**result.provenance, **about}
        return {"notice": synthetic_notice(), **about}
