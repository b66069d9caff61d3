"""The expected echo: the companion of an ultrasound that shows the same scan without speckle.

A T2 cannot foretell speckle, gain or compression, so where a case has such a companion it is what
a *missing* ultrasound is trained towards. Its file, ``Case012-iUS-expected.nii.gz``, has the
ultrasound's grid and display values: 0 outside the field of view, 1 to 255 inside. These mean the
same level in every case; so one fixed map leads to the model's range, never the percentiles of one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from core.grid import Grid
from core.image.intensity import Normaliser
from core.image.resample import resample_inside
from core.io import read
from core.volume import Volume, Voxels
from trainer.errors import TrainerError

SCALE = Normaliser(0.0, 255.0)
"""From display values to [-1, 1]; the background is exactly -1, as everywhere."""


def read_expected(path: Path, swept: Volume) -> Volume:
    """Read the companion of an ultrasound, stored closest to RAS+.

    Args:
        path: its file.
        swept: the ultrasound it belongs to, stored closest to RAS+.

    Raises:
        TrainerError: it cannot be read, has another grid, values outside 0…255, or shows nothing.
    """
    volume = read(path).canonical()
    if not volume.grid.same_as(swept.grid):
        raise TrainerError(
            f"{path.name} has another grid than the ultrasound it belongs to (shapes "
            f"{volume.grid.shape} and {swept.grid.shape}); expected the same voxels. Write it on "
            "the ultrasound's grid, or take it out of the cohort."
        )
    low, high = float(volume.voxels.min()), float(volume.voxels.max())
    if low < 0 or not 0 < high <= 255:
        raise TrainerError(
            f"{path.name} holds values from {low:g} to {high:g}; expected an echo in display "
            "values, 0 outside the field of view and 1 to 255 inside. Write it on that scale, or "
            "take it out of the cohort."
        )
    return volume


def expected_on(volume: Volume, grid: Grid) -> Voxels:
    """Return a companion on a grid: in display values 1…255 inside its field, elsewhere 0."""
    values, inside = resample_inside(volume.voxels, volume.voxels > 0, volume.grid, grid)
    return np.where(inside, np.clip(values, 1, 255), np.float32(0))


def in_range(display: Voxels) -> Voxels:
    """Map display values to [-1, 1], background exactly -1, by the one fixed scale."""
    return SCALE.forward(display, display > 0)
