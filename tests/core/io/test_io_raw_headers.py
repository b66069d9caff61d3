"""MetaImage and NRRD as programs really write them: as SimpleITK reads them, or a sentence."""

from __future__ import annotations

import bz2
import gzip
import os
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from conftest import oblique_affine
from volume_files import VOXELS, check, to_itk

from core.io import read, read_headers
from core.volume import VolumeError

RAW = VOXELS.tobytes(order="F")
MHA = (
    "ObjectType = Image\nNDims = 3\nBinaryData = True\nCompressedData = False\n"
    "TransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 0 0 0\nElementSpacing = 1 2 3\n"
    "DimSize = 9 8 7\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
)
NRRD = (
    "NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 9 8 7\n"
    "space directions: (1,0,0) (0,2,0) (0,0,3)\nkinds: domain domain domain\nendian: little\n"
    "encoding: raw\nspace origin: (0,0,0)\n\n"
)
AFFINE = np.diag([-1.0, -2.0, 3.0, 1.0])
TYPES = {
    "CHAR": "i1", "UCHAR": "u1", "SHORT": "i2", "USHORT": "u2", "INT": "i4", "UINT": "u4",
    "LONG": "i4", "ULONG": "u4", "LONG_LONG": "i8", "ULONG_LONG": "u8", "FLOAT": "f4",
    "DOUBLE": "f8",
}  # fmt: skip


def metaimage(path: Path, text: str = MHA, data: bytes = RAW) -> Path:
    path.write_bytes(text.encode() + data)
    return path


def edited(text: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("big", [False, True])
def test_every_type_is_read_as_itk_reads_it(kind: str, big: bool, tmp_path: Path) -> None:
    voxels = np.abs(VOXELS % 100).astype((">" if big else "<") + TYPES[kind])
    text = edited(MHA, ("MET_SHORT", f"MET_{kind}"), ("BinaryData =", "BinaryData  ="))
    text = f"BinaryDataByteOrderMSB = {big}\n" + text
    path = metaimage(tmp_path / "a.mha", text, voxels.tobytes(order="F"))
    check(path, voxels, AFFINE)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(path)).T, voxels)
    if kind in ("LONG", "ULONG"):  # as some compilers have it
        wide = voxels.astype(voxels.dtype.str.replace("4", "8"))
        check(metaimage(path, text, wide.tobytes(order="F")), voxels, AFFINE)


@pytest.mark.parametrize("size", ["", "CompressedDataSize = 7\n", "CompressedDataSize = 1e12\n"])
def test_compressed_data_whose_size_is_missing_or_wrong(size: str, tmp_path: Path) -> None:
    text = edited(MHA, ("CompressedData = False\n", f"CompressedData = True\n{size}"))
    path = metaimage(tmp_path / "a.mha", text, zlib.compress(RAW))
    check(path, VOXELS, AFFINE)
    for cut in (1, 5, 200):
        metaimage(path, text, zlib.compress(RAW)[:-cut])
        with pytest.raises(VolumeError, match="compressed data"):
            read(path)


ORDERS = {
    "compression first": edited(
        "CompressedData = False\n" + MHA, ("BinaryData = True\nCompressedData = False\n", "")
    ),
    "a comment first": "Comment = made here = there\n" + MHA,
    "size first": edited("DimSize = 9 8 7\n" + MHA, ("3\nDimSize = 9 8 7\n", "3\n")),
    "a space in front": " " + MHA,
    "colons": MHA.replace(" = ", ": "),
    "windows": MHA.replace("\n", "\r\n"),
}


@pytest.mark.parametrize("kind", ORDERS)
def test_keys_have_no_order(kind: str, tmp_path: Path) -> None:
    check(metaimage(tmp_path / "a.mha", ORDERS[kind]), VOXELS, AFFINE)
    metaimage(tmp_path / "b", ORDERS[kind])  # the content decides, not the name
    check(tmp_path / "b", VOXELS, AFFINE)


MISSING = {
    "no orientation": (edited(MHA, ("TransformMatrix = 1 0 0 0 1 0 0 0 1\n", "")), "orientation"),
    "no position": (edited(MHA, ("Offset = 0 0 0\n", "")), "position"),
    "no size": (edited(MHA, ("ElementSpacing = 1 2 3\n", "")), "1 mm was assumed"),
    "more voxels": (edited(MHA, ("9 8 7", "9 8 6")), "144 more than its header declares"),
}


@pytest.mark.parametrize("kind", MISSING)
def test_what_is_assumed_is_said(kind: str, tmp_path: Path) -> None:
    text, words = MISSING[kind]
    path = metaimage(tmp_path / "a.mha", text)
    assert any(words in warning for warning in read_headers(path)[0].warnings)
    assert any(words in warning for warning in read(path).warnings)


