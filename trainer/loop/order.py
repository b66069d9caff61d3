"""Which slice comes when: decided by seed and place alone, so that nothing has to be remembered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trainer.plan.schema import Plan

Slice = tuple[int, int]
"""Number of the case, and of the slice in it."""


class SliceOrder:
    """Deals slices to the rows of every step's batch.

    Evenly over cases (``data.even_cases``): all cases take turns in an order drawn for every round,
    and each goes through its own slices in an order drawn whenever it begins anew. So a case with
    three times the slices is not seen three times as often. Otherwise every slice comes once an
    epoch.

    Args:
        slices: those that may be used, at least one.
        plan: batch, seed, and how slices are drawn.
    """

    def __init__(self, slices: Sequence[Slice], plan: Plan) -> None:
        self.slices, self.plan = list(slices), plan
        self.steps_per_epoch = max(1, -(-len(self.slices) // plan.data.batch))
        self._of_case: dict[int, list[int]] = {}
        for case, k in self.slices:
            self._of_case.setdefault(case, []).append(k)
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, dtype=np.int64))

    def at(self, step: int, row: int) -> Slice:
        """Return the slice of one row of a step's batch."""
        data = self.plan.data
        if not data.neighbours:
            return self._drawn(step, row, data.batch)
        case, k = self._drawn(step, 0, 1 if data.even_cases else data.batch)
        siblings = self._of_case[case]
        first = min(siblings.index(k), max(0, len(siblings) - data.batch))
        return case, siblings[min(first + row, len(siblings) - 1)]

    def _drawn(self, step: int, row: int, batch: int) -> Slice:
        if not self.plan.data.even_cases:
            epoch, position = divmod(step, self.steps_per_epoch)
            if self._order[0] != epoch:
                random = np.random.default_rng([self.plan.seed, 1, epoch])
                self._order = (epoch, random.permutation(len(self.slices)))
            order = self._order[1]
            return self.slices[order[(position * batch + row) % len(order)]]
        cases = list(self._of_case)
        turn, place = divmod(step * batch + row, len(cases))
        case = cases[_shuffled(len(cases), self.plan.seed, 1, turn)[place]]
        own = self._of_case[case]
        # A case comes once a round, so the round tells how often it has come before.
        time, place = divmod(turn, len(own))
        return case, own[_shuffled(len(own), self.plan.seed, 7, case, time)[place]]


def _shuffled(count: int, *key: int) -> NDArray[np.int64]:
    return np.random.default_rng(key).permutation(count)
