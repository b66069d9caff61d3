"""How well two volumes agree where they lie: mutual information inside the field of view."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from core.registration.alignment import Matrix, moved
from core.registration.pair import swept_region, which_is_swept
from core.volume import Volume, Voxels

BINS = 32
SAMPLE = 60_000
"""Points a measurement of mutual information looks at."""


def similarity(fixed: Volume, moving: Volume, matrix: Matrix) -> float:
    """Return the mutual information (nats) of both images inside the swept field of view.

    Args:
        fixed: any volume.
        moving: any volume.
        matrix: (4, 4) RAS+ mm, moving → fixed.

    Returns:
        0 where the volumes share nothing; higher is better. Comparable only between maps of the
        same two volumes.
    """
    return mutual_information(fixed, moved(moving, matrix))


def mutual_information(fixed: Volume, moving: Volume) -> float:
    """Return the mutual information (nats) inside the field of view, headers as they are."""
    swept, other = (fixed, moving) if which_is_swept(fixed, moving) else (moving, fixed)
    values, points = _samples(swept)
    voxel = other.grid.to_voxel(points)
    inside = np.all((voxel >= 0) & (voxel <= np.array(other.grid.shape) - 1), axis=1)
    # Voxels without a partner count as a class of their own would reward hiding; they are left out
    # and the sum is scaled by what remains.
    if inside.sum() < 100:
        return 0.0
    from scipy import ndimage

    there = ndimage.map_coordinates(other.voxels, voxel[inside].T, order=1)
    return histogram_information(values[inside], there) * float(inside.mean())


def histogram_information(a: Voxels, b: Voxels) -> float:
    """Return the mutual information (nats) of two (n,) samples, by a 32 × 32 histogram."""
    edges = [np.percentile(v, (0.5, 99.5)) for v in (a, b)]
    if any(not e[1] > e[0] for e in edges):
        return 0.0
    scaled = [
        np.clip((v - e[0]) / (e[1] - e[0]) * BINS, 0, BINS - 1).astype(np.int64)
        for v, e in zip((a, b), edges, strict=True)
    ]
    joint = np.bincount(scaled[0] * BINS + scaled[1], minlength=BINS * BINS).reshape(BINS, BINS)
    p = joint / joint.sum()
    independent = p.sum(1, keepdims=True) * p.sum(0, keepdims=True)
    found = p > 0
    return float((p[found] * np.log(p[found] / independent[found])).sum())


@lru_cache(maxsize=4)
def _samples(swept: Volume) -> tuple[Voxels, NDArray[np.float64]]:
    """Return values (n,) and world positions (n, 3) of an even choice of the field of view."""
    where = np.flatnonzero(swept_region(swept))
    chosen = where[np.linspace(0, len(where) - 1, min(len(where), SAMPLE)).astype(np.int64)]
    voxel = np.stack(np.unravel_index(chosen, swept.grid.shape), axis=1)
    return swept.voxels[tuple(voxel.T)], swept.grid.to_world(voxel)
