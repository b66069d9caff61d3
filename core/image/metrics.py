"""How close a synthetic volume is to the real one: PSNR, SSIM and MAE inside the field of view.

Volumes are compared slice by slice (2-D), the slices lying along the last axis, and the slices'
values are averaged; statistics over patients belong on these case means. Nothing outside the mask
has any influence. Numbers made with other protocols (whole image, per-slice range, 1-D SSIM) are
not comparable with these.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.errors import UserError
from core.volume import Mask

SSIM_WINDOW = 7
"""Side of SSIM's uniform window, pixels (scikit-image's default)."""
MIN_PIXELS = SSIM_WINDOW**2
"""Slices with fewer pixels inside the mask are left out of PSNR, unless all are that small."""
MAX_PSNR = 100.0
"""dB given to a slice without error, so that one such slice does not make the mean infinite."""

Image = NDArray[np.floating]


class MetricsError(UserError):
    """Two images that cannot be compared."""


def psnr(a: Image, b: Image, mask: Mask, data_range: float = 2.0) -> float:
    """Mean over slices of the masked peak signal-to-noise ratio.

    Args:
        a: (i, j, k) or (i, j) real image, on one intensity scale with ``b``.
        b: synthetic image, same shape.
        mask: field of view, same shape.
        data_range: width of the scale: 2 for [-1, 1].

    Returns:
        dB; each slice is 10·log10(data_range² / MSE inside its mask), at most ``MAX_PSNR``.

    Raises:
        MetricsError: the shapes differ, or the mask is empty.
    """
    values = psnr_per_slice(a, b, mask, data_range)
    counts = np.sum(_volumes(a, b, mask)[2], axis=(0, 1))
    large = counts >= min(MIN_PIXELS, int(counts.max()))
    return float(values[large].mean())


def psnr_per_slice(a: Image, b: Image, mask: Mask, data_range: float = 2.0) -> NDArray[np.float64]:
    """Return (k,) dB per slice as in :func:`psnr`; NaN where a slice's mask is empty."""
    a, b, mask = _volumes(a, b, mask)
    result = np.full(mask.shape[2], np.nan)
    for k in np.flatnonzero(mask.any(axis=(0, 1))):
        inside = mask[:, :, k]
        error = a[:, :, k][inside].astype(np.float64) - b[:, :, k][inside]
        mse = max(float(np.mean(error**2)), data_range**2 * 10 ** (-MAX_PSNR / 10))
        result[k] = 10 * np.log10(data_range**2 / mse)
    return result


def ssim(a: Image, b: Image, mask: Mask, data_range: float = 2.0, low: float = -1.0) -> float:
    """Mean over slices of the masked 2-D structural similarity.

    Args:
        a: (i, j, k) or (i, j) real image, on one intensity scale with ``b``.
        b: synthetic image, same shape.
        mask: field of view, same shape.
        data_range: width of the scale: 2 for [-1, 1].
        low: where the scale begins. SSIM compares means as brightness, counted from black; on a
            scale that runs through zero its luminance term has no meaning.

    Returns:
        Mean of the slices' means, in [-1, 1]. scikit-image computes the map with a uniform 7×7
        window; only pixels whose whole window lies inside the mask count (the mask is eroded by
        three pixels), so the background outside cannot raise the score. NaN when the mask is
        nowhere 7×7 pixels large.

    Raises:
        MetricsError: the shapes differ, or the mask is empty.
    """
    values = ssim_per_slice(a, b, mask, data_range, low)
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def ssim_per_slice(
    a: Image, b: Image, mask: Mask, data_range: float = 2.0, low: float = -1.0
) -> NDArray[np.float64]:
    """Return (k,) means as in :func:`ssim`; NaN where no window fits into a slice's mask."""
    from scipy.ndimage import binary_erosion
    from skimage.metrics import structural_similarity

    a, b, mask = _volumes(a, b, mask)
    result = np.full(mask.shape[2], np.nan)
    window = np.ones((SSIM_WINDOW, SSIM_WINDOW), dtype=bool)
    for k in np.flatnonzero(mask.any(axis=(0, 1))):
        inside = mask[:, :, k]
        box = tuple(
            slice(int(hits[0]), int(hits[-1]) + 1)
            for hits in (np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0)))
        )
        inside = inside[box]
        whole = binary_erosion(inside, window)
        if not whole.any():
            continue
        _, similarity = structural_similarity(
            np.where(inside, a[:, :, k][box] - np.float64(low), 0),
            np.where(inside, b[:, :, k][box] - np.float64(low), 0),
            win_size=SSIM_WINDOW,
            data_range=data_range,
            full=True,
        )
        result[k] = similarity[whole].mean()
    return result


def mae(a: Image, b: Image, mask: Mask) -> float:
    """Mean absolute difference inside the mask, in the images' units.

    Args:
        a: real image, any shape.
        b: synthetic image, same shape.
        mask: field of view, same shape.

    Raises:
        MetricsError: the shapes differ, or the mask is empty.
    """
    a, b, mask = _volumes(a, b, mask)
    return float(np.mean(np.abs(a[mask].astype(np.float64) - b[mask])))


def match_gain(a: Image, b: Image, mask: Mask) -> Image:
    """Scale and shift the synthetic image to the real one, for a score with gain handled.

    The overall brightness of an ultrasound image is not knowable from T2; measured after this,
    PSNR and SSIM tell about structure alone. Report such a score under its own name.

    Args:
        a: (i, j, k) or (i, j) real image.
        b: synthetic image, same shape.
        mask: field of view, same shape.

    Returns:
        Same shape as ``b``: g·b + o with g ≥ 0 and o of least squared error inside the mask.

    Raises:
        MetricsError: the shapes differ, or the mask is empty.
    """
    _volumes(a, b, mask)
    real, made = a[mask].astype(np.float64), b[mask].astype(np.float64)
    spread = made - made.mean()
    variance = float(spread @ spread)
    gain = max(float(spread @ real) / variance, 0.0) if variance > 0 else 0.0
    return (gain * (b - made.mean()) + real.mean()).astype(b.dtype)


def _volumes(a: Image, b: Image, mask: Mask) -> tuple[Image, Image, Mask]:
    """Check the shapes and give 2-D images a last axis of one slice."""
    if not a.shape == b.shape == mask.shape or a.ndim not in (2, 3):
        raise MetricsError(
            f"Expected two images and a mask on one grid; found {a.shape}, {b.shape} and "
            f"{mask.shape} voxels. Resample them onto one grid first."
        )
    if not mask.any():
        raise MetricsError(
            "Expected a field of view to measure in; the mask is empty. The volumes do not "
            "overlap, or the wrong mask was given."
        )
    if a.ndim == 2:
        return a[:, :, None], b[:, :, None], mask[:, :, None].astype(bool)
    return a, b, mask.astype(bool)
