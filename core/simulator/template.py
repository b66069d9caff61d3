"""Where the brain's large shapes come from: tissue maps in a folder, or formulas."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.errors import UserError
from core.simulator.noise import Field, smooth_noise, soft_step

MAPS = ("t1.nii.gz", "gm.nii.gz", "wm.nii.gz")


class SimulatorError(UserError):
    """Simulated cases cannot be made as asked."""


@dataclass(frozen=True, eq=False)
class Template:
    """An average brain, to be warped into individuals.

    Attributes:
        affine: (4, 4) voxel → brain mm: RAS+, midline at x = 0, origin at about the middle.
        white: (i, j, k) float32, white matter probability, 0-1.
        ventricle: (i, j, k) float32, fraction of ventricle, 0-1.
        sulcus: (i, j, k) float32, about 0-1, how much a place looks like the inside of a sulcus.
        hull: (i, j, k) float32, signed distance in mm to the smooth brain surface, inside positive.
        folds: how strongly procedural sulci are added on top of ``sulcus``, 0-1.
    """

    affine: NDArray[np.float64]
    white: Field
    ventricle: Field
    sulcus: Field
    hull: Field
    folds: float

    def sample(
        self, name: str, position: list[Field], where: NDArray[np.bool_] | None = None
    ) -> Field:
        """Interpolate the map ``name`` at positions [x, y, z] (each (…), brain mm).

        With ``where``, of the positions' shape, only there; 0 elsewhere.
        """
        inverse = np.linalg.inv(self.affine)
        scale = np.diag(inverse)[:3]
        chosen = position if where is None else [p[where] for p in position]
        voxel = [p * np.float32(scale[a]) + np.float32(inverse[a, 3]) for a, p in enumerate(chosen)]
        found: Field = ndimage.map_coordinates(
            getattr(self, name), voxel, output=np.float32, order=1, mode="nearest"
        )
        if where is None:
            return found
        result = np.zeros(where.shape, np.float32)
        result[where] = found
        return result


def signed_distance(mask: NDArray[np.bool_], spacing: float) -> Field:
    """Return the distance in mm to the border of ``mask``, positive inside."""
    inside = ndimage.distance_transform_edt(mask, sampling=spacing)
    outside = ndimage.distance_transform_edt(~mask, sampling=spacing)
    return (inside - outside).astype(np.float32)


def read_map(folder: Path, name: str) -> tuple[Field, NDArray[np.float64]]:
    """Read one tissue map scaled to 0-1 with its affine; raises SimulatorError."""
    path = folder / name
    if not path.is_file():
        raise SimulatorError(
            f"{folder}: expected the tissue maps {', '.join(MAPS)}, found no {name}. Choose the "
            "folder that holds all three, or simulate without --anatomy."
        )
    image = nib.as_closest_canonical(nib.load(path))
    voxels = np.asarray(image.dataobj, dtype=np.float32)
    if voxels.ndim != 3 or not np.isfinite(voxels).all() or voxels.max() <= 0:
        raise SimulatorError(
            f"{path}: expected a 3-D map of finite values with a positive maximum, found shape "
            f"{voxels.shape}. Replace the file."
        )
    affine = np.asarray(image.affine, dtype=np.float64)
    if np.abs(affine[:3, :3] - np.diag(np.diag(affine[:3, :3]))).max() > 1e-3:
        raise SimulatorError(f"{path}: the map is oblique; expected axes along R, A and S.")
    return voxels / voxels.max(), affine


@lru_cache(maxsize=2)
def load_template(folder: Path) -> Template:
    """Read t1, gm and wm maps (NIfTI, one grid) and derive ventricles, sulci and the hull.

    Raises:
        SimulatorError: a map is missing, unreadable as a map, or on another grid.
    """
    (t1, affine), (grey, _), (white, _) = (read_map(folder, name) for name in MAPS)
    if not t1.shape == grey.shape == white.shape:
        raise SimulatorError(
            f"{folder}: expected one grid for all maps, found shapes {t1.shape}, {grey.shape} and "
            f"{white.shape}."
        )
    spacing = float(abs(affine[0, 0]))
    brain = ndimage.binary_fill_holes(ndimage.binary_closing(t1 > 0.2, iterations=4))
    hull = ndimage.gaussian_filter(signed_distance(brain, spacing), 1.0)
    fluid = np.clip(1 - grey - white, 0, 1) * (hull > 0)
    # In an average brain a sulcus is a faint dark line in T1: take it relative to its surroundings.
    dark = np.clip(ndimage.gaussian_filter(t1, 3.0 / spacing) - t1, 0, None) * (hull > 1.5)
    sulcus = np.clip(fluid + 3.0 * dark * (white < 0.4), 0, 1)
    ventricle, rim = find_ventricles(fluid, affine)
    sulcus *= ~rim
    return Template(affine, white, ventricle, sulcus.astype(np.float32), hull, folds=0.55)


def find_ventricles(fluid: Field, affine: NDArray[np.float64]) -> tuple[Field, NDArray[np.bool_]]:
    """Return the part of ``fluid`` that is ventricle (what hangs together near the middle).

    The second array marks where ventricles and their rim lie, so that no sulcus is put there.
    """
    i, j, k = np.ogrid[tuple(slice(n) for n in fluid.shape)]
    x = affine[0, 0] * i + affine[0, 3]
    y = affine[1, 1] * j + affine[1, 3]
    z = affine[2, 2] * k + affine[2, 3]
    box = (np.abs(x) < 36) & (y > -60) & (y < 36) & (z > -12) & (z < 34)
    parts, count = ndimage.label((fluid > 0.45) & box)
    if count == 0:
        return np.zeros_like(fluid), np.zeros(fluid.shape, bool)
    core = (np.abs(x) < 16) & (y > -12) & (y < 20) & (z > 4) & (z < 24)
    sizes = np.bincount(parts[core & (parts > 0)], minlength=count + 1)
    lateral = ndimage.binary_dilation(parts == sizes.argmax(), iterations=3)
    third = (np.abs(x) < 6) & (y > -34) & (y < 8) & (z > -14) & (z < 14)
    chosen = lateral | third
    return (fluid * chosen).astype(np.float32), chosen


def procedural_template(rng: np.random.Generator) -> Template:
    """Make an average brain from formulas: no file is needed and no anatomy is copied.

    Hemispheres, cerebellum, curved lateral ventricles with horns, deep nuclei and Sylvian fissures
    are ellipsoids and tubes on a 2 mm grid, roughened by smooth noise.
    """
    spacing, shape = 2.0, (96, 116, 96)
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = (-95.0, -132.0, -72.0)
    x, y, z = (
        (np.arange(n, dtype=np.float32) * np.float32(spacing) + np.float32(affine[a, 3])).reshape(
            [-1 if a == b else 1 for b in range(3)]
        )
        for a, n in enumerate(shape)
    )

    def wobble(knot: float, size: float) -> Field:
        return smooth_noise(rng, shape, spacing, knot) * np.float32(size)

    def ellipsoid(centre: tuple[float, float, float], radii: tuple[float, float, float]) -> Field:
        parts = [(p - c) / r for p, c, r in zip((x, y, z), centre, radii, strict=True)]
        norm = np.sqrt(parts[0] ** 2 + parts[1] ** 2 + parts[2] ** 2)
        return ((1 - norm) * np.float32(min(radii))).astype(np.float32)

    side = np.abs(x)
    # Temporal lobes hang below a flattened base, the cerebellum behind them.
    cerebrum = np.minimum(ellipsoid((0, -17, 12), (68, 88, 66)), z + 26 - 0.1 * side)
    temporal = np.maximum(
        ellipsoid((44, -20, -16), (24, 46, 24)), ellipsoid((-44, -20, -16), (24, 46, 24))
    )
    cerebellum = ellipsoid((0, -62, -36), (50, 34, 24))
    hull = np.maximum(np.maximum(cerebrum, temporal), cerebellum) + wobble(24, 1.2)
    arch = 20 - 0.006 * (y + 5) ** 2
    body = np.hypot(side - (9 + 0.0035 * (y - 5) ** 2), (z - arch) * 0.8)
    body = 5.2 - body - np.clip(np.abs(y + 14) - 42, 0, None)
    third = 3.0 - np.hypot(np.hypot(x * 1.6, (y + 10) * 0.22), (z - 2) * 0.3)
    temporal_horn = 3.2 - np.hypot(side - 32, z + 12) - np.clip(np.abs(y + 22) - 18, 0, None)
    ventricle = np.maximum(np.maximum(body, third), temporal_horn) + wobble(10, 0.8)
    nuclei = np.maximum(
        5.0 - np.hypot(np.hypot((side - 12) * 0.75, (y + 18) * 0.45), (z - 8) * 0.7),
        6.0 - np.hypot(np.hypot((side - 26) * 1.0, (y - 2) * 0.32), (z - 2) * 0.5),
    ) + wobble(10, 0.6)
    sylvian = 1.3 - np.abs(z - 2 - 0.28 * (y + 10) * 0.6) + wobble(16, 1.4)
    sylvian = np.minimum(sylvian, np.minimum(side - 36, 1.2 * (46 - np.abs(y + 6))) / 2)
    white = soft_step(hull - 3.2 + wobble(8, 0.6), 3.0)
    white *= 1 - soft_step(nuclei, 2.0)
    white *= 1 - soft_step(sylvian + 3.4, 2.0)
    white *= 1 - 0.5 * soft_step(cerebellum - 1.0, 2.0) * (
        np.abs(smooth_noise(rng, shape, spacing, 4.0)) > 0.4
    )
    return Template(
        affine,
        white.astype(np.float32),
        soft_step(ventricle.astype(np.float32), 2.0),
        soft_step(sylvian.astype(np.float32), 2.0),
        hull.astype(np.float32),
        folds=1.0,
    )
