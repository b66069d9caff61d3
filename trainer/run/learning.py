"""How a run learned: its scores on held-out slices against those on training slices."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from trainer.run.events import Event, read_events
from trainer.run.watch import ROW, Watch


@dataclass(frozen=True)
class Learning:
    """The validations of a run, in the order of their steps.

    Attributes:
        steps: optimiser steps done.
        held: score on held-out slices, mean PSNR of missing images, dB.
        seen: the same on training slices; NaN where it was not taken.
        best: the step of the best held-out score.
    """

    steps: tuple[int, ...]
    held: tuple[float, ...]
    seen: tuple[float, ...]
    best: int

    @property
    def sentence(self) -> str:
        """Say what the two curves say of each other, with their numbers."""
        watch = Watch(list(self.steps), list(self.held), list(self.seen))
        at = self.steps.index(self.best)
        told = f"Held-out slices were best at step {self.best} with {self.held[at]:.2f} dB"
        if math.isfinite(self.seen[at]):
            told += f"; training slices had {self.seen[at]:.2f} dB there"
        if len(self.steps) == 1:
            return f"{told}."
        if hint := watch.overfitting():
            return f"{told}. {hint[0].upper()}{hint[1:]}."
        if self.best == self.steps[0] == 0:
            return f"{told}: nothing that held-out slices show was learned."
        if watch.stale < ROW:
            return f"{told}. They still got better at the end: a longer training may help."
        return f"{told}. They got no better in the {watch.stale} validations after it."


def learning_from(events: Iterable[Event]) -> Learning | None:
    """Read the validations on held-out slices off a log; None when there are none."""
    rows = [
        (event["step"], event["score"], event.get("train_score"))
        for event in events
        if event["event"] == "validation"
        and event.get("on") == "held-out"
        and isinstance(event.get("score"), int | float)
    ]
    if not rows:
        return None
    rows = list({row[0]: row for row in rows}.values())
    held = tuple(float(score) for _, score, _ in rows)
    return Learning(
        tuple(int(step) for step, _, _ in rows),
        held,
        tuple(float(s) if isinstance(s, int | float) else math.nan for _, _, s in rows),
        int(rows[held.index(max(held))][0]),
    )


def learning_of(run: Path) -> Learning | None:
    """Return how the run in a folder learned; None before its first validation."""
    return learning_from(read_events(run))
