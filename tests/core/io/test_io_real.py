"""Real volumes, where the folder of real data is given."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from dicom_factory import OBLIQUE, write_series

from core.grid import Grid
from core.io import read, read_headers
from core.io.dicom_tags import read_tags
from core.volume import Volume, VolumeError

nib: Any = nibabel  # it ships types in part only


def test_dicom_slices_lie_where_their_headers_say(
    real_data: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = real_data / "remind-022" / "T2-dicom"
    volume = read(folder)
    assert volume.warnings == ()
    header = read_headers(folder)[0]
    assert (header.modality, header.files) == ("T2", 192)
    tags = [read_tags(path) for path in sorted(folder.iterdir())]
    positions = np.array([one.position for one in tags if one and one.position]) * (-1, -1, 1)
    across = volume.grid.affine[:3, 2]
    positions = positions[np.argsort(positions @ across)]
    corners = volume.grid.to_world([[0, 0, k] for k in range(192)])
    assert np.linalg.norm(corners - positions, axis=1).max() < 2e-3
    assert capfd.readouterr() == ("", "")


def test_dicom_and_nifti_of_one_volume_agree(real_data: Path) -> None:
    a = read(real_data / "remind-022" / "T2-dicom").canonical()
    b = read(real_data / "remind-022" / "T2.nii.gz").canonical()
    assert a.grid.same_as(b.grid)
    np.testing.assert_array_equal(a.voxels, b.voxels)


@pytest.mark.skipif(shutil.which("dcm2niix") is None, reason="dcm2niix is not installed")
def test_dicom_agrees_with_dcm2niix(real_data: Path, tmp_path: Path) -> None:
    """It extrapolates the first gap, so its far end is a little off the headers' positions."""
    folder = real_data / "remind-022" / "T2-dicom"
    subprocess.run(
        ["dcm2niix", "-o", tmp_path, "-f", "x", "-z", "n", folder], check=True, capture_output=True
    )
    image = nib.load(tmp_path / "x.nii")
    theirs = Volume(
        np.asarray(image.dataobj, dtype=np.float32), Grid(image.shape, image.affine)
    ).canonical()
    ours = read(folder).canonical()
    np.testing.assert_array_equal(ours.voxels, theirs.voxels)
    gaps = np.linalg.norm(ours.grid.corners - theirs.grid.corners, axis=1).reshape(4, 2)
    assert gaps[:, 1].max() < 1e-3  # the end both start from
    assert gaps[:, 0].max() < 0.03


@pytest.mark.skipif(shutil.which("dcm2niix") is None, reason="dcm2niix is not installed")
def test_an_exactly_spaced_series_agrees_with_dcm2niix_at_all_corners(tmp_path: Path) -> None:
    folder = tmp_path / "dicom"
    write_series(folder, count=60, orientation=OBLIQUE, shape=(48, 64), SeriesDescription="T2")
    subprocess.run(
        ["dcm2niix", "-o", tmp_path, "-f", "x", "-z", "n", folder], check=True, capture_output=True
    )
    image = nib.load(tmp_path / "x.nii")
    theirs = Grid(image.shape, image.affine).canonical()
    assert read(folder).grid.canonical().same_as(theirs, 1e-3)


HOSTILE = {
    "RESECT_Case1-US_all_zero.nii.gz": "every voxel is zero",
    "ct_perfusion.nii.gz": "RGB",
    "example4d.nii.gz": "128×96×24×2",
    "example_nifti2.nii.gz": "32×20×12×2",
    "nrrd.raw.gz": "none of these",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused(name: str, real_data: Path) -> None:
    with pytest.raises(VolumeError, match=HOSTILE[name]):
        read(real_data / "hostile" / name)


def test_hostile_files_that_can_be_read_are_right(real_data: Path) -> None:
    for name in ("shear.nii.gz", "avg152T1_RL_nifti.nii.gz"):
        image = nib.load(real_data / "hostile" / name)
        volume = read(real_data / "hostile" / name)
        np.testing.assert_allclose(volume.grid.affine, image.affine, atol=1e-6)
        np.testing.assert_allclose(volume.voxels, image.get_fdata(), atol=1e-3)
    assert any("35.6 mm" in text for text in read(real_data / "hostile" / "shear.nii.gz").warnings)
    volume = read(real_data / "hostile" / "nrrd.nhdr")
    np.testing.assert_allclose(volume.grid.affine[:3, 3], (108.281, -82.3795, -47.8356))
    assert volume.grid.axis_codes == "LAS"


def test_a_header_without_qform_uses_its_sform(real_data: Path) -> None:
    volume = read(real_data / "resect-3" / "US-before.nii.gz")
    np.testing.assert_allclose(volume.grid.spacing, 0.4, atol=1e-4)
    assert volume.warnings == ()
