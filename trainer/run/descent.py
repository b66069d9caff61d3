"""Whether a training's loss goes down at all: against its own start, and whether there is one."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Any

WINDOW = 20
"""Steps that are looked at together, at the start and now."""


@dataclass
class Descent:
    """Remembers the first losses of a run and the latest.

    The loss is what reconstruction and KL add up to, weighted as in the plan; the adversarial part
    has no level to come down from. Medians, so that one odd batch is no divergence.

    Attributes:
        first: of the first steps.
        now: of the last steps; None for one that was left out, as its gradients were not finite.
    """

    first: list[float] = field(default_factory=list)
    now: list[float | None] = field(default_factory=list)

    def add(self, loss: float | None) -> None:
        """Take in a step's loss, or None for a step that was left out."""
        if loss is not None and len(self.first) < WINDOW:
            self.first.append(loss)
        self.now = [*self.now, loss][-WINDOW:]

    def diverged(self, limit: float) -> str:
        """Say that the loss is ``limit`` times its start, or mostly not finite; empty when not."""
        if not limit or len(self.now) < WINDOW:
            return ""
        lost = sum(loss is None for loss in self.now)
        if 2 * lost >= WINDOW:
            return f"of the last {WINDOW} steps {lost} had no finite gradients"
        if len(self.first) < WINDOW:
            return ""
        start, end = median(self.first), median(x for x in self.now if x is not None)
        if end <= limit * start:
            return ""
        return (
            f"its loss (L1 and KL) was {end:.4g} over the last {WINDOW} steps, {end / start:.1f} "
            f"times the {start:.4g} of the first {WINDOW}"
        )

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"first": self.first, "now": self.now}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where a checkpoint was."""
        self.first, self.now = list(state["first"]), list(state["now"])
