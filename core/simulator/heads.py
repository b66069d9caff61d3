"""Heads of real people: label maps that become individuals by warps, mirrors and other sulci."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.simulator.interpolate import interpolate
from core.simulator.noise import Field
from core.simulator.template import SimulatorError, signed_distance
from core.simulator.tissues import Tissue

PATTERN = "*seg*.nii*"
"""Label maps in an anatomy folder."""

# FreeSurfer numbers; 500 and more are the rest of the head. What is not named here is scalp from
# 500 on and white matter below.
FREESURFER: dict[Tissue, tuple[int, ...]] = {
    Tissue.AIR: (0,),
    Tissue.GREY: (3, 42, 8, 47),
    Tissue.VENTRICLE: (4, 43, 5, 44, 14, 15, 72),
    Tissue.DEEP_GREY: (10, 11, 12, 13, 17, 18, 26, 28, 49, 50, 51, 52, 53, 54, 58, 60),
    Tissue.CSF: (24,),
    Tissue.CHOROID: (31, 63, 136, 137, 163, 164),
    Tissue.VESSEL: (30, 62, 514),
    Tissue.SKULL: (515,),
}
LEFT, RIGHT = (2, 3), (41, 42)
CEREBELLUM = (7, 8, 46, 47)
WIDE_MM = 2.0
"""Half width from which fluid is dark; thinner fluid is full of pia and vessels and bright."""


@dataclass(frozen=True, eq=False)
class Maps:
    """Smooth quantities of a head on one coarse grid of their own.

    Attributes:
        values: (i, j, k) float32 each.
        origin: (3,) head mm of voxel 0.
        spacing: mm, isotropic.
    """

    values: tuple[Field, ...]
    origin: NDArray[np.float64]
    spacing: float

    def at(self, position: Sequence[Field]) -> list[Field]:
        """Interpolate every quantity at positions (x, y, z; head mm); the border goes on."""
        return interpolate(
            self.values,
            [
                (p - np.float32(o)) / np.float32(self.spacing)
                for p, o in zip(position, self.origin, strict=True)
            ],
        )


@dataclass(frozen=True, eq=False)
class HeadMaps:
    """One person's head, cut and measured once.

    Attributes:
        tissues: (i, j, k) uint8, ``Tissue`` values at the label map's own voxels; fluid outside the
            brain is ``CSF`` throughout.
        fluid: on the same voxels: signed distance to that fluid's border, mm, inside positive; half
            width of the fluid around a place, mm.
        shape: on coarser voxels: signed distance to the closed brain surface, mm, inside positive;
            side, -1 in the right hemisphere and 1 in the left; roof, -1 in the cerebellum and 1 in
            the cerebrum.
        middle: (3,) head mm, middle of the brain.
    """

    tissues: NDArray[np.uint8]
    fluid: Maps
    shape: Maps
    middle: NDArray[np.float64]


def find_heads(folder: Path) -> list[Path]:
    """Return the label maps of an anatomy folder, sorted; empty when it holds none."""
    return sorted(p for p in folder.glob(PATTERN) if p.is_file())


def _read_labels(path: Path) -> tuple[NDArray[np.int32], NDArray[np.float64], float]:
    """Read whole numbers as RAS+ with their origin and voxel size; raises SimulatorError."""
    try:
        image = nib.as_closest_canonical(nib.load(path))
        values = np.asarray(image.dataobj)
    except (OSError, ValueError, nib.filebasedimages.ImageFileError) as error:
        raise SimulatorError(
            f"{path.name}: expected a NIfTI label map, found a file that cannot be read as one "
            f"({error}). Replace it or take it out of the anatomy folder."
        ) from error
    if values.ndim != 3 or (values != np.rint(values)).any() or values.min() < 0:
        raise SimulatorError(
            f"{path.name}: expected a 3-D map of whole tissue numbers from 0 up, found "
            f"{values.dtype} of shape {values.shape}. Replace it or take it out of the folder."
        )
    spacing = np.linalg.norm(image.affine[:3, :3], axis=0)
    turned = np.abs(image.affine[:3, :3] - np.diag(spacing)).max()
    if turned > 0.05 or np.ptp(spacing) > 0.05:
        raise SimulatorError(
            f"{path.name}: expected cubic voxels along R, A and S, found voxels of "
            f"{spacing.round(3).tolist()} mm{', oblique' if turned > 0.05 else ''}. Resample it."
        )
    if not np.isin((2, 3, 41, 42), values).all():
        raise SimulatorError(
            f"{path.name}: expected FreeSurfer numbers (2, 41 white matter; 3, 42 cortex), found "
            "none of at least one of them. Replace it or take it out of the anatomy folder."
        )
    return values.astype(np.int32), image.affine[:3, 3].astype(np.float64), float(spacing[0])


@lru_cache(maxsize=1)
def load_head(path: Path) -> HeadMaps:
    """Read a whole-head label map (NIfTI, FreeSurfer numbers) and measure it.

    Raises:
        SimulatorError: it is not such a map.
    """
    labels, origin, spacing = _read_labels(path)
    table = np.full(int(labels.max()) + 1, Tissue.WHITE, np.uint8)
    table[500:] = Tissue.SCALP
    for tissue, numbers in FREESURFER.items():
        table[[n for n in numbers if n < len(table)]] = tissue
    tissues = table[labels]
    brain = (labels > 0) & (labels < 500) & (labels != 24)
    box = _box(brain, round(26 / spacing), labels.shape)
    labels, tissues, brain = labels[box], tissues[box], brain[box]
    start = origin + spacing * np.array([s.start for s in box])

    fluid = signed_distance(tissues == Tissue.CSF, spacing)
    # Between voxel centres the distance to a border jumps by a voxel; half of it is on each side.
    fluid = ndimage.gaussian_filter(fluid - np.sign(fluid) * np.float32(spacing / 2), 0.5)
    size = 2 * round(3 / spacing) + 1
    half_width = ndimage.maximum_filter(np.maximum(fluid, 0), size)
    half_width = ndimage.gaussian_filter(half_width, 1.0 / spacing)

    coarse = 2 if spacing < 1.5 else 1
    wide = coarse * spacing
    middle = start + spacing * (coarse - 1) / 2

    def share(mask: NDArray[np.bool_]) -> Field:
        blocks = _blocks(mask.astype(np.float32), coarse)
        return ndimage.gaussian_filter(blocks, 2.0 / wide)

    def contrast(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> Field:
        first, second = share(a), share(b)
        return (first - second) / (first + second + np.float32(1e-3))

    near = _blocks(brain.astype(np.float32), coarse) > 0.5
    grown = ndimage.distance_transform_edt(~np.pad(near, 4), sampling=wide) < 7
    closed = ndimage.distance_transform_edt(grown, sampling=wide) > 7
    hull = ndimage.gaussian_filter(signed_distance(closed, wide), 2.0 / wide)[4:-4, 4:-4, 4:-4]
    cerebellum = np.isin(labels, CEREBELLUM)
    place = np.argwhere(near).mean(0) * wide + middle
    side = contrast(np.isin(labels, LEFT), np.isin(labels, RIGHT))
    roof = contrast(brain & ~cerebellum, cerebellum)
    return HeadMaps(
        tissues,
        Maps((fluid, half_width), start, spacing),
        Maps((hull, side, roof), middle, wide),
        place,
    )


def _box(mask: NDArray[np.bool_], margin: int, shape: tuple[int, ...]) -> tuple[slice, ...]:
    found = ndimage.find_objects(mask.astype(np.uint8))[0]
    return tuple(
        slice(max(0, s.start - margin), min(n, s.stop + margin))
        for s, n in zip(found, shape, strict=True)
    )


def _blocks(values: Field, size: int) -> Field:
    """Return means over cubes of ``size`` voxels; a remainder at the end is left out."""
    i, j, k = (n // size for n in values.shape)
    cut = values[: i * size, : j * size, : k * size]
    means: Field = cut.reshape(i, size, j, size, k, size).mean(axis=(1, 3, 5))
    return means
