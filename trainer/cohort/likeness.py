"""Which cases hold one patient's images twice: told by the images, whatever they are called.

A copy has the same voxels. A scan that was written anew (another grid, scale or crop, noise) has
others; but a coarse version of it, laid where its header says, varies as the first one's does, and
that of another person does not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.grid import Grid
from core.image.resample import resample
from core.volume import Volume
from trainer.cohort.case import CohortCase

SPACING = 6.0
"""mm; coarse enough to forget noise and grid, fine enough to tell two heads apart."""
LIKE = 0.85
"""Correlation from which two images are shown as one patient's. Of 16 simulated cases the same
scan, written anew with noise and another scale, reached 0.98 and more, two people at most 0.64."""
FEWEST = 150
"""Coarse voxels that both must show; 32 ml."""
SHARED = 0.4
"""Part of the smaller image that both must show."""
DARK = 0.08
"""Part of the 99th percentile below which a voxel is background."""

Digest = Mapping[str, str]
"""Modality → name of its voxels."""


@dataclass(frozen=True, eq=False)
class Coarse:
    """A coarse image on the grid of whole multiples of :data:`SPACING` in RAS+ mm.

    Attributes:
        voxels: (i, j, k) float16 along R, A, S; 0 where there is nothing to see.
        corner: which multiples of the spacing its first voxel lies at.
    """

    voxels: NDArray[np.float16]
    corner: tuple[int, int, int]


class Known(Protocol):
    """What is asked of a case that was read: see :class:`trainer.cohort.cache.CachedCase`."""

    @property
    def id(self) -> str:
        """Its pseudonym."""

    @property
    def hashes(self) -> Digest:
        """Modality → :func:`content_hash`."""

    @property
    def coarse(self) -> Mapping[str, Coarse]:
        """Modality → its coarse image."""


@dataclass(frozen=True)
class Alike:
    """Two cases that look like one patient.

    Attributes:
        first, second: their ids.
        modality: of the two images that are alike.
        correlation: of the coarse images, in [0, 1].
    """

    first: str
    second: str
    modality: str
    correlation: float

    @property
    def sentence(self) -> str:
        """What was seen."""
        return (
            f"its {self.modality} looks like {self.first}'s: laid where their headers say, they "
            f"vary alike (correlation {self.correlation:.2f})"
        )


def content_hash(volume: Volume) -> str:
    """Name a volume by its voxels, in canonical order, so that a renamed copy is recognised."""
    voxels = np.ascontiguousarray(volume.canonical().voxels)
    return hashlib.sha256(repr(voxels.shape).encode() + voxels.tobytes()).hexdigest()


def coarse(volume: Volume) -> Coarse:
    """Return a volume's coarse image."""
    small = _block_means(volume)
    corners = small.grid.corners
    low = np.floor(corners.min(axis=0) / SPACING).astype(int)
    high = np.ceil(corners.max(axis=0) / SPACING).astype(int)
    affine = np.diag([SPACING, SPACING, SPACING, 1.0])
    affine[:3, 3] = low * SPACING
    shape = tuple(int(n) for n in high - low + 1)
    grid = Grid((shape[0], shape[1], shape[2]), affine)
    smooth = ndimage.gaussian_filter(small.voxels, 0.4 * SPACING / small.grid.spacing)
    found = resample(smooth, small.grid, grid)
    bright = float(np.percentile(found, 99)) or 1.0
    scaled = np.where(found > DARK * bright, found / bright, 0).astype(np.float16)
    return Coarse(scaled, (int(low[0]), int(low[1]), int(low[2])))


