"""What a model's own quantities are like on the kind of images it was trained on, and on others.

A model that is shown something else (another contrast, another part of the body, damaged voxels)
needs other amounts of information at its levels and gives its input back less well. No single
number tells; a weighted sum of them does, calibrated once on held-out cases and on simulated wrong
inputs (logistic regression), and it travels with the model. No torch in here;
:mod:`core.synthesis.input_check` measures the numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RIDGE = 0.06
"""How strongly the weights are drawn to zero: a few dozen cases tell them roughly."""
FAR = 3.0
"""Deviations beyond which a quantity counts no more: one wild number must not decide alone."""
FEWEST = 10
"""Held-out cases below which there is nothing to calibrate with."""
MOST = 64
"""Quantities a file may name."""
STEPS = 40

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Typical:
    """The calibration of one modality.

    Attributes:
        quantities: their names, in the order of everything else here.
        mean: of every quantity over the held-out cases.
        deviation: of every quantity over these and the wrong inputs, above 0.
        weights: of the quantities, in deviations from the mean, in the score.
        away: weights of the same without their sign: how far, whichever way.
        limit: the score that all but few held-out cases stay below.
        inside: the share of them that does.
        cases: how many held-out cases there were.
    """

    quantities: tuple[str, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    weights: tuple[float, ...]
    away: tuple[float, ...]
    limit: float
    inside: float
    cases: int

    def __post_init__(self) -> None:
        n = len(self.quantities)
        if not 0 < n <= MOST or any(
            len(each) != n for each in (self.mean, self.deviation, self.weights, self.away)
        ):
            raise ValueError("the typical quantities do not belong together")
        every = [*self.mean, *self.deviation, *self.weights, *self.away, self.limit, self.inside]
        if not np.isfinite(np.array(every, np.float64)).all() or min(self.deviation) <= 0:
            raise ValueError("the typical quantities are not all numbers in their range")

    @classmethod
    def fit(
        cls,
        right: Sequence[Mapping[str, float]],
        wrong: Sequence[Mapping[str, float]],
        groups: tuple[Sequence[object], Sequence[object]],
        *,
        inside: float = 0.95,
    ) -> Typical:
        """Calibrate on held-out cases and on inputs that are not what they are given as.

        The limit comes from the scores of held-out cases in calibrations without whatever shares
        their group, so that it is not too tight.

        Args:
            right: name → value for every held-out case, the same names in each.
            wrong: the same for every wrong input.
            groups: of both: what cases have in common that must not be on both sides, the head for
                example.
            inside: share of the held-out cases that must lie below the limit.

        Raises:
            ValueError: there are too few cases.
        """
        if len(right) < FEWEST or len(wrong) < FEWEST:
            raise ValueError(
                f"{len(right)} held-out cases and {len(wrong)} wrong inputs are too few to "
                f"calibrate with; expected {FEWEST} of each"
            )
        names = tuple(right[0])
        a, b = (np.array([[r[n] for n in names] for r in rows], float) for rows in (right, wrong))
        found: list[float] = []
        for group in dict.fromkeys(groups[0]):
            own, others = (np.array([g == group for g in each], bool) for each in groups)
            if own.all() or others.all():
                raise ValueError("one group of cases leaves nothing to compare it with")
            learnt = _learn(a[~own], b[~others])
            found += [_score(row, *learnt) for row in a[own]]
        mean, deviation, both = (tuple(round(float(v), 6) for v in each) for each in _learn(a, b))
        return cls(
            names,
            mean,
            deviation,
            both[: len(names)],
            both[len(names) :],
            round(float(np.quantile(found, inside)), 4),
            inside,
            len(right),
        )

    def score(self, values: Mapping[str, float]) -> float:
        """Return how much an input is like the wrong ones; 0 where the held-out cases lie.

        Raises:
            KeyError: a quantity is missing.
        """
        return float(self._added(values).sum())

    def loudest(self, values: Mapping[str, float], most: int = 3) -> tuple[str, ...]:
        """Name the quantities that add most to a score."""
        added = self._added(values)
        found = [n for n in np.argsort(-added) if added[n] > 0]
        return tuple(self.quantities[n] for n in found[:most])

    def _added(self, values: Mapping[str, float]) -> Numbers:
        """Return what every quantity adds to the score."""
        row = np.array([values[name] for name in self.quantities])
        z = _relative(row, np.array(self.mean), np.array(self.deviation))
        n = len(self.quantities)
        added: Numbers = z[:n] * np.array(self.weights) + z[n:] * np.array(self.away)
        return added

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "quantities": list(self.quantities),
            "mean": list(self.mean),
            "deviation": list(self.deviation),
            "weights": list(self.weights),
            "away": list(self.away),
            "limit": self.limit,
            "inside": self.inside,
            "cases": self.cases,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Typical:
        """Rebuild from :meth:`to_dict`'s result.

        Raises:
            ValueError, TypeError, KeyError: it is damaged.
        """
        mean, deviation, weights, away = (
            tuple(float(v) for v in values[name])
            for name in ("mean", "deviation", "weights", "away")
        )
        return cls(
            tuple(str(name) for name in values["quantities"]),
            mean,
            deviation,
            weights,
            away,
            float(values["limit"]),
            float(values["inside"]),
            int(values["cases"]),
        )


def _learn(right: Numbers, wrong: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Return mean, deviation, weights (2n): ridge logistic regression, sides of equal weight."""
    mean = right.mean(axis=0)
    deviation = np.concatenate([right, wrong]).std(axis=0) + 1e-3
    z = _relative(np.concatenate([right, wrong]), mean, deviation)
    x = np.column_stack([z, np.ones(len(z))])
    truth = np.repeat([0.0, 1.0], [len(right), len(wrong)])
    share = np.repeat([0.5 / len(right), 0.5 / len(wrong)], [len(right), len(wrong)])
    ridge = np.full(x.shape[1], RIDGE)
    ridge[-1] = 1e-6
    found = np.zeros(x.shape[1])
    for _ in range(STEPS):  # Newton's method
        p = 1 / (1 + np.exp(-x @ found))
        slope = x.T @ (share * (p - truth)) + ridge * found
        curve = (x * (share * p * (1 - p))[:, None]).T @ x + np.diag(ridge)
        found = found - np.linalg.solve(curve, slope)
    return mean, deviation, found[:-1]


def _score(row: Numbers, mean: Numbers, deviation: Numbers, weights: Numbers) -> float:
    return float(_relative(row, mean, deviation) @ weights)


def _relative(values: Numbers, mean: Numbers, deviation: Numbers) -> Numbers:
    """Return (…, 2n): deviations from the mean, and how far they are whichever way."""
    z = np.clip((values - mean) / deviation, -FAR, FAR)
    return np.concatenate([z, np.abs(z)], axis=-1)
