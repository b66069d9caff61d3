"""Where a volume has an image: the region an ultrasound probe swept."""

from __future__ import annotations

import numpy as np

from core.image.intensity import IntensityError
from core.volume import Mask, Volume


def field_of_view(volume: Volume) -> Mask:
    """Find the swept region of an ultrasound volume: where it differs from its background.

    The background is the value at the corners' majority (0 in all known reconstructions); holes
    left by the sweep are closed, loose specks dropped.

    Returns:
        bool (i, j, k) on the volume's grid; all true when the volume has no background.

    Raises:
        IntensityError: nothing differs from the background.
    """
    from scipy import ndimage

    voxels = volume.voxels
    corners = voxels[np.ix_(*((0, -1),) * 3)].ravel()
    values, counts = np.unique(corners, return_counts=True)
    background = values[counts.argmax()] if counts.max() >= 4 else 0.0
    inside = voxels != background
    if not inside.any():
        raise IntensityError(
            f"{volume.source or 'The volume'}: every voxel has the value {background:g}; expected "
            "an ultrasound with a field of view. The file is probably an empty export; choose "
            "another."
        )
    if inside.mean() > 0.98:
        return np.ones(voxels.shape, dtype=bool)
    box = ndimage.find_objects(inside.astype(np.uint8))[0]
    pad = [(4, 4)] * 3
    block = np.pad(inside[box], pad)
    block = ndimage.binary_closing(block, ndimage.generate_binary_structure(3, 1), iterations=3)
    block = ndimage.binary_fill_holes(block)
    labels, count = ndimage.label(block)
    if count > 1:
        sizes = np.bincount(labels.ravel())[1:]
        block = np.isin(labels, 1 + np.flatnonzero(sizes >= 0.05 * sizes.max()))
    out = np.zeros(voxels.shape, dtype=bool)
    out[box] = block[4:-4, 4:-4, 4:-4]
    return out
