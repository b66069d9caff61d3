"""The evaluation protocol of the authors' MMHVAE repository, for comparison with their numbers.

Images are truncated to whole numbers 0…255; each slice with any foreground is scored with its own
range, background included; and their SSIM call names the first axis of a 2-D slice as channels, so
it compares rows as 1-D signals. None of this is what :mod:`core.image.metrics` measures.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def to_bytes(image: NDArray[np.floating]) -> NDArray[np.float64]:
    """Map [-1, 1] to 0…255 and truncate, as their files are written."""
    return np.trunc((np.asarray(image, dtype=np.float64) + 1) / 2 * 255)


def slice_scores(real: NDArray[np.floating], made: NDArray[np.floating]) -> list[dict[str, float]]:
    """Score every slice with foreground.

    Args:
        real: (i, j, k) in [-1, 1], background -1, slices along the last axis.
        made: same shape, background masked to -1.

    Returns:
        per slice: ``slice``, ``psnr`` (dB), ``ssim``, ``l1`` (grey levels).
    """
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    real, made = to_bytes(real), to_bytes(made)
    found = []
    for k in range(real.shape[2]):
        a, b = real[:, :, k], made[:, :, k]
        if a.sum() <= 0:
            continue
        span = float(a.max() - a.min())
        if span == 0:
            continue  # a constant slice has no range to divide by
        same = bool(np.array_equal(a, b))
        found.append(
            {
                "slice": float(k),
                "psnr": float("inf") if same else peak_signal_noise_ratio(a, b, data_range=span),
                "ssim": structural_similarity(a, b, data_range=span, channel_axis=0),
                "l1": float(np.abs(a - b).mean()),
            }
        )
    return found
