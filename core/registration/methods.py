"""The ways to compare two images in a registration, by name; a new one is a line here.

Light to import: what a method computes with is imported when it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from core.registration.alignment import Matrix
    from core.registration.pair import Pair


class Refine(Protocol):
    """One way to climb from a place to the nearest best one."""

    def __call__(
        self, pair: Pair, across: Matrix, kind: str, seed: int, stop: Callable[[], None]
    ) -> tuple[Matrix, float]:
        """Return the map swept → other found, and how good it is."""
        ...


@dataclass(frozen=True)
class Method:
    """One way to register.

    Attributes:
        levels: mm, coarse to fine.
        refine: returns what climbs; called when a search begins.
        coarse_affine: whether affine maps are sought on the middle level already.
    """

    levels: tuple[float, float, float]
    refine: Callable[[], Refine]
    coarse_affine: bool


def _lc2() -> Refine:
    from core.registration.lc2 import refine

    return refine


def _mutual_information() -> Refine:
    from core.registration.mutual_information import refine

    return refine


LC2 = "LC2"
METHODS = {
    # LC2 looks into small blocks; at 4 mm little is left to see in one.
    LC2: Method((2.5, 1.5, 1.0), _lc2, coarse_affine=True),
    # Mutual information has no price on strain: on coarse images its affine maps run away.
    "mutual information": Method((4.0, 2.0, 1.0), _mutual_information, coarse_affine=False),
}
"""Ways to register that need no model; see docs/registration.md for how well each did."""
DEFAULT_METHOD = LC2
THROUGH_THE_MODEL = "through the model"
"""The way that needs a model and torch: :mod:`core.registration.through_model`."""
