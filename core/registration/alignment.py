"""Affine maps in world millimetres, and what is known about one.

A matrix is (4, 4), RAS+ mm, and sends a position in the moving volume's header space to the fixed
(case) space.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.errors import UserError
from core.grid import Grid
from core.volume import Volume

Matrix = NDArray[np.float64]
"""(4, 4) RAS+ mm: a position in the moving volume's header space → fixed space."""


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
    """The result of :func:`core.registration.register.register`.

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