WRONG = {
    "no dimension of this world": (("NDims = 3", "NDims = -1"), "as many whole sizes"),
    "many dimensions": (("NDims = 3", "NDims = 2147483648"), "as many whole sizes"),
    "another dimension": (("NDims = 3", "NDims = 100"), "as many whole sizes"),
    "half a size": (("9 8 7", "9 8 7.5"), "as many whole sizes"),
    "a size that is not finite": (("9 8 7", "9 8 inf"), "as many whole sizes"),
    "two positions": (("Offset", "Position = 1 2 3\nOffset"), "differ"),
    "a short position": (("Offset = 0 0 0", "Offset = 0 0"), "3 numbers for the offset"),
    "a long position": (("Offset = 0 0 0", "Offset = 0 0 0 0"), "3 numbers for the offset"),
    "a short orientation": (("1 0 0 0 1 0 0 0 1", "1 0 0 0 1 0"), "9 numbers"),
    "a word": (("ElementSpacing = 1 2 3", "ElementSpacing = 1 2 x"), "numbers for ElementSpacing"),
    "not finite": (
        ("ElementSpacing = 1 2 3", "ElementSpacing = 1 nan 3"),
        "usable voxel-to-world matrix",
    ),
    "colour": (("MET_SHORT", "MET_SHORT\nElementNumberOfChannels = 3"), "grey value"),
}


def test_a_line_that_swallows_the_next_one_elsewhere_is_refused(tmp_path: Path) -> None:
    """ITK reads on into the next line after these, and so loses the spacing or the directions."""
    for change, told in (
        (("Offset = 0 0 0", "Offset = 0 0 0\nCompressedDataSizeIM"), "NAME = VALUE"),
        (("Offset = 0 0 0", "Offset = 0 0 0\nCenterOfRotation = 0 0"), "each axis"),
    ):
        path = metaimage(tmp_path / "a.mha", edited(MHA, change))
        with pytest.raises(VolumeError, match=told):
            read(path)
    whole = edited(MHA, ("Offset = 0 0 0", "Offset = 0 0 0\nCenterOfRotation = 0 0 0"))
    check(metaimage(tmp_path / "a.mha", whole), VOXELS, AFFINE)


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_header_is_a_sentence(kind: str, tmp_path: Path) -> None:
    change, words = WRONG[kind]
    path = metaimage(tmp_path / "a.mha", edited(MHA, change))
    with pytest.raises(VolumeError, match=words):
        read(path)
    assert words in read_headers(path)[0].problem


ENCODED = {
    "gzip": gzip.compress(RAW),
    "bzip2": bz2.compress(RAW),
    "text": " ".join(str(n) for n in VOXELS.ravel(order="F")).encode(),
    "hex": RAW.hex().encode(),
}


