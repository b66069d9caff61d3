"""The layers of a run: live while it goes, results when it is whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import numpy as np

from app.processes.protocol import Message
from app.processes.shared_memory import SharedArray
from app.state.results import Result
from app.state.session import Session
from app.state.values import Compare, Kind, Layout
from core.grid import Grid
from core.volume import Volume


class LivePreview:
    """Shows a run's shared arrays as layers.

    Args:
        session: where the layers go.
        message: the engine's ``prepared``.
        subset: the inputs.
    """

    def __init__(self, session: Session, message: Message, subset: Sequence[str]) -> None:
        self.session = session
        self.subset = tuple(subset)
        shape = tuple(int(n) for n in message["shape"])
        self.grid = Grid((shape[0], shape[1], shape[2]), np.array(message["affine"]))
        fov = SharedArray.attach(message["fov"]).array
        self.layers: dict[str, str] = {}
        self._fresh = True
        self._first_window: dict[str, tuple[float, float]] = {}
        for modality, spec in message["arrays"].items():
            voxels = SharedArray.attach(spec).array
            volume = Volume(voxels, self.grid, modality, "running", synthetic=True)
            layer_id = session.add_layer(volume, name=f"synthetic {modality} (running)")
            session.update_layer(layer_id, field_of_view=fov)
            self.layers[modality] = layer_id
        self._show()

    def touch(self, regions: Iterable[Sequence[Sequence[int]]]) -> None:
        """Say which blocks of every live layer have new voxels."""
        for region in regions:
            i, j, k = (slice(int(a), int(b)) for a, b in region)
            for layer_id in self.layers.values():
                self.session.touch(layer_id, (i, j, k))
            if self._fresh:
                self._fresh = False
                self._first_windows((i, j, k))

    def finish(self, message: Message, old: Mapping[str, Result | None]) -> dict[str, Result]:
        """Turn live layers into results and remove the results they replace."""
        marks = message["provenance"]
        results = {}
        for modality, found in message["results"].items():
            live = self.layers[modality]
            if live not in self.session:
                continue  # the user removed it while it grew
            before = old.get(modality)
            if before is not None:
                for layer_id in (before.layer_id, *before.others):
                    if layer_id in self.session:
                        self.session.remove_layer(layer_id)
            inputs = " + ".join(self.subset)
            self.session.update_layer(live, name=f"synthetic {modality} from {inputs}")
            fov = self.session.layer(live).field_of_view
            voxels = self.session.layer(live).volume.voxels
            source = f"synthetic {modality}"
            self.session.set_volume(live, Volume(voxels, self.grid, modality, source, True))
            self.session.update_layer(live, field_of_view=fov)
            if self.session.layer(live).window == self._first_window.get(modality):
                self._forgetful(modality, partial(self.session.auto_window, live))
            others = [
                self._extra(modality, kind, found[name], label)
                for name, kind, label in (
                    ("difference", Kind.DIFFERENCE, f"synthetic − real {modality}"),
                    ("spread", Kind.SIGMA, f"σ {modality}: model variability, not error"),
                )
                if found[name] is not None
            ]
            results[modality] = Result(
                live,
                found["kind"],
                self.subset,
                found["metrics"],
                marks.get("targets", {}).get(modality, marks),
                tuple(others),
            )
        return results

    def drop(self) -> None:
        """Remove the layers of a run that did not become whole."""
        for layer_id in self.layers.values():
            if layer_id in self.session:
                self.session.remove_layer(layer_id)

    def _extra(self, modality: str, kind: Kind, spec: Message, name: str) -> str:
        voxels = SharedArray.attach(spec).array
        volume = Volume(voxels, self.grid, modality, name, synthetic=True)
        return self.session.add_layer(volume, kind, name=name)

    def _show(self) -> None:
        """Bring the first synthesis of this case beside the real volumes."""
        first = len([x for x in self.session.layers if x.kind is Kind.SYNTHETIC]) == len(
            self.layers
        )
        display = self.session.display
        if first and display.layout is Layout.PLANES and display.compare is Compare.OFF:
            self.session.set_display(layout=Layout.COLUMNS)

    def _first_windows(self, region: tuple[slice, slice, slice]) -> None:
        """Find a window from the first tile where no real volume of the modality gave one."""
        for modality, layer_id in self.layers.items():
            if layer_id not in self.session:
                continue
            layer = self.session.layer(layer_id)
            if self.session.find(Kind.REAL, modality) is None and layer.window == layer.auto:
                values = layer.volume.voxels[region]
                inside = values[values != 0]
                if inside.size:
                    low, high = (float(v) for v in np.percentile(inside, (1, 99.5)))
                    window = (low, max(high, low + 1e-6))
                    self._forgetful(modality, partial(self.session.set_window, layer_id, *window))
                    self._first_window[modality] = self.session.layer(layer_id).window

    def _forgetful(self, modality: str, change: Callable[[], None]) -> None:
        """Change a window without making it the remembered choice for the modality."""
        known = self.session.remembered_windows.get(modality)
        change()
        if known is None:
            self.session.remembered_windows.pop(modality, None)
        else:
            self.session.remembered_windows[modality] = known
