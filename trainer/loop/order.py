"""Which slice comes when: decided by seed and place alone, so that nothing has to be remembered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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

    Evenly over what there is to learn (``data.by_content``, of even cases): a case takes part in as
    many rounds out of ``most`` as it has subsets to be made from, so that scans without a partner
    do not crowd out the pairs; and a case shows a slice as often as that has field of view, so that
    all of what the probe saw comes equally often.

    Args:
        slices: those that may be used, at least one.
        plan: batch, seed, and how slices are drawn.
        views: (slices,) field of view of each, pixels; all alike without it.
        subsets: case → subsets of modalities it can serve (Eq. 9); all alike without it.
        most: subsets that a complete case serves.
    """

    def __init__(
        self,
        slices: Sequence[Slice],
        plan: Plan,
        views: Sequence[int] | None = None,
        subsets: Mapping[int, int] | None = None,
        most: int = 1,
    ) -> None:
        self.slices, self.plan = list(slices), plan
        weigh = plan.data.by_content
        self._views: dict[int, list[float]] = {}
        for (case, _), view in zip(self.slices, views or [1] * len(self.slices), strict=True):
            self._views.setdefault(case, []).append(float(view) if weigh else 1.0)
        cases = list(dict.fromkeys(case for case, _ in self.slices))
        served = {c: subsets[c] if weigh and subsets else most for c in cases}
        # In which of ``most`` rounds a case takes part, as evenly spread as can be.
        self._rounds = [
            [c for n, c in enumerate(cases) if (n + r + 1) * served[c] % most < served[c]]
            for r in range(most)
        ]
        self._rounds = [r for r in self._rounds if r]
        self._ends = np.cumsum([len(r) for r in self._rounds])
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
        cycle, place = divmod(step * batch + row, int(self._ends[-1]))
        number = int(np.searchsorted(self._ends, place, side="right"))
        cases = self._rounds[number]
        place -= int(self._ends[number]) - len(cases)
        turn = cycle * len(self._rounds) + number
        case = cases[_shuffled(len(cases), self.plan.seed, 1, turn)[place]]
        own = self._of_case[case]
        # A case comes once a round or not at all, so the rounds tell how often it has come before.
        each = sum(case in cases for cases in self._rounds)
        before = cycle * each + sum(case in cases for cases in self._rounds[:number])
        time, place = divmod(before, len(own))
        shuffled = _shuffled(len(own), self.plan.seed, 7, case, time)
        return case, own[self._shown(case, time)[shuffled[place]]]

    def _shown(self, case: int, time: int) -> NDArray[np.int64]:
        """Return which of its slices a case shows, each as often as its view asks for.

        Systematic sampling: a slice comes as often as its part of all views says, rounded up or
        down by one draw for all of them; with equal views each comes once.
        """
        views = np.array(self._views[case])
        if (views == views[0]).all():
            return np.arange(len(views))
        start = np.random.default_rng([self.plan.seed, 8, case, time]).random()
        ends = np.cumsum(views) / views.sum() * len(views)
        found = np.searchsorted(ends, start + np.arange(len(views)), side="right")
        return np.minimum(found, len(views) - 1)


def _shuffled(count: int, *key: int) -> NDArray[np.int64]:
    return np.random.default_rng(key).permutation(count)
