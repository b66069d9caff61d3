"""The best weights of a run beside its last ones, on the same test cases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from core.models.bundle import Bundle
from trainer.evaluation.before_after import Key, in_order, mean_of, scale_of, title_of
from trainer.evaluation.evaluate import Row
from trainer.evaluation.statistics import Summary, compare


@dataclass(frozen=True)
class Beside:
    """One metric in one direction, in the metric's unit, rounded.

    Attributes:
        direction: ``"T2 → iUS"``.
        reconstruction: whether the target was an input.
        metric: name and unit.
        best, last: mean (sd) over cases.
        difference: last minus best, with its 95 % bootstrap interval.
    """

    direction: str
    reconstruction: bool
    metric: str
    best: str
    last: str
    difference: str

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return asdict(self)


def best_and_last(
    best: str, last: str, rows: Iterable[Row], table: Mapping[Key, Summary]
) -> list[Beside]:
    """Line up two models' summaries; synthesis first, then reconstructions.

    There is no p-value: which of them is delivered was decided before, by the validation, and two
    more comparisons would only make the others' correction harder.
    """
    scores: dict[tuple[tuple[str, ...], str, str], dict[str, dict[str, float]]] = {}
    for row in rows:
        for metric, value in row.scores.items():
            one = scores.setdefault((row.inputs, row.target, metric), {})
            one.setdefault(row.case, {})[row.model] = value
    found = []
    for key, cases in scores.items():
        pairs = [(c[last], c[best]) for c in cases.values() if best in c and last in c]
        if not pairs:
            continue
        inputs, target, metric = key
        factor, digits = scale_of(metric)
        name = f"{'+'.join(inputs)} → {target}"
        after, before = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        contest = compare((last, best, name, metric), after, before)
        low, high = contest.low * factor, contest.high * factor
        between = f"({low:+.{digits}f} … {high:+.{digits}f})" if low == low else "(one case)"
        found.append(
            Beside(
                name,
                target in inputs,
                title_of(metric),
                mean_of(table.get((best, *key)), factor, digits),
                mean_of(table.get((last, *key)), factor, digits),
                f"{contest.difference * factor:+.{digits}f} {between}",
            )
        )
    names = [title_of(m) for m in in_order({key[2] for key in scores})]
    return sorted(found, key=lambda b: (b.reconstruction, b.direction, names.index(b.metric)))


def which_steps(best: Bundle, last: Bundle) -> str:
    """Say of which steps the two are; empty when their cards do not tell."""
    of_best, of_last = (b.card.get("training", {}) for b in (best, last))
    if "chosen" not in of_best or "step" not in of_last:
        return ""
    return f"Delivered is {of_best['chosen']}; the run ended at step {of_last['step']}."
