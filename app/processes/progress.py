"""Where a piece of work in another process stands."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """Where a run stands; ``total`` 0 means unknown, an empty name that nothing runs."""

    name: str
    done: int = 0
    total: int = 0
    seconds_left: float | None = None
