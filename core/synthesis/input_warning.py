"""What is told of an input that does not look like the model's training; no torch in here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

KEY = "input_check"
"""Where a provenance holds the check: input → :meth:`Checked.record`."""
SHORT = "input unlike the training"
"""Beside a picture, where there is room for a few words."""
SHORT_SLIGHT = "input a little unlike the training"
"""The same for a score that is only just beyond its limit."""
SLIGHT = 0.2
"""Part of the limit by which a score may lie beyond it and be called a little unlike: a right image
of another scanner can lie there, so a wrong one must not be taken for granted."""


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
        if slight(self.score, self.limit):
            return (
                f"The {m} is a little less like the {m} images the model was trained on than the "
                f"model's held-out cases (score {self.score:.1f}; nearly all of {self.cases} stay "
                f"below {self.limit:.1f}). A right {m} of another scanner may lie there, and so "
                f"may a wrong image: check that it is a {m}. The check sees a few tiles and proves "
                "nothing either way."
            )
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


def slight(score: float, limit: float) -> bool:
    """Tell whether a score is beyond its limit by little."""
    return limit < score <= limit + SLIGHT * abs(limit)


def told(provenance: Mapping[str, Any]) -> str:
    """Return one sentence for a caption out of a provenance; empty when all is well.

    Whatever a file claims is only shown, so nothing in it is an error.
    """
    found = _unlike(provenance)
    if not found:
        return ""
    each = "; ".join(
        f"{m}, score {_rounded(one.get('score'))}, limit {_rounded(one.get('limit'))}"
        for m, one in found
    )
    advice = "Check the input." if _all_slight(found) else "Do not rely on it."
    return f"{told_short(provenance).capitalize()}: {each}. {advice}"


def told_short(provenance: Mapping[str, Any]) -> str:
    """Return the same in a few words."""
    found = _unlike(provenance)
    return (SHORT_SLIGHT if _all_slight(found) else SHORT) if found else ""


def _unlike(provenance: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    checked = provenance.get(KEY)
    return [
        (m, one)
        for m, one in (checked.items() if isinstance(checked, Mapping) else ())
        if isinstance(one, Mapping) and one.get("unlike_training") is True
    ]


def _rounded(value: object) -> object:
    return f"{value:.1f}" if isinstance(value, float) else value


def _all_slight(found: Sequence[tuple[str, Mapping[str, Any]]]) -> bool:
    try:
        return all(slight(float(one["score"]), float(one["limit"])) for _, one in found)
    except (KeyError, TypeError, ValueError):
        return False
