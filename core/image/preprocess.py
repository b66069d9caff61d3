"""The paper's preprocessing: a volume's field of view and scale, onto one grid, to [-1, 1].

One piece of code for synthesis, for training and for prepared cohorts, so that a model sees the
same numbers wherever it runs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.errors import UserError
from core.grid import Grid
from core.image.field_of_view import field_of_view, fills_its_box
from core.image.intensity import STEP, Normaliser
from core.image.resample import resample_inside
from core.modalities import SWEPT
from core.volume import Mask, Volume, Voxels

UNCHANGED = Normaliser(-STEP, 1.0)
"""The scale of a volume that is in the model's range already: it changes nothing."""
STORED = 1 / 4096
"""Step of prepared volumes: finer than the trainer's own, and -1, -255/256 and 1 are exact."""
LARGEST = 1024
"""Voxels a side that a head may have on the working grid."""


class PreprocessError(UserError):
    """A volume that does not fit the working grid."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What depends on one volume alone.

    Attributes:
        volume: stored closest to RAS+.
        field: (i, j, k) bool on its grid: where there is an image.
        normaliser: its scale, from the whole field, whatever part of it is used later.
        warnings: sentences about voxels that were set aside, and about a doubtful field.
    """

    volume: Volume
    field: Mask
    normaliser: Normaliser
    warnings: tuple[str, ...] = ()


def measure(
    volume: Volume, percentiles: tuple[float, float], field: Mask | None = None
) -> Measured:
    """Find a volume's field of view (unless given, on its canonical grid) and its scale.

    A volume that is in the model's range already (``mhvae-studio prepare`` writes such) keeps its
    values: its scale came from the whole image, of which it may hold a part.

    Raises:
        IntensityError: it is empty or constant.
    """
    own = volume.canonical()
    if is_in_model_range(own.voxels):
        return Measured(own, own.voxels > -1 if field is None else field, UNCHANGED)
    inside = field_of_view(own) if field is None else field
    normaliser = Normaliser.fit(own.voxels, inside, percentiles)
    told = normaliser.warnings(own.source)
    if field is None and own.modality in SWEPT:
        told += fills_its_box(inside, own.source)
    return Measured(own, inside, normaliser, told)


def is_in_model_range(voxels: Voxels) -> bool:
    """Tell whether an image is in the model's range as ``mhvae-studio prepare`` stores it.

    That is: -1 outside, [-255/256, 1] inside, in whole steps of 1/4096 but not of 1/256. No image
    in other units has all of that, with or without a background.
    """
    if voxels.max() > 1 or not -1 <= voxels.min() < 0:
        return False
    steps = voxels / np.float32(STORED)
    coarse = np.float32(STORED / (1 - STEP))
    if (steps != np.rint(steps)).any() or not (steps * coarse != np.rint(steps * coarse)).any():
        return False
    return bool(voxels.min(where=voxels > -1, initial=1) >= -STEP)


def working_grid(reference: Volume, spacing: tuple[float, float, float]) -> Grid:
    """Return the grid of a canonical volume at another spacing (mm).

    Raises:
        PreprocessError: it would be larger than any head.
    """
    grid = reference.grid.with_spacing(spacing)
    if np.prod([float(n) for n in grid.shape]) > LARGEST**3:
        raise PreprocessError(
            f"On the model's grid this volume would have {grid.shape} voxels; expected a head, at "
            f"most {LARGEST} voxels a side. Check the voxel size in the file's header."
        )
    return grid


def image_on(measured: Measured, grid: Grid) -> tuple[Voxels, Mask]:
    """Return a volume on a grid, in [-1, 1] with the background exactly -1, and its mask."""
    volume = measured.volume
    values, inside = resample_inside(volume.voxels, measured.field, volume.grid, grid)
    return measured.normaliser.forward(values, inside), inside
