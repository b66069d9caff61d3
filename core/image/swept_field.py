"""Finds what a probe swept in an ultrasound volume whose background is no single value.

Exports add noise, JPEG blocks, ringing, frames and text around the image, and cut dark tissue off
to the background's value. What is left of all that: the background is the quiet and large part of
the volume, and the sweep is the one large body without holes or deep bays beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.image.parallel_grids import sample_aligned
from core.volume import Mask, Voxels

WORKING = 2_500_000
"""Voxels that are looked at, at most; every second or third voxel of a larger volume is enough."""
LEAST_BACKGROUND = 0.03
"""Part of a volume that must be quiet; with less, the image fills it."""
SHARE = 0.25
"""What is darker than this part of the tissue beside it does not widen the sweep's border."""
WRITTEN = 1.7
"""Text, scales and frames are brighter than this times what is bright in the tissue."""
BAY_MM = 12.0
"""Bays in the border that are narrower than twice this were dark tissue."""


def swept_field(voxels: Voxels, spacing: Sequence[float]) -> Mask | None:
    """Find the swept body.

    Args:
        voxels: (i, j, k) in any units.
        spacing: mm along the array's axes.

    Returns:
        bool (i, j, k); None where no background is found, or nothing stands out of it.
    """
    step = 1
    while voxels.size / step**3 > WORKING:
        step += 1
    some = np.ascontiguousarray(voxels[::step, ::step, ::step], dtype=np.float32)
    inner = _without_frame(some)
    body = _body(some[inner], [float(s) * step for s in spacing])
    if body is None:
        return None
    found = np.zeros(some.shape, np.float32)
    found[inner] = body
    if step > 1:
        found = sample_aligned(found, np.diag([*[1 / step] * 3, 1.0]), voxels.shape, 1, 0.0)
    return np.asarray(found > 0.5)


def _body(image: Voxels, spacing: list[float]) -> Mask | None:
    from scipy import ndimage

    voxel = max(spacing)
    found = _background(image)
    if found is None:
        return None
    level, top = found
    quiet = np.abs(ndimage.uniform_filter(image - level, 3)) <= 0.03 * top
    room = _open(quiet, 3 * voxel, spacing)
    if room.mean() < LEAST_BACKGROUND:
        return None
    away = np.abs(image - level)
    noise = away[_shrink(room, 2 * voxel, spacing)]
    spread = 1.1 * float(np.percentile(noise, 99.5)) if noise.size else 0.0

    # What stands out clearly, without strokes and specks: the sweep's bulk.
    clear = away > min(max(0.06 * top, spread), 0.12 * top)
    clear &= ~_written(away > WRITTEN * top, clear, voxel, spacing)
    clear &= ndimage.uniform_filter(clear.astype(np.float32), 7) > 0.04
    bulk = _largest(_open(_close(clear, 3 * voxel, spacing), 3 * voxel, spacing))
    if not bulk.any():
        return None
    bay = min(BAY_MM, 0.25 * float(bulk.sum() * np.prod(spacing)) ** (1 / 3))
    bulk = _close(bulk, bay / 2, spacing)

    away[_written(away > WRITTEN * top, clear, voxel, spacing) & ~bulk] = 0

    # From there, dark tissue at its border, but not the fringe that blur and JPEG leave around it.
    beside = _beside(away, _shrink(bulk, 3 * voxel, spacing))
    distance = ndimage.distance_transform_edt(~bulk, sampling=spacing)
    finest = max(spread, 0.004 * top)
    if noise.size and (noise > finest).mean() >= 1e-3:
        high = float(np.percentile(away[(distance > 3 * voxel) & (distance <= 9 * voxel)], 97))
        finest = min(max(high, spread), 0.2 * top)
        more = (away > np.maximum(finest, SHARE * beside)) & (distance <= 6 * voxel)
        whole = _close(more | _shrink(bulk, 3 * voxel, spacing), 2 * voxel, spacing)
        whole = _close(_largest(_open(whole, 1.5 * voxel, spacing)), bay, spacing)
    else:
        more = (away > np.maximum(finest, SHARE * beside)) & (distance <= bay)
        whole = _largest(_close(more | _shrink(bulk, 3 * voxel, spacing), bay, spacing))
    return np.asarray(ndimage.binary_fill_holes(whole))


