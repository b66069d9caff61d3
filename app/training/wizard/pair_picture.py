"""A check's picture of one case, composed as the user wants to look at it; no Qt."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

CHECKER, OVERLAY = "Checkerboard", "Overlay"
SQUARE = 24
"""Pixels along a square of the checkerboard."""
OUTLINE = (90, 210, 120)
TINT = (0.35, 0.85, 1.0)
"""Colour of the first image in an overlay."""


def compose(picture: Pixels, count: int, mode: int | str, other: int = 1) -> Pixels:
    """Compose the rows of a picture into one.

    Args:
        picture: ((M + 1)·S, 3·S): a row per modality and the field of view last; see
            ``trainer.cohort.pair.picture``.
        count: M.
        mode: :data:`CHECKER`, :data:`OVERLAY`, or a modality's row alone.
        other: row of the image the first is compared with.

    Returns:
        (S, 3·S, 3) RGB, the field of view outlined.
    """
    side = picture.shape[0] // (count + 1)
    rows = [picture[n * side : (n + 1) * side] for n in range(count + 1)]
    inside = rows[-1] > 127
    other = min(other, count - 1)
    if isinstance(mode, str) and not (rows[0].any() and rows[other].any()):
        mode = other if rows[other].any() else 0  # nothing to compare with
    first, second = rows[0].astype(np.float32), rows[other].astype(np.float32)
    if mode == CHECKER:
        i, j = np.indices(first.shape)
        grey = np.where(((i // SQUARE + j // SQUARE) % 2 == 0) & inside, first, second)
        made = np.repeat(grey[..., None], 3, axis=2)
    elif mode == OVERLAY:
        made = 0.65 * second[..., None] + 0.75 * first[..., None] * np.array(TINT, np.float32)
    else:
        assert isinstance(mode, int)
        made = np.repeat(rows[mode].astype(np.float32)[..., None], 3, axis=2)
    made = np.clip(made, 0, 255).astype(np.uint8)
    made[outline(inside)] = OUTLINE
    return np.ascontiguousarray(made)


def outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels of a mask that touch its outside."""
    padded = np.pad(mask, 1)
    core = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.asarray(mask & ~core)
