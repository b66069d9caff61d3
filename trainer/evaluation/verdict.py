"""What a comparison before and after a training comes to, in a sentence per direction."""

from __future__ import annotations

from collections.abc import Sequence

from trainer.cohort.pairs import SIGNIFICANT, fewest_cases, smallest_p
from trainer.evaluation.before_after import Change

EXPLAINED = (
    "PSNR and MAE compare grey value by grey value; gain-matched PSNR first gives every case the "
    "best brightness and contrast, which a T2 cannot know of an ultrasound, so it speaks of "
    "anatomy. SSIM speaks of structure."
)


def verdicts(changes: Sequence[Change], tests: int) -> list[str]:
    """Return a sentence per direction of synthesis; reconstructions are not spoken of.

    Args:
        changes: of all directions and metrics.
        tests: comparisons that Holm corrects for.
    """
    directions = dict.fromkeys(c.direction for c in changes if not c.reconstruction)
    return [
        _sentence(name, [c for c in changes if c.direction == name], tests) for name in directions
    ]


def _sentence(direction: str, changes: Sequence[Change], tests: int) -> str:
    inputs, _, target = direction.partition(" → ")
    cases = max(c.cases for c in changes)
    what = f"{target} made from {' and '.join(inputs.split('+'))}"
    better = [c for c in changes if c.verdict == "better"]
    worse = [c for c in changes if c.verdict == "worse"]
    of = "1 case" if cases == 1 else f"{cases} cases"
    if better and worse:
        return f"{what}: better by {_named(better)}, but worse by {_named(worse)} ({of})."
    if better or worse:
        word = "better" if better else "worse"
        return f"{what}: {word} than before, by {_named(better or worse)} ({of})."
    needed = fewest_cases(tests)
    if cases < needed:
        least = smallest_p(cases, tests)
        why = f" (the smallest possible p is {least:.2g})" if least >= SIGNIFICANT else ""
        return (
            f"{what}: cannot be told with {of}{why}; at least {needed} are needed to show any "
            "difference."
        )
    return f"{what}: no difference could be shown with {of}."


def _short(metric: str) -> str:
    """Return a metric's name without its unit."""
    return metric.rpartition(", ")[0] or metric


def _named(changes: Sequence[Change]) -> str:
    return ", ".join(
        f"{_short(c.metric)} {c.before.split()[0]} to {c.after.split()[0]}, p = {c.p}"
        for c in changes
    )
