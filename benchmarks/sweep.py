"""Times a virtual sweep and its live fan, by the clock and in processor seconds.

``python benchmarks/sweep.py T2 R,A,S [MODEL …]``: one sweep of 60 mm, a frame every 0.5 mm, over a
target in a T2, on the CPU; then a frame beside it that is not known, and one that is.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from app.processes.engine.backend import EngineBackend
from app.processes.shared_memory import SharedArray
from app.synthesis.sweep.fan_picture import fan_picture
from app.synthesis.sweep.fan_view import as_image
from core.grid import Grid
from core.io import read
from core.models.bundle import find
from core.synthesis.brain_surface import surface_of
from core.synthesis.sweep_plan import SweepPlan
from core.volume import Volume

TIMES = 20


class Clock:
    """Seconds since it was made, by the clock and of the processor."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def __str__(self) -> str:
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        return f"{wall:.3f} s, processor {cpu:.3f} s"


def run(backend: EngineBackend, task: dict[str, Any], t2: Volume, what: str) -> Any:
    """Run a task; say when it was laid out, when its first tile came and when it was whole."""
    clock, sent = Clock(), []

    def send(message: Any) -> None:
        sent.append(message)
        tiles = message.get("done", 0)
        if message["type"] == "prepared" or (tiles == 1 and message["total"] > 1):
            print(f"  {what}: {message.get('stage', 'laid out')} after {clock}")

    backend.run(task, {"a": t2}, send, lambda: False)
    (prepared,) = (m for m in sent if m["type"] == "prepared")
    print(f"  {what}: whole, {prepared['tiles']} tiles, after {clock}")
    return prepared


def main(t2_path: str, target: str, models: list[str]) -> None:
    """Time everything for every model."""
    t2 = replace(read(Path(t2_path)), modality="T2")
    clock = Clock()
    aim = np.array([float(x) for x in target.split(",")])
    entry = surface_of(t2).ready().above(aim)
    print(f"surface of the brain: {clock}")
    plan = SweepPlan(tuple(map(float, entry)), tuple(map(float, aim)))  # type: ignore[arg-type]
    for name in models:
        bundle = find(name)
        print(bundle.name)
        backend = EngineBackend()
        task: dict[str, Any] = {
            "model": str(bundle.path), "device": "cpu", "subset": ["T2"], "targets": ["iUS"],
            "temperature": bundle.draws(1), "samples": 1, "seed": 0, "batch": 4,
            "volumes": {"T2": "a"}, "focus": aim.tolist(), "sweep": {"plan": plan.to_dict()},
        }  # fmt: skip
        run(backend, task, t2, "sweep, the first")
        prepared = run(backend, task, t2, "sweep, model loaded and brain known")
        grid = Grid(tuple(prepared["shape"]), np.array(prepared["affine"]))
        voxels = SharedArray.attach(prepared["arrays"]["iUS"]).array
        clock = Clock()
        for n in range(TIMES):
            frame = replace(plan.laid()[0], offsets=np.array([n - TIMES / 2]))
            as_image(fan_picture(frame, t2, [(grid, voxels)], None), (0, 255), (0, 500))
        print(f"  {TIMES} frames that are known: {clock}")
        turned = replace(plan, turn_deg=70.0)
        task["sweep"] = {"plan": turned.to_dict(), "slide": 0.0}
        run(backend, task, t2, "frame that is not known")
        backend.release()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:] or ["simulated-1mm", "simulated-0.5mm"])
