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
ROUNDED = 0.09
"""mm; programs write positions to a tenth of a millimetre, which moves a slice so far at most."""


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
    first, step, stray = _line(points)
    length = float(np.linalg.norm(step))
    if stray <= min(ROUNDED, 0.4 * length) and gaps.min() > 0:
        affine = _fitted(row, column, spacing, first, step)
        return affine, order, _strays(stray, length) + shear_warning(affine)
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
    if stray > LIMIT * typical:
        raise _uneven(name, gaps)
    affine = _fitted(row, column, spacing, first, step)
    return affine, order, _strays(stray, length) + shear_warning(affine)


def _line(points: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Fit evenly spaced points: the first, the step, and how far the others stray from them."""

    def stray(first: FloatArray, step: FloatArray) -> float:
        return float(np.linalg.norm(points - (first + steps[:, None] * step), axis=1).max())

    steps = np.arange(len(points), dtype=np.float64)
    ends = points[0], (points[-1] - points[0]) / (len(points) - 1)
    if stray(*ends) <= SILENT * float(np.linalg.norm(ends[1])):
        return *ends, stray(*ends)
    # Rounding moves the ends as well; all points together know better.
    slope, start = np.polynomial.polynomial.polyfit(steps, points, 1)[::-1]
    return start, slope, stray(start, slope)


def _fitted(
    row: FloatArray,
    column: FloatArray,
    spacing: tuple[float, float],
    first: FloatArray,
    step: FloatArray,
) -> FloatArray:
    """Return the (4, 4) voxel → RAS+ mm matrix of a stack."""
    affine = np.eye(4)
    affine[:3, 0] = row * spacing[1]
    affine[:3, 1] = column * spacing[0]
    affine[:3, 2] = step
    affine[:3, 3] = first
    return np.asarray(np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine)


def _strays(stray: float, step: float) -> tuple[str, ...]:
    if stray <= SILENT * step:
        return ()
    return (
        f"Slice positions stray by up to {stray:.2g} mm from even spacing of {step:.3g} mm, which "
        "was assumed.",
    )


def _uneven(name: str, gaps: FloatArray) -> VolumeError:
    return VolumeError(
        f"{name}: expected evenly spaced slices; found gaps from {gaps.min():.3g} to "
        f"{gaps.max():.3g} mm. Resample the series to even spacing, or export the original one."
    )
