"""What is told of an input that does not look like the model's training; no torch in here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KEY = "input_check"
"""Where a provenance holds the check: input → :meth:`Checked.record`."""
SHORT = "input unlike the training"
"""Beside a picture, where there is room for a few words."""


@dataclass(frozen=True)
class Checked:
    """What the check of one input found.

    Attributes:
        modality: which input.
        score: how much it is like wrong inputs; about 0 for one like the held-out cases.
        limit: what the stated share of these stays below.
        unusual: names of the quantities that add most to it.
        cases: how many held-out cases there were.
    """

    modality: str
    score: float
    limit: float
    unusual: tuple[str, ...]
    cases: int

    @property
    def unlike(self) -> bool:
        """Whether the input lies beyond the limit."""
        return self.score > self.limit

    @property
    def sentence(self) -> str:
        """What a user should know; empty for a familiar input."""
        if not self.unlike:
            return ""
        m = self.modality
        return (
            f"The {m} does not look like the {m} images the model was trained on (score "
            f"{self.score:.1f}; nearly all of {self.cases} held-out cases stay below "
            f"{self.limit:.1f}). Another contrast, another part of the body or damaged voxels look "
            f"so. Check that it is a {m}; do not rely on what is made of it. The check sees a few "
            "tiles: no warning is no proof."
        )

    def record(self) -> dict[str, Any]:
        """Return plain JSON values for provenance."""
        return {
            "score": round(self.score, 3),
            "limit": self.limit,
            "unlike_training": self.unlike,
            "unusual": list(self.unusual),
            "held_out_cases": self.cases,
        }


def told(provenance: Mapping[str, Any]) -> str:
    """Return one sentence for a caption out of a provenance; empty when all is well.

    Whatever a file claims is only shown, so nothing in it is an error.
    """
    checked = provenance.get(KEY)
    found = []
    for m, one in checked.items() if isinstance(checked, Mapping) else ():
        if isinstance(one, Mapping) and one.get("unlike_training") is True:
            found.append(f"{m}, score {one.get('score')}, limit {one.get('limit')}")
    return f"{SHORT.capitalize()}: {'; '.join(found)}. Do not rely on it." if found else ""
