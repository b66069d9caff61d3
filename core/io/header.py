"""What a file says about itself before any voxel is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.grid import Grid, GridError
from core.volume import VolumeError


@dataclass(frozen=True)
class Header:
    """One volume that a file or folder offers, read without its voxels.

    Attributes:
        path: what to hand to :func:`core.io.read`, together with ``series``.
        format: ``"NIfTI-1"``, ``"DICOM series"``, …
        grid: shape and RAS+ mm affine; ``None`` when there is a ``problem``.
        dtype: how the file stores a voxel, as a numpy name (``"int16"``).
        modality: guess (``"T2"``, ``"iUS"``, …); empty when nothing tells.
        modality_reason: sentence fragment saying what the guess rests on.
        series: key of a DICOM series inside ``path``; empty for other files. It is a digest, not
            an identifier from the file.
        description: the series' own label (DICOM SeriesDescription); never a patient's identity.
        files: how many files hold the volume.
        synthetic: whether the file is marked as made by a model.
        problem: sentence saying why the volume cannot be used; empty when it can.
        warnings: sentences about what had to be assumed.
        nature: ``"localizer"``, ``"projection"`` or ``"derived"`` for a series that is not an
            original acquisition; empty otherwise.
        remarks: sentences about what it is and how it was gathered; nothing to worry about.
        duplicate: sentence naming the volume with the same content; empty when there is none.
        frame: digest of the frame of reference that DICOM positions are in; empty when not known.
            Positions in different frames say nothing about each other.
        members: the files of a DICOM volume, in slice order; empty for other files.
    """

    path: Path
    format: str
    grid: Grid | None = None
    dtype: str = ""
    modality: str = ""
    modality_reason: str = ""
    series: str = ""
    description: str = ""
    files: int = 1
    synthetic: bool = False
    problem: str = ""
    warnings: tuple[str, ...] = ()
    nature: str = ""
    remarks: tuple[str, ...] = ()
    duplicate: str = ""
    frame: str = ""
    members: tuple[Path, ...] = ()

    @property
    def source(self) -> str:
        """What to call the volume on screen, without folders."""
        return self.description or self.path.name


def make_grid(name: str, shape: tuple[int, ...], affine: NDArray[np.float64]) -> Grid:
    """Build the grid of the file called ``name``.

    Args:
        name: file name without folders.
        shape: voxels along (i, j, k).
        affine: (4, 4) voxel → RAS+ mm.

    Raises:
        VolumeError: the numbers describe no image (singular or not finite matrix, empty axis).
    """
    try:
        return Grid((shape[0], shape[1], shape[2]), affine)
    except GridError as error:
        raise VolumeError(
            f"{name}: expected a usable voxel-to-world matrix and size. {error} "
            "Correct the header, or export the volume again."
        ) from error


def spatial_shape(name: str, shape: tuple[int, ...]) -> tuple[tuple[int, int, int], bool]:
    """Reduce a declared shape to three axes by dropping trailing axes of one.

    Returns:
        The shape (i, j, k), and whether an axis was dropped.

    Raises:
        VolumeError: fewer or more than three axes remain, or an axis is empty.
    """
    if not shape or min(shape) < 1:
        raise VolumeError(
            f"{name}: expected three axes of at least one voxel; found {_by(shape) or 'none'}, "
            "so the file is empty. Export the volume again."
        )
    kept = shape
    while len(kept) > 3 and kept[-1] == 1:
        kept = kept[:-1]
    if len(kept) > 3:
        raise VolumeError(
            f"{name}: expected one 3-D volume; found {len(kept)}-D data of {_by(kept)} voxels. "
            "Save the one volume you want (for example one time point) as a file of its own."
        )
    if len(kept) < 3:
        raise VolumeError(
            f"{name}: expected a 3-D volume; found {len(kept)}-D data of {_by(kept)} voxels. "
            "Bring the whole stack of slices as one volume."
        )
    return (kept[0], kept[1], kept[2]), kept != shape


def _by(shape: tuple[int, ...]) -> str:
    return "×".join(str(n) for n in shape)


def far_corner(
    one: NDArray[np.float64], other: NDArray[np.float64], shape: tuple[int, int, int]
) -> float:
    """Return the largest distance in mm between a volume's corners on two (4, 4) matrices."""
    corners = np.array([[i, j, k, 1.0] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    corners[:, :3] *= np.array(shape) - 1
    return float(np.linalg.norm((corners @ (one - other).T)[:, :3], axis=1).max())


_FAR = 1e5  # mm; tables move, but not by a hundred metres
_SMALL, _WIDE = 2.0, 3000.0
"""mm; the longest side of a volume of a patient lies between these."""


def grid_warnings(grid: Grid) -> tuple[str, ...]:
    """Return sentences about a grid that no patient has: sheared axes, a head of a millimetre."""
    found = list(shear_warning(grid.affine))
    longest = float((grid.spacing * grid.shape).max())
    if not _SMALL <= longest <= _WIDE:
        found.append(
            f"The volume would be {longest:.3g} mm wide; check the voxel size in its header."
        )
    away = float(np.abs(grid.corners).max())
    if away > _FAR + longest:
        found.append(
            f"The volume would lie {away / 1000:.3g} m from the origin; check the position in its "
            "header."
        )
    return tuple(found)


def shear_warning(affine: NDArray[np.float64]) -> tuple[str, ...]:
    """Return a sentence when the axes of a (4, 4) matrix are not perpendicular (beyond 0.1°)."""
    unit = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    cosine = float(np.abs(unit.T @ unit - np.eye(3)).max())
    degrees = float(np.degrees(np.arcsin(min(cosine, 1.0))))
    if degrees <= 0.1:
        return ()
    return (
        f"The axes are sheared by {degrees:.1f}° (as after gantry tilt); "
        "the positions are kept as the file gives them.",
    )
