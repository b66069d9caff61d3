"""Registration: the search for the map that brings one volume onto another, and what it needs.

Nothing here imports torch; SimpleITK and scipy are imported where they are used.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from core.case import box_distance
from core.errors import Cancelled
from core.registration.alignment import (
    AlignError,
    Alignment,
    AlignProgress,
    Matrix,
    Registration,
    checked_matrix,
    moved,
)
from core.registration.methods import DEFAULT_METHOD, METHODS
from core.registration.pair import swept_region
from core.registration.search import search
from core.volume import Volume

KINDS = ("rigid", "affine")


def middle(volume: Volume) -> NDArray[np.float64]:
    """Return the (3,) world centre of a volume's field of view, mm."""
    mask = swept_region(volume)
    if mask.all():
        return volume.grid.centre
    sums = [mask.sum(axis=tuple({0, 1, 2} - {a})) for a in range(3)]
    voxel = [float(np.average(np.arange(len(s)), weights=s)) for s in sums]
    return volume.grid.to_world(voxel)


def centred(fixed: Volume, moving: Volume) -> Alignment:
    """Return the translation that brings the middles of both fields of view together.

    Raises:
        IntensityError: a volume is empty.
    """
    matrix = np.eye(4)
    matrix[:3, 3] = middle(fixed) - middle(moving)
    return Alignment(matrix, "centred")


def check_overlap(fixed: Volume, moving: Volume) -> None:
    """Refuse volumes that share no space.

    Raises:
        AlignError: the sentence has the distance in mm and the way out.
    """
    gap = box_distance(fixed, moving)
    if gap > 0:
        raise AlignError(
            f"{_name(fixed)} and {_name(moving)} do not overlap: they are {gap:.0f} mm apart in "
            "space, so there is nothing to register. If both are of one patient, centre the one "
            "on the other first (--centre); otherwise check the files."
        )


def register(
    fixed: Volume,
    moving: Volume,
    *,
    kind: str = "rigid",
    start: Matrix | None = None,
    method: str = DEFAULT_METHOD,
    seed: int = 0,
    progress: Callable[[AlignProgress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Registration:
    """Find the map that brings ``moving`` onto ``fixed``.

    Args:
        fixed: stays where it is.
        moving: is moved; either of the two may be the iUS.
        kind: ``"rigid"``, or ``"affine"`` (rigid first, then affine).
        start: (4, 4) RAS+ mm to begin from; the headers' own positions without it.
        method: one of :data:`METHODS`.
        seed: of the starts and the sampling; the same arguments give the same matrix.
        progress: told after every step.
        cancelled: asked between steps.

    Raises:
        AlignError: unknown kind or method, no overlap, nothing in the field of view.
        IntensityError: a volume is empty.
        Cancelled: ``cancelled`` said so.
    """
    if kind not in KINDS or method not in METHODS:
        raise AlignError(
            f"Registration is {' or '.join(KINDS)}, by {' or '.join(METHODS)}; found {kind}, "
            f"by {method}."
        )
    matrix = np.eye(4) if start is None else checked_matrix(start)
    check_overlap(fixed, moved(moving, matrix))

    def stop() -> None:
        if cancelled is not None and cancelled():
            raise Cancelled

    return search(fixed, moving, kind, matrix, method, seed, progress or (lambda _: None), stop)


def _name(volume: Volume) -> str:
    if volume.modality and volume.source:
        return f"{volume.modality} ({volume.source})"
    return volume.modality or volume.source or "a volume"
