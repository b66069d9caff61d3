"""Knows every run of this user and how it is doing; looks again every few seconds, in a thread."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from app.processes.jobs import Jobs
from trainer.run.registry import known_runs
from trainer.run.state import RunInfo, describe_run

LOOK_MS = 2000

Stamp = tuple[float, ...]


class RunWatcher(QObject):
    """The list of runs.

    Args:
        jobs: threads to look in.
        parent: owner.
    """

    changed = Signal()
    """:attr:`runs` says something new."""

    def __init__(self, jobs: Jobs, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.jobs = jobs
        self.runs: list[RunInfo] = []
        self._stamps: dict[Path, tuple[Stamp, RunInfo]] = {}
        self._job = 0
        self._timer = QTimer(self, singleShot=True, interval=LOOK_MS)
        self._timer.timeout.connect(self.look)

    def look(self) -> None:
        """Look at all runs now and again every few seconds."""
        self._timer.stop()
        self.jobs.drop(self._job)
        known = dict(self._stamps)
        self._job = self.jobs.submit(
            "Looking at the runs",
            lambda: describe_runs(known_runs(), known),
            self._seen,
            self._failed,
        )

    def stop(self) -> None:
        """Look no longer."""
        self._timer.stop()
        self.jobs.drop(self._job)

    def _seen(self, found: dict[Path, tuple[Stamp, RunInfo]]) -> None:
        self._stamps = found
        runs = [info for _, info in found.values()]
        if runs != self.runs:
            self.runs = runs
            self.changed.emit()
        self._timer.start()

    def _failed(self, _: str) -> None:
        self._timer.start()


def describe_runs(
    paths: Sequence[Path], known: dict[Path, tuple[Stamp, RunInfo]]
) -> dict[Path, tuple[Stamp, RunInfo]]:
    """Describe runs, newest activity first; one whose files are as before is not read again."""
    found = {}
    for path in paths:
        stamp = _stamp(path)
        before = known.get(path)
        if before is None or before[0] != stamp or before[1].alive:
            before = (stamp, describe_run(path))
        found[path] = before
    return dict(sorted(found.items(), key=lambda item: -max(item[1][0])))


def _stamp(path: Path) -> Stamp:
    times = []
    for name in ("run.json", "events.jsonl", "lock.json", "crash.txt"):
        try:
            times.append((path / name).stat().st_mtime)
        except OSError:
            times.append(0.0)
    return tuple(times)
