"""Masks, the map to [-1, 1] and back, and resampling onto a grid (METHOD: normalisation)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import UserError
from core.grid import Grid
from core.image.parallel_grids import is_aligned, sample_aligned
from core.volume import Volume, Voxels

Mask = NDArray[np.bool_]

STEP = 255 / 256
"""Inside values start at -255/256, so that the background's -1 stays its own."""


class IntensityError(UserError):
    """A volume whose values leave nothing to normalise."""


@dataclass(frozen=True)
class Normaliser:
    """The linear map between a volume's own units and the model's [-1, 1].

    Attributes:
        low: value that maps to -255/256.
        high: value that maps to 1; values beyond are clipped.
    """

    low: float
    high: float

    @classmethod
    def fit(
        cls, voxels: Voxels, mask: Mask, percentiles: tuple[float, float] = (0.0, 99.95)
    ) -> Normaliser:
        """Take low and high as percentiles of the voxels inside ``mask``.

        Raises:
            IntensityError: the mask is empty or the values inside are all one.
        """
        inside = voxels[mask]
        if inside.size == 0:
            raise IntensityError(
                "No voxel lies inside the field of view; expected an image, found only background."
            )
        low, high = (float(v) for v in np.percentile(inside, percentiles))
        if not high > low:
            low, high = float(inside.min()), float(inside.max())
        if not high > low:
            raise IntensityError(
                f"All voxels inside the field of view have the value {low:g}; "
                "there is no image to use."
            )
        return cls(low, high)

    def forward(self, voxels: Voxels, mask: Mask) -> Voxels:
        """Map to the model's range: inside [-255/256, 1], outside exactly -1."""
        # In place: a whole head at 0.5 mm has 400 MB, and every pass over it counts.
        scale = (1 + STEP) / (self.high - self.low)
        out: Voxels = np.subtract(voxels, self.low, dtype=np.float32)
        out *= np.float32(scale)
        out -= np.float32(STEP)
        np.clip(out, np.float32(-STEP), np.float32(1), out=out)
        out[~mask] = -1
        return out

    def inverse(self, values: Voxels, mask: Mask, background: float = 0.0) -> Voxels:
        """Map the model's range back to the volume's units; ``background`` outside the mask."""
        unit = np.clip((values + STEP) / (1 + STEP), 0.0, 1.0)
        own = unit * (self.high - self.low) + self.low
        return np.where(mask, own, np.float32(background)).astype(np.float32)

    def inverse_deviation(self, values: Voxels) -> Voxels:
        """Map a standard deviation from the model's range to the volume's units."""
        return (values * ((self.high - self.low) / (1 + STEP))).astype(np.float32)


def resample(
    voxels: NDArray[np.generic], source: Grid, target: Grid, *, order: int = 1, fill: float = 0.0
) -> Voxels:
    """Sample an image at another grid's voxel centres.

    Args:
        voxels: (i, j, k) on ``source``.
        source: grid of ``voxels``.
        target: grid wanted.
        order: 0 nearest, 1 linear.
        fill: value outside the source.

    Returns:
        float32 on ``target``. Where the target is coarser, the image is smoothed first, so that
        speckle and noise do not alias.
    """
    from scipy import ndimage

    if source.same_as(target):
        return np.ascontiguousarray(voxels, dtype=np.float32)
    matrix = source.inverse @ target.affine
    # How far one target voxel reaches along each source axis, in source voxels.
    reach = np.abs(matrix[:3, :3]).max(axis=1)
    image: Voxels = np.asarray(voxels, dtype=np.float32)
    if order > 0:
        sigma = np.where(reach > 1.05, 0.5 * np.sqrt(np.maximum(reach**2 - 1, 0)), 0.0)
        if sigma.any():
            image = ndimage.gaussian_filter(image, sigma, mode="nearest", truncate=3.0)
    if is_aligned(matrix):
        return sample_aligned(image, matrix, target.shape, order, fill)
    return np.asarray(
        ndimage.affine_transform(
            image,
            matrix[:3, :3],
            matrix[:3, 3],
            target.shape,
            order=order,
            mode="constant",
            cval=fill,
        ),
        np.float32,
    )


def resample_mask(mask: Mask, source: Grid, target: Grid) -> Mask:
    """Sample a mask at another grid: at least half of the neighbourhood must be inside."""
    if source.same_as(target):
        return mask.copy()
    return np.asarray(resample(mask.astype(np.float32), source, target) >= 0.5)


def resample_inside(voxels: Voxels, mask: Mask, source: Grid, target: Grid) -> tuple[Voxels, Mask]:
    """Sample an image that is only known inside a mask, without mixing in the background.

    Returns:
        image and mask on ``target``; the image is 0 outside the mask.
    """
    if source.same_as(target):
        return np.where(mask, voxels, np.float32(0)).astype(np.float32), mask.copy()
    weight = resample(mask.astype(np.float32), source, target)
    inside = np.asarray(weight >= 0.5)
    total = resample(np.where(mask, voxels, np.float32(0)), source, target)
    # In place: on a whole head at 0.5 mm each of these arrays has 400 MB.
    np.maximum(weight, 0.5, out=weight)
    total /= weight
    total *= inside
    return total, inside


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


def foreground(voxels: Voxels) -> Mask:
    """Return the voxels a percentile may be taken over: those above zero (METHOD: mask x > 0)."""
    above = voxels > 0
    return above if above.any() else np.ones(voxels.shape, dtype=bool)


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
