"""Follows a run's log while the window works: a few milliseconds at a time, only new bytes."""

from __future__ import annotations

import time
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from app.training.runs.history import CoarseHistory, History
from trainer.run.events import EventReader, last_events
from trainer.run.folder import is_run
from trainer.run.state import RunInfo, describe_run

POLL_MS = 500
"""Between looks at a run that is read to its end."""
REST_MS = 10
"""Between pieces of a log that is being caught up with."""
SPEND_S = 0.008
"""Time one piece may take: far from a stall anybody would notice."""
PIECE = 1 << 15
LARGE = 1 << 22
"""Bytes from which a log is sampled first."""
SAMPLES = 800
TAIL = 1 << 15
"""Bytes of a log that tell its state before it is read."""


class RunFollower(QObject):
    """One run's history and state, kept up to date.

    Args:
        path: the run's folder; it may vanish.
        parent: owner.
    """

    changed = Signal()
    """New events were read; :attr:`history` is a new object after the log was replaced."""
    state_changed = Signal()
    """:attr:`info` says something new."""
    gone = Signal()
    """The folder is no run any more: it was discarded."""

    def __init__(self, path: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.path = path
        self.history = History()
        self.info = describe_run(path, last_events(path, TAIL))
        self.loaded = False
        self._reader = EventReader(path / "events.jsonl")
        self._full = self.history
        self._outline: CoarseHistory | None = None
        self._timer = QTimer(self, singleShot=True)
        self._timer.timeout.connect(self._look)

    def start(self) -> None:
        """Begin to follow; a long log shows its outline first."""
        log = self.path / "events.jsonl"
        size = log.stat().st_size if log.exists() else 0
        if size > LARGE:
            self._outline = CoarseHistory(log, SAMPLES)
        self._timer.start(0)

    def stop(self) -> None:
        """Follow no longer."""
        self._timer.stop()

    def look(self) -> None:
        """Look now rather than at the next turn."""
        self._timer.start(0)

    # ---- inside

    def _look(self) -> None:
        end = time.perf_counter() + SPEND_S
        if self._outline is not None:
            coarse = self._outline.read(lambda: time.perf_counter() > end)
            if coarse is not None:
                self._outline, self.history = None, coarse
                self.changed.emit()
            self._timer.start(REST_MS)
            return
        found = False
        while time.perf_counter() < end:
            events = self._reader.read(PIECE)
            if self._reader.again:
                self._reader.again = False
                self._full = self.history = History()
            if events:
                self._full.add(events)
                found = True
            if not self._reader.behind:
                self._caught_up(found)
                break
        else:
            self._timer.start(REST_MS)

    def _caught_up(self, found: bool) -> None:
        self.history = self._full
        if found or not self.loaded:
            self.loaded = True
            self.changed.emit()
        if not is_run(self.path):
            self.gone.emit()
            return
        info = self._describe()
        if info != self.info:
            self.info = info
            self.state_changed.emit()
        self._timer.start(POLL_MS)

    def _describe(self) -> RunInfo:
        it = self.history
        events = [e for e in (it.start, it.now) if e and e is not it.last]
        steps, values = it.values("validation/score")
        if len(values):
            events.append(
                {"event": "validation", "step": int(steps[-1]), "score": float(values[-1])}
            )
        events += [{"event": "warning", "text": text} for _, text in it.warnings[-1:]]
        return describe_run(self.path, [*events, it.last] if it.last else events)
