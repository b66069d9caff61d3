"""NIfTI headers that programs leave incomplete or slightly wrong: read as others read them."""

from __future__ import annotations

import gzip
import math
import struct
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from conftest import oblique_affine
from volume_files import VOXELS

from core.io import read, read_headers
from core.volume import VolumeError

nib: Any = nibabel  # it ships types in part only
WIDE = oblique_affine((4.0, 5.0, 6.0))  # as wide as a head
PIXDIM, QUATERN, SROW, CODES = 76, 256, 280, 252


def made(*, sform: bool = True, qform: bool = True, affine: np.ndarray = WIDE) -> bytearray:
    image = nib.Nifti1Image(VOXELS, affine)
    image.set_sform(affine, code=int(sform))
    image.set_qform(affine, code=int(qform))
    image.header.set_xyzt_units("mm")
    return bytearray(image.to_bytes())


def put(data: bytearray, at: int, *values: float, kind: str = "f") -> bytearray:
    struct.pack_into(f"<{len(values)}{kind}", data, at, *values)
    return data


def save(data: bytes | bytearray, path: Path) -> Path:
    path.write_bytes(gzip.compress(data) if path.name.endswith("gz") else data)
    return path


def check(path: Path, affine: np.ndarray, words: str = "") -> None:
    header, volume = read_headers(path)[0], read(path)
    assert header.problem == ""
    np.testing.assert_allclose(volume.grid.affine, affine, atol=2e-4)
    np.testing.assert_array_equal(volume.voxels, VOXELS)
    said = [text for text in volume.warnings if words in text]
    assert bool(said) if words else not volume.warnings
    assert header.warnings == volume.warnings


def test_a_handedness_of_zero_is_one(tmp_path: Path) -> None:
    data = put(made(sform=False), PIXDIM, 0.0)
    check(save(data, tmp_path / "a.nii"), WIDE, "pixdim[0]")


def test_a_code_that_the_standard_does_not_know_is_said(tmp_path: Path) -> None:
    data = put(made(), CODES + 2, 179, kind="h")
    check(save(data, tmp_path / "a.nii"), WIDE, "sform has the code 179")


def test_a_position_that_no_patient_has_is_said(tmp_path: Path) -> None:
    data = put(made(qform=False), SROW + 12, 2e23)
    said = read(save(data, tmp_path / "a.nii")).warnings
    assert any("2e+20 m from the origin" in text for text in said)


@pytest.mark.parametrize("axes", [(0,), (0, 1, 2)])
def test_negative_voxel_sizes_are_sizes(axes: tuple[int, ...], tmp_path: Path) -> None:
    data = made(sform=False)
    for axis in axes:
        put(data, PIXDIM + 4 * (axis + 1), -(4.0, 5.0, 6.0)[axis])
    check(save(data, tmp_path / "a.nii"), WIDE, "negative (pixdim)")
    plain = made(sform=False, qform=False)
    put(plain, PIXDIM + 4, -4.0)
    assert any("negative" in text for text in read(save(plain, tmp_path / "b.nii")).warnings)


@pytest.mark.parametrize("excess", [1e-7, 1e-5, 3e-4])
def test_a_rounded_rotation_is_one(excess: float, tmp_path: Path) -> None:
    turned = oblique_affine((4.0, 5.0, 6.0), (180.0, 0.0, 0.0))
    data = made(sform=False, affine=turned)
    b, c, d = struct.unpack_from("<3f", data, QUATERN)
    scale = math.sqrt((1 + excess) / (b * b + c * c + d * d))
    put(data, QUATERN, b * scale, c * scale, d * scale)
    check(save(data, tmp_path / "a.nii"), turned)
    put(data, QUATERN, 1.0, 1.0, 1.0)
    with pytest.raises(VolumeError, match="qform is no rotation, and there is no other"):
        read(save(data, tmp_path / "b.nii"))


def test_an_empty_sform_gives_way_to_the_qform(tmp_path: Path) -> None:
    data = put(made(), SROW, *[0.0] * 12)
    check(save(data, tmp_path / "a.nii"), WIDE, "sform is empty (all zero); its qform is used")
    put(data, SROW, *[math.nan] * 12)
    check(
        save(data, tmp_path / "b.nii"), WIDE, "sform holds numbers that are not finite; its qform"
    )
    put(data, SROW, *[1.0] * 12)
    check(save(data, tmp_path / "c.nii"), WIDE, "sform is singular; its qform is used")
    put(data, QUATERN, math.nan)
    with pytest.raises(VolumeError, match="there is no other"):
        read(save(data, tmp_path / "d.nii"))
    put(made(), QUATERN, 5.0)
    check(save(put(made(), QUATERN, 5.0), tmp_path / "e.nii"), WIDE, "its sform is used")


