"""How much time a stage of a long command still takes, from its pace so far."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """Remembers when each stage began.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stage, self._began, self._first = "", 0.0, 0

    def left(self, stage: str, done: int, total: int) -> float | None:
        """Return the seconds a stage still takes; None as long as nothing of it is done.

        Args:
            stage: its name; another one begins anew.
            done: how much of it is done.
            total: of how much.
        """
        now = self._clock()
        if stage != self._stage:
            self._stage, self._began, self._first = stage, now, done
        ready = done - self._first
        if ready <= 0:
            return None
        return (now - self._began) / ready * max(0, total - done)
