"""How well the images of a case fit each other: a similarity, and pictures of the middle slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.grid import Grid
from core.image.resample import resample
from core.modalities import reference_of
from core.volume import Mask, Volume

Floats = NDArray[np.float32]

SPACING = 1.5
"""mm; fine enough for sulci, coarse enough for a second's work."""
PATCH = 9
"""Voxels along a patch's side: 13.5 mm."""
SHIFT = 6
"""Voxels by which a pair is moved for comparison: 9 mm."""
SIDE = 224
"""Pixels along a picture's side."""
PLANES = (("axial", 2), ("coronal", 1), ("sagittal", 0))


@dataclass(frozen=True)
class Fit:
    """How well a volume fits the swept one.

    Attributes:
        similarity: LC2 in [0, 1]: how much of the ultrasound a local mix of the other image and its
            edges explains.
        moved: the most it reaches with the other image moved by 9 mm along an axis, of six moves.
        best: whether no moved position is better than the one it is in.
    """

    similarity: float
    moved: float
    best: bool


def fit(swept: Volume, other: Volume, mask: Mask) -> Fit | None:
    """Compare two volumes of a case where they lie.

    Args:
        swept: the ultrasound.
        other: the image it is to be explained by.
        mask: field of view on the ultrasound's grid; not empty.

    Returns:
        ``None`` when too little of the field of view lies inside the other volume to say.
    """
    grid = _boxed(swept.grid, mask).with_spacing(SPACING)
    wide = grid.crop([-SHIFT] * 3, _grown(grid.shape))
    us = resample(swept.voxels, swept.grid, grid)
    fov = resample(mask.astype(np.float32), swept.grid, grid) > 0.5
    image = ndimage.gaussian_filter(resample(other.voxels, other.grid, wide), 0.5)
    edges = ndimage.gaussian_gradient_magnitude(image, 0.8)
    there = _inside(other.grid, wide)

    def at(shift: Sequence[int]) -> float:
        place = tuple(slice(SHIFT + s, SHIFT + s + n) for s, n in zip(shift, us.shape, strict=True))
        return lc2(us, image[place], edges[place], fov & there[place])

    here = at((0, 0, 0))
    if not np.isfinite(here):
        return None
    moves = [(axis, step) for axis in range(3) for step in (-SHIFT, SHIFT)]
    found = [at([step if a == axis else 0 for a in range(3)]) for axis, step in moves]
    values = [value for value in found if np.isfinite(value)]
    if not values:
        return None
    return Fit(here, max(values), here >= max(values))


def lc2(us: Floats, image: Floats, edges: Floats, mask: Mask) -> float:
    """Return how much of ``us`` is a·image + b·edges + c with a, b, c fitted patch by patch.

    Args:
        us, image, edges: (i, j, k) on one grid.
        mask: where all three are known.

    Returns:
        Explained variance over all patches, in [0, 1], each weighted by its own variance; NaN
        where fewer than one patch of voxels is known, or the ultrasound does not vary.
    """
    if mask.sum() < PATCH**3:
        return float("nan")
    weight = _mean(mask.astype(np.float32))
    whole = np.maximum(weight, 1e-6)
    u, p, g = (_scaled(x, mask) for x in (us, image, edges))
    mu, mp, mg = (np.asarray(_mean(x) / whole, np.float32) for x in (u, p, g))

    def covariance(a: Floats, b: Floats, ma: Floats, mb: Floats) -> Floats:
        return np.asarray(_mean(a * b) / whole - ma * mb, np.float32)

    uu, pp, gg = covariance(u, u, mu, mu), covariance(p, p, mp, mp), covariance(g, g, mg, mg)
    up, ug, pg = covariance(u, p, mu, mp), covariance(u, g, mu, mg), covariance(p, g, mp, mg)
    ridge = np.float32(1e-3)
    pp, gg = pp + ridge, gg + ridge
    determinant = np.maximum(pp * gg - pg**2, ridge**2)
    explained = (up * (gg * up - pg * ug) + ug * (pp * ug - pg * up)) / determinant
    used = mask & (weight > 0.3)
    total = float(uu[used].sum())
    if total <= 0:
        return float("nan")
    return float(np.clip(explained[used], 0, uu[used]).sum()) / total


