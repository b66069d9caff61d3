"""One slice of a volume, for a small picture before the whole is read."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from core.io.dicom_tags import read_tags
from core.io.dicom_voxels import decoded
from core.io.finish import damaged
from core.io.header import Header
from core.io.reader import read
from core.volume import VolumeError

_MOST_VOXELS = 40_000_000
"""Larger volumes whose slices cannot be read one by one are not read for a picture."""


def middle_slice(header: Header) -> tuple[NDArray[np.float32], float] | None:
    """Read a slice through the middle.

    Args:
        header: of a volume without a problem.

    Returns:
        (row, column) float32 in the volume's units: a DICOM series as it was acquired, anything
        else axial with the patient's left on the right; and the height of a pixel over its width.
        None when the volume is too large to be read for this.

    Raises:
        VolumeError: the volume cannot be read.
    """
    if header.grid is None:
        raise VolumeError(header.problem)
    if len(header.members) > 1:
        path = header.members[len(header.members) // 2]
        with damaged(path.name):
            tags = read_tags(path)
            assert tags is not None
            image = decoded(tags)[0]
        return image, float(header.grid.spacing[1] / header.grid.spacing[0])
    if math.prod(header.grid.shape) > _MOST_VOXELS:
        return None
    volume = read(header).canonical()
    middle = volume.voxels[::-1, ::-1, volume.grid.shape[2] // 2].T
    return middle, float(volume.grid.spacing[1] / volume.grid.spacing[0])
