"""An estimate of the inside of the skull, to limit work and to mark a picture."""

from __future__ import annotations

import numpy as np

from core.image.brain_network import SPACING, brain_probability, scaled
from core.image.resample import resample, resample_mask
from core.volume import Mask, Volume, Voxels

FINE = 2.0
"""mm; voxels of the look at the brightness."""
NEAR_MM = 8.0
"""How far outside the network's region the brightness may find brain."""
AGREE = 0.9
"""Dice from which the two ways mean the same, and the sharper one is taken."""


STRIPPED = 0.8
"""Dice of the network's region and the whole head from which there is no skull; with one, a brain
is half a head."""


def brain_mask(volume: Volume) -> Mask:
    """Estimate the inside of the skull in a volume of a head, stripped or not, in any contrast.

    A small network looks at the head at 4 mm and finds the place in every contrast. Around it, at
    2 mm, everything that is not dark (bone and air are) and stays connected after an erosion is the
    sharper answer where bone is dark; it is taken where both agree. Without a skull all that is not
    air is the brain. A convenience for limiting work and marking the picture, not a segmentation to
    measure with.

    Returns:
        bool (i, j, k) on the volume's grid; never empty for an image with contrast.
    """
    from scipy import ndimage

    coarse = volume.canonical()
    grid = coarse.grid.with_spacing(FINE)
    image = resample(coarse.voxels, coarse.grid, grid)
    # Air is the darkest, also where an image is in the model's range and begins at -1.
    image = image - np.float32(min(0.0, float(image.min())))
    low = coarse.grid.with_spacing(SPACING)
    inside = brain_probability(scaled(resample(coarse.voxels, coarse.grid, low)))
    likely = _largest(resample(inside, low, grid) >= 0.5)
    if not likely.any():  # no head that the network knows
        return resample_mask(_not_dark(image), grid, volume.grid)
    found = _head(image)
    if _dice(found, likely) < STRIPPED:
        near = ndimage.distance_transform_edt(~likely) * FINE <= NEAR_MM
        sharp = _not_dark(np.where(near, image, np.float32(0))) & near
        found = sharp if _dice(sharp, likely) >= AGREE else likely
    return resample_mask(np.asarray(ndimage.binary_fill_holes(found)), grid, volume.grid)


def _dice(one: Mask, other: Mask) -> float:
    return 2 * int((one & other).sum()) / max(1, int(one.sum() + other.sum()))


def _head(image: Voxels) -> Mask:
    """Return what is no air, without holes, in one piece."""
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    clipped = np.clip(image, 0, float(np.percentile(image, 99.5)))
    head = ndimage.binary_opening(clipped > 0.5 * threshold_otsu(clipped), iterations=1)
    closed = ndimage.binary_closing(np.pad(head, 4), iterations=3)[4:-4, 4:-4, 4:-4]
    return _largest(np.asarray(ndimage.binary_fill_holes(closed)))


def _largest(mask: Mask) -> Mask:
    """Keep the largest connected region."""
    from scipy import ndimage

    labels, count = ndimage.label(mask)
    if count < 2:
        return mask
    return np.asarray(labels == 1 + int(np.bincount(labels.ravel())[1:].argmax()))


def _not_dark(image: Voxels) -> Mask:
    """Return what is bright enough for soft tissue or fluid, and one piece after an erosion."""
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
    if not core.any():
        return np.asarray(head)
    brain = _grow(_largest(core), 6) & head
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
