"""What a model's own quantities are like on the kind of images it was trained on.

A model that is shown something else (another contrast, another part of the body, damaged voxels)
needs other amounts of information at its levels and gives its input back less well. How far a
handful of such numbers may lie from those of held-out cases is calibrated once and travels with
the model. No torch in here; :mod:`core.synthesis.input_check` measures the numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHRINKAGE = 0.2
"""How far correlations are drawn to zero: a few dozen cases tell them roughly."""
FEWEST = 20
"""Cases below which there is nothing to calibrate with."""
MOST = 64
"""Quantities a file may name."""


@dataclass(frozen=True)
class Typical:
    """The held-out cases of one modality.

    Attributes:
        quantities: their names, in the order of everything else here.
        mean: of every quantity over the cases.
        deviation: of every quantity over the cases, above 0.
        precision: (n, n) inverse of the shrunk matrix of correlations.
        limit: the distance that the stated share of held-out cases stays below.
        cases: how many held-out cases there were.
    """

    quantities: tuple[str, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    precision: tuple[tuple[float, ...], ...]
    limit: float
    cases: int

    def __post_init__(self) -> None:
        n = len(self.quantities)
        flat = [value for row in self.precision for value in row]
        numbers = np.array([*self.mean, *self.deviation, self.limit, *flat], np.float64)
        if not 0 < n <= MOST or len(self.mean) != n or len(self.deviation) != n:
            raise ValueError("the typical quantities do not belong together")
        if len(self.precision) != n or any(len(row) != n for row in self.precision):
            raise ValueError("the precision of the typical quantities is not square")
        if not np.isfinite(numbers).all() or min(*self.deviation, self.limit) <= 0:
            raise ValueError("the typical quantities are not all numbers in their range")

    @classmethod
    def fit(
        cls,
        rows: Sequence[Mapping[str, float]],
        groups: Sequence[object],
        *,
        inside: float = 0.97,
    ) -> Typical:
        """Calibrate on held-out cases.

        The limit comes from distances of cases to a calibration without them and without whatever
        shares their group, so that it is not too tight.

        Args:
            rows: name → value for every case, the same names in each.
            groups: what cases have in common that must not be on both sides, the head for example.
            inside: share of the cases that must lie below the limit.

        Raises:
            ValueError: there are too few cases.
        """
        if len(rows) < FEWEST:
            raise ValueError(f"{len(rows)} cases are too few to calibrate with, of {FEWEST}")
        names = tuple(rows[0])
        table = np.array([[row[name] for name in names] for row in rows], np.float64)
        found: list[float] = []
        for group in dict.fromkeys(groups):
            own = np.array([g == group for g in groups])
            if own.all():
                raise ValueError("one group of cases leaves nothing to compare it with")
            moments = _moments(table[~own])
            found += [_distance(row, *moments) for row in table[own]]
        mean, deviation, precision = _moments(table)
        return cls(
            names,
            tuple(round(float(v), 6) for v in mean),
            tuple(round(float(v), 6) for v in deviation),
            tuple(tuple(round(float(v), 6) for v in row) for row in precision),
            round(float(np.quantile(found, inside)), 4),
            len(rows),
        )

    def distance(self, values: Mapping[str, float]) -> float:
        """Return how far an input lies from the cases: 1 is an ordinary one.

        The Mahalanobis distance over the square root of the number of quantities.

        Raises:
            KeyError: a quantity is missing.
        """
        row = np.array([values[name] for name in self.quantities])
        return _distance(
            row, np.array(self.mean), np.array(self.deviation), np.array(self.precision)
        )

    def furthest(self, values: Mapping[str, float], most: int = 3) -> tuple[str, ...]:
        """Name the quantities that stand out most, each by itself, beyond three deviations."""
        away: dict[str, float] = {
            name: abs(values[name] - mean) / deviation
            for name, mean, deviation in zip(
                self.quantities, self.mean, self.deviation, strict=True
            )
        }
        found = sorted((n for n in away if away[n] > 3), key=away.__getitem__, reverse=True)
        return tuple(found[:most])

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "quantities": list(self.quantities),
            "mean": list(self.mean),
            "deviation": list(self.deviation),
            "precision": [list(row) for row in self.precision],
            "limit": self.limit,
            "cases": self.cases,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Typical:
        """Rebuild from :meth:`to_dict`'s result.

        Raises:
            ValueError, TypeError, KeyError: it is damaged.
        """
        return cls(
            tuple(str(name) for name in values["quantities"]),
            tuple(float(v) for v in values["mean"]),
            tuple(float(v) for v in values["deviation"]),
            tuple(tuple(float(v) for v in row) for row in values["precision"]),
            float(values["limit"]),
            int(values["cases"]),
        )


Numbers = NDArray[np.float64]


def _moments(table: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    mean, deviation = table.mean(axis=0), np.maximum(table.std(axis=0, ddof=1), 1e-3)
    z = (table - mean) / deviation
    correlation = z.T @ z / (len(z) - 1)
    shrunk = (1 - SHRINKAGE) * correlation + SHRINKAGE * np.eye(len(mean))
    return mean, deviation, np.linalg.inv(shrunk)


def _distance(row: Numbers, mean: Numbers, deviation: Numbers, precision: Numbers) -> float:
    z = (row - mean) / deviation
    return float(np.sqrt(np.maximum(z @ precision @ z, 0.0) / len(z)))