@pytest.mark.parametrize("kind", ENCODED)
def test_nrrd_encodings(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.nrrd"
    text = edited(NRRD, ("encoding: raw", f"encoding: {kind}"))
    metaimage(path, text, ENCODED[kind])
    check(path, VOXELS, AFFINE)
    metaimage(path, text, ENCODED[kind][: len(ENCODED[kind]) // 2])
    with pytest.raises(VolumeError, match="cut short"):
        read(path)


def test_nrrd_data_behind_a_header_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(b"one\ntwo\n12345" + RAW)
    for skip in ("line skip: 2\nbyte skip: 5", "byte skip: 13", "byte skip: -1"):
        text = NRRD.replace("\n\n", f"\n{skip}\ndata file: a.raw\n\n")
        check(metaimage(tmp_path / "a.nhdr", text, b""), VOXELS, AFFINE)


def test_an_unknown_nrrd_field_is_no_damage(tmp_path: Path) -> None:
    path = metaimage(
        tmp_path / "a.nrrd", edited(NRRD, ("\n\n", "\nAnatomicalOrientation: RAI\n\n"))
    )
    check(path, VOXELS, AFFINE)


@pytest.mark.parametrize(
    ("units", "scale", "words"),
    [
        ('"mm" "mm" "mm"', (1, 1, 1), ""),
        ('"um" "um" "um"', (1e-3, 1e-3, 1e-3), "lengths in um"),
        ('"cm" "mm" "m"', (10, 1, 1000), "lengths in cm"),
        ('"µm" "μm" "microns"', (1e-3, 1e-3, 1e-3), "lengths in um"),
        ('"furlong" "mm" "mm"', (1, 1, 1), "“furlong”"),
    ],
)
def test_nrrd_units(
    units: str, scale: tuple[float, float, float], words: str, tmp_path: Path
) -> None:
    text = edited(NRRD, ("\n\n", f"\nspace units: {units}\n\n"))
    volume = read(metaimage(tmp_path / "a.nrrd", text))
    np.testing.assert_allclose(volume.grid.affine, np.diag([*scale, 1.0]) @ AFFINE)
    assert any(words in warning for warning in volume.warnings) or not words
    plain = edited(
        text,
        ("space: left-posterior-superior\n", ""),
        ("space directions: (1,0,0) (0,2,0) (0,0,3)", "spacings: 1 2 3"),
        ("space origin: (0,0,0)\n", ""),
        ("space units", "units"),
    )
    volume = read(metaimage(tmp_path / "a.nrrd", plain))
    np.testing.assert_allclose(volume.grid.spacing, np.array(scale) * (1, 2, 3))


@pytest.mark.parametrize("origin", ["0,0,0", "(0,0)", "(0,0,0,0)", "(a,b,c)", "(0,nan,0)", "()"])
def test_a_malformed_position_is_not_taken_for_zero(origin: str, tmp_path: Path) -> None:
    path = metaimage(tmp_path / "a.nrrd", edited(NRRD, ("(0,0,0)\n\n", f"{origin}\n\n")))
    with pytest.raises(VolumeError, match=r"NRRD header|space origin"):
        read(path)


@pytest.mark.parametrize("kind", ["fields", "kinds", "long", "nrrd"])
def test_a_tracked_sweep_is_no_volume(kind: str, tmp_path: Path) -> None:
    frames = "".join(
        f"Seq_Frame{n:04d}_ProbeToReferenceTransform = 1 0 0 {n} 0 1 0 0 0 0 1 0 0 0 0 1\n"
        for n in range(20_000 if kind == "long" else 7)
    )
    path = tmp_path / "US.igs.mha"
    if kind == "nrrd":
        text = edited(NRRD, ("domain domain domain", "domain domain list"))
        path = metaimage(tmp_path / "US.nrrd", text)
    elif kind == "kinds":
        changed = edited(MHA, ("ElementDataFile", "Kinds = domain domain list\nElementDataFile"))
        path = metaimage(path, changed)
    else:
        path = metaimage(path, edited(MHA, ("ElementDataFile", f"{frames}ElementDataFile")))
    with pytest.raises(VolumeError, match="a tracked sweep of 2-D images"):
        read(path)
    assert (
        "Make a volume of it first with mhvae-studio reconstruct" in read_headers(path)[0].problem
    )


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_a_path_that_is_no_text(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"M\xfcller")
    folder.mkdir()
    for name, text in (("T2.mha", MHA), ("T2.nrrd", NRRD)):
        check(metaimage(folder / name, text), VOXELS, AFFINE)
    broken = metaimage(folder / os.fsdecode(b"\xfc.mha"), MHA[:40])
    with pytest.raises(VolumeError) as error:
        read(broken)
    assert str(error.value).startswith("ü.mha: ")


def test_itk_reads_the_same_from_what_it_wrote(tmp_path: Path) -> None:
    """A check of the tests' own headers: SimpleITK agrees with them."""
    for name, text in (("a.mha", MHA), ("a.nrrd", NRRD)):
        image = sitk.ReadImage(metaimage(tmp_path / name, text))
        np.testing.assert_array_equal(sitk.GetArrayFromImage(image).T, VOXELS)
        np.testing.assert_allclose(image.GetSpacing(), (1, 2, 3))
    sitk.WriteImage(to_itk(VOXELS, oblique_affine()), str(tmp_path / "b.mha"), True)
    check(tmp_path / "b.mha", VOXELS, oblique_affine(), 1e-9)


REPORTED = {
    "01_T2_compressed_no_size.mha": "clean",
    "14_T2_compresseddata_first.mha": "clean",
    "14b_T2_comment_first.mha": "clean",
    "15_T2_unknown_field.nrrd": "clean",
    "05_tracked_sweep_US.igs.mha": "a tracked sweep",
    "05b_tracked_sweep_kinds_US.igs.mha": "a tracked sweep",
    "16_long_header_US.igs.mha.gz": "a tracked sweep",
}


@pytest.mark.parametrize("name", REPORTED)
def test_reported_headers(name: str, real_data: Path, tmp_path: Path) -> None:
    path = real_data / "reported" / name
    if path.suffix == ".gz":
        data = gzip.decompress(path.read_bytes())
        path = tmp_path / path.stem
        path.write_bytes(data)
    if REPORTED[name] != "clean":
        with pytest.raises(VolumeError, match=REPORTED[name]):
            read(path)
        assert REPORTED[name] in read_headers(path)[0].problem
        return
    assert not read_headers(path)[0].problem
    np.testing.assert_array_equal(
        read(path).voxels, read(real_data / "reported" / "clean_T2.nii.gz").voxels
    )
