"""What the engine process does for the window: lay out, synthesise, score, explain.

Everything that needs torch is imported here, in the engine process, and nowhere in the window.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import psutil

from app.processes.engine.focus import refocus, slice_under
from app.processes.engine.sweep import marked, shown_whole, with_field
from app.processes.engine.worker import EngineMemoryError, IsCancelled, Send, task_focus
from app.processes.protocol import Message
from app.processes.shared_memory import SharedArray
from core.case import Case
from core.errors import Cancelled
from core.grid import Grid
from core.models.bundle import header
from core.synthesis.backends import devices
from core.synthesis.fastest import WORTH
from core.synthesis.open_engine import open_engine
from core.synthesis.request import PreparedInput, Request, Synthesis, forget_volumes, prepare_input
from core.synthesis.score import compare_with_truth
from core.synthesis.sweep_field import forget_brains
from core.synthesis.synthesize import Engine, OutOfMemory, Progress
from core.volume import Volume

KEPT_SAMPLES = 16
"""Up to so many samples are kept one by one; of more, their mean and spread."""
KEPT_LAYOUTS = 2
"""Prepared cases kept: the current subset and the one before (toggling back and forth)."""


class _Key(NamedTuple):
    """What a layout depends on."""

    model: str
    volumes: frozenset[str]
    roles: tuple[tuple[str, str], ...]
    subset: tuple[str, ...]
    fov: str


class EngineBackend:
    """Synthesis with :mod:`core.synthesis.synthesize`; keeps model and layouts between jobs."""

    def __init__(self) -> None:
        self._engine: tuple[tuple[str, str], Engine] | None = None
        self._settled = False
        self._layouts: dict[_Key, PreparedInput] = {}
        self._arrays: list[SharedArray] = []

    def devices(self) -> list[str]:
        """Return what this computer can compute on, the best exact device first."""
        return devices()

    def preflight(
        self, task: Message, volumes: Mapping[str, Volume], cancelled: IsCancelled
    ) -> Message:
        """Lay out, and unless ``task["measure"]`` is false, time two batches for real.

        Returns:
            tiles: number of tiles; paces: measured seconds per tile (empty when not asked);
            memory: MB held now, and MB expected at the peak; device; warnings: sentences about the
            inputs, also on whether they are like the model's training.
        """
        case, request = _case(task, volumes), _request(task)
        prepared = self._prepare(task, case, request)
        told: list[str] = []
        engine = self._load(task, len(prepared.tiles), told.append)
        if cancelled():
            raise Cancelled
        measure = task.get("measure", True)
        paces = self._measure(engine, case, prepared, request, cancelled) if measure else []
        prepared = self._checked(task, engine, prepared, request, cancelled)
        now = psutil.Process().memory_info().rss
        arrays = len(request.targets) * (2 + 2 * (request.samples > 1) + _singles(request))
        return {
            "tiles": len(prepared.tiles),
            "paces": paces,
            "memory": [now / 1e6, (now + 4 * arrays * prepared.fov.size) / 1e6],
            "device": engine.device,
            "warnings": list(prepared.warnings),
            "told": told,
        }

    def run(
        self, task: Message, volumes: Mapping[str, Volume], send: Send, cancelled: IsCancelled
    ) -> Message:
        """Synthesise into shared memory.

        Returns:
            results: target → {``spread``: array or None, ``difference``: array or None,
            ``metrics``: name → number (empty without truth), ``kind``, ``samples``: number → array
            of each sample (empty for one sample, and for many)};
            provenance; seconds; pace (seconds per tile); memory (MB); device; warnings: sentences
            about the inputs' scale and field of view.
        """
        started = time.perf_counter()
        case, request = _case(task, volumes), _request(task)

        def say(stage: str, **more: object) -> None:
            send({"type": "progress", "stage": stage, "done": 0, "total": 0, **more})

        say("laying out")
        bundle = header(str(task["model"]))
        request = with_field(task, case, bundle, request)
        prepared = self._prepare(task, case, request)
        prepared = shown_whole(task, case, bundle, prepared)
        say("loading the model")
        engine = self._load(
            task, len(prepared.tiles), lambda found: say("loading the model", told=[found])
        )
        if cancelled():
            raise Cancelled
        self.release()
        into = {m: self._share(prepared.grid.shape) for m in request.targets}
        each = {
            m: [self._share(prepared.grid.shape) for _ in range(_singles(request))]
            for m in request.targets
        }
        fov = self._share_copy(prepared.fov)
        send(
            {
                "type": "prepared",
                **_grid_fields(prepared.grid),
                "arrays": {m: a.spec for m, a in into.items()},
                "fov": fov.spec,
                "tiles": len(prepared.tiles),
            }
        )

        def report(progress: Progress) -> None:
            send(
                {
                    "type": "progress",
                    "stage": progress.stage,
                    "done": progress.done,
                    "total": progress.total,
                    "seconds_left": progress.seconds_left,
                    "regions": [[[s.start, s.stop] for s in r] for r in progress.regions],
                }
            )

        found: list[PreparedInput] = []

        def check(unknown: PreparedInput) -> PreparedInput:
            found.append(self._checked(task, engine, unknown, request, cancelled))
            say("checking the input", warnings=list(found[0].warnings))
            return found[0]

        try:
            synthesis = engine.run(
                case,
                prepared,
                request,
                check=None if prepared.checked else check,  # the first slice must not wait for it
                into={m: a.array for m, a in into.items()},
                each={m: [a.array for a in arrays] for m, arrays in each.items()},
                progress=report,
                cancelled=cancelled,
            )
        except OutOfMemory as error:
            raise EngineMemoryError(str(error)) from error
        synthesis = marked(task, synthesis)
        send({"type": "progress", "stage": "comparing", "done": 1, "total": 1})
        seconds = synthesis.timings["synthesise"]
        results = self._results(case, prepared, synthesis, cancelled)
        for m, arrays in each.items():
            results[m]["samples"] = {str(n): a.spec for n, a in enumerate(arrays, 1)}
        return {
            "results": results,
            "provenance": dict(synthesis.provenance),
            "seconds": time.perf_counter() - started,
            "pace": seconds / max(1, len(prepared.tiles)),
            "memory": psutil.Process().memory_info().rss / 1e6,
            "device": engine.device,
            "warnings": list((found or [prepared])[0].warnings),
        }

    def shares(self, task: Message, volumes: Mapping[str, Volume]) -> Message:
        """Return the precision shares of the slice under the focus, per level."""
        case, request = _case(task, volumes), _request(task)
        prepared = self._prepare(task, case, request)
        engine = self._load(task, 0)
        index = slice_under(prepared, request.focus)
        shares = engine.shares(prepared, request, index)
        self.release()
        return {
            **_grid_fields(prepared.grid),
            "axis": prepared.axis,
            "index": index,
            "experts": list(shares.experts),
            "levels": {
                str(level): self._share_copy(maps).spec for level, maps in shares.maps.items()
            },
        }

    def release(self) -> None:
        """Drop the arrays of the last answer; the window has its own hold on those it wanted."""
        for array in self._arrays:
            array.unlink()
        self._arrays.clear()

    def forget(self, keys: list[str]) -> None:
        """Drop layouts made from volumes that are gone."""
        gone = set(keys)
        self._layouts = {k: v for k, v in self._layouts.items() if not gone & k.volumes}
        forget_volumes()
        forget_brains()

    # ---- inside

    def _share(self, shape: tuple[int, ...]) -> SharedArray:
        made = SharedArray.create(shape)
        self._arrays.append(made)
        return made

    def _share_copy(self, values: np.ndarray[Any, Any]) -> SharedArray:
        made = SharedArray.copy_of(values)
        self._arrays.append(made)
        return made

    def _load(
        self, task: Message, tiles: int, tell: Callable[[str], None] = lambda _: None
    ) -> Engine:
        """Return the engine; what is chosen for little work is looked at again for much."""
        much = tiles >= WORTH
        wanted = (str(task["model"]), str(task["device"]))
        if self._engine is None or self._engine[0] != wanted or (much and not self._settled):
            self._engine = None  # never two models in memory
            bundle = header(wanted[0])
            self._engine = (wanted, open_engine(bundle, wanted[1], tiles=tiles, tell=tell))
            self._settled = much or wanted[1] != "auto"
        return self._engine[1]

    def _prepare(self, task: Message, case: Case, request: Request) -> PreparedInput:
        key = _key(task, request)
        prepared = self._layouts.pop(key, None)
        if prepared is None:
            prepared = prepare_input(case, header(str(task["model"])), request)
        self._layouts[key] = prepared
        while len(self._layouts) > KEPT_LAYOUTS:
            del self._layouts[next(iter(self._layouts))]
        return refocus(prepared, request.focus)

    def _checked(
        self,
        task: Message,
        engine: Engine,
        prepared: PreparedInput,
        request: Request,
        cancelled: IsCancelled,
    ) -> PreparedInput:
        """Return the layout with what its inputs look like to the model, and remember it so."""
        if prepared.checked:
            return prepared
        prepared = engine.check(prepared, cancelled)
        self._layouts[_key(task, request)] = prepared
        return prepared

    def _measure(
        self,
        engine: Engine,
        case: Case,
        prepared: PreparedInput,
        request: Request,
        cancelled: IsCancelled,
    ) -> list[float]:
        """Return seconds per tile of two single tiles and a whole batch."""
        few = replace(prepared, tiles=prepared.tiles[: 2 + request.batch])
        marks = [(0, time.perf_counter())]
        try:
            engine.run(
                case,
                few,
                request,
                progress=lambda p: marks.append((p.done, time.perf_counter())),
                cancelled=cancelled,
            )
        except OutOfMemory as error:
            raise EngineMemoryError(str(error)) from error
        steps = pairwise(marks)
        paces = [(t1 - t0) / (n1 - n0) for (n0, t0), (n1, t1) in steps if n1 > n0]
        # The first pass also pays for memory the later ones find ready.
        return paces[1:] or paces

    def _results(
        self, case: Case, prepared: PreparedInput, synthesis: Synthesis, cancelled: IsCancelled
    ) -> Message:
        results: Message = {}
        for m, volume in synthesis.volumes.items():
            if cancelled():
                raise Cancelled
            spread = synthesis.spread.get(m)
            truth = case.volumes.get(m)
            difference, metrics = (
                compare_with_truth(volume, truth, prepared.fov, prepared.normalisers[m])
                if truth is not None
                else (None, {})
            )
            if spread is not None:
                metrics = {**metrics, "mean σ": float(spread.voxels[prepared.fov].mean())}
            results[m] = {
                "spread": self._share_copy(spread.voxels).spec if spread is not None else None,
                "difference": self._share_copy(difference).spec if difference is not None else None,
                "metrics": metrics,
                "kind": synthesis.provenance["targets"][m]["kind"],
            }
        return results


def _key(task: Message, request: Request) -> _Key:
    return _Key(
        str(task["model"]),
        frozenset(task["volumes"].values()),
        tuple(sorted(task["volumes"].items())),
        request.subset,
        json.dumps([task.get("fov"), task.get("sweep")]),
    )


def _singles(request: Request) -> int:
    """Return how many samples are kept one by one."""
    return request.samples if 1 < request.samples <= KEPT_SAMPLES else 0


def _grid_fields(grid: Grid) -> Message:
    return {"shape": list(grid.shape), "affine": grid.affine.tolist()}


def _case(task: Message, volumes: Mapping[str, Volume]) -> Case:
    # A probe sees its inputs alone: a real ultrasound would decide the grid.
    seen = task["subset"] if "sweep" in task else task["volumes"]
    return Case("", {m: volumes[k] for m, k in task["volumes"].items() if m in seen})


def _request(task: Message) -> Request:
    return Request(
        subset=tuple(task["subset"]),
        targets=tuple(task["targets"]),
        temperature=float(task["temperature"]),
        samples=int(task["samples"]),
        seed=int(task["seed"]),
        fov="whole" if task.get("fov") == "whole" else "auto",
        batch=int(task["batch"]),
        focus=task_focus(task),
    )
