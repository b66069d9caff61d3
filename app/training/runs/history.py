"""What a run has logged, as columns of numbers: grows event by event, forgets what was undone."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.run.events import Event, parse

_NOT_TERMS = frozenset({"v", "attempt", "time", "event", "step", "preview", "part", "epoch"})
_NAN = float("nan")
LINE = 1 << 12
"""Bytes in which a line of a log surely ends, and the next one too."""


class Table:
    """Rows of named numbers by step; a name missing from a row is NaN there.

    Attributes:
        cuts: how often rows were forgotten; whoever copied some must copy all again.
    """

    def __init__(self) -> None:
        self.cuts = 0
        self._steps = array("q")
        self._columns: dict[str, array[float]] = {}

    def __len__(self) -> int:
        return len(self._steps)

    @property
    def names(self) -> list[str]:
        """Names of the columns, in the order they came."""
        return list(self._columns)

    def add(self, event: Event) -> None:
        """Append an event's numbers."""
        length = len(self._steps)
        columns = self._columns
        for name, value in event.items():
            if name in _NOT_TERMS:
                continue
            column = columns.get(name)
            if column is None:
                if isinstance(value, bool) or not isinstance(value, int | float):
                    continue
                column = columns[name] = array("f", [_NAN]) * length
            try:
                column.append(value)
            except TypeError:  # a number once, a word now
                column.append(_NAN)
            except OverflowError:
                column.append(float("inf"))
        self._steps.append(event.get("step", 0))
        for column in columns.values():
            if len(column) <= length:
                column.append(_NAN)

    def cut(self, step: int) -> None:
        """Forget the rows after a step."""
        length = bisect_right(self._steps, step)
        if length < len(self._steps):
            self.cuts += 1
            del self._steps[length:]
            for column in self._columns.values():
                del column[length:]

    def get(self, name: str, first: int = 0) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return copies of the steps (n,) and a column's values (n,) from a row on.

        Both are empty when there is no such column.
        """
        column = self._columns.get(name)
        if column is None:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        return (
            np.array(memoryview(self._steps)[first:], np.int64),
            np.array(memoryview(column)[first:], np.float32),
        )


@dataclass
class History:
    """Everything a page shows of a run's log.

    Attributes:
        steps: the terms of training.
        validations: scores on held-out tiles.
        previews: (step, file name) of the drawn ones.
        warnings: (step, sentence).
        start: the last attempt's first event.
        now: the last logged step's event; empty before the first.
        last: the last event of any kind.
        trained_only: no case is held out; validations are on training slices.
    """

    steps: Table = field(default_factory=Table)
    validations: Table = field(default_factory=Table)
    previews: list[tuple[int, str]] = field(default_factory=list)
    warnings: list[tuple[int, str]] = field(default_factory=list)
    start: Event = field(default_factory=dict)
    now: Event = field(default_factory=dict)
    last: Event = field(default_factory=dict)
    trained_only: bool = False

    def add(self, events: Iterable[Event]) -> None:
        """Take newer events; a resumed attempt first undoes what lies beyond its start."""
        for event in events:
            kind, step = event["event"], event.get("step", 0)
            if kind == "step":
                # Steps only grow within an attempt; a foreign line must not turn curves around.
                if step >= self.now.get("step", 0):
                    self.steps.add(event)
                    self.now = event
            elif kind == "validation":
                self.validations.cut(step - 1)
                self.validations.add(event)
                self.trained_only = event.get("on") == "training"
                name = event.get("preview")
                if isinstance(name, str) and Path(name).name == name:
                    self.previews.append((step, name))
            elif kind == "warning":
                self.warnings.append((step, str(event.get("text", ""))))
            elif kind == "start":
                self._undo(step)
                self.start = event
            self.last = event

    def _undo(self, step: int) -> None:
        self.steps.cut(step)
        self.validations.cut(step)
        self.previews = [p for p in self.previews if p[0] <= step]
        self.warnings = [w for w in self.warnings if w[0] <= step]
        if self.now.get("step", 0) > step:
            self.now = {**self.now, "step": step}

    @property
    def validation_events(self) -> list[Event]:
        """The scores of validations on held-out slices as events, step by step."""
        steps, held = self.validations.get("score")
        seen = self.validations.get("train_score")[1]
        if self.trained_only or not len(held):
            return []
        seen = seen if len(seen) else np.full(len(held), np.nan, np.float32)
        return [
            {"event": "validation", "on": "held-out", "step": int(at), "score": float(score)}
            | ({} if np.isnan(learned) else {"train_score": float(learned)})
            for at, score, learned in zip(steps, held, seen, strict=True)
            if not np.isnan(score)
        ]

    def table(self, name: str) -> tuple[Table, str]:
        """Return the table of a term or a score, and its name there.

        Args:
            name: as logged, for example ``"l1/T2/iUS"``; scores begin with ``"validation/"``.
        """
        if name.startswith("validation/"):
            return self.validations, name.removeprefix("validation/")
        return self.steps, name

    def values(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return steps (n,) and values (n,) of a term or a score, without gaps."""
        table, name = self.table(name)
        steps, values = table.get(name)
        seen = ~np.isnan(values)
        return steps[seen], values[seen]

    @property
    def names(self) -> list[str]:
        """Every term and score there is."""
        return [*self.steps.names, *(f"validation/{n}" for n in self.validations.names)]


class CoarseHistory:
    """A coarse history: events at places spread over a log, read a few at a time.

    A long log takes seconds to read; its shape shows at once.

    Args:
        path: the log.
        count: how many events.
    """

    def __init__(self, path: Path, count: int) -> None:
        self.path = path
        size = path.stat().st_size
        self._places = [size * n // count for n in range(count)]
        self._found: list[Event] = []

    def read(self, until: Callable[[], bool]) -> History | None:
        """Read on until told to stop; returns the history once it is complete."""
        try:
            with self.path.open("rb") as log:
                while self._places:
                    if until():
                        return None
                    log.seek(self._places.pop(0))
                    lines = log.read(LINE).split(b"\n", 2)
                    event = parse(lines[1]) if len(lines) == 3 else None
                    self._found += [event] if event else []
        except OSError:
            self._places = []
        coarse = History()
        coarse.add(_forward(self._found))
        return coarse


def _forward(events: Sequence[Event]) -> list[Event]:
    """Drop steps that a later sample shows to have been undone: those not before its step."""
    kept: list[Event] = []
    limit: float = float("inf")
    for event in reversed([e for e in events if e["event"] == "step"]):
        if event.get("step", 0) < limit:
            kept.append(event)
            limit = event.get("step", 0)
    return kept[::-1]
