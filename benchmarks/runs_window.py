"""The runs window's figures: start, curve updates, stalls, and what watching costs a training.

    python benchmarks/runs_window.py [COHORT] [--events 100000] [--repeats 3]

Needs a screen (Xvfb and a window manager will do). It writes into a temporary folder only.
With a cohort (``mhvae-studio simulate --cases 4 --spacing 1 --out COHORT``) a real ``smoke`` run
is watched and left alone in turns; its processor time per step tells what watching costs it, also
on a busy machine. Each start is a process of its own; the clock begins before it is spawned.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

FOLLOW_S = 20.0
UPDATES = 2.0
"""Log lines a second while following."""
TURN_S = 15.0
TURNS = 6


def event(number: int, total: int) -> str:
    """One step's line as a two-modality, seven-level run with a GAN logs it."""
    subsets = ("T2", "iUS", "iUS+T2")
    wave = 1 + 0.2 * math.sin(number / 50) + 0.1 * math.sin(number * 12.9898) * 43758.5453 % 0.1
    facts: dict[str, Any] = {
        "v": 1, "attempt": "a", "time": 1.0 * number, "event": "step", "step": 10 * number,
        "epoch": number // 100, "part": round(number / total, 5), "seconds_left": 100,
        "memory_mb": 3400, "loss": 30 * wave, "rate": 1e-3, "beta": 0.2, "lambda_gan": 1.0,
        "gradient": 60 * wave, "step_seconds": 0.5 * wave, "data_seconds": 1e-4,
    }  # fmt: skip
    for m in ("T2", "iUS"):
        facts |= {f"d/{m}/{k}": round(0.4 * wave, 6) for k in ("loss", "real", "fake")}
        facts |= {f"l1/{s}/{m}": round(0.2 * wave, 6) for s in subsets}
        facts |= {f"gan/{s}/{m}": round(0.7 * wave, 6) for s in subsets if m not in s.split("+")}
    facts |= {f"kl/{s}/{n}": round(wave / n, 6) for s in subsets for n in range(1, 8)}
    return json.dumps(facts) + "\n"


def make_run(folder: Path, events: int) -> Path:
    """Write a run with a long log."""
    from trainer.plan.presets import preset
    from trainer.run.folder import RunFolder

    run = folder / f"events-{events}"
    RunFolder.create(run, preset("smoke", "nowhere"))
    start = {"v": 1, "attempt": "a", "event": "start", "step": 0, "total_steps": 10 * events,
             "epoch_steps": 1000}  # fmt: skip
    with (run / "events.jsonl").open("w") as log:
        log.write(json.dumps(start) + "\n")
        log.writelines(event(n, events) for n in range(1, events + 1))
    return run


def child(path: str) -> None:
    """Start the program with a run attached (or none), follow it, print what was measured."""
    begin = float(os.environ["BENCH_T0"])
    import psutil
    from PySide6.QtWidgets import QApplication

    from app.shell.window import MainWindow
    from app.state.settings import Settings

    found: dict[str, Any] = {}
    app = QApplication(sys.argv[:1])
    window = MainWindow(Settings(Path(os.environ["BENCH_SETTINGS"])))
    window.painted.connect(lambda: found.__setitem__("painted_s", time.time() - begin))
    window.show()
    turns: list[tuple[float, float]] = []

    def spin(seconds: float, until: Any = lambda: False) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not until():
            clock, processor = time.perf_counter(), time.thread_time()
            app.processEvents()
            turns.append((time.perf_counter() - clock, time.thread_time() - processor))
            time.sleep(0.001)

    def stalls(name: str) -> None:
        """Note the longest turns of the event loop, by the clock and in processor time."""
        for kind, values in zip(("", "cpu_"), map(sorted, zip(*turns, strict=True)), strict=True):
            found[f"{name}_{kind}p99_ms"] = values[int(len(values) * 0.99)] * 1000
            found[f"{name}_{kind}max_ms"] = values[-1] * 1000
        turns.clear()

    spin(30, lambda: "painted_s" in found)
    if path:
        run = Path(path)
        turns.clear()
        before = time.perf_counter(), time.thread_time()
        window.training.show_run(run)
        turns.append((time.perf_counter() - before[0], time.thread_time() - before[1]))
        page = window.training._runs_window().page
        assert page is not None
        spin(60, lambda: any(v.lines[0].data.length for v in page.curves.views.values()))
        found["curves_s"] = time.time() - begin
        stalls("open")
        spin(120, lambda: page.follower.loaded and len(page.curves.views) >= 9)
        found["whole_log_s"] = time.time() - begin
        stalls("load")
        spin(12)  # the engine starts meanwhile
        process = psutil.Process()
        found["idle_cpu"] = busy(process, lambda: spin(FOLLOW_S))
        turns.clear()
        number = int(page.follower.history.now.get("step", 0)) // 10

        def follow() -> None:
            nonlocal number
            end = time.monotonic() + FOLLOW_S
            while time.monotonic() < end:
                number += 1
                with (run / "events.jsonl").open("a") as log:
                    log.write(event(number, number))
                spin(1 / UPDATES)

        drawn = [0]
        page.follower.changed.connect(lambda: drawn.__setitem__(0, drawn[0] + 1))
        found["follow_cpu"] = busy(process, follow)
        found["updates_per_s"] = drawn[0] / FOLLOW_S
        stalls("follow")
    found["rss_mb"] = psutil.Process().memory_info().rss / 1e6
    found["torch"] = "torch" in sys.modules
    window.close()
    print("RESULT", json.dumps(found))


