"""Ultrasound as a local mix of T2 intensity and T2 edges: the idea behind the LC2 measure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.simulator.noise import Field, smooth_noise


def render_lc2(
    rng: np.random.Generator, t2: Field, fov: NDArray[np.bool_], spacing: float
) -> Field:
    """Return a·T2 + b·|∇T2| + c times speckle inside ``fov``: (i, j, k) float32, 1-255, 0 outside.

    a, b and c vary smoothly from place to place; fluid-bright T2 gets a negative a most of the
    time, as ventricles are dark in ultrasound.
    """
    shape = t2.shape
    scale = np.percentile(t2[fov], 99) if fov.any() else 1.0
    image = ndimage.gaussian_filter(t2 / np.float32(max(scale, 1e-6)), 0.5)
    edge = ndimage.gaussian_gradient_magnitude(image, 0.8)
    edge /= np.float32(max(np.percentile(edge[fov], 98), 1e-6)) if fov.any() else np.float32(1)
    sign = -1.0 if rng.random() < 0.7 else 1.0
    a = np.float32(sign * rng.uniform(0.03, 0.14)) + 0.04 * smooth_noise(rng, shape, spacing, 25.0)
    b = np.float32(rng.uniform(0.3, 0.55)) + 0.08 * smooth_noise(rng, shape, spacing, 25.0)
    c = np.float32(rng.uniform(0.18, 0.28)) + 0.04 * smooth_noise(rng, shape, spacing, 30.0)
    value = a * (image - np.median(image[fov])) + b * edge + c
    grain = ndimage.gaussian_filter(
        rng.standard_normal(shape, dtype=np.float32), float(rng.uniform(0.4, 0.7))
    )
    value *= np.exp(np.float32(rng.uniform(0.07, 0.16)) * grain / max(float(grain.std()), 1e-6))
    return np.where(fov, np.clip(value * 255, 1, 255), 0).astype(np.float32)
