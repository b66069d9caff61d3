"""What can be said about a run from its folder alone, whoever started it and wherever."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trainer.runfolder import is_run, lock_owner, read_events


@dataclass(frozen=True)
class RunInfo:
    """The state of one run.

    Attributes:
        path: its folder.
        state: ``"running"``, ``"finished"``, ``"paused"``, ``"terminated"``, ``"failed"``,
            ``"interrupted"`` (its process died without a word) or ``"new"``.
        step: steps done.
        part: how much of the plan is done, 0…1.
        seconds_left: the run's own estimate, s; ``None`` unless it runs.
        score: last validation score, dB; ``None`` before the first.
        reason: why it failed, or its last warning.
        process: id of the process that trains it.
    """

    path: Path
    state: str
    step: int
    part: float
    seconds_left: float | None
    score: float | None
    reason: str
    process: int | None

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
    def resumable(self) -> bool:
        """Whether *resume* makes sense."""
        return self.state in ("paused", "terminated", "failed", "interrupted", "new")


def describe_run(path: Path) -> RunInfo:
    """Read a run's folder; a torn log or a dead process is no obstacle."""
    events = read_events(path)
    process = lock_owner(path)
    steps = [e for e in events if e["event"] == "step"]
    scores = [e for e in events if e["event"] == "validation"]
    last = events[-1] if events else {}
    if process is not None:
        state = "running"
    elif last.get("event") == "end":
        state = str(last.get("state", "finished"))
    elif last.get("event") == "failed":
        state = "failed"
    else:
        state = "interrupted" if steps else "new"
    warnings = [str(e.get("text", "")) for e in events if e["event"] == "warning"]
    reason = str(last.get("reason", "")) if state == "failed" else (warnings or [""])[-1]
    now = steps[-1] if steps else {}
    return RunInfo(
        path=path,
        state=state,
        step=int(now.get("step", 0)),
        part=float(now.get("part", 0.0)),
        seconds_left=float(now["seconds_left"]) if process and now else None,
        score=float(scores[-1]["score"]) if scores else None,
        reason=reason,
        process=process,
    )


def list_runs(folder: Path) -> list[RunInfo]:
    """Describe the run in ``folder``, or all runs one level below it, by name."""
    if is_run(folder):
        return [describe_run(folder)]
    if not folder.is_dir():
        return []
    return [describe_run(path) for path in sorted(folder.iterdir()) if is_run(path)]
