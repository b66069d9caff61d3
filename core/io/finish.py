"""From stored numbers to a volume: scaling, repairs, refusals that every format shares."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.grid import Grid
from core.volume import Volume, VolumeError

_HIGHEST = float(np.finfo(np.float32).max)
NOT_FINITE = "were not finite (NaN or infinite)"


@contextmanager
def damaged(name: str) -> Iterator[None]:
    """Turn whatever a reading library raises inside the block into one sentence.

    A damaged file can make a library raise almost anything, so this is the one place where every
    exception is a statement about the file. Our own sentences pass through unchanged.

    Raises:
        VolumeError: anything else was raised inside.
    """
    try:
        yield
    except (VolumeError, MemoryError):
        raise
    except Exception as error:
        raise VolumeError(
            f"{name}: expected an intact image file; it cannot be decoded "
            f"({type(error).__name__}). It is damaged or cut short; copy or export it again."
        ) from error


def check_dtype(name: str, dtype: np.dtype[Any]) -> None:
    """Refuse voxels that are not one real number each.

    Raises:
        VolumeError: colour, complex or unknown voxels.
    """
    if dtype.fields or dtype.kind == "V":
        raise VolumeError(
            f"{name}: expected one grey value per voxel; found colour (RGB) voxels. "
            "Convert it to a greyscale volume first."
        )
    if dtype.kind == "c":
        raise VolumeError(
            f"{name}: expected real numbers; found complex voxels. "
            "Save the magnitude as a volume of its own."
        )
    if dtype.kind not in "iufb":
        raise VolumeError(f"{name}: expected numbers as voxels; found type {dtype}.")


def finish(
    name: str,
    raw: NDArray[Any],
    grid: Grid,
    *,
    slope: float = 1.0,
    intercept: float = 0.0,
    synthetic: bool = False,
    warnings: tuple[str, ...] = (),
    allow_zero: bool = False,
    blank: str = NOT_FINITE,
) -> Volume:
    """Scale stored numbers and make the volume.

    Args:
        name: file name without folders; becomes the volume's source.
        raw: (i, j, k) stored numbers, any real type.
        grid: shape and RAS+ mm affine.
        slope: factor from stored to real value.
        intercept: real value of a stored zero.
        synthetic: whether the file is marked as made by a model.
        warnings: sentences so far.
        allow_zero: accept a volume of zeros only (used when our own output is read back).
        blank: what to say of voxels that are not finite.

    Raises:
        VolumeError: no voxel is finite, or all are zero.
    """
    check_dtype(name, raw.dtype)
    # Slice by slice and in float64: exact, and only one slice is ever held twice.
    voxels = np.empty(grid.shape, dtype=np.float32, order="F")
    bad: list[tuple[int, NDArray[np.bool_]]] = []
    huge = 0
    lowest = np.inf
    with np.errstate(over="ignore", invalid="ignore"):
        for k in range(grid.shape[2]):
            plane = raw[:, :, k]
            if slope != 1.0 or intercept != 0.0:
                plane = plane.astype(np.float64) * slope + intercept
            voxels[:, :, k] = plane
            finite = np.isfinite(voxels[:, :, k])
            if not finite.all():
                bad.append((k, ~finite))
                if plane.dtype.itemsize > 4:
                    huge += int((np.isfinite(plane) & ~finite).sum())
                if not finite.any():
                    continue
            lowest = min(lowest, float(voxels[:, :, k].min(where=finite, initial=np.inf)))
    if huge:
        blank = f"{blank}, or beyond {_HIGHEST:.3g},"
    if not np.isfinite(lowest) and huge:
        raise VolumeError(
            f"{name}: expected values up to {_HIGHEST:.3g}; all of its voxels lie beyond. Divide "
            "them by a constant, and save the volume again."
        )
    if not np.isfinite(lowest):
        raise VolumeError(
            f"{name}: expected finite numbers; no voxel holds one (all NaN or infinite). "
            "Export the volume again."
        )
    if bad:
        for k, where in bad:
            voxels[:, :, k][where] = lowest
        count = sum(int(where.sum()) for _, where in bad)
        warnings = (
            *warnings,
            f"{count} voxels {blank} and were set to the lowest value of the rest, {lowest:g}.",
        )
    if not allow_zero and not voxels.any():
        raise VolumeError(
            f"{name}: expected an image; every voxel is zero. "
            "The export went wrong, or this is the wrong file."
        )
    return Volume(voxels, grid, source=name, synthetic=synthetic, warnings=warnings)
