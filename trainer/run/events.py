"""Reads a run's log: whole, or only what came since the last look."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

VERSION = 1
CHUNK = 1 << 18
"""Bytes read at a time."""

Event = dict[str, Any]


class EventReader:
    """Follows an append-only ``events.jsonl`` without reading anything twice.

    A line counts once its end is written, so the torn last line of a killed process waits for the
    next attempt, which ends it; what cannot be read then is skipped.

    Args:
        path: the log; it may not exist yet.
        at: byte to begin with; the line it falls into is skipped unless it is 0.

    Attributes:
        again: the file was replaced by a shorter one and is being read from its start again;
            whoever kept earlier events must forget them and set this back.
    """

    def __init__(self, path: Path, at: int = 0) -> None:
        self.path = path
        self.again = False
        self._at = max(0, at - 1)
        self._rest = b""
        self._skip = at > 0

    def read(self, limit: int = CHUNK) -> list[Event]:
        """Return the events of at most ``limit`` new bytes (-1: all); empty when there are none."""
        try:
            with self.path.open("rb") as stream:
                if self.path.stat().st_size < self._at:
                    self._at, self._rest, self._skip, self.again = 0, b"", False, True
                stream.seek(self._at)
                data = stream.read(limit)
        except OSError:
            return []
        self._at += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        if self._skip and lines:
            lines, self._skip = lines[1:], False
        return [event for line in lines if (event := parse(line)) is not None]

    @property
    def behind(self) -> bool:
        """Whether the file holds bytes that were not read."""
        try:
            return self.path.stat().st_size != self._at
        except OSError:
            return False


def parse(line: bytes) -> Event | None:
    """Return a line's event, or ``None`` when it is torn, foreign or of another version."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict) or event.get("v") != VERSION:
        return None
    step = event.get("step", 0)
    whole = isinstance(step, int) and not isinstance(step, bool) and step >= 0
    return event if whole and isinstance(event.get("event"), str) else None


def keep(events: list[Event], new: list[Event]) -> list[Event]:
    """Return earlier events with newer ones, each step once.

    A resumed attempt starts from a checkpoint, so steps the attempt before it logged beyond that
    point were undone, and are left out.
    """
    kept = list(events)
    for event in new:
        if event["event"] == "start":
            start = event.get("step", 0)
            kept = [e for e in kept if e["event"] == "start" or e.get("step", 0) <= start]
        kept.append(event)
    return kept


def read_events(run: Path) -> list[Event]:
    """Return the events of the run in a folder, in order, each step once (see :func:`keep`)."""
    return keep([], EventReader(run / "events.jsonl").read(-1))


def last_events(run: Path, size: int = 1 << 20) -> list[Event]:
    """Return what :func:`read_events` would, as far as the log's last ``size`` bytes tell.

    Enough to say how a run is doing, whatever its length.
    """
    path = run / "events.jsonl"
    try:
        start = max(0, path.stat().st_size - size)
    except OSError:
        return []
    return keep([], EventReader(path, start).read(-1))
