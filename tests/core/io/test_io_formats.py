"""Every format gives the voxels and the positions that were stored in it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from conftest import oblique_affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from volume_files import VOXELS, check, minc1, minc2, to_itk

from core.io import read, read_headers

nib: Any = nibabel  # it ships types in part only


NIFTI = {
    "nifti-1": (nib.Nifti1Image, "a.nii"),
    "gzip": (nib.Nifti1Image, "a.nii.gz"),
    "nifti-2": (nib.Nifti2Image, "a.nii"),
    "pair": (nib.Nifti1Pair, "a.hdr"),
    "pair by its voxels": (nib.Nifti1Pair, "a.img"),
    "gzip pair": (nib.Nifti1Pair, "a.img.gz"),
    "nifti-2 pair": (nib.Nifti2Pair, "a.hdr"),
    "spm analyze": (nib.Spm2AnalyzeImage, "a.img"),
}


@pytest.mark.parametrize("kind", NIFTI)
def test_nifti_family(kind: str, tmp_path: Path) -> None:
    image_class, name = NIFTI[kind]
    nib.save(image_class(VOXELS, oblique_affine()), tmp_path / name)
    check(tmp_path / name, VOXELS, oblique_affine())


def test_analyze_says_that_its_position_is_unknown(tmp_path: Path) -> None:
    nib.save(nib.AnalyzeImage(VOXELS, np.diag([-2.0, 3, 4, 1])), tmp_path / "a.hdr")
    volume = read(tmp_path / "a.hdr")
    np.testing.assert_array_equal(volume.voxels, VOXELS)
    np.testing.assert_allclose(volume.grid.spacing, (2, 3, 4))
    assert any("left and right are an assumption" in text for text in volume.warnings)


def test_big_endian_and_scaled_integers(tmp_path: Path) -> None:
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(np.int16)
    raw = bytearray(nib.Nifti1Image(VOXELS, oblique_affine(), header).to_bytes())
    struct.pack_into(">ff", raw, 112, 2.5, -7.25)
    (tmp_path / "a.nii").write_bytes(raw)
    check(tmp_path / "a.nii", VOXELS * 2.5 - 7.25, oblique_affine())


def test_units_become_millimetres(tmp_path: Path) -> None:
    image = nib.Nifti1Image(VOXELS, np.diag([900.0, 800, 700, 1]))
    image.header.set_xyzt_units("micron")
    nib.save(image, tmp_path / "a.nii")
    volume = read(tmp_path / "a.nii")
    np.testing.assert_allclose(volume.grid.spacing, (0.9, 0.8, 0.7), rtol=1e-6)
    assert any("micron" in text for text in volume.warnings)


@pytest.mark.parametrize("name", ["a.nrrd", "a.nhdr", "a.mha", "a.mhd"])
@pytest.mark.parametrize("compressed", [False, True])
def test_itk_formats_attached_and_detached(name: str, compressed: bool, tmp_path: Path) -> None:
    sitk.WriteImage(to_itk(VOXELS, oblique_affine()), str(tmp_path / name), compressed)
    check(tmp_path / name, VOXELS, oblique_affine(), 1e-9)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    name=st.sampled_from(["a.nii", "a.nrrd", "a.mha"]),
    degrees=st.tuples(*[st.floats(-180, 180)] * 3),
    spacing=st.tuples(*[st.floats(0.2, 6)] * 3),
    shear=st.floats(-0.5, 0.5),
)
def test_any_orientation_and_shear_survives(
    name: str,
    degrees: tuple[float, float, float],
    spacing: tuple[float, float, float],
    shear: float,
    tmp_path: Path,
) -> None:
    affine = oblique_affine(spacing, degrees)
    affine[:3, 2] += shear * affine[:3, 1]
    if name == "a.nii":
        image = nib.Nifti1Image(VOXELS, None)
        image.set_sform(affine, code=1)
        nib.save(image, tmp_path / name)
    else:
        sitk.WriteImage(to_itk(VOXELS, affine), str(tmp_path / name))
    check(tmp_path / name, VOXELS, affine)


@pytest.mark.parametrize(
    ("space", "signs"),
    [
        ("RAS", (1, 1, 1)),
        ("left-anterior-superior", (-1, 1, 1)),
        ("left-posterior-superior", (-1, -1, 1)),
    ],
)
def test_nrrd_spaces(space: str, signs: tuple[int, int, int], tmp_path: Path) -> None:
    header = (
        "NRRD0004\ntype: short\ndimension: 3\nsizes: 9 8 7\nencoding: raw\nendian: big\n"
        f"space: {space}\nspace directions: (1,0,0) (0,2,0) (0,0,3)\nspace origin: (5,6,7)\n\n"
    )
    data = VOXELS.astype(">i2").tobytes(order="F")
    (tmp_path / "a.nrrd").write_bytes(header.encode() + data)
    affine = np.diag([*signs, 1.0]) @ np.array(
        [[1, 0, 0, 5], [0, 2, 0, 6], [0, 0, 3, 7], [0, 0, 0, 1.0]]
    )
    check(tmp_path / "a.nrrd", VOXELS, affine)


def test_data_in_one_file_per_slice(tmp_path: Path) -> None:
    sitk.WriteImage(to_itk(VOXELS, oblique_affine()), str(tmp_path / "a.mhd"))
    sitk.WriteImage(to_itk(VOXELS, oblique_affine()), str(tmp_path / "b.nhdr"))
    for k in range(7):
        (tmp_path / f"p{k + 1:02d}.raw").write_bytes(VOXELS[:, :, k].tobytes(order="F"))
    for name in ("a.mhd", "b.nhdr"):
        path = tmp_path / name
        path.write_text(path.read_text().replace(f"{name[0]}.raw", "p%02d.raw 1 7 1"))
        check(path, VOXELS, oblique_affine())


@pytest.mark.parametrize("make", [minc1, minc2])
def test_minc(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "a.mnc")
    # Stored z, y, x: the first voxel axis runs along z.
    affine = np.array([[0, 0, 1, -30], [0, 2, 0, -20], [3, 0, 0, -10], [0, 0, 0, 1.0]])
    check(tmp_path / "a.mnc", VOXELS, affine)


def test_the_content_decides_not_the_name(tmp_path: Path) -> None:
    image = nib.Nifti1Image(VOXELS, oblique_affine())
    (tmp_path / "plain.nii.gz").write_bytes(image.to_bytes())
    sitk.WriteImage(to_itk(VOXELS, oblique_affine()), str(tmp_path / "a.nrrd"))
    (tmp_path / "a.nrrd").rename(tmp_path / "b.dat")
    check(tmp_path / "plain.nii.gz", VOXELS, oblique_affine())
    check(tmp_path / "b.dat", VOXELS, oblique_affine())


def test_a_trailing_axis_of_one_is_dropped_and_said(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(VOXELS[..., None, None], oblique_affine()), tmp_path / "a.nii")
    volume = read(tmp_path / "a.nii")
    assert volume.grid.shape == VOXELS.shape
    assert any("axis of one" in text for text in volume.warnings)


@pytest.mark.parametrize(
    ("name", "modality"),
    [
        ("Case3-US-before.nii", "iUS"),
        ("sub-01_iUS.nii", "iUS"),
        ("3D_AX_T2_SPACE.nii", "T2"),
        ("T2-FLAIR.nii", "FLAIR"),
        ("t1_post_gd.nii", "ceT1"),
        ("3D_AX_T1_postcontrast.nii", "ceT1"),
        ("postcontrast_ax_t1.nii", "ceT1"),
        ("T1 with contrast.nii", "ceT1"),
        ("T1_precontrast.nii", "T1"),
        ("T1 without contrast.nii", "T1"),
        ("T1w.nii", "T1"),
        ("sinus-bonus.nii", ""),
    ],
)
def test_the_guess_names_its_reason(name: str, modality: str, tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(VOXELS, np.eye(4)), tmp_path / name)
    header = read_headers(tmp_path / name)[0]
    assert header.modality == modality
    assert bool(header.modality_reason) == bool(modality)
