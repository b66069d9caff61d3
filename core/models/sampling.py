"""How wide a model draws its samples: calibrated factors, which travel with the model.

A model whose posterior is narrower than what its inputs leave open draws samples that all look
alike. A factor on the standard deviation of every latent level, chosen on held-out cases, can widen
or narrow them without touching the weights. No torch in here; :mod:`core.synthesis.noise` applies
the factors.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

HIGHEST = 10.0
"""Largest factor a file may hold, as for the temperature."""


@dataclass(frozen=True)
class Sampling:
    """The calibration of what is drawn from one subset of inputs.

    Attributes:
        factors: on the standard deviation of every latent level, coarsest first, beside the
            temperature; 0 to 10, 1 for the model's own.
        target: the modality whose samples were measured.
        measured_on: what kind of cases, and what the samples held there, for the label of a σ map:
            ``simulated cases, holds 60% of the truth``.
    """

    factors: tuple[float, ...]
    target: str
    measured_on: str

    def __post_init__(self) -> None:
        if not self.factors or not all(
            math.isfinite(f) and 0 <= f <= HIGHEST for f in self.factors
        ):
            raise ValueError(
                f"sampling factors must lie between 0 and {HIGHEST:g}; found {list(self.factors)}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), "factors": list(self.factors)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Sampling:
        """Rebuild from :meth:`to_dict`'s result.

        Raises:
            ValueError, TypeError, KeyError: it is damaged.
        """
        factors = tuple(float(f) for f in values["factors"])
        target, measured_on = (
            " ".join(str(values[name]).split())[:60] for name in ("target", "measured_on")
        )
        return cls(factors, target, measured_on)


def subset_name(inputs: Iterable[str], modalities: Sequence[str]) -> str:
    """Name a subset of inputs whatever their order: ``iUS+T2``, in the model's order."""
    given = set(inputs)
    return "+".join(m for m in modalities if m in given)


def read_sampling(values: Any, levels: int) -> dict[str, Sampling]:
    """Read what a model file says of its samples, subset → calibration.

    Raises:
        ValueError, TypeError, KeyError: it is damaged, or made for another number of levels.
    """
    if not isinstance(values, dict):
        raise ValueError("sampling names no subsets")
    found = {str(name): Sampling.from_dict(one) for name, one in values.items()}
    for one in found.values():
        if len(one.factors) != levels:
            raise ValueError(
                f"sampling holds {len(one.factors)} factors for a model of {levels} levels"
            )
    return found
