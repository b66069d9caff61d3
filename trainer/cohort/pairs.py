"""What a cohort's pairs can teach and show: a model learns from them, a test judges by them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from math import floor, log2
from typing import Protocol

SIGNIFICANT = 0.05
"""p below which a difference is called one."""
ENOUGH_CASES = 8
"""Below this no p-value is given: the smallest possible one would not be small."""
METRICS = 4
"""Of the report: PSNR, gain-matched PSNR, SSIM, MAE."""
FEWEST_TO_TRAIN = 30
"""Pairs below which the built-in model is better fine-tuned than a new one begun."""


class HasImages(Protocol):
    """A case, listed or read."""

    @property
    def id(self) -> str:
        """Its pseudonym."""

    @property
    def files(self) -> Collection[str]:
        """Its modalities."""


def paired(case: HasImages) -> bool:
    """Tell whether one image of a case can be made from another."""
    return len(case.files) > 1


def pairs_in(cases: Iterable[HasImages], ids: Collection[str] | None = None) -> int:
    """Count the cases with a pair, all or those among ``ids``."""
    return sum(paired(case) for case in cases if ids is None or case.id in ids)


def comparisons(modalities: int) -> int:
    """Return how many comparisons a report of before and after corrects for.

    One per metric and missing target; a target that was an input is reconstructed, which is no
    hypothesis about synthesis. The subsets of n modalities lack n (2ⁿ⁻¹ - 1) targets in all.
    """
    return modalities * (2 ** (modalities - 1) - 1) * METRICS


def smallest_p(cases: int, tests: int = 1) -> float:
    """Return the smallest p that Holm's correction can leave.

    The smallest two-sided Wilcoxon signed-rank p of n cases is 2 / 2ⁿ, when every case differs the
    same way; Holm multiplies the smallest p of a family by the number of its tests.

    Args:
        cases: compared in each test.
        tests: in the family.
    """
    return float(min(1.0, tests * 2 / 2**cases))


def fewest_cases(tests: int) -> int:
    """Return the cases with which one of so many tests can reach p < 0.05 at all."""
    return max(ENOUGH_CASES, floor(log2(2 * tests / SIGNIFICANT)) + 1)


def fewest_tests(modalities: int = 2) -> int:
    """Return the test pairs with which a report of before and after can reach p < 0.05 at all."""
    return fewest_cases(comparisons(modalities))


def no_pairs(modalities: tuple[str, ...], cases: int) -> str:
    """Say that nothing can be learned, and what was expected."""
    first, last = modalities[0], modalities[-1]
    return (
        f"None of the {cases} usable cases has two images of one patient; a model learns from "
        f"pairs of {' and '.join(modalities)}. Files of a pair share a name, as "
        f"Case001-{last}.nii.gz and Case001-{first}.nii.gz do: rename them, or list them in a CSV "
        "with one line per patient."
    )


def doubts(pairs: Mapping[str, int], modalities: int = 2) -> list[str]:
    """Return what a split leaves unjudged, a sentence each.

    Args:
        pairs: part → cases with a pair.
        modalities: of the model.
    """
    needed = fewest_tests(modalities)
    found = []
    if not pairs["validation"]:
        found.append(
            "No pair is held out to watch the training: overfitting cannot be seen, and no best "
            "step be chosen. Raise data.validation."
        )
    if not pairs["test"]:
        found.append("No pair is held out for the report: nothing will be judged. Raise data.test.")
    elif pairs["test"] < needed:
        found.append(
            f"The test has {_count(pairs['test'])}; fewer than {needed} cannot show a difference "
            "(p < 0.05 after Holm's correction), however large it is. Raise data.test, or bring "
            "more cases."
        )
    return found


def _count(number: int) -> str:
    return "1 pair" if number == 1 else f"{number} pairs"
