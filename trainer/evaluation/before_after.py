"""Two models on the same cases, as one table: what was, what is, and whether that is chance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trainer.cohort.pairs import ENOUGH_CASES, SIGNIFICANT
from trainer.evaluation.statistics import Comparison, Summary

UNITS = {
    "psnr": ("PSNR", "dB", 1.0, 2),
    "psnr_gain": ("PSNR, gain matched", "dB", 1.0, 2),
    "ssim": ("SSIM", "%", 100.0, 1),
    "lpips": ("LPIPS", "%", 100.0, 1),
    "mae": ("MAE", "% of range", 50.0, 2),
    "l1": ("L1", "grey levels", 1.0, 2),
}
"""Metric → its name, unit, factor to that unit, and decimals."""


def title_of(metric: str) -> str:
    """Return a metric's name and unit; a metric without an entry is called what it is."""
    title, unit, *_ = UNITS.get(metric, (metric, ""))
    return f"{title}, {unit}" if unit else title


def scale_of(metric: str) -> tuple[float, int]:
    """Return the factor to a metric's unit, and its decimals."""
    *_, factor, digits = UNITS.get(metric, ("", "", 1.0, 3))
    return factor, digits


def in_order(metrics: Iterable[str]) -> list[str]:
    """Sort metrics as they are named above, then those without an entry by name."""
    names = list(UNITS)
    return sorted(metrics, key=lambda m: (names.index(m) if m in UNITS else len(names), m))


LOWER_IS_BETTER = ("lpips", "mae", "l1")
Key = tuple[str, tuple[str, ...], str, str]
"""Model, inputs, target, metric."""


@dataclass(frozen=True)
class Change:
    """One metric in one direction, as it is written: numbers in the metric's unit, rounded.

    Attributes:
        direction: ``"T2 → iUS"``.
        reconstruction: whether the target was an input.
        metric: name and unit.
        before, after: mean (sd) over cases; the value alone of one case.
        change: after minus before, with its 95 % bootstrap interval.
        p: Holm-corrected Wilcoxon p, or why there is none; see :func:`p_of`.
        verdict: ``"better"``, ``"worse"`` (p < 0.05 and the interval excludes 0) or
            ``"unsure"``.
        cases: that both models have.
        smallest_p: the smallest p so many cases can reach; ``None`` for a reconstruction.
    """

    direction: str
    reconstruction: bool
    metric: str
    before: str
    after: str
    change: str
    p: str
    verdict: str
    cases: int
    smallest_p: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return asdict(self)


def changes(
    before: str, after: str, table: dict[Key, Summary], contests: Sequence[Comparison]
) -> list[Change]:
    """Line up two models' summaries; synthesis first, then reconstructions."""
    found = []
    for contest in contests:
        first, second, inputs, target, metric = contest.label
        if {first, second} != {before, after}:
            continue
        factor, digits = scale_of(metric)
        sign = -factor if first == before else factor
        low, high = sorted((sign * contest.low, sign * contest.high))
        sure = metric in UNITS and contest.p_holm is not None and contest.p_holm < SIGNIFICANT
        better = ((low > 0) - (high < 0)) * (-1 if metric in LOWER_IS_BETTER else 1) * sure
        key = (tuple(inputs.split("+")), target, metric)
        found.append(
            Change(
                direction=f"{inputs} → {target}",
                reconstruction=target in key[0],
                metric=title_of(metric),
                before=mean_of(table.get((before, *key)), factor, digits),
                after=mean_of(table.get((after, *key)), factor, digits),
                change=f"{sign * contest.difference:+.{digits}f} "
                + (f"({low:+.{digits}f} … {high:+.{digits}f})" if low == low else "(one case)"),
                p=p_of(contest),
                verdict={1: "better", -1: "worse"}.get(better, "unsure"),
                cases=contest.cases,
                smallest_p=contest.smallest,
            )
        )
    names = [title_of(m) for m in in_order({c.label[4] for c in contests})]
    return sorted(found, key=lambda c: (c.reconstruction, c.direction, names.index(c.metric)))


def p_of(contest: Comparison) -> str:
    """Return a comparison's corrected p, with the smallest that was possible where that is large.

    A reconstruction is not tested; under 8 cases there is no p.
    """
    if not contest.tested:
        return "not tested"
    p = f"too few cases ({contest.cases} of {ENOUGH_CASES})"
    if contest.p_holm is not None:
        p = f"{contest.p_holm:.2g}"
    return f"{p}; smallest possible {contest.smallest:.2g}" if contest.out_of_reach else p


def mean_of(summary: Summary | None, factor: float, digits: int) -> str:
    """Write a mean (sd) with its factor and decimals; a dash for none."""
    if summary is None or not summary.cases:
        return "–"
    if summary.cases == 1:  # one case has no spread
        return f"{summary.mean * factor:.{digits}f}"
    return f"{summary.mean * factor:.{digits}f} ({summary.sd * factor:.{digits}f})"