def _written(bright: Mask, clear: Mask, voxel: float, spacing: Sequence[float]) -> Mask:
    """Find bright strokes that no tissue surrounds, with what JPEG leaves around them."""
    from scipy import ndimage

    tissue = ndimage.uniform_filter((clear & ~bright).astype(np.float32), 9)
    return _grow(bright & (tissue < 0.4), 4 * voxel, spacing)


def _background(image: Voxels) -> tuple[float, float] | None:
    """Return the commonest value, and how far the image's bright part lies from it."""
    some = image[::2, ::2, ::2].ravel()
    low, high = (float(v) for v in np.percentile(some, [0.01, 99.8]))
    if not high > low:
        return None
    counts, edges = np.histogram(some, 256, (low, high))
    width = float(edges[1] - edges[0])
    middle = float(edges[int(counts.argmax())]) + width / 2
    level = float(np.median(some[np.abs(some - middle) <= 1.5 * width]))
    away = np.abs(some - level)
    away = away[away > 4 * width]
    return level, float(np.percentile(away, 95)) if away.size else high - low


def _without_frame(image: Voxels) -> tuple[slice, slice, slice]:
    """Cut off flat layers at the faces of a volume whose value is not that of most of it."""
    low, high = [0, 0, 0], list(image.shape)
    some = image[::2, ::2, ::2]
    flat = 0.03 * float(np.subtract(*np.percentile(some, [99.5, 0.5])))
    middle = float(np.median(some))
    for axis in range(3):
        for end in (0, 1):
            for _ in range(image.shape[axis] // 12):
                box: list[slice | int] = [slice(a, b) for a, b in zip(low, high, strict=True)]
                box[axis] = low[axis] if end == 0 else high[axis] - 1
                face = image[tuple(box)]
                value = float(np.median(face))
                same = float((np.abs(face - value) <= 2 * flat).mean())
                if abs(value - middle) <= 2 * flat or same < 0.75:
                    break
                if end == 0:
                    low[axis] += 1
                else:
                    high[axis] -= 1
    i, j, k = (slice(a, b) for a, b in zip(low, high, strict=True))
    return i, j, k


def _beside(image: Voxels, inner: Mask) -> Voxels:
    """Return the mean brightness of the body near every voxel; 0 far from it."""
    from scipy import ndimage

    weight = ndimage.uniform_filter(inner.astype(np.float32), 19)
    total = ndimage.uniform_filter(np.where(inner, image, np.float32(0)), 19)
    return np.where(weight > 0.002, total / np.maximum(weight, 0.002), 0).astype(np.float32)


def _largest(mask: Mask) -> Mask:
    from scipy import ndimage

    labels, count = ndimage.label(mask)
    return np.asarray(labels == 1 + np.bincount(labels.ravel())[1:].argmax()) if count else mask


def _grow(mask: Mask, radius: float, spacing: Sequence[float]) -> Mask:
    """Dilate by a ball of so many mm."""
    return _distance(~mask, spacing) <= radius if mask.any() else mask


def _shrink(mask: Mask, radius: float, spacing: Sequence[float]) -> Mask:
    """Erode by a ball of so many mm; the array's outside counts as inside."""
    return mask if mask.all() else _distance(mask, spacing) > radius


def _open(mask: Mask, radius: float, spacing: Sequence[float]) -> Mask:
    return np.asarray(mask & _grow(_shrink(mask, radius, spacing), radius, spacing))


def _close(mask: Mask, radius: float, spacing: Sequence[float]) -> Mask:
    pad = [int(np.ceil(radius / s)) + 1 for s in spacing]
    wide = _grow(np.pad(mask, [(n, n) for n in pad]), radius, spacing)
    return _shrink(wide, radius, spacing)[tuple(slice(n, -n) for n in pad)]


def _distance(mask: Mask, spacing: Sequence[float]) -> NDArray[np.float64]:
    from scipy import ndimage

    return np.asarray(ndimage.distance_transform_edt(mask, sampling=spacing))
