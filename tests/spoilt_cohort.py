"""A cohort as a site may hand it over, with everything wrong that can make a training look good.

``python tests/spoilt_cohort.py DIR`` writes it, for a try by hand. Heads are smooth noise of 12 cm,
the ultrasound its edges inside a ball; nobody's images.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

SIDE, SPACING = 40, 3.0
Floats = NDArray[np.float32]


def head(seed: int) -> tuple[Floats, Floats]:
    """Return T2 and ultrasound of one patient, (SIDE,)³ each."""
    random = np.random.default_rng(seed)
    t2 = ndimage.gaussian_filter(random.normal(size=(SIDE,) * 3), 2.5)
    t2 = (t2 - t2.min()) / np.ptp(t2) + 0.1
    edges = np.sqrt(sum(g**2 for g in np.gradient(t2)))
    place = np.indices((SIDE,) * 3) - np.array((SIDE / 2,) * 3)[:, None, None, None]
    ball = np.sqrt((place**2).sum(0)) < 0.42 * SIDE
    us = (edges / edges.max() + 0.1) * ball
    return (t2 * 200).astype(np.float32), (us * 200).astype(np.float32)


def put(path: Path, voxels: Floats, spacing: float = SPACING, corner: float = 0.0) -> None:
    """Write a volume whose first voxel lies at ``corner`` mm along all axes."""
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = corner
    image = nib.Nifti1Image(voxels, affine)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)


def write_pair(folder: Path, name: str, seed: int) -> None:
    """Write one patient."""
    for modality, voxels in zip(("T2", "iUS"), head(seed), strict=True):
        put(folder / f"{name}-{modality}.nii.gz", voxels)


def write_anew(folder: Path, old: int, name: str) -> None:
    """Write a patient once more as another scanner would: other grid, scale, crop and noise."""
    random = np.random.default_rng(99)
    for modality, voxels in zip(("T2", "iUS"), head(old), strict=True):
        fine = ndimage.zoom(voxels[2:-3, 1:-2, 2:-1], SPACING / 2.5, order=1, grid_mode=True,
                            mode="nearest")  # fmt: skip
        noise = 1 + 0.03 * random.normal(size=fine.shape)
        affine = np.diag([2.5, 2.5, 2.5, 1.0])
        affine[:3, 3] = (np.array([2, 1, 2]) - 0.5) * SPACING + 1.25
        image = nib.Nifti1Image((fine * 3.7 * noise).astype(np.float32), affine)
        image.header.set_xyzt_units("mm")
        nib.save(image, folder / f"{name}-{modality}.nii.gz")


def write_spoilt(folder: Path, patients: int = 8) -> Path:
    """Write ``patients`` good cases, Pat00 …, and beside them

    ``Copy``: Pat01 under another name; ``Twin``: Pat02 written anew; ``Torn``: an ultrasound that
    cannot be read; ``Far``: no overlap; ``Alone``: no ultrasound.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(patients):
        write_pair(folder, f"Pat{n:02d}", n)
    for modality in ("T2", "iUS"):
        shutil.copy(folder / f"Pat01-{modality}.nii.gz", folder / f"Copy-{modality}.nii.gz")
    write_anew(folder, 2, "Twin")
    write_pair(folder, "Torn", 50)
    (folder / "Torn-iUS.nii.gz").write_bytes(b"not a volume")
    t2, us = head(51)
    put(folder / "Far-T2.nii.gz", t2)
    put(folder / "Far-iUS.nii.gz", us, corner=900.0)
    put(folder / "Alone-T2.nii.gz", head(52)[0])
    return folder


def write_unpaired(folder: Path, patients: int = 6) -> Path:
    """Write as many patients whose T2 and ultrasound share no name."""
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(patients):
        t2, us = head(n)
        put(folder / f"MR{n:02d}-T2.nii.gz", t2)
        put(folder / f"Theatre{n:02d}-iUS.nii.gz", us)
    return folder


if __name__ == "__main__":
    write_spoilt(Path(sys.argv[1]) / "spoilt")
    write_unpaired(Path(sys.argv[1]) / "unpaired")
