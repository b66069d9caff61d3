"""DICOM out: the same corners and values in other readers, the right patient, honest marks."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from core.grid import Grid
from core.io import DicomSource, find, read, write_dicom
from core.volume import Volume, VolumeError


def oblique(seed: int = 0, shape: tuple[int, int, int] = (9, 12, 5)) -> Volume:
    """A volume on a turned, mirrored grid with steps of three lengths."""
    random = np.random.default_rng(seed)
    affine = np.eye(4)
    turn = Rotation.from_euler("xyz", random.uniform(-180, 180, 3), degrees=True).as_matrix()
    affine[:3, :3] = turn * [-0.51234567, 0.7, 1.3]
    affine[:3, 3] = [-777.123456, 12.5, 33 + 1 / 3]
    voxels = random.normal(100, 40, shape).astype(np.float32)
    return Volume(voxels, Grid(shape, affine), "iUS", synthetic=True)


@pytest.mark.parametrize("seed", range(3))
def test_other_readers_find_corners_and_values(tmp_path: Path, seed: int) -> None:
    volume = oblique(seed)
    folder = write_dicom(volume, tmp_path / "out")
    step = float(np.ptp(volume.voxels)) / 65535
    again = read(folder)
    assert again.synthetic
    assert again.canonical().grid.same_as(volume.canonical().grid, 1e-3)
    np.testing.assert_allclose(
        again.canonical().voxels, volume.canonical().voxels, atol=0.501 * step
    )
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    shape = volume.grid.shape
    flip = np.diag([-1.0, -1.0, 1.0])
    ours = sorted(np.round(flip @ c, 3).tolist() for c in volume.grid.corners)
    size = image.GetSize()
    ends = [(a, b, c) for a in (0, 1) for b in (0, 1) for c in (0, 1)]
    theirs = [
        image.TransformContinuousIndexToPhysicalPoint(
            [e * (n - 1) for e, n in zip(end, size, strict=True)]
        )
        for end in ends
    ]
    assert sorted(size) == sorted(shape)
    inner = volume.grid.to_world(np.array([[e * (n - 1) for e, n in zip(end, shape, strict=True)]
                                           for end in ends], float))  # fmt: skip
    wanted = sorted((flip @ c).tolist() for c in inner)
    np.testing.assert_allclose(sorted(map(list, theirs)), wanted, atol=1e-3)
    assert len(ours) == 8


def test_the_patient_is_kept_or_new_and_the_marks_are_there(tmp_path: Path) -> None:
    source = write_dicom(oblique(1), tmp_path / "source")
    for path in source.iterdir():
        one = pydicom.dcmread(path)
        one.PatientName, one.PatientID, one.PatientBirthDate = "Doe^Jane", "17", "19700101"
        one.save_as(path)
    members = find(source).members
    theirs = pydicom.dcmread(members[0])

    kept = DicomSource(members)
    first, second = (
        pydicom.dcmread(write_dicom(oblique(1), tmp_path / name, source=kept) / "IM00001.dcm")
        for name in ("a", "b")
    )
    for name in ("PatientName", "PatientID", "PatientBirthDate", "StudyInstanceUID",
                 "FrameOfReferenceUID"):  # fmt: skip
        assert first[name].value == theirs[name].value == second[name].value
    assert len({d.SeriesInstanceUID for d in (theirs, first, second)}) == 3
    made_from = first.SourceImageSequence[0].ReferencedSOPInstanceUID
    (there,) = [d for m in members if (d := pydicom.dcmread(m)).SOPInstanceUID == made_from]
    assert there.ImagePositionPatient == first.ImagePositionPatient
    assert (first[0x0008001C].value, first.ContentQualification) == ("YES", "RESEARCH")
    assert (first.BurnedInAnnotation, first.ImageType[0]) == ("NO", "DERIVED")
    assert "SYNTHETIC" in first.SeriesDescription

    new = DicomSource(members, keep_patient=False)
    third, fourth = (
        pydicom.dcmread(write_dicom(oblique(1), tmp_path / name, source=new) / "IM00001.dcm")
        for name in ("c", "d")
    )
    assert third.StudyInstanceUID == fourth.StudyInstanceUID != theirs.StudyInstanceUID
    assert third.FrameOfReferenceUID == fourth.FrameOfReferenceUID != theirs.FrameOfReferenceUID
    text = third.to_json()
    assert "Doe" not in text
    assert "1970" not in text
    assert theirs.SOPInstanceUID not in text


def test_what_cannot_be_a_series_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    affine = np.eye(4)
    affine[0, 1] = 0.2
    sheared = Volume(np.ones((4, 4, 4), np.float32), Grid((4, 4, 4), affine))
    with pytest.raises(VolumeError, match="right angles"):
        write_dicom(sheared, tmp_path / "out")
    full = tmp_path / "full"
    full.mkdir()
    (full / "precious.txt").write_text("keep")
    with pytest.raises(VolumeError, match="new or empty folder"):
        write_dicom(oblique(), full)
    assert [p.name for p in tmp_path.iterdir()] == ["full"]


def test_the_rounding_of_many_numbers_is_no_difference(tmp_path: Path) -> None:
    voxels = np.random.default_rng(0).uniform(0, 255, (100, 100, 60)).astype(np.float32)
    voxels[:20] = 0
    grid = Grid((100, 100, 60), np.diag([0.9, 0.9, 1.0, 1.0]))
    assert read(write_dicom(Volume(voxels, grid, "T2"), tmp_path / "out")).voxels.std() > 0


def test_a_constant_volume_comes_back(tmp_path: Path) -> None:
    grid = Grid((4, 4, 3), np.eye(4))
    folder = write_dicom(Volume(np.full((4, 4, 3), 7.25, np.float32), grid, "T2"), tmp_path / "out")
    np.testing.assert_allclose(read(folder).voxels, 7.25)


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools are not installed")
def test_a_validator_finds_no_error(tmp_path: Path) -> None:
    folder = write_dicom(oblique(), tmp_path / "out")
    found = subprocess.run(
        ["dciodvfy", str(folder / "IM00002.dcm")], capture_output=True, text=True, check=False
    )
    errors = [line for line in found.stderr.splitlines() if line.startswith("Error")]
    # Older dictionaries do not know the newest element: Synthetic Data.
    assert [e for e in errors if "(0x0008,0x001c)" not in e] == []


@pytest.mark.skipif(shutil.which("dcm2niix") is None, reason="dcm2niix is not installed")
def test_the_converter_of_bids_finds_corners_and_values(tmp_path: Path) -> None:
    volume = oblique()
    folder = write_dicom(volume, tmp_path / "series")
    words = ["dcm2niix", "-b", "y", "-z", "n", "-f", "out", "-o", str(tmp_path), str(folder)]
    subprocess.run(words, capture_output=True, check=True)
    told = json.loads((tmp_path / "out.json").read_text())
    assert told["ImageType"][:2] == ["DERIVED", "SECONDARY"]
    again = read(tmp_path / "out.nii").canonical()
    ours = volume.canonical()
    assert again.grid.same_as(ours.grid, 1e-3)
    step = float(np.ptp(volume.voxels)) / 65535
    np.testing.assert_allclose(again.voxels, ours.voxels, atol=0.51 * step + 2e-5)


@pytest.mark.skipif(shutil.which("dcmdump") is None, reason="dcmtk is not installed")
def test_dcmtk_lists_every_file(tmp_path: Path) -> None:
    folder = write_dicom(oblique(), tmp_path / "out")
    for path in sorted(folder.iterdir()):
        found = subprocess.run(
            ["dcmdump", "+P", "0008,0008", "+P", "0018,9004", str(path)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert "DERIVED" in found.stdout
        assert "RESEARCH" in found.stdout
        assert found.stderr == ""
