"""A small T2 and an iUS that fits it: blobs seen through two different maps of grey values."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from core.grid import Grid
from core.volume import Volume


def make_pair(seed: int = 0) -> tuple[Volume, Volume]:
    """Return (iUS, T2), aligned; 2 mm voxels, the iUS has a round field of view of 60 mm."""
    rng = np.random.default_rng(seed)
    shape = (52, 52, 52)
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), 2.5)
    tissue = np.digitize(noise / noise.std(), (-0.6, 0.4)).astype(float)
    smooth = ndimage.gaussian_filter(tissue, 0.7)
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -2.0 * (np.array(shape) - 1) / 2
    grid = Grid(shape, affine)
    t2 = 100 + 200 * smooth + 4 * rng.standard_normal(shape)
    edge = ndimage.gaussian_gradient_magnitude(tissue, 0.8)
    ius = 90 - 25 * smooth + 60 * edge + 4 * rng.standard_normal(shape)
    centre = np.linalg.norm(grid.to_world(np.indices(shape).reshape(3, -1).T), axis=1)
    fov = centre.reshape(shape) < 30
    us = np.where(fov, np.clip(ius, 1, 255), 0).astype(np.float32)
    return (
        Volume(us, grid, "iUS", "iUS.nii.gz"),
        Volume(np.clip(t2, 1, None).astype(np.float32), grid, "T2", "T2.nii.gz"),
    )


def error_mm(found: np.ndarray, offset: np.ndarray, radius: float = 25.0) -> float:
    """Return the mean error (mm) of ``found`` after ``offset``, over points around the origin."""
    points = np.random.default_rng(0).uniform(-radius, radius, (200, 3))
    whole = found @ offset
    back = points @ whole[:3, :3].T + whole[:3, 3]
    return float(np.linalg.norm(back - points, axis=1).mean())
