"""The paper's Table 1 from an evaluation: who is best at what, and whether that is chance.

Rows are grouped by what was given. Of the models that make a missing target of the same inputs the
best is marked, and starred where it beats each of the others: paired two-sided Wilcoxon tests over
the cases, corrected by Holm over all of these comparisons. What was an input is no synthesis: its
scores are shown, and neither marked nor tested.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from trainer.cohort.pairs import SIGNIFICANT
from trainer.evaluation.before_after import LOWER_IS_BETTER, scale_of
from trainer.evaluation.evaluate import Evaluation
from trainer.evaluation.report import summaries
from trainer.evaluation.statistics import Comparison, Summary, compare, holm, out_of_reach

METRICS = ("psnr", "ssim", "lpips")
"""The paper's columns of every target; one that was not computed is left empty."""
NOT_SERVED = "×"
Place = tuple[str, tuple[str, ...], str, str]
"""Model, inputs, target, metric."""


@dataclass(frozen=True)
class Score:
    """One place of the table.

    Attributes:
        text: ``"21.87 (4.06)"``, ``"×"`` where the model does not serve it, ``"–"`` where nothing
            was measured.
        best: the best of the models with these inputs, of a missing target.
        star: p < 0.05 against every other.
        given: the target was an input.
    """

    text: str
    best: bool = False
    star: bool = False
    given: bool = False


@dataclass(frozen=True)
class Line:
    """One model with one set of inputs.

    Attributes:
        model: label.
        inputs: the subset π.
        scores: (target, metric) → its place.
    """

    model: str
    inputs: tuple[str, ...]
    scores: Mapping[tuple[str, str], Score]


@dataclass(frozen=True)
class Table:
    """All lines of the table.

    Attributes:
        modalities: in the models' order.
        metrics: of every target.
        lines: grouped by inputs, most first.
        cases: number of test cases.
        notes: sentences a reader needs.
        contests: what the stars stand on.
    """

    modalities: tuple[str, ...]
    metrics: tuple[str, ...]
    lines: Sequence[Line]
    cases: int
    notes: Sequence[str] = field(default_factory=list)
    contests: Sequence[Comparison] = field(default_factory=list)


def table_of(evaluation: Evaluation) -> Table:
    """Arrange an evaluation's scores as the paper does."""
    found = summaries(evaluation.rows)
    order = list(evaluation.models)
    names = list(dict.fromkeys(m for b in evaluation.models.values() for m in b.config.modalities))
    groups = sorted({k[1] for k in found}, key=lambda s: (-len(s), [-names.index(m) for m in s]))
    contests = _contests(evaluation, found)
    lines = []
    for inputs in groups:
        for model in order:
            if not any(k[:2] == (model, inputs) for k in found):
                continue
            scores = {
                (target, metric): _score(found, contests, (model, inputs, target, metric))
                for target in names
                for metric in METRICS
            }
            lines.append(Line(model, inputs, scores))
    cases = len({row.case for row in evaluation.rows})
    told = out_of_reach(contests)
    return Table(tuple(names), METRICS, lines, cases, [told] if told else [], contests)


def best_of(
    found: Mapping[Place, Summary], inputs: tuple[str, ...], target: str, metric: str
) -> str:
    """Return the model with the best mean; empty when none was measured."""
    sign = -1 if metric in LOWER_IS_BETTER else 1
    means = {
        k[0]: sign * s.mean
        for k, s in found.items()
        if k[1:] == (inputs, target, metric) and math.isfinite(s.mean)
    }
    return max(means, key=lambda m: means[m], default="")


def _contests(evaluation: Evaluation, found: Mapping[Place, Summary]) -> list[Comparison]:
    """Compare the best of every missing target with each of the others."""
    values: dict[Place, dict[str, float]] = {}
    for row in evaluation.rows:
        for metric, value in row.scores.items():
            values.setdefault((row.model, row.inputs, row.target, metric), {})[row.case] = value
    cases = sorted({row.case for row in evaluation.rows})
    nan = float("nan")
    pairs = []
    for inputs, target, metric in sorted({k[1:] for k in found}):
        if target in inputs or metric not in METRICS:
            continue
        best = best_of(found, inputs, target, metric)
        for other in evaluation.models:
            if other != best and (other, inputs, target, metric) in found and best:
                label = (best, other, "+".join(inputs), target, metric)
                one, two = (
                    [values[m, inputs, target, metric].get(case, nan) for case in cases]
                    for m in (best, other)
                )
                pairs.append(compare(label, one, two))
    return holm(pairs)


def _score(found: Mapping[Place, Summary], contests: Sequence[Comparison], place: Place) -> Score:
    model, inputs, target, metric = place
    if not any(k[:3] == place[:3] for k in found):
        return Score(NOT_SERVED)
    summary = found.get(place)
    if summary is None or not summary.cases:
        return Score("–")
    factor, digits = scale_of(metric)
    text = f"{summary.mean * factor:.{digits}f}"
    if summary.cases > 1:
        text += f" ({summary.sd * factor:.{digits}f})"
    if target in inputs:
        return Score(text, given=True)
    best = best_of(found, inputs, target, metric) == model
    won = (model, "+".join(inputs), target, metric)
    mine = [c.p_holm for c in contests if (c.label[0], *c.label[2:]) == won]
    star = best and bool(mine) and all(p is not None and p < SIGNIFICANT for p in mine)
    return Score(text, best, star)