def _mean(image: Floats) -> Floats:
    return np.asarray(ndimage.uniform_filter(image, PATCH, mode="constant"), np.float32)


def _scaled(image: Floats, mask: Mask) -> Floats:
    """Return the image with zero mean and unit deviation inside the mask, 0 outside."""
    inside = image[mask]
    scaled = (image - inside.mean()) / max(float(inside.std()), 1e-6)
    return np.where(mask, scaled, 0).astype(np.float32)


def _boxed(grid: Grid, mask: Mask) -> Grid:
    """Return the part of a grid that a mask lies in."""
    low, shape = [], []
    for axis in range(3):
        hit = np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis})))
        low.append(int(hit[0]))
        shape.append(int(hit[-1]) - int(hit[0]) + 1)
    return grid.crop(low, (shape[0], shape[1], shape[2]))


def _grown(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    return shape[0] + 2 * SHIFT, shape[1] + 2 * SHIFT, shape[2] + 2 * SHIFT


def _inside(source: Grid, target: Grid) -> Mask:
    """Tell which voxels of ``target`` lie inside ``source``."""
    return resample(np.ones(source.shape, np.float32), source, target) > 0.5


def picture(
    volumes: Mapping[str, Volume], modalities: tuple[str, ...], mask: Mask
) -> NDArray[np.uint8]:
    """Draw the middle slices of a case, in radiological convention.

    Args:
        volumes: modality → volume.
        modalities: one row each, in this order; black where the case has none.
        mask: field of view on the grid of :func:`core.modalities.reference_of`; not empty.

    Returns:
        ((M + 1) · 224, 3 · 224) uint8: a row per modality and the field of view last, a column per
        plane: axial, coronal, sagittal.
    """
    own = volumes[reference_of(volumes)].grid
    turned = Volume(mask.astype(np.float32), own).canonical()
    box = _boxed(turned.grid, turned.voxels > 0.5)
    extent = float((box.spacing * box.shape).max()) * 1.1
    spacing = extent / SIDE
    affine = np.eye(4)
    affine[:3, :3] = box.affine[:3, :3] / box.spacing * spacing
    affine[:3, 3] = box.centre - affine[:3, :3] @ np.full(3, (SIDE - 1) / 2)
    view = Grid((SIDE, SIDE, SIDE), affine)
    known = [volumes.get(m) for m in modalities]
    images = [_slices(v.voxels, v.grid, view) if v else None for v in known]
    rows = [_grey(found) for found in images]
    rows.append([np.where(s >= 0.5, 255, 0) for s in _slices(mask, own, view)])
    return np.vstack([np.hstack(row) for row in rows]).astype(np.uint8)


def _slices(voxels: NDArray[np.generic], grid: Grid, view: Grid) -> list[Floats]:
    found = []
    for _, axis in PLANES:
        start = [view.shape[axis] // 2 if a == axis else 0 for a in range(3)]
        shape = [1 if a == axis else n for a, n in enumerate(view.shape)]
        slab = view.crop(start, (shape[0], shape[1], shape[2]))
        plane = np.moveaxis(resample(voxels, grid, slab), axis, 0)[0]
        found.append(plane.T[::-1, ::-1])  # up is superior or anterior, right is on the left
    return found


def _grey(slices: list[Floats] | None) -> list[NDArray[np.float32]]:
    if slices is None:
        return [np.zeros((SIDE, SIDE), np.float32)] * len(PLANES)
    values = np.concatenate([s[s != 0] for s in slices])
    low, high = np.percentile(values, (0.5, 99.5)) if values.size else (0.0, 1.0)
    scale = 254 / max(float(high) - float(low), 1e-9)
    return [np.where(s == 0, 0, np.clip((s - low) * scale, 0, 254) + 1) for s in slices]
