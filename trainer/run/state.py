"""What can be said about a run from its folder alone, whoever started it and wherever."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.run.crash import crash_report
from trainer.run.events import Event, last_events
from trainer.run.folder import is_run, lock_attempt, lock_owner

GONE = "The process is gone; it was stopped by the system or killed."


@dataclass(frozen=True)
class RunInfo:
    """The state of one run.

    Attributes:
        path: its folder.
        state: ``"running"``, ``"waiting"`` (its process prepares data, or has yet to begin),
            ``"finished"``, ``"paused"``, ``"terminated"`` (asked to end by the system),
            ``"failed"``, ``"interrupted"`` (its process died without a word) or ``"new"``.
        step: steps done.
        part: how much of the plan is done, 0…1.
        seconds_left: the run's own estimate, s; ``None`` unless it runs.
        score: last validation score, dB; ``None`` before the first.
        reason: why it failed, in one line, or its last warning.
        process: id of the process that trains it.
        words: what a process that crashed said last, several lines.
    """

    path: Path
    state: str
    step: int
    part: float
    seconds_left: float | None
    score: float | None
    reason: str
    process: int | None
    words: str = ""

    @property
    def sentence(self) -> str:
        """One line for the terminal."""
        text = f"{self.path.name}: {self.state}, step {self.step} ({self.part:.0%})"
        if self.seconds_left is not None:
            text += f", {self.seconds_left / 60:.0f} min left"
        if self.score is not None:
            text += f", {self.score:.2f} dB"
        return f"{text}. {self.reason}" if self.reason else text

    @property
    def alive(self) -> bool:
        """Whether a process owns the run."""
        return self.process is not None

    @property
    def crashed(self) -> bool:
        """Whether its process ended in a way nobody asked for."""
        return self.state in ("failed", "interrupted")

    @property
    def resumable(self) -> bool:
        """Whether *resume* makes sense."""
        return self.state in ("paused", "terminated", "failed", "interrupted", "new")


def describe_run(path: Path, events: Sequence[Event] | None = None) -> RunInfo:
    """Read a run's folder; a torn log or a dead process is no obstacle.

    Args:
        path: the folder.
        events: its events, or the last of them; read from the log's end when not given.
    """
    process = lock_owner(path)
    events = last_events(path) if events is None else events
    steps = [e for e in events if e["event"] == "step"]
    scores = [e for e in events if e["event"] == "validation"]
    last = events[-1] if events else {}
    words = ""
    if process is not None:
        # A process that has yet to prepare its data has logged no start of its own.
        attempt = lock_attempt(path)
        begun = any(e["event"] == "start" and attempt in (None, e.get("attempt")) for e in events)
        state = "running" if begun else "waiting"
    elif last.get("event") == "end":
        state = str(last.get("state", "finished"))
    else:
        words = crash_report(path)
        failed = last.get("event") == "failed" or words
        state = "failed" if failed else "interrupted" if events else "new"
    if state in ("failed", "interrupted"):
        reason = str(last.get("reason", "")) or _last_line(words) or GONE
    else:
        reason = _last_line(str(e.get("text", "")) for e in events if e["event"] == "warning")
    now = steps[-1] if steps else {}
    starts = [e for e in events if e["event"] == "start"]
    begun_at = int(starts[-1].get("step", 0)) if starts else 0
    return RunInfo(
        path=path,
        state=state,
        step=max(int(now.get("step", 0)), begun_at),
        part=_number(now.get("part")) or 0.0,
        seconds_left=_number(now.get("seconds_left")) if process else None,
        score=_number(scores[-1].get("score")) if scores else None,
        reason=reason,
        process=process,
        words=words,
    )


def list_runs(folder: Path) -> list[RunInfo]:
    """Describe the run in ``folder``, or all runs one level below it, by name."""
    return [describe_run(path) for path in find_runs([folder])]


def find_runs(folders: Iterable[Path]) -> list[Path]:
    """Return the folders among or one level below ``folders`` that are runs, each once."""
    found: dict[Path, None] = {}
    for folder in folders:
        if is_run(folder):
            found[folder] = None
        elif folder.is_dir():
            found.update({path: None for path in sorted(folder.iterdir()) if is_run(path)})
    return list(found)


def age(path: Path) -> float:
    """Return how long ago a run's log was last written to, s."""
    log = path / "events.jsonl"
    return time.time() - (log if log.exists() else path).stat().st_mtime


def default_folder() -> Path:
    """Return where the window puts runs: ``runs`` in the user's data folder (may not exist)."""
    from platformdirs import user_data_path

    return user_data_path("mhvae-studio", appauthor=False) / "runs"


def _last_line(texts: str | Iterable[str]) -> str:
    lines = texts.splitlines() if isinstance(texts, str) else list(texts)
    return lines[-1] if lines else ""


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
