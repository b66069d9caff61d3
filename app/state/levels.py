"""Windows from robust percentiles: which values become the first and the last colour."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from app.state.values import Kind, Label, Window
from core.volume import Voxels

SAMPLES = 200_000
"""About how many voxels the percentiles are taken from."""

MOST_LABELS = 1 << 16

TOO_FLAT, TOO_WIDE = 0.1, 20
"""A window that shows fewer voxels as grey, or is so many times wider than needed, does not fit."""


def auto_window(voxels: Voxels, kind: Kind) -> Window:
    """Return the window for a volume of this kind; always low < high.

    Images: the 1st and 99.5th percentile of the voxels that are not background, background being
    the lowest value when it fills more than a tenth of the volume (air; outside the ultrasound's
    fan), and included as the low end of the window. Differences: symmetric about 0 at the 99th
    percentile of the absolute value. σ and shares: from 0. Label maps: unused, 0 to the largest.

    Args:
        voxels: (i, j, k) float32, any units.
        kind: what the voxels are.
    """
    sample = _sample(voxels)
    if kind is Kind.DIFFERENCE:
        top = float(np.percentile(np.abs(sample), 99))
        return _open(-top, top)
    if kind is Kind.SHARE:
        return 0.0, 1.0
    if kind is Kind.SIGMA:
        return _open(0.0, float(np.percentile(sample, 99.5)))
    if kind is Kind.LABEL:
        return _open(0.0, float(voxels.max()))
    lowest = float(sample.min())
    inside = sample[sample > lowest]
    if inside.size < 0.9 * sample.size and inside.size:
        return _open(lowest, float(np.percentile(inside, 99.5)))
    low, high = np.percentile(sample, (1, 99.5))
    return _open(float(low), float(high))


def labels_in(voxels: Voxels) -> list[int]:
    """Return the numbers above 0 that a label map holds, at most the first 255 of them."""
    top = int(voxels.max())
    if not 0 < top < MOST_LABELS:
        return []
    counts = np.bincount(np.clip(voxels, 0, top).astype(np.int32).ravel(), minlength=1)
    found: list[int] = np.nonzero(counts[1:])[0].tolist()
    return [n + 1 for n in found[:255]]


def labels_of(voxels: Voxels, names: Mapping[int, str]) -> tuple[Label, ...]:
    """Return the labels of a map, with their names as far as they are known."""
    return tuple(Label(n, names.get(n, unnamed(n))) for n in labels_in(voxels))


def unnamed(label: int) -> str:
    """Return what a label is called while nobody has named it."""
    return f"Label {label}"


def percentile_window(voxels: Voxels, low: float, high: float) -> Window:
    """Return two percentiles (0..100) of the voxels that are not background; low < high."""
    sample, air = _sample(voxels), background(voxels)
    inside = sample if air is None else sample[sample > air]
    first, last = np.percentile(inside, (low, high))
    return _open(float(first), float(last))


def full_window(voxels: Voxels) -> Window:
    """Return the smallest and the largest voxel, always low < high."""
    return _open(float(voxels.min()), float(voxels.max()))


def background(voxels: Voxels) -> float | None:
    """Return the value of air, or of what lies outside an ultrasound's fan; None without any.

    It is the lowest value, when it fills more than a tenth of the volume but not all of it.
    """
    sample = _sample(voxels)
    lowest = float(sample.min())
    share = float((sample == lowest).mean())
    return lowest if 0.1 < share < 1 else None


def fits(window: Window, voxels: Voxels, auto: Window) -> bool:
    """Tell whether a window shows something of a volume: neither nearly all white nor all black.

    Args:
        window: low and high.
        voxels: (i, j, k) float32.
        auto: the volume's robust window; what is at its low end is background and does not count.
    """
    sample = _sample(voxels)
    inside = sample[sample > auto[0]]
    if not inside.size or window[1] <= window[0]:
        return window[1] > window[0]
    white, black = (inside >= window[1]).mean(), (inside <= window[0]).mean()
    seen = 1 - white - black
    return bool(seen > TOO_FLAT and window[1] - window[0] < TOO_WIDE * (auto[1] - auto[0]))


def _sample(voxels: Voxels) -> Voxels:
    """Take an evenly strided sample of at most about ``SAMPLES`` voxels."""
    step = max(1, round((voxels.size / SAMPLES) ** (1 / 3)))
    return voxels[step // 2 :: step, step // 2 :: step, step // 2 :: step].ravel()


def _open(low: float, high: float) -> Window:
    return (low, high) if high > low else (low, low + 1.0)
