"""An estimate of the inside of the skull, to limit work and to mark a picture."""

from __future__ import annotations

import numpy as np

from core.image.resample import resample, resample_mask
from core.volume import Mask, Volume, Voxels


def brain_mask(volume: Volume) -> Mask:
    """Estimate the inside of the skull in a T2 volume, stripped or not.

    Works at 2 mm: head against air, then everything that is not dark (bone and air are) and stays
    connected after an erosion that cuts scalp, orbits and neck from the brain, grown back and
    filled. A convenience for limiting work and marking the picture, not a segmentation to measure
    with.

    Returns:
        bool (i, j, k) on the volume's grid; never empty for an image with contrast.
    """
    coarse = volume.canonical()
    grid = coarse.grid.with_spacing(2.0)
    image = resample(coarse.voxels, coarse.grid, grid)
    # Air is the darkest, also where an image is in the model's range and begins at -1.
    mask = _brain_at_2mm(image - min(0.0, float(image.min())))
    return resample_mask(mask, grid, volume.grid)


def _brain_at_2mm(image: Voxels) -> Mask:
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    top = float(np.percentile(image, 99.5))
    clipped = np.clip(image, 0, top)
    head = clipped > 0.5 * threshold_otsu(clipped)
    head = ndimage.binary_fill_holes(ndimage.binary_opening(head, iterations=1))
    if not head.any():
        return np.asarray(image > image.min())
    # Soft tissue and fluid against bone and air, with the head's own median as the yardstick.
    bright = head & (clipped > 0.45 * float(np.median(clipped[head])))
    core = _shrink(bright, 5)
    labels, count = ndimage.label(core)
    if count == 0:
        return np.asarray(head)
    sizes = np.bincount(labels.ravel())[1:]
    brain = labels == 1 + int(sizes.argmax())
    brain = _grow(brain, 6) & head
    brain = _shrink(_grow(np.pad(brain, 6), 5), 5)[6:-6, 6:-6, 6:-6]
    return np.asarray(ndimage.binary_fill_holes(brain))


def _shrink(mask: Mask, radius: int) -> Mask:
    """Erode by a ball (the array's outside counts as background), in time free of the radius."""
    from scipy import ndimage

    inner = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1, 1:-1]
    return np.asarray(inner > radius)


def _grow(mask: Mask, radius: int) -> Mask:
    """Dilate by a ball, in time free of the radius."""
    from scipy import ndimage

    if not mask.any():
        return mask.copy()
    return np.asarray(ndimage.distance_transform_edt(~mask) <= radius)
