"""Statistics over case means: intervals, and paired comparisons that admit when they are few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trainer.cohort.pairs import ENOUGH_CASES, SIGNIFICANT, fewest_cases, smallest_p

RESAMPLES = 10_000

Values = Sequence[float] | NDArray[np.float64]


@dataclass(frozen=True)
class Summary:
    """Mean over cases with its spread.

    Attributes:
        cases: number of cases.
        mean, sd: of the case means; sd with n - 1, 0 for one case.
        low, high: 95 % bootstrap interval of the mean (percentile method); NaN from one case.
    """

    cases: int
    mean: float
    sd: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """Two models on the same cases.

    Attributes:
        label: what was compared.
        cases: number of cases both have.
        difference: mean of (first - second).
        low, high: 95 % bootstrap interval of that mean.
        p: two-sided Wilcoxon signed-rank p, ``None`` with too few cases or when not tested.
        p_holm: the same after Holm's correction over all comparisons of one table.
        tested: whether this is a hypothesis of its table; a reconstruction is none.
        smallest: the smallest ``p_holm`` so many cases can reach in their table, ``None`` when not
            tested.
    """

    label: tuple[str, ...]
    cases: int
    difference: float
    low: float
    high: float
    p: float | None
    p_holm: float | None = None
    tested: bool = True
    smallest: float | None = None

    @property
    def out_of_reach(self) -> bool:
        """Whether no difference, however large, would have given p < 0.05."""
        return self.smallest is not None and self.smallest >= SIGNIFICANT


def summarise(values: Values, seed: int = 0) -> Summary:
    """Summarise case means; not-a-number (nothing to measure) is left out."""
    kept = np.array([v for v in values if np.isfinite(v)], dtype=np.float64)
    if not len(kept):
        return Summary(0, float("nan"), float("nan"), float("nan"), float("nan"))
    low, high = _interval(kept, seed)
    spread = float(kept.std(ddof=1)) if len(kept) > 1 else 0.0
    return Summary(len(kept), float(kept.mean()), spread, low, high)


def compare(
    label: tuple[str, ...], first: Values, second: Values, seed: int = 0, *, tested: bool = True
) -> Comparison:
    """Compare two models' case means, paired by place; without a p-value when not ``tested``."""
    from scipy.stats import wilcoxon

    pairs = np.array([first, second], dtype=np.float64)
    pairs = pairs[:, np.isfinite(pairs).all(axis=0)]
    difference = pairs[0] - pairs[1]
    if not len(difference):
        nan = float("nan")
        return Comparison(label, 0, nan, nan, nan, None, tested=tested)
    p = None
    if tested and len(difference) >= ENOUGH_CASES:
        p = float(wilcoxon(difference).pvalue) if difference.any() else 1.0
    low, high = _interval(difference, seed)
    mean = float(difference.mean())
    return Comparison(label, len(difference), mean, low, high, p, tested=tested)


def holm(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Fill in Holm's step-down corrected p-values, and the smallest that could have come of it.

    The family is the comparisons that have a p-value; where cases are too few for any, it is those
    that would have been tested.
    """
    tested = sorted((c.p, n) for n, c in enumerate(comparisons) if c.p is not None)
    corrected = list(comparisons)
    largest = 0.0
    for rank, (p, n) in enumerate(tested):
        largest = max(largest, min(1.0, p * (len(tested) - rank)))
        corrected[n] = replace(comparisons[n], p_holm=largest)
    count = family(comparisons)
    return [replace(c, smallest=smallest_p(c.cases, count)) if c.tested else c for c in corrected]


def family(comparisons: Sequence[Comparison]) -> int:
    """Return how many comparisons Holm's correction counts; see :func:`holm`."""
    return sum(c.p is not None for c in comparisons) or sum(c.tested for c in comparisons)


def out_of_reach(comparisons: Sequence[Comparison]) -> str:
    """Say that a table can show no difference, and why; empty when it can."""
    tested = [c for c in comparisons if c.tested and c.cases]
    if not tested or not all(c.out_of_reach for c in tested):
        return ""
    most = max(tested, key=lambda c: c.cases)
    count = family(tested)
    of = "1 case" if most.cases == 1 else f"{most.cases} cases"
    tests = "one comparison" if count == 1 else f"{count} comparisons"
    return (
        f"No difference can be shown: with {of} and {tests} of a missing target the smallest p "
        f"after Holm's correction is {most.smallest:.2g}; p < {SIGNIFICANT} takes "
        f"{fewest_cases(count)} cases."
    )


def _interval(
    values: np.ndarray[tuple[int, ...], np.dtype[np.float64]], seed: int
) -> tuple[float, float]:
    from scipy.stats import bootstrap

    if len(values) == 1:  # one case says nothing of others
        return float("nan"), float("nan")
    low, high = bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=0.95,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(low), float(high)
