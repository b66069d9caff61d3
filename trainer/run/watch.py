"""What a run's validations say of it: its best step, whether it gets worse, and when to stop."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

WORSE = 0.5
"""dB below the start that are no accident."""
FALL = 0.2
"""dB below the best from which held-out slices are called worse."""
ROW = 3
"""Validations in a row that make a trend."""


@dataclass
class Watch:
    """Remembers scores (dB, higher is better) in the order of the steps.

    Attributes:
        steps, held, seen: step, score on held-out slices and on training slices of each validation.
    """

    steps: list[int] = field(default_factory=list)
    held: list[float] = field(default_factory=list)
    seen: list[float] = field(default_factory=list)

    def add(self, step: int, held: float, seen: float) -> bool:
        """Take in a validation; return whether its held-out score is the best so far."""
        best = self.best
        self.steps.append(step)
        self.held.append(held)
        self.seen.append(seen)
        return held > best

    @property
    def best(self) -> float:
        """Best score; -inf before the first."""
        return max((v for v in self.held if math.isfinite(v)), default=-math.inf)

    @property
    def best_step(self) -> int | None:
        """The step of the best score, the first of equals."""
        return self.steps[self.held.index(self.best)] if math.isfinite(self.best) else None

    @property
    def start(self) -> float:
        """Score before the first step; NaN when it was not taken."""
        return self.held[0] if self.steps and self.steps[0] == 0 else math.nan

    @property
    def stale(self) -> int:
        """Validations since the best."""
        return len(self.held) - 1 - self.held.index(self.best) if math.isfinite(self.best) else 0

    def worse_than_start(self) -> int:
        """Return how many of the last validations, in a row, lie clearly below the start."""
        count = 0
        for value in reversed(self.held[1:]):
            if not value < self.start - WORSE:
                break
            count += 1
        return count

    def overfitting(self) -> str:
        """Say that training slices get better and held-out ones worse; empty when they do not."""
        if not math.isfinite(self.best) or self.stale < ROW:
            return ""
        at = self.held.index(self.best)
        held, seen = self.held[-ROW:], self.seen[-ROW:]
        if max(held) > self.best - FALL or not min(seen) > self.seen[at]:
            return ""
        return (
            f"overfitting: since step {self.steps[at]} training slices went from "
            f"{self.seen[at]:.2f} to {seen[-1]:.2f} dB and held-out ones from {self.best:.2f} to "
            f"{held[-1]:.2f} dB. The best step is kept; more cases, a lower optimiser.rate or "
            "optimiser.patience help"
        )

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"steps": self.steps, "held": self.held, "seen": self.seen}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where a checkpoint was."""
        self.steps, self.held, self.seen = (list(state[n]) for n in ("steps", "held", "seen"))
