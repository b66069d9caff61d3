"""What samples are held against the truth by: share held, score, speckle, spectrum.

Images are float32 in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float32]
Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]
LEAST = 100
"""Pixels of white matter in a tile from which its speckle counts."""
BAND = (0.2, 0.8)
"""Cycles/mm."""
RING = 0.1
SLACK = 0.05
"""Decibels, and of speckle's distance from 1, that count as no worse; CRPS has none."""


@dataclass(frozen=True)
class Found:
    """The measures of one case; benchmarks/spread.py says what they are."""

    inside: float
    width: float
    crps: float
    speckle: float
    decibels: float
    off_decibels: float


def pooled(images: NDArray[Any], side: int) -> Floats:
    """Return (…, H, W) averaged over blocks of so many pixels a side; what is left over is cut."""
    height, width = (n // side * side for n in images.shape[-2:])
    rest = images.shape[:-2]
    cut = images[..., :height, :width].reshape(*rest, height // side, side, width // side, side)
    return np.asarray(cut.mean(axis=(-3, -1)), np.float32)


def central(drawn: Floats) -> tuple[Numbers, Numbers]:
    """Return the ends of the central 90 % of samples along the first axis."""
    low, high = np.quantile(drawn.astype(float), (0.05, 0.95), axis=0, method="weibull")
    return low, high


def crps(drawn: Floats, truth: Floats) -> Numbers:
    """Return the fair score of samples (n, …) against the truth (…), element by element."""
    n = len(drawn)
    ranked = np.sort(drawn.astype(float), axis=0)
    weights = (2 * np.arange(1, n + 1) - n - 1) / (n * (n - 1))
    return np.abs(ranked - truth).mean(axis=0) - np.tensordot(weights, ranked, axes=1)


def log_variance(image: Floats, where: Mask) -> float:
    """Return the variance of the log of display values 1-255."""
    return float(np.log(np.clip((image[where] + 1) * 127.5, 1, 255)).var())


def rings(image: Floats, inside: Mask, pixel: float, highest: float) -> Numbers:
    """Return the power in rings of 0.1/mm from 0.2/mm up, of what a soft window lets through."""
    soft = ndimage.gaussian_filter(ndimage.binary_erosion(inside, iterations=4).astype(float), 2)
    window = soft * np.outer(*(np.hanning(n + 2)[1:-1] for n in inside.shape))
    level = float((image * window).sum() / max(window.sum(), 1e-9))
    power = np.abs(np.fft.fft2((image - level) * window)) ** 2
    rows, columns = (np.fft.fftfreq(n, pixel) for n in inside.shape)
    across = np.hypot(rows[:, None], columns[None])
    edges = np.append(np.arange(BAND[0], highest - RING / 2, RING), highest)
    return np.histogram(across, edges, weights=power)[0]


def measured(
    drawn: Floats, truth: Floats, where: Mask, whites: Mask, pixel: float, highest: float
) -> Found:
    """Measure the samples of a case's tiles.

    Args:
        drawn: (samples, n, H, W) in [-1, 1].
        truth: (n, H, W), the same.
        where: (n, H, W) the field of view.
        whites: (n, H, W) the inside of white matter; may be empty.
        pixel: mm.
        highest: cycles/mm up to which the truth has a spectrum.
    """
    low, high = central(drawn)
    holds = (low <= truth) & (truth <= high)
    rows = [n for n, white in enumerate(whites) if white.sum() >= LEAST]
    ours = [log_variance(one[n], whites[n]) for n in rows for one in drawn]
    real = [log_variance(truth[n], whites[n]) for n in rows]

    def power(tiles: Floats) -> Numbers:
        every = [rings(t, i, pixel, highest) for t, i in zip(tiles, where, strict=True)]
        return np.asarray(np.sum(every, axis=0) + 1e-12)

    decibels = 10 * np.log10(np.mean([power(one) for one in drawn], axis=0) / power(truth))
    return Found(
        inside=float(holds[where].mean()),
        width=float((high - low)[where].mean()),
        crps=float(crps(drawn, truth)[where].mean()),
        speckle=float(np.sqrt(np.mean(ours) / np.mean(real))) if rows else float("nan"),
        decibels=float(decibels.mean()),
        off_decibels=float(np.abs(decibels).mean()),
    )


def mean_of(rows: Sequence[Found]) -> Found:
    """Return the mean over cases; of speckle, over those that show white matter."""
    means = {}
    for key in asdict(rows[0]):
        known = [v for v in (asdict(row)[key] for row in rows) if np.isfinite(v)]
        means[key] = float(np.mean(known)) if known else float("nan")
    return Found(**means)


def no_worse(new: Found, old: Found) -> bool:
    """Tell whether samples are as good as before in all but the share that they hold."""
    speckle = abs(new.speckle - 1) - abs(old.speckle - 1)
    return (
        new.crps <= old.crps
        and new.off_decibels <= old.off_decibels + SLACK
        and not speckle > SLACK  # NaN, where nothing shows white matter, has no say
    )
