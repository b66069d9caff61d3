"""Run folders with made-up logs, for tests that look at runs and train nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from trainer.plan.presets import preset
from trainer.run.folder import RunFolder

Line = dict[str, Any]


def line(event: str, attempt: str = "a", **facts: Any) -> Line:
    """One event as the trainer writes it."""
    return {"v": 1, "attempt": attempt, "time": 1.0, "event": event, **facts}


def step(number: int, attempt: str = "a", total: int = 300, **terms: Any) -> Line:
    """A logged step."""
    facts = {
        "epoch": number // 100,
        "part": number / total,
        "seconds_left": total - number,
        "memory_mb": 700,
        "loss": 100 / (1 + number),
        "rate": 1e-3,
        "beta": 0.1,
        "step_seconds": 0.5,
        "data_seconds": 0.0,
        "l1/T2/iUS": 1 / (1 + number),
        "l1/iUS/T2": 2 / (1 + number),
        "kl/iUS+T2/1": 0.3,
        "kl/iUS+T2/2": 0.2,
    }
    return line("step", attempt, step=number, **{**facts, **terms})


def start(number: int = 0, attempt: str = "a", total: int = 300) -> Line:
    """An attempt's first event."""
    return line("start", attempt, step=number, total_steps=total, epoch_steps=100, cases={})


def write_log(run: Path, lines: list[Line], mode: str = "a") -> None:
    """Append events to a run's log."""
    with (run / "events.jsonl").open(mode, encoding="utf-8") as stream:
        stream.writelines(json.dumps(each) + "\n" for each in lines)


def make_run(path: Path, lines: list[Line] | None = None, **settings: Any) -> Path:
    """Make a run folder with a log."""
    cohort = path.parent / "cohort"
    cohort.mkdir(parents=True, exist_ok=True)
    RunFolder.create(path, preset("smoke", str(cohort)).override(settings))
    write_log(path, lines or [])
    return path
