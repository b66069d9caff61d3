"""What a result of synthesis is: a frozen record that every row made by one run carries."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.grid import Grid


@dataclass(frozen=True)
class Given:
    """One real volume of the case when a run began.

    Attributes:
        layer_id: which one; there may be several of a modality.
        name: what it was called.
        grid: where it lay.
    """

    layer_id: str
    name: str
    grid: Grid


@dataclass(frozen=True)
class Result:
    """One modality synthesised by one run.

    Attributes:
        id: names it for ever, in files too; no two results share one.
        number: what the window calls it, counted in the case.
        target: the modality that was made.
        kind: ``"synthesis"``, or ``"reconstruction"`` when it was an input too.
        subset: the modalities that were inputs.
        given: modality → the volume the case held of it, input or not.
        model: name of the model.
        temperature, seed, samples: as asked.
        metrics: name → number, inside the field of view; empty when the truth is not known.
        provenance: the marks of a saved file.
        limits: what the model is known not to do, in its card's words.
        name: what the user calls it; empty for none.
    """

    id: str
    number: int
    target: str
    kind: str
    subset: tuple[str, ...]
    metrics: Mapping[str, float]
    provenance: Mapping[str, Any]
    given: Mapping[str, Given] = field(default_factory=dict)
    model: str = ""
    temperature: float = 0.0
    seed: int = 0
    samples: int = 1
    limits: str = ""
    name: str = ""

    @property
    def layer_id(self) -> str:
        """The row of its volume (with several samples, of their mean)."""
        return self.row("synthetic")

    def row(self, part: str) -> str:
        """Return the layer id of one of its rows: ``"synthetic"``, ``"sigma"``, ``"sample-2"``…"""
        return f"{part}-{self.id}"

    @property
    def truth(self) -> str:
        """Layer id of the volume it was judged against; empty where the truth was not known."""
        given = self.given.get(self.target)
        return given.layer_id if given else ""

    @property
    def truth_name(self) -> str:
        """What the volume it was judged against was called."""
        given = self.given.get(self.target)
        return given.name if given else ""

    @property
    def title(self) -> str:
        """A few words that tell it from the others of the case."""
        what = self.name or f"{self.target} from {' + '.join(self.subset)}"
        if not self.name and self.probe:
            what += ", sweep"
        return f"#{self.number} {what}"

    @property
    def probe(self) -> Mapping[str, Any]:
        """The plan of the virtual sweep it is; empty for others."""
        told = self.provenance.get("probe")
        return told if isinstance(told, Mapping) else {}

    @property
    def asked(self) -> str:
        """The settings it was made with, for people."""
        if self.temperature == 0:
            return "mean path"
        draws = f"{self.samples} samples" if self.samples > 1 else "1 sample"
        return f"{draws}, temperature {self.temperature:g}, seed {self.seed}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; the rows are layers and say themselves whose they are."""
        return {
            "id": self.id,
            "number": self.number,
            "target": self.target,
            "kind": self.kind,
            "subset": list(self.subset),
            "metrics": dict(self.metrics),
            "provenance": dict(self.provenance),
            "given": {m: _given_to_dict(g) for m, g in self.given.items()},
            "model": self.model,
            "temperature": self.temperature,
            "seed": self.seed,
            "samples": self.samples,
            "limits": self.limits,
            "name": self.name,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Result:
        """Rebuild from ``to_dict``'s result.

        Raises:
            ValueError, TypeError, KeyError, AttributeError, GridError: it is damaged.
        """
        return cls(
            id=str(data["id"]),
            number=int(data["number"]),
            target=str(data["target"]),
            kind=str(data["kind"]),
            subset=tuple(str(m) for m in data["subset"]),
            metrics={str(k): float(v) for k, v in data["metrics"].items()},
            provenance=dict(data["provenance"]),
            given={str(m): _given_from_dict(g) for m, g in data["given"].items()},
            model=str(data["model"]),
            temperature=float(data["temperature"]),
            seed=int(data["seed"]),
            samples=int(data["samples"]),
            limits=str(data.get("limits", "")),
            name=str(data.get("name", "")),
        )


def new_id() -> str:
    """Return an id no other result has; sorted by name, files of results are sorted by time."""
    now = datetime.datetime.now(datetime.UTC)
    return f"{now:%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:8]}"


def _given_to_dict(given: Given) -> dict[str, Any]:
    grid = given.grid
    return {
        "layer": given.layer_id,
        "name": given.name,
        "shape": list(grid.shape),
        "affine": grid.affine.tolist(),
    }


def _given_from_dict(data: Mapping[str, Any]) -> Given:
    shape = tuple(int(n) for n in data["shape"])
    grid = Grid((shape[0], shape[1], shape[2]), data["affine"])
    return Given(str(data["layer"]), str(data["name"]), grid)
