"""Statistics over case means: intervals, and paired comparisons that admit when they are few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

ENOUGH_CASES = 8
"""Below this no p-value is given: the smallest possible one would not be small."""
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
        p: two-sided Wilcoxon signed-rank p, ``None`` with too few cases.
        p_holm: the same after Holm's correction over all comparisons of one table.
    """

    label: tuple[str, ...]
    cases: int
    difference: float
    low: float
    high: float
    p: float | None
    p_holm: float | None = None


def summarise(values: Values, seed: int = 0) -> Summary:
    """Summarise case means; not-a-number (nothing to measure) is left out."""
    kept = np.array([v for v in values if np.isfinite(v)], dtype=np.float64)
    if not len(kept):
        return Summary(0, float("nan"), float("nan"), float("nan"), float("nan"))
    low, high = _interval(kept, seed)
    spread = float(kept.std(ddof=1)) if len(kept) > 1 else 0.0
    return Summary(len(kept), float(kept.mean()), spread, low, high)


def compare(label: tuple[str, ...], first: Values, second: Values, seed: int = 0) -> Comparison:
    """Compare two models' case means, paired by place."""
    from scipy.stats import wilcoxon

    pairs = np.array([first, second], dtype=np.float64)
    pairs = pairs[:, np.isfinite(pairs).all(axis=0)]
    difference = pairs[0] - pairs[1]
    if not len(difference):
        return Comparison(label, 0, float("nan"), float("nan"), float("nan"), None)
    p = None
    if len(difference) >= ENOUGH_CASES:
        p = float(wilcoxon(difference).pvalue) if difference.any() else 1.0
    low, high = _interval(difference, seed)
    return Comparison(label, len(difference), float(difference.mean()), low, high, p)


def holm(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Fill in Holm's step-down corrected p-values over the comparisons that have one."""
    tested = sorted((c.p, n) for n, c in enumerate(comparisons) if c.p is not None)
    corrected = list(comparisons)
    largest = 0.0
    for rank, (p, n) in enumerate(tested):
        largest = max(largest, min(1.0, p * (len(tested) - rank)))
        corrected[n] = replace(comparisons[n], p_holm=largest)
    return corrected


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
