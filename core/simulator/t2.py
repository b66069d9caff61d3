"""The T2 image of a simulated head, over contrasts and artefacts wide enough to meet real ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import ndimage

from core.simulator.anatomy import Anatomy
from core.simulator.noise import Field, smooth_noise, soft_step
from core.simulator.tissues import PROPERTIES, Tissue

FLUIDS = (Tissue.CSF, Tissue.VENTRICLE, Tissue.SULCUS, Tissue.CYST)


def draw_contrast(rng: np.random.Generator) -> tuple[dict[Tissue, float], str]:
    """Draw one T2 intensity per tissue (0-1).

    88 % ordinary: tissue means ±0.1 at most, then everything but fluid is dimmed by a common factor
    that spans from proton-density-like to heavily weighted 3-D turbo spin echo. 12 % random.
    """
    if rng.random() < 0.12:
        values = {tissue: float(rng.uniform(0.05, 1.0)) for tissue in PROPERTIES}
        fluid = float(rng.uniform(0.05, 1.0))
        values |= {tissue: fluid + float(rng.normal(0, 0.03)) for tissue in FLUIDS}
        # Basal nuclei stay close to cortex: the border between the two labels is not anatomy.
        values[Tissue.DEEP_GREY] = max(values[Tissue.GREY] + float(rng.normal(0, 0.05)), 0.02)
        values[Tissue.AIR] = 0.0
        return values, "random"
    weight = float(rng.uniform(0.45, 1.05))
    values = {
        tissue: max(p.t2 + float(rng.normal(0, 0.035)), 0.01) * weight
        for tissue, p in PROPERTIES.items()
    }
    fluid = float(rng.normal(0.93, 0.04))
    for tissue in FLUIDS:
        values[tissue] = fluid * float(rng.uniform(0.9, 1.05))
    # Gliomas run from barely brighter than cortex to nearly fluid.
    values[Tissue.TUMOUR_CORE] = float(rng.uniform(0.6, 0.9)) * weight
    values[Tissue.OEDEMA] = float(rng.uniform(0.62, 0.85)) * weight
    # Grey stays brighter than white, whatever the jitter did.
    values[Tissue.GREY] = max(values[Tissue.GREY], values[Tissue.WHITE] + 0.03)
    values[Tissue.AIR] = 0.0
    return values, "ordinary"


def render_t2(
    rng: np.random.Generator,
    anatomy: Anatomy,
    contrast: Mapping[Tissue, float] | None = None,
) -> tuple[Field, dict[str, Any]]:
    """Return the T2 voxels (i, j, k), float32, arbitrary scanner units >= 0, and what was drawn.

    Args:
        rng: of everything that is drawn.
        anatomy: the head.
        contrast: intensity of every tissue, 0-1, instead of a drawn one: another kind of image.
    """
    shape, spacing = anatomy.grid.shape, float(anatomy.grid.spacing[0])
    values, kind = draw_contrast(rng) if contrast is None else (dict(contrast), "given")
    image = anatomy.paint(values)
    texture = np.float32(rng.uniform(0.01, 0.05))
    image *= 1 + texture * smooth_noise(rng, shape, spacing, 1.8 * max(spacing, 1.0))
    image *= 1 + texture * smooth_noise(rng, shape, spacing, 6.0)
    bias = float(abs(rng.normal(0, 0.15)))
    image *= np.exp(bias * smooth_noise(rng, shape, spacing, 70.0))
    gamma = float(np.exp(rng.normal(0, 0.12)))
    image = np.clip(image, 0, None) ** np.float32(gamma)
    thickness = float(rng.uniform(2.0, 5.0)) if rng.random() < 0.4 else float(rng.uniform(0.6, 1.4))
    axis = int(rng.integers(3))
    sigma = [0.35, 0.35, 0.35]
    sigma[axis] = max(0.35, 0.35 * thickness / spacing)
    image = ndimage.gaussian_filter(image, sigma)
    if thickness > 1.5:
        image = thick_slices(image, axis, thickness / spacing)
    stripped = bool(rng.random() < 0.5)
    if stripped:
        margin = np.float32(rng.uniform(0.0, 2.5))
        keep = anatomy.hull + margin > 0
        image = image * soft_step(anatomy.hull + margin, spacing)
    noise = float(rng.uniform(0.008, 0.04))
    real = image + np.float32(noise) * rng.standard_normal(shape, dtype=np.float32)
    imaginary = np.float32(noise) * rng.standard_normal(shape, dtype=np.float32)
    image = np.hypot(real, imaginary)
    if stripped:
        image = image * keep
    scale = float(rng.uniform(200, 900))
    meta = {
        "contrast": kind,
        "t2_means": {tissue.name.lower(): round(v, 4) for tissue, v in values.items()},
        "bias_sd": bias,
        "gamma": gamma,
        "slice_mm": thickness,
        "slice_axis": axis,
        "noise": noise,
        "skull_stripped": stripped,
    }
    return np.ascontiguousarray(image * np.float32(scale), dtype=np.float32), meta


def thick_slices(image: Field, axis: int, step: float) -> Field:
    """Sample every ``step`` voxels along ``axis`` and interpolate back: a thick-slice scan."""
    n = image.shape[axis]
    centres = np.arange(step / 2 - 0.5, n - 0.5, step)
    moved = np.moveaxis(image, axis, 0)
    low = np.clip(centres.astype(int), 0, n - 2)
    t = (centres - low).astype(np.float32)[:, None, None]
    slices = moved[low] * (1 - t) + moved[low + 1] * t
    position = np.clip((np.arange(n) - centres[0]) / step, 0, len(centres) - 1.0001)
    low = np.clip(position.astype(int), 0, max(len(centres) - 2, 0))
    t = (position - low).astype(np.float32)[:, None, None]
    high = np.minimum(low + 1, len(centres) - 1)
    return np.moveaxis(slices[low] * (1 - t) + slices[high] * t, 0, axis)
