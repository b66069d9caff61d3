"""The rows of a run: live while it goes, results when it is whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from app.processes.protocol import Message
from app.processes.shared_memory import SharedArray
from app.state.record import Given, Result, new_id
from app.state.session import Session
from app.state.values import Compare, Kind, Layout
from app.synthesis.request import sweep_roles
from core.grid import Grid
from core.marks import UNFINISHED_MARK, spread_words
from core.volume import Volume


@dataclass(frozen=True)
class Question:
    """What a run was asked, as it was when it began.

    Attributes:
        subset: the inputs.
        given: modality → the volume the case held of it.
        model: name of the model.
        temperature, seed, samples: as in the form.
        limits: what the model is known not to do.
        probe: the plan of a virtual sweep; empty for a run of the whole region.
    """

    subset: tuple[str, ...]
    given: Mapping[str, Given]
    model: str
    temperature: float
    seed: int
    samples: int
    limits: str = ""
    probe: Mapping[str, Any] = field(default_factory=dict)

    def answered_by(self, result: Result) -> bool:
        """Tell whether a result is what this would give."""
        return (
            (result.subset, result.model) == (self.subset, self.model)
            and result.probe == self.probe
            and (result.temperature, result.samples) == (self.temperature, self.samples)
            and (result.seed == self.seed or self.temperature == 0)
            and result.given.keys() == self.given.keys()
            and all(
                result.given[m].layer_id == g.layer_id and result.given[m].grid.same_as(g.grid)
                for m, g in self.given.items()
            )
        )


def question(session: Session, probe: Mapping[str, Any] | None = None) -> Question:
    """Return what a run would be asked now, of the whole region or of a virtual sweep."""
    asked, form = session.synthesis, session.synthesis.form
    layers = session.case_layers()
    subset = sweep_roles(asked)[0] if probe else asked.subset()
    if probe:  # nothing else is looked at, and nothing is compared with
        layers = {m: layers[m] for m in subset}
    return Question(
        subset=subset,
        given={m: Given(x.id, x.name, x.volume.grid) for m, x in layers.items()},
        model=asked.bundle.name if asked.bundle else "",
        temperature=form.temperature,
        seed=form.seed,
        samples=1 if probe else form.samples,
        probe=probe or {},
        limits=str(asked.bundle.card.get("limits", "")) if asked.bundle else "",
    )


class LivePreview:
    """Shows a run's shared arrays as layers.

    Args:
        session: where the layers go.
        message: the engine's ``prepared``.
        asked: what the run was asked.
    """

    def __init__(self, session: Session, message: Message, asked: Question) -> None:
        self.session, self.asked = session, asked
        shape = tuple(int(n) for n in message["shape"])
        self.grid = Grid((shape[0], shape[1], shape[2]), np.array(message["affine"]))
        fov = SharedArray.attach(message["fov"]).array
        self.records: dict[str, Result] = {}
        self._fresh = True
        self._windows: dict[str, tuple[float, float]] = {}
        self._before = session.results.current
        for modality, spec in message["arrays"].items():
            record = self._record(modality)
            voxels = SharedArray.attach(spec).array
            volume = Volume(voxels, self.grid, modality, "running", synthetic=True)
            session.add_layer(
                volume, name=f"{record.title} (running)", layer_id=record.layer_id, result=record,
                live=True,
            )  # fmt: skip
            session.update_layer(record.layer_id, field_of_view=fov)
            self._windows[modality] = session.layer(record.layer_id).window
            self.records[modality] = record
        session.results.choose(next(iter(self.records.values())).id)
        session.set_columns(())  # what was asked for is shown, whatever stood there
        if not asked.probe:  # a sweep is looked at where its probe is placed
            self._show()

    def touch(self, regions: Iterable[Sequence[Sequence[int]]]) -> None:
        """Say which blocks of every live layer have new voxels."""
        for region in regions:
            i, j, k = (slice(int(a), int(b)) for a, b in region)
            for record in self.records.values():
                self.session.touch(record.layer_id, (i, j, k))
            if self._fresh:
                self._fresh = False
                self._first_windows((i, j, k))

    def finish(self, message: Message) -> list[str]:
        """Turn live layers into results; returns the ids of all their rows."""
        marks = message["provenance"]
        rows: list[str] = []
        for modality, found in message["results"].items():
            live = self.records[modality].layer_id
            record = replace(
                self.records[modality],
                kind=found["kind"],
                metrics=found["metrics"],
                provenance=marks.get("targets", {}).get(modality, marks),
            )
            self._whole(record)
            rows.append(live)
            against = record.truth_name
            for name, kind, label in (
                ("difference", Kind.DIFFERENCE, f"#{record.number} synthetic − {against}"),
                ("spread", Kind.SIGMA, f"#{record.number} σ {modality}: "
                 f"{spread_words(record.provenance)}"),
            ):  # fmt: skip
                if found[name] is not None:
                    rows.append(self._extra(record, kind, found[name], label))
            for n, spec in enumerate(found["samples"].values(), 1):
                label = f"#{record.number} {modality}, sample {n} of {record.samples}"
                rows.append(self._extra(record, Kind.SYNTHETIC, spec, label, n))
        return rows

    def drop(self) -> None:
        """Remove the layers of a run that did not become whole."""
        for record in self.records.values():
            if record.layer_id in self.session:
                self.session.remove_layer(record.layer_id)
        if self._before is not None:
            self.session.results.choose(self._before.id)

    def _record(self, modality: str) -> Result:
        asked = self.asked
        return Result(
            id=new_id(),
            number=self.session.results.next_number(),
            target=modality,
            kind="reconstruction" if modality in asked.subset else "synthesis",
            subset=asked.subset,
            metrics={},
            provenance={
                "notice": UNFINISHED_MARK,
                **({"probe": asked.probe} if asked.probe else {}),
            },
            given=asked.given,
            model=asked.model,
            temperature=asked.temperature,
            seed=asked.seed,
            samples=asked.samples,
            limits=asked.limits,
        )

    def _whole(self, record: Result) -> None:
        session, live = self.session, record.layer_id
        fov, voxels = session.layer(live).field_of_view, session.layer(live).volume.voxels
        untouched = session.layer(live).window == self._windows[record.target]
        source = f"synthetic {record.target}"
        session.set_volume(live, Volume(voxels, self.grid, record.target, source, True))
        session.update_layer(live, name=record.title, field_of_view=fov, result=record, live=False)
        if untouched:
            session.refit_window(live)

    def _extra(self, record: Result, kind: Kind, spec: Message, name: str, sample: int = 0) -> str:
        voxels = SharedArray.attach(spec).array
        volume = Volume(voxels, self.grid, record.target, name, synthetic=True)
        part = f"sample-{sample}" if sample else str(kind)
        made = self.session.add_layer(
            volume, kind, name=name, layer_id=record.row(part), result=record, sample=sample,
            visible=not sample,
        )  # fmt: skip
        if sample:
            fov = self.session.layer(record.layer_id).field_of_view
            self.session.update_layer(made, field_of_view=fov)
        return made

    def _show(self) -> None:
        """Bring the first synthesis of this case beside the real volumes."""
        first = len(self.session.results.all) == 0
        display = self.session.display
        if first and display.layout is Layout.PLANES and display.compare is Compare.OFF:
            self.session.set_display(layout=Layout.COLUMNS)

    def _first_windows(self, region: tuple[slice, slice, slice]) -> None:
        """Find a window from the first tile where no real volume of the modality gave one."""
        for modality, record in self.records.items():
            live = record.layer_id
            if live not in self.session:
                continue
            layer = self.session.layer(live)
            alone = bool(self.asked.probe) or self.session.find(Kind.REAL, modality) is None
            if alone and layer.window == layer.auto:
                values = layer.volume.voxels[region]
                inside = values[values != 0]
                if inside.size:
                    low, high = (float(v) for v in np.percentile(inside, (1, 99.5)))
                    window = (low, max(high, low + 1e-6))
                    self._forgetful(modality, partial(self.session.set_window, live, *window))
                    self._windows[modality] = self.session.layer(live).window

    def _forgetful(self, modality: str, change: Callable[[], Any]) -> None:
        """Change a window without making it the remembered choice for the modality."""
        known = self.session.remembered_windows.get(modality)
        change()
        if known is None:
            self.session.remembered_windows.pop(modality, None)
        else:
            self.session.remembered_windows[modality] = known
