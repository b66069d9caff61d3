"""What is written is what was meant, marked when synthetic, and never half a file."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from conftest import oblique_affine

from core.io import read, read_headers, write
from core.marks import SYNTHETIC_MARK
from core.volume import Volume, VolumeError

nib: Any = nibabel  # it ships types in part only

Make = Callable[..., Volume]
NAMES = ["out.nii", "out.nii.gz", "out.nrrd", "out.mha"]
MARKS = {"model": "demo", "seed": 7, "inputs": ["T2"], "nested": {"a": 1}}


@pytest.mark.parametrize("name", NAMES)
def test_written_and_read_back(name: str, tmp_path: Path, make_volume: Make) -> None:
    volume = make_volume(synthetic=True)
    assert write(volume, tmp_path / name, marks=MARKS) == tmp_path / name
    again = read(tmp_path / name)
    np.testing.assert_array_equal(again.voxels, volume.voxels)
    assert again.grid.same_as(volume.grid)
    assert again.synthetic
    assert read_headers(tmp_path / name)[0].synthetic
    sidecar = json.loads((tmp_path / "out.json").read_text())
    assert sidecar["notice"] == SYNTHETIC_MARK
    assert {key: sidecar[key] for key in MARKS} == MARKS
    assert sorted(os.listdir(tmp_path)) == sorted([name, "out.json"])


@pytest.mark.parametrize("name", ["out.nii.gz", "out.nrrd", "out.mha"])
def test_other_programs_see_the_same_geometry_and_the_mark(
    name: str, tmp_path: Path, make_volume: Make
) -> None:
    volume = make_volume(synthetic=True)
    image = sitk.ReadImage(str(write(volume, tmp_path / name, marks=MARKS)))
    place = (5, 1, 3)
    expected = volume.grid.to_world(place) * (-1, -1, 1)
    np.testing.assert_allclose(image.TransformIndexToPhysicalPoint(place), expected, atol=1e-4)
    assert image[place] == volume.voxels[place]
    marks = [image.GetMetaData(key) for key in image.GetMetaDataKeys()]
    assert SYNTHETIC_MARK in marks
    if name != "out.nii.gz":
        assert image.GetMetaData("MHVAE_model") == "demo"


def test_nifti_carries_both_matrices_units_and_provenance(
    tmp_path: Path, make_volume: Make
) -> None:
    volume = make_volume(synthetic=True)
    header = nib.load(write(volume, tmp_path / "a.nii", marks=MARKS)).header
    np.testing.assert_allclose(header.get_sform(), volume.grid.affine, atol=1e-5)
    np.testing.assert_allclose(header.get_qform(), volume.grid.affine, atol=1e-5)
    assert header.get_xyzt_units()[0] == "mm"
    assert json.loads(header.extensions[0].get_content()) == MARKS


def test_a_sheared_volume_keeps_its_shear(tmp_path: Path, make_volume: Make) -> None:
    affine = oblique_affine()
    affine[:3, 2] += 0.4 * affine[:3, 1]
    volume = make_volume(affine=affine)
    for name in NAMES:
        again = read(write(volume, tmp_path / name))
        np.testing.assert_allclose(again.grid.affine, affine, atol=1e-5)
        assert not again.synthetic
    assert int(nib.load(tmp_path / "out.nii").header["qform_code"]) == 0


def test_far_positions_and_zero_volumes_survive(tmp_path: Path, make_volume: Make) -> None:
    far = oblique_affine(origin=(123456.789, -98765.4321, 5e5))
    volume = make_volume(affine=far)
    empty = Volume(np.zeros_like(volume.voxels), volume.grid)
    for name in NAMES:
        assert read(write(volume, tmp_path / name)).grid.same_as(volume.grid)
        write(empty, tmp_path / name)


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, make_volume: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(make_volume(), tmp_path / "a.nii.gz")
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(nib, "save", full)
    with pytest.raises(VolumeError, match=r"a\.nii\.gz: .*the disk is full"):
        write(make_volume(seed=1), path, marks=MARKS)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.nii.gz"]


def test_a_file_that_reads_back_differently_is_not_kept(
    tmp_path: Path, make_volume: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = nib.save

    def bent(image: Any, path: Path) -> None:
        honest(nib.Nifti1Image(image.get_fdata(dtype=np.float32) + 1, image.affine), path)

    monkeypatch.setattr(nib, "save", bent)
    with pytest.raises(VolumeError, match="the file differs"):
        write(make_volume(), tmp_path / "a.nii")
    assert os.listdir(tmp_path) == []


def test_what_the_user_can_put_right_is_said(
    tmp_path: Path, make_volume: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = make_volume()
    with pytest.raises(VolumeError, match="ending in"):
        write(volume, tmp_path / "a.png")
    with pytest.raises(VolumeError, match="no such folder"):
        write(volume, tmp_path / "nowhere" / "a.nii")
    (tmp_path / "b.nii").mkdir()
    with pytest.raises(VolumeError, match="a folder has that name"):
        write(volume, tmp_path / "b.nii")

    def closed(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr("core.io.writer.tempfile.mkdtemp", closed)
        with pytest.raises(VolumeError, match="read-only"):
            write(volume, tmp_path / "a.nii")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    for name in NAMES:
        with pytest.raises(VolumeError, match=r"the disk is full \(10 bytes free\)"):
            write(volume, tmp_path / name)


def test_a_sidecar_goes_with_the_file_it_described_and_another_s_stays(
    tmp_path: Path, make_volume: Make
) -> None:
    path = write(make_volume(synthetic=True), tmp_path / "out.nii.gz", marks=MARKS)
    write(make_volume(seed=1), path)
    assert os.listdir(tmp_path) == ["out.nii.gz"]
    (tmp_path / "out.json").write_text('{"EchoTime": 0.1}')  # of the scanner, as BIDS has it
    write(make_volume(seed=2), path)
    assert (tmp_path / "out.json").read_text() == '{"EchoTime": 0.1}'
    (tmp_path / "out.json").write_text("no JSON")
    write(make_volume(seed=3), path)
    assert (tmp_path / "out.json").read_text() == "no JSON"


def test_what_a_killed_program_left_behind_is_taken_away_a_day_later(
    tmp_path: Path, make_volume: Make
) -> None:
    old, young = tmp_path / ".mhvae-old", tmp_path / ".mhvae-young"
    for folder in (old, young):
        folder.mkdir()
        (folder / "out.nii").write_bytes(b"half")
    days_ago = time.time() - 2 * 24 * 3600
    os.utime(old, (days_ago, days_ago))
    write(make_volume(), tmp_path / "out.nii")
    assert sorted(os.listdir(tmp_path)) == [".mhvae-young", "out.nii"]
