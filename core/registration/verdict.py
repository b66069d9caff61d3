"""Does the program trust its own registration? One sentence says why not."""

from __future__ import annotations

import numpy as np

from core.registration.alignment import Matrix
from core.registration.pair import Pair, coverage

COVERED = 0.5
"""Part of the field of view that must lie inside the other volume."""
STRETCH = (0.85, 1.18)
"""Scales along any direction that a head and its ultrasound may differ by."""
RIVAL = 0.95
"""A place elsewhere with this part of the best one's similarity makes the choice a guess."""
FAR_MM = 25.0
"""A correction this large needs a look."""


def reason_to_doubt(
    pair: Pair,
    across: Matrix,
    rival: float,
    before: float,
    after: float,
) -> str:
    """Return the reason to distrust a map, or nothing.

    Args:
        pair: at the finest spacing.
        across: (4, 4) RAS+ mm, swept → other, the result.
        rival: similarity of the best place elsewhere, as a part of the result's own.
        before: similarity at the start.
        after: similarity of the result.
    """
    covered = coverage(pair, across)
    if covered < COVERED:
        return f"Only {covered:.0%} of the field of view lies inside the other volume."
    stretch = np.linalg.svd(across[:3, :3], compute_uv=False)
    if stretch.min() < STRETCH[0] or stretch.max() > STRETCH[1]:
        return (
            f"The map stretches by {stretch.max():.2f} along one direction and by "
            f"{stretch.min():.2f} along another, more than a head and its ultrasound differ."
        )
    if worse := less_similar(before, after):
        return worse
    if rival > RIVAL:
        return (
            f"A place more than 5 mm away fits almost as well ({rival:.0%} of this one's "
            "similarity); the images do not decide between them."
        )
    moved = float(np.linalg.norm(across[:3, :3] @ pair.centre + across[:3, 3] - pair.centre))
    if moved > FAR_MM:
        return f"The field of view moved by {moved:.0f} mm, farther than headers are usually off."
    return ""


def less_similar(before: float, after: float) -> str:
    """Return a sentence when the similarity (mutual information, nats) fell; else nothing."""
    if after >= before:
        return ""
    return (
        f"The images agree less than before (mutual information {after:.3f} against {before:.3f})."
    )