def _block_means(volume: Volume) -> Volume:
    """Return a volume of means of whole blocks, about half as wide as the coarse voxels."""
    grid = volume.grid
    steps = [max(1, min(n, round(0.5 * SPACING / s)))
             for n, s in zip(grid.shape, grid.spacing, strict=True)]  # fmt: skip
    sides = [n // step for n, step in zip(grid.shape, steps, strict=True)]
    cut = volume.voxels[tuple(slice(0, n * s) for n, s in zip(sides, steps, strict=True))]
    parts = [n for pair in zip(sides, steps, strict=True) for n in pair]
    means = np.asarray(cut.reshape(parts).mean(axis=(1, 3, 5)), np.float32)
    affine = grid.affine.copy()
    affine[:3, :3] = grid.affine[:3, :3] * np.array(steps)
    affine[:3, 3] += grid.affine[:3, :3] @ ((np.array(steps) - 1) / 2)
    return Volume(means, Grid((sides[0], sides[1], sides[2]), affine))


def correlation(one: Coarse, other: Coarse) -> float:
    """Return how alike two images vary where both show something; NaN when that is too little.

    They are laid where their headers say, and middle on middle, for a header may have been lost on
    the way; the better of both counts.
    """
    at_home = np.array(other.corner, np.int64) - np.array(one.corner, np.int64)
    sizes = np.array(one.voxels.shape) - np.array(other.voxels.shape)
    middles = np.rint(sizes / 2).astype(np.int64)
    found = [_correlation(one.voxels, other.voxels, shift) for shift in (at_home, middles)]
    known = [value for value in found if np.isfinite(value)]
    return max(known, default=float("nan"))


def _correlation(
    one: NDArray[np.float16], other: NDArray[np.float16], shift: NDArray[np.int64]
) -> float:
    low = np.maximum(shift, 0)
    high = np.minimum(np.array(one.shape), np.array(other.shape) + shift)
    if (high <= low).any():
        return float("nan")
    mine = one[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    theirs = other[tuple(slice(a, b) for a, b in zip(low - shift, high - shift, strict=True))]
    both = (mine > 0) & (theirs > 0)
    fewest = max(FEWEST, SHARED * min((one > 0).sum(), (other > 0).sum()))
    if both.sum() < fewest:
        return float("nan")
    x, y = mine[both].astype(np.float32), theirs[both].astype(np.float32)
    x, y = x - x.mean(), y - y.mean()
    spread = float(np.sqrt((x**2).sum() * (y**2).sum()))
    return float((x * y).sum()) / spread if spread > 0 else float("nan")


def copies(
    cases: Sequence[Known], kept_first: frozenset[str] = frozenset()
) -> dict[str, list[str]]:
    """Return the cases that hold an image another case holds → those others.

    Args:
        cases: all cases that could be read.
        kept_first: of two copies the one in here stays; else the first by name.
    """
    seen: dict[str, str] = {}
    found = {}
    for case in sorted(cases, key=lambda c: (c.id not in kept_first, c.id)):
        twins = sorted({seen[h] for h in case.hashes.values() if h in seen})
        if twins:
            found[case.id] = twins
        else:
            seen.update(dict.fromkeys(case.hashes.values(), case.id))
    return found


def alike(cases: Sequence[Known]) -> list[Alike]:
    """Return the pairs of cases that look like one patient's, though no voxels are the same."""
    found = []
    for n, case in enumerate(cases):
        found += [one for before in cases[:n] if (one := compare(before, case))]
    return found


def compare(first: Known, second: Known) -> Alike | None:
    """Return what is alike of two cases; ``None`` for two people."""
    for m in sorted(set(first.coarse) & set(second.coarse)):
        value = correlation(first.coarse[m], second.coarse[m])
        if value >= LIKE:
            return Alike(first.id, second.id, m, round(value, 3))
    return None


def joined(cases: Sequence[CohortCase], pairs: Sequence[tuple[str, str]]) -> list[CohortCase]:
    """Return the cases with one patient for those that look like one, so that no split parts them.

    Args:
        cases: as they were listed.
        pairs: ids of two cases each.
    """
    owner = {case.id: case.patient for case in cases}
    for first, second in pairs:
        if first in owner and second in owner and owner[first] != owner[second]:
            one, other = sorted((owner[first], owner[second]))
            owner = {case: one if p == other else p for case, p in owner.items()}
    return [
        case if case.patient == owner[case.id] else replace(case, patient=owner[case.id])
        for case in cases
    ]
