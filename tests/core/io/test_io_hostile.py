"""Damaged, oversized and misleading files: one sentence each, before memory is spent."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import psutil
import pytest
import SimpleITK as sitk
from conftest import oblique_affine
from volume_files import VOXELS, minc1, minc2, to_itk

from core.io import read, read_headers
from core.volume import VolumeError

nib: Any = nibabel  # it ships types in part only


def nifti(voxels: np.ndarray = VOXELS) -> bytearray:
    return bytearray(nib.Nifti1Image(voxels, oblique_affine(), dtype=voxels.dtype).to_bytes())


def with_dims(data: bytes, *dims: int) -> bytes:
    edited = bytearray(data)
    struct.pack_into("<8h", edited, 40, len(dims), *dims, *[1] * (7 - len(dims)))
    return bytes(edited)


def packed(data: bytes, at: str, value: object, where: int) -> bytes:
    edited = bytearray(data)
    struct.pack_into(at, edited, where, value)
    return bytes(edited)


def singular(data: bytes) -> bytes:
    return bytes(data[:296]) + bytes(data[280:296]) + bytes(data[312:])


def flipped(data: bytes, at: int) -> bytes:
    edited = bytearray(data)
    edited[at] ^= 0xFF
    return bytes(edited)


PLAIN = bytes(nifti())
ZIPPED = gzip.compress(PLAIN)
NOT_FINITE = np.full(VOXELS.shape, np.nan, np.float32)

NIFTI: dict[str, tuple[bytes, str]] = {
    "empty file": (b"", "the file is empty"),
    "half a header": (PLAIN[:100], "348 bytes"),
    "header without data": (PLAIN[:352], "cut short"),
    "truncated": (PLAIN[:-1], "1360 bytes; the file holds 1359 bytes"),
    "truncated gzip": (ZIPPED[:-40], "damaged or cut short"),
    "gzip with a wrong checksum": (flipped(ZIPPED, -6), "damaged"),
    "gzip with a flipped bit": (flipped(ZIPPED, 700), "damaged"),
    "54 TB declared": (with_dims(PLAIN, 30000, 30000, 30000), "54.0 TB"),
    "54 TB declared in a gzip": (gzip.compress(with_dims(PLAIN, 30000, 30000, 30000)), "54.0 TB"),
    "negative size": (with_dims(PLAIN, -3, 4, 5), "at least one voxel"),
    "no axes": (with_dims(PLAIN), "the file is empty"),
    "2-D": (bytes(nifti(VOXELS[:, :, 0])), "2-D data of 9×8 voxels"),
    "4-D": (bytes(nifti(np.stack([VOXELS] * 2, axis=-1))), "4-D data of 9×8×7×2 voxels"),
    "complex": (bytes(nifti(VOXELS.astype(np.complex64))), "complex"),
    "unknown type": (packed(PLAIN, "<h", 9999, 70), "cannot be decoded"),
    "voxels far away": (packed(PLAIN, "<f", 1e9, 108), "close behind the header"),
    "voxels nowhere": (packed(PLAIN, "<f", float("nan"), 108), "close behind the header"),
    "singular matrix": (singular(PLAIN), "singular"),
    "matrix not finite": (packed(PLAIN, "<f", float("inf"), 280), "not finite"),
    "all zero": (bytes(nifti(VOXELS * 0)), "every voxel is zero"),
    "nothing finite": (bytes(nifti(NOT_FINITE)), "no voxel holds one"),
    "text": (b"these are not the voxels you are looking for", "of another kind"),
}


@pytest.mark.parametrize("kind", NIFTI)
def test_nifti_is_refused_with_a_sentence(kind: str, tmp_path: Path) -> None:
    data, words = NIFTI[kind]
    path = tmp_path / "a.nii"
    path.write_bytes(data)
    with pytest.raises(VolumeError, match=words) as error:
        read(path)
    assert str(error.value).startswith("a.nii: ")
    assert str(tmp_path) not in str(error.value)


def test_rgb_is_refused(tmp_path: Path) -> None:
    colour = np.zeros((4, 4, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.save(nib.Nifti1Image(colour, np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(VolumeError, match="RGB"):
        read(tmp_path / "a.nii")
    assert "RGB" in read_headers(tmp_path / "a.nii")[0].problem


def test_nan_and_infinity_are_repaired_and_said(tmp_path: Path) -> None:
    voxels = VOXELS.astype(np.float32)
    voxels[0, 0, :3] = np.nan, np.inf, -np.inf
    lowest = float(voxels[np.isfinite(voxels)].min())
    (tmp_path / "a.nii").write_bytes(nifti(voxels))
    volume = read(tmp_path / "a.nii")
    assert volume.voxels[0, 0, :3].tolist() == [lowest] * 3
    np.testing.assert_array_equal(volume.voxels[1:], voxels[1:])
    assert any(text.startswith("3 voxels were not finite") for text in volume.warnings)


def test_sform_and_qform_that_disagree_are_named_and_the_sform_used(tmp_path: Path) -> None:
    image = nib.Nifti1Image(VOXELS, None)
    sheared = oblique_affine()
    sheared[:3, 2] += 0.6 * sheared[:3, 1]
    image.set_qform(oblique_affine(), code=1)
    image.set_sform(sheared, code=2)
    nib.save(image, tmp_path / "a.nii")
    volume = read(tmp_path / "a.nii")
    np.testing.assert_allclose(volume.grid.affine, sheared, atol=1e-5)
    gap = 6 * 0.6 * 1.1
    assert any(f"{gap:.1f} mm" in text and "sform" in text for text in volume.warnings)
    assert any("sheared" in text for text in volume.warnings)


def test_memory_is_checked_before_it_is_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nib.save(nib.Nifti1Image(VOXELS, np.eye(4)), tmp_path / "a.nii")
    sitk.WriteImage(to_itk(VOXELS, np.eye(4)), str(tmp_path / "a.nrrd"))
    minc2(tmp_path / "a.mnc")

    class Little:
        available = 1000

    monkeypatch.setattr(psutil, "virtual_memory", Little)
    for name in ("a.nii", "a.nrrd", "a.mnc"):
        with pytest.raises(VolumeError, match=r"1\.0 kB are free"):
            read(tmp_path / name)
        assert read_headers(tmp_path / name)[0].problem == ""


ITK: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "truncated": (lambda data: data[:-40], "cut short|whole"),
    "a third": (lambda data: data[: len(data) // 3], "cut short|whole"),
    "huge": (lambda data: data.replace(b"9 8 7", b"30000 30000 3000"), "5.4 TB"),
    "negative": (lambda data: data.replace(b"9 8 7", b"9 8 -7"), "at least one"),
    "not numbers": (lambda data: data.replace(b"9 8 7", b"9 8 x"), "number"),
    "more data than declared": (lambda data: data.replace(b"9 8 7", b"9 8 2"), "more than"),
    "flipped bits": (lambda data: flipped(data, -60), "damaged"),
}


@pytest.mark.parametrize("kind", ITK)
@pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
def test_compressed_itk_files_are_refused_with_a_sentence(
    name: str, kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    sitk.WriteImage(to_itk(VOXELS, oblique_affine()), str(path), True)
    edit, words = ITK[kind]
    path.write_bytes(edit(path.read_bytes()))
    with pytest.raises(VolumeError, match=words):
        read(path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
def test_a_bomb_is_not_unpacked(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    sitk.WriteImage(to_itk(VOXELS, oblique_affine()), str(path), True)
    data = path.read_bytes()
    maker = zlib.compressobj(9, zlib.DEFLATED, 31 if name == "a.nrrd" else 15)
    bomb = b"".join(maker.compress(bytes(1 << 20)) for _ in range(50)) + maker.flush()
    end = data.index(b"\n\n") + 2 if name == "a.nrrd" else data.index(b"LOCAL") + 6
    head = data[:end]
    if name == "a.mha":
        start = head.index(b"CompressedDataSize")
        stop = head.index(b"\n", start)
        head = head[:start] + b"CompressedDataSize = %d" % len(bomb) + head[stop:]
    path.write_bytes(head + bomb)
    with pytest.raises(VolumeError, match="more than"):
        read(path)


BOMBS = ("a.nii.gz", "gzip.nrrd", "bzip2.nrrd", "a.mha")


@pytest.mark.parametrize("name", BOMBS)
def test_a_truthful_bomb_is_not_unpacked_either(name: str, tmp_path: Path) -> None:
    """No deflate stream is forbidden to grow a thousandfold; no image does it."""
    path, side = tmp_path / name, 600
    if name == "a.nii.gz":
        head = gzip.compress(with_dims(PLAIN, side, side, side))
    else:
        sitk.WriteImage(to_itk(VOXELS, oblique_affine()), str(path), True)
        data = path.read_bytes()
        end = data.index(b"\n\n") + 2 if name.endswith("nrrd") else data.index(b"LOCAL") + 6
        head = data[:end].replace(b"9 8 7", b"600 600 600").replace(b"gzip", path.stem.encode())
    path.write_bytes(head + bytes(500_000))  # never looked at: sizes tell
    before = psutil.Process().memory_info().rss
    with pytest.raises(VolumeError, match=r"would grow into 432\.0 MB"):
        read(path)
    assert "would grow into 432.0 MB" in read_headers(path)[0].problem
    assert psutil.Process().memory_info().rss - before < 200e6


@pytest.mark.parametrize("name", ["a.nhdr", "a.mhd"])
@pytest.mark.parametrize(
    "named",
    ["../secret.raw", "/etc/hostname", "link.raw", "LIST\n../secret.raw", "../s%03d.raw 1 7 1"],
)
def test_a_detached_header_stays_in_its_folder(name: str, named: str, tmp_path: Path) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    sitk.WriteImage(to_itk(VOXELS, oblique_affine()), str(folder / name))
    (folder / "a.raw").rename(tmp_path / "secret.raw")
    (folder / "link.raw").symlink_to(tmp_path / "secret.raw")
    text = (folder / name).read_text()
    (folder / name).write_text(text.replace("a.raw", named).replace("\n\n", "\n"))
    with pytest.raises(VolumeError, match="outside it, which is not opened"):
        read(folder / name)


def test_a_second_data_file_cannot_hide_behind_the_first(tmp_path: Path) -> None:
    sitk.WriteImage(to_itk(VOXELS, oblique_affine()), str(tmp_path / "a.mhd"))
    text = (tmp_path / "a.mhd").read_text()
    for twice in ("Comment = ElementDataFile = a.raw\n", "DimSize = 1 1 1\nDimSize = 9 8 7\n"):
        changed = (twice + text).replace("= a.raw\n", "= ../b.raw\n")
        (tmp_path / "a.mhd").write_text(changed.replace("../b.raw", "a.raw", 1))
        with pytest.raises(VolumeError, match=r"outside|twice|none of these"):
            read(tmp_path / "a.mhd")


def test_colour_and_vectors_are_refused(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.ones((4, 5, 6, 3), np.float32), isVector=True)
    for name in ("a.nrrd", "a.mha"):
        sitk.WriteImage(image, str(tmp_path / name))
        with pytest.raises(VolumeError, match="one grey value per voxel"):
            read(tmp_path / name)


def test_damaged_minc_is_refused(tmp_path: Path) -> None:
    for make in (minc1, minc2):
        path = tmp_path / f"{make.__name__}.mnc"
        make(path)
        path.write_bytes(path.read_bytes()[:-600])
        with pytest.raises(VolumeError, match=r"damaged|cut short"):
            read(path)


def test_minc_does_not_lead_elsewhere_or_declare_more_than_it_holds(tmp_path: Path) -> None:
    minc2(tmp_path / "a.mnc")
    with h5py.File(tmp_path / "a.mnc", "a") as file:
        del file["minc-2.0/image/0/image"]
        where = h5py.ExternalLink("b.mnc", "/minc-2.0/image/0/image")
        file["minc-2.0/image/0/image"] = where
    with pytest.raises(VolumeError, match="names another file"):
        read(tmp_path / "a.mnc")
    minc2(tmp_path / "c.mnc")
    with h5py.File(tmp_path / "c.mnc", "a") as file:
        folder = file["minc-2.0/image/0"]
        kept = dict(folder["image"].attrs)
        del folder["image"]
        huge = folder.create_dataset(
            "image", shape=(30000, 30000, 3000), dtype="i2", chunks=(64, 64, 64)
        )
        huge.attrs.update(kept)
    with pytest.raises(VolumeError, match=r"5\.4 TB"):
        read(tmp_path / "c.mnc")


def test_missing_files_and_folders_without_volumes(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match="no such file"):
        read(tmp_path / "a.nii")
    with pytest.raises(VolumeError, match="found none"):
        read_headers(tmp_path)
    nib.save(nib.Nifti1Pair(VOXELS, np.eye(4)), tmp_path / "a.hdr")
    (tmp_path / "a.img").unlink()
    with pytest.raises(VolumeError, match="no such file"):
        read(tmp_path / "a.hdr")


def test_probe_reads_no_voxels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nib.save(nib.Nifti1Image(VOXELS, oblique_affine()), tmp_path / "a.nii.gz")
    sitk.WriteImage(to_itk(VOXELS, oblique_affine()), str(tmp_path / "a.nrrd"))

    def never(*_: object, **__: object) -> None:
        raise AssertionError("voxels were read")

    monkeypatch.setattr(nib.arrayproxy.ArrayProxy, "get_unscaled", never)
    monkeypatch.setattr(sitk.ImageFileReader, "Execute", never)
    headers = sorted(read_headers(tmp_path), key=lambda header: header.format)
    assert [header.format for header in headers] == ["NIfTI-1", "NRRD"]
    for header in headers:
        assert header.dtype == "int16"
        assert header.grid is not None
        assert header.grid.shape == VOXELS.shape
