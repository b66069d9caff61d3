"""Where a volume has an image: the region an ultrasound probe swept."""

from __future__ import annotations

import numpy as np

from core.image.intensity import IntensityError
from core.image.swept_field import swept_field
from core.modalities import SWEPT
from core.volume import Mask, Volume, Voxels

AGREES = 0.965
"""Dice from which two ways of finding a field of view have found the same."""
DARK = 0.02
"""Part of a field of view that may be missing in it; more was dark tissue that was cut off."""
NO_SWEEP = 0.9
"""Part of a volume that a sweep, a fan in a box, does not fill."""


def field_of_view(volume: Volume) -> Mask:
    """Find the swept region of an ultrasound volume: where it differs from its background.

    Where everything but one value is the image, holes left by the sweep are closed and loose specks
    dropped. In a sweep that does not look like that (noise, a frame or text around it, dark tissue
    that was cut off), :func:`core.image.swept_field.swept_field` decides.

    Returns:
        bool (i, j, k) on the volume's grid; all true when the volume has no background.

    Raises:
        IntensityError: nothing differs from the background.
    """
    exact = _not_background(volume)
    if volume.modality and volume.modality not in SWEPT:  # one nobody has named may be a sweep
        return exact
    swept = swept_field(volume.voxels, volume.grid.spacing.tolist())
    if swept is None or not swept.any():
        return exact
    both, here = float((exact & swept).sum()), float(exact.sum())
    if 2 * both < AGREES * (here + float(swept.sum())):
        return swept
    return exact | swept if float(swept.sum()) - both > DARK * here else exact


def fills_its_box(field: Mask, source: str) -> tuple[str, ...]:
    """Say that a sweep's field of view cannot be one, where it fills its volume."""
    part = float(field.mean())
    if part <= NO_SWEEP:
        return ()
    return (
        f"{source or 'The ultrasound'}: the field of view takes {part:.0%} of the volume, more "
        "than a sweep does; its background was not recognised, or it was cut out. Give a mask of "
        "the field of view if it is wrong.",
    )


def background_of(voxels: Voxels) -> float:
    """Return the value at the corners' majority (0 in all known reconstructions, and without)."""
    corners = voxels[np.ix_(*((0, -1),) * 3)].ravel()
    values, counts = np.unique(corners, return_counts=True)
    return float(values[counts.argmax()]) if counts.max() >= 4 else 0.0


def _not_background(volume: Volume) -> Mask:
    from scipy import ndimage

    voxels = volume.voxels
    background = background_of(voxels)
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
