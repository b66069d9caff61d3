"""Compares a synthetic volume with the truth that was held back."""

from __future__ import annotations

import numpy as np

from core.image.field_of_view import field_of_view
from core.image.intensity import Normaliser
from core.image.resample import resample_inside
from core.volume import Mask, Volume, Voxels


def compare_with_truth(
    synthetic: Volume, truth: Volume, fov: Mask, normaliser: Normaliser
) -> tuple[Voxels, dict[str, float]]:
    """Compare inside the field of view both have.

    Args:
        synthetic: on the model's grid, in the truth's units.
        truth: the real volume, on any grid.
        fov: bool on the model's grid: where there is a synthetic image.
        normaliser: the truth's; its range is the range of PSNR, and the truth is clipped to it as
            the model's inputs are.

    Returns:
        difference: (i, j, k) float32 synthetic minus truth in the truth's units, 0 outside;
        metrics: ``PSNR`` (dB), ``SSIM``, ``MAE`` (the truth's units); empty when the two fields
        of view do not meet.
    """
    from core.image.metrics import psnr, ssim

    own = truth.canonical()
    values, inside = resample_inside(own.voxels, field_of_view(own), own.grid, synthetic.grid)
    mask = inside & fov
    difference: Voxels = np.zeros(synthetic.voxels.shape, np.float32)
    if not mask.any():
        return difference, {}
    np.clip(values, normaliser.low, normaliser.high, out=values)
    difference[mask] = synthetic.voxels[mask] - values[mask]
    span = normaliser.high - normaliser.low
    return difference, {
        "PSNR": float(psnr(synthetic.voxels, values, mask, span)),
        "SSIM": float(ssim(synthetic.voxels, values, mask, span, normaliser.low)),
        "MAE": float(np.abs(difference[mask]).mean()),
    }
