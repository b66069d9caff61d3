"""Alignment of two volumes: affine maps in world millimetres, and the door to registration.

A matrix is (4, 4), RAS+ mm, and sends a position in the moving volume's header space to the fixed
(case) space. Nothing here imports torch; SimpleITK and scipy are imported where they are used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.case import box_distance
from core.errors import Cancelled, UserError
from core.grid import Grid
from core.volume import Volume

Matrix = NDArray[np.float64]
"""(4, 4) RAS+ mm: a position in the moving volume's header space → fixed space."""

KINDS = ("rigid", "affine")
MUTUAL_INFORMATION = "mutual information"
LC2 = "LC2"
METHODS = (LC2, MUTUAL_INFORMATION)
"""Ways to register that need no model; see docs/registration.md for how well each did."""
DEFAULT_METHOD = LC2
THROUGH_THE_MODEL = "through the model"
"""The way that needs a model and torch: ``core.registration.through_model``."""


class AlignError(UserError):
    """Volumes, transforms or landmarks that cannot be brought together."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """One affine map and where it came from.

    Attributes:
        matrix: (4, 4) RAS+ mm, moving → fixed.
        kind: ``"header"``, ``"rigid"``, ``"affine"``, ``"file"``, ``"manual"``, ``"centred"`` or
            ``"landmarks"``.
        source: file name without folders, or the method (``"mutual information"``).
    """

    matrix: Matrix
    kind: str
    source: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", checked_matrix(self.matrix, self.source))


@dataclass(frozen=True)
class AlignProgress:
    """How far a registration is.

    Attributes:
        stage: what is being done, for people.
        done: steps finished.
        total: steps in all.
        seconds_left: estimate; None while unknown.
    """

    stage: str
    done: int
    total: int
    seconds_left: float | None


@dataclass(frozen=True, eq=False)
class Registration:
    """The result of :func:`register`.

    Attributes:
        alignment: the map found.
        before: mutual information inside the field of view at the start, nats; higher is better.
        after: the same with the map found.
        doubtful: whether the program itself distrusts the result.
        reason: one sentence saying why; empty when it does not.
        seconds: time taken.
    """

    alignment: Alignment
    before: float
    after: float
    doubtful: bool
    reason: str
    seconds: float


def checked_matrix(matrix: NDArray[np.float64], source: str = "") -> Matrix:
    """Return a read-only copy of a usable affine map.

    Raises:
        AlignError: not 4×4, not finite, last row not 0 0 0 1, or without an inverse.
    """
    out = np.array(matrix, dtype=np.float64)
    where = f"{source}: " if source else ""
    if out.shape != (4, 4) or not np.isfinite(out).all() or not np.allclose(out[3], (0, 0, 0, 1)):
        raise AlignError(
            f"{where}expected an affine map of 4×4 finite numbers with last row 0 0 0 1. "
            "Choose another transform."
        )
    if abs(np.linalg.det(out[:3, :3])) < 1e-6:
        raise AlignError(
            f"{where}expected a map that can be undone; this one flattens space. "
            "Choose another transform."
        )
    out.setflags(write=False)
    return out


def inverted(matrix: Matrix) -> Matrix:
    """Return the (4, 4) map of the other direction."""
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)


def moved(volume: Volume, matrix: Matrix) -> Volume:
    """Return the same voxels at another place: grid affine = ``matrix`` @ affine.

    Nothing is resampled. ``matrix`` is (4, 4), RAS+ mm.
    """
    return replace(volume, grid=Grid(volume.grid.shape, matrix @ volume.grid.affine))


def middle(volume: Volume) -> NDArray[np.float64]:
    """Return the (3,) world centre of a volume's field of view, mm."""
    from core.registration.pair import swept_region

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


def from_parameters(params: Sequence[float] | NDArray[np.float64], centre: object) -> Matrix:
    """Return the rigid map of six sliders.

    Args:
        params: (6,) translations along R, A, S in mm, then rotations about the axes R, A, S in
            degrees, applied in that order about ``centre``.
        centre: (3,) RAS mm, in the moving volume's header space.
    """
    values = np.asarray(params, dtype=np.float64)
    c = np.asarray(centre, dtype=np.float64)
    rotation = np.eye(3)
    for axis, angle in enumerate(np.radians(values[3:6])):
        a, b = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        rotation = turn @ rotation
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = c + values[:3] - rotation @ c
    return matrix


def to_parameters(matrix: Matrix, centre: object) -> NDArray[np.float64]:
    """Return the (6,) slider values of a map's rigid part; :func:`from_parameters` undoes it.

    The rigid part has the nearest rotation to the map's 3×3 part and moves ``centre`` as the map
    does.
    """
    c = np.asarray(centre, dtype=np.float64)
    r = nearest_rotation(matrix[:3, :3])
    pitch = -np.arcsin(np.clip(r[2, 0], -1, 1))
    if abs(r[2, 0]) > 1 - 1e-12:  # looking along an axis: one turn is free
        roll, yaw = np.arctan2(-r[1, 2], r[1, 1]), 0.0
    else:
        roll, yaw = np.arctan2(r[2, 1], r[2, 2]), np.arctan2(r[1, 0], r[0, 0])
    shift = matrix[:3, :3] @ c + matrix[:3, 3] - c
    return np.array([*shift, *np.degrees([roll, pitch, yaw])])


def nearest_rotation(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (3, 3) rotation closest to a (3, 3) matrix (least squares)."""
    u, _, vt = np.linalg.svd(linear)
    flip = np.diag([1.0, 1.0, np.linalg.det(u @ vt)])
    return np.asarray(u @ flip @ vt)


def similarity(fixed: Volume, moving: Volume, matrix: Matrix) -> float:
    """Return the mutual information (nats) of both images inside the iUS field of view.

    Args:
        fixed: any volume.
        moving: any volume.
        matrix: (4, 4) RAS+ mm, moving → fixed.

    Returns:
        0 where the volumes share nothing; higher is better. Comparable only between maps of the
        same two volumes.
    """
    from core.registration.pair import mutual_information

    return mutual_information(fixed, moved(moving, matrix))


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
    from core.registration.search import search

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