@pytest.mark.parametrize("fourth", [(0,), (0, 0), (1, 0)])
def test_a_fourth_size_of_zero_is_one_volume(fourth: tuple[int, ...], tmp_path: Path) -> None:
    data = made()
    put(data, 40, 3 + len(fourth), *VOXELS.shape, *fourth, kind="h")
    path = save(data, tmp_path / "a.nii")
    if fourth == (1, 0):
        with pytest.raises(VolumeError, match="the file is empty"):
            read(path)
        return
    check(path, WIDE, "fourth size is 0")


@pytest.mark.parametrize("offset", [0.0, 16.0, 348.0])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_the_header_is_never_taken_for_voxels(offset: float, name: str, tmp_path: Path) -> None:
    data = put(made(), 108, offset)
    check(save(data, tmp_path / name), WIDE, "read from byte 352, right behind it")


@pytest.mark.parametrize(("code", "unit"), [(1, "meter"), (3, "micron")])
def test_a_unit_that_makes_no_head_is_not_believed(code: int, unit: str, tmp_path: Path) -> None:
    data = made()
    data[123] = code
    check(save(data, tmp_path / "a.nii"), WIDE, f"lengths in {unit}s, which would make")
    scale = 1000.0 if code == 3 else 0.001
    data = made(affine=np.diag([scale] * 3 + [1.0]) @ WIDE)
    data[123] = code
    check(save(data, tmp_path / "b.nii"), WIDE, "were converted to millimetres")


def test_a_volume_of_no_size_is_worth_a_word(tmp_path: Path) -> None:
    tiny = np.diag([1e-3] * 3 + [1.0]) @ WIDE
    check(save(made(affine=tiny), tmp_path / "a.nii"), tiny, "mm wide; check the voxel size")


def test_voxel_sizes_that_contradict_the_matrix_are_named(tmp_path: Path) -> None:
    data = put(made(qform=False), PIXDIM + 4, 12.0)
    check(save(data, tmp_path / "a.nii"), WIDE, "contradict its position matrix")
    assert "by up to 64.0 mm" in " ".join(read(tmp_path / "a.nii").warnings)
    put(data, PIXDIM + 4, 4.01)
    check(save(data, tmp_path / "b.nii"), WIDE)


@pytest.mark.parametrize(
    ("slope", "offset", "words"),
    [
        (2.0, math.inf, "scl_inter is inf"),
        (2.0, math.nan, "scl_inter is nan"),
        (math.nan, 5.0, ""),
        (0.0, 5.0, ""),
        (math.inf, 0.0, ""),
    ],
)
def test_probe_says_of_a_scaling_what_read_does(
    slope: float, offset: float, words: str, tmp_path: Path
) -> None:
    path = save(put(made(), 112, slope, offset), tmp_path / "a.nii")
    if words:
        assert words in read_headers(path)[0].problem
        with pytest.raises(VolumeError, match=words):
            read(path)
    else:
        check(path, WIDE, "values are as stored")


def test_values_beyond_what_we_hold_are_called_so(tmp_path: Path) -> None:
    voxels = np.full(VOXELS.shape, 1e300)
    path = tmp_path / "a.nii"
    nib.save(nib.Nifti1Image(voxels, WIDE), path)
    with pytest.raises(VolumeError, match=r"expected values up to 3\.4e\+38"):
        read(path)
    voxels[1:] = VOXELS[1:]
    nib.save(nib.Nifti1Image(voxels, WIDE), path)
    assert any("56 voxels were not finite" in text for text in read(path).warnings)
    assert any("or beyond 3.4e+38" in text for text in read(path).warnings)


REPORTED = {
    "10_T2_qfac0.nii.gz": "pixdim[0]",
    "10b_T2_negative_pixdim.nii.gz": "negative (pixdim)",
    "10d_T2_sform_zero.nii.gz": "its qform is used",
    "12_T2_vox_offset_0.nii.gz": "read from byte 352",
    "13_T2_mislabelled_microns.nii.gz": "would make the volume 0.056 mm wide",
}


@pytest.mark.parametrize("name", REPORTED)
def test_reported_files(name: str, real_data: Path) -> None:
    clean = read(real_data / "reported" / "clean_T2.nii.gz")
    volume = read(real_data / "reported" / name)
    np.testing.assert_array_equal(volume.voxels, clean.voxels)
    assert any(REPORTED[name] in text for text in volume.warnings)
    assert volume.grid.same_as(clean.grid, 1e-3)


def test_reported_refusals(real_data: Path) -> None:
    with pytest.raises(VolumeError, match="scl_inter"):
        read(real_data / "reported" / "15b_T2_inter_inf.nii.gz")
    with pytest.raises(VolumeError, match=r"3\.4e"):
        read(real_data / "reported" / "17_T2_huge_float64.nii.gz")