def busy(process: Any, work: Any) -> float:
    """Return the part of one core that a piece of work kept busy."""
    before, began = sum(process.cpu_times()[:2]), time.monotonic()
    work()
    return float((sum(process.cpu_times()[:2]) - before) / (time.monotonic() - began))


def start(path: str, settings: Path) -> dict[str, Any]:
    """Run :func:`child` and return what it measured."""
    environment = {**os.environ, "BENCH_T0": str(time.time()), "BENCH_SETTINGS": str(settings)}
    done = subprocess.run(
        [sys.executable, __file__, "--child", path], env=environment, capture_output=True, text=True
    )
    lines = [x for x in done.stdout.splitlines() if x.startswith("RESULT ")]
    if not lines:
        raise SystemExit(done.stderr)
    measured: dict[str, Any] = json.loads(lines[0].removeprefix("RESULT "))
    return measured


def watched(cohort: Path, folder: Path) -> dict[str, float]:
    """Watch a training and leave it alone in turns; return its processor time per step."""
    import psutil
    from PySide6.QtWidgets import QApplication

    from app.training.runs import launch
    from app.training.runs.window import RunsWindow
    from trainer.plan.presets import preset
    from trainer.run.folder import ask
    from trainer.run.state import describe_run

    app = QApplication.instance() or QApplication(sys.argv[:1])
    run = folder / "watched"
    settings = {"threads": 1, "device": "cpu", "data.spacing": [1.0, 1.0, 1.0], "log.every": 1,
                "log.validate_steps": 0, "optimiser.steps": 100_000}  # fmt: skip
    process = psutil.Process(launch.start(preset("smoke", str(cohort)).override(settings), run))
    while describe_run(run).step < 20:
        time.sleep(0.5)
    window = RunsWindow()
    costs: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(TURNS):
        watching = turn % 2 == 0
        if watching:
            window.show()
            window.show_run(run)
        before, first = sum(process.cpu_times()[:2]), describe_run(run).step
        end = time.monotonic() + TURN_S
        while time.monotonic() < end:
            app.processEvents()
            time.sleep(0.002 if watching else 0.2)
        steps = describe_run(run).step - first
        costs[watching].append((sum(process.cpu_times()[:2]) - before) / max(1, steps))
        if watching:
            window.close()
    ask(run, "discard")
    process.wait(60)
    on, off = statistics.median(costs[True]), statistics.median(costs[False])
    return {"watched_cpu_s_per_step": on, "alone_cpu_s_per_step": off, "ratio": on / off}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cohort", type=Path, nargs="?")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child is not None:
        child(args.child)
        return
    with tempfile.TemporaryDirectory() as place:
        os.environ["XDG_DATA_HOME"] = place
        folder = Path(place) / "mhvae-studio" / "runs"
        if args.cohort:
            print("watching", watched(args.cohort, folder))
        settings = Path(place) / "settings.ini"
        without = [start("", settings) for _ in range(args.repeats)]
        print("without, painted s", [round(f["painted_s"], 2) for f in without])
        for events in sorted({100, args.events}):
            run = make_run(folder, events)
            found = [start(str(run), settings) for _ in range(args.repeats)]
            print(f"-- with a run of {events} events")
            for name in sorted({k for f in found for k in f}):
                print(name, [round(float(f[name]), 3) for f in found])


if __name__ == "__main__":
    main()
