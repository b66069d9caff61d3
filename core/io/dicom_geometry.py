"""From the positions of DICOM slices to one affine, or a sentence saying why there is none."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.io.header import shear_warning
from core.volume import VolumeError

FloatArray = NDArray[np.float64]

SILENT = 0.01
"""Positions may stray from even spacing by this share of it without a word (rounded headers)."""
LIMIT = 0.1
"""Beyond this share the slices are not one evenly spaced volume."""


def normal(name: str, orientation: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the unit directions along a row, along a column, and across the slice (LPS).

    Raises:
        VolumeError: the six cosines are not two perpendicular directions.
    """
    row, column = np.asarray(orientation, dtype=np.float64).reshape(2, 3)
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if min(lengths) < 0.9 or max(lengths) > 1.1 or abs(row @ column) > 0.01:
        raise VolumeError(
            f"{name}: expected perpendicular row and column directions in the DICOM header; found "
            f"{np.round(row, 3).tolist()} and {np.round(column, 3).tolist()}. Export it again."
        )
    row, column = row / lengths[0], column / lengths[1]
    return row, column, np.cross(row, column)


def stack(
    name: str,
    positions: ArrayLike,
    orientation: ArrayLike,
    spacing: tuple[float, float],
) -> tuple[FloatArray, NDArray[np.intp], tuple[str, ...]]:
    """Fit an evenly spaced stack through the slices' positions.

    Args:
        name: what to call the series in a sentence.
        positions: (n, 3) ImagePositionPatient, LPS mm, in any order, n ≥ 2.
        orientation: (6,) ImageOrientationPatient.
        spacing: PixelSpacing, mm: between rows, between columns.

    Returns:
        ``affine``: (4, 4) voxel (column, row, slice) → RAS+ mm, sheared when the gantry was tilted;
        ``order``: (n,) index of the slice at each k; ``warnings``: sentences.

    Raises:
        VolumeError: slices are missing, doubled, or unevenly spaced.
    """
    row, column, across = normal(name, orientation)
    points = np.asarray(positions, dtype=np.float64)
    depth = points @ across
    order = np.argsort(depth, kind="stable")
    points, gaps = points[order], np.diff(depth[order])
    typical = float(np.median(gaps))
    whole = gaps / max(float(gaps.min()), 1e-9)
    if np.abs(whole - np.round(whole)).max() <= LIMIT:
        # Right even where most of the slices are missing.
        typical = float(np.median(gaps / np.maximum(np.round(whole), 1)))
    if gaps.min() < 0.01 * max(typical, 0.01):
        raise VolumeError(
            f"{name}: expected one slice per position; several images lie at the same one. It "
            "holds more than one volume (time points, echoes): export the wanted one alone."
        )
    if gaps.max() > (1 + LIMIT) * typical:
        ratio = gaps / typical
        if np.abs(ratio - np.round(ratio)).max() <= LIMIT:
            lost = int((np.round(ratio) - 1).sum())
            raise VolumeError(
                f"{name}: expected slices every {typical:.3g} mm; {lost} "
                f"{'is' if lost == 1 else 'are'} missing, the first gap after slice "
                f"{int(np.flatnonzero(np.round(ratio) > 1)[0]) + 1} of {len(points)}. "
                "Export the whole series again."
            )
        raise _uneven(name, gaps)
    steps = np.arange(len(points))
    step = (points[-1] - points[0]) / (len(points) - 1)
    stray = float(np.linalg.norm(points - (points[0] + steps[:, None] * step), axis=1).max())
    if stray > LIMIT * typical:
        raise _uneven(name, gaps)
    notes: tuple[str, ...] = ()
    if stray > SILENT * typical:
        notes = (
            f"Slice positions stray by up to {stray:.2g} mm from even spacing of "
            f"{np.linalg.norm(step):.3g} mm, which was assumed.",
        )
    affine = np.eye(4)
    affine[:3, 0] = row * spacing[1]
    affine[:3, 1] = column * spacing[0]
    affine[:3, 2] = step
    affine[:3, 3] = points[0]
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    return affine, order, notes + shear_warning(affine)


def _uneven(name: str, gaps: FloatArray) -> VolumeError:
    return VolumeError(
        f"{name}: expected evenly spaced slices; found gaps from {gaps.min():.3g} to "
        f"{gaps.max():.3g} mm. Resample the series to even spacing, or export the original one."
    )
