"""What native decoders do to a hostile file ends in a process of their own, as one sentence."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest
import SimpleITK as sitk
from dicom_factory import MR, base, save, write_series
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import UID, RLELossless, generate_uid
from volume_files import minc1, minc2

from core.io import native, read, read_headers
from core.registration.alignment import AlignError
from core.registration.transforms import read_transform
from core.volume import VolumeError

HEAD = "#Insight Transform File V1.0\n#Transform 0\n"
AFFINE = f"{HEAD}Transform: AffineTransform_double_3_3\n"
TWELVE = "Parameters: 1 0 0 0 1 0 0 0 1 5 6 7\n"


def fake(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let a few lines of Python stand for the decoder process."""
    native.close()
    monkeypatch.setattr(native, "command", lambda: [sys.executable, "-c", code])


@pytest.fixture(autouse=True)
def _real_decoder_afterwards() -> object:
    yield
    native.close()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("input(); import os; os.abort()", "crashed"),
        ("raise SystemExit", "crashed|could not be started"),
        ("input()\nwhile True: pass", "did not come to an end within 1 s"),
        ("input(); a = bytearray(900 << 20); input()", "wanted far more memory"),
    ],
)
def test_a_decoder_that_does_harm_is_ended(
    code: str, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "a.mnc"
    minc2(path)
    fake(monkeypatch, code)
    monkeypatch.setattr(native, "SECONDS", 1.0 if "end" in words else 20.0)
    with pytest.raises(VolumeError, match=words) as error:
        read(path)
    assert str(error.value).startswith("a.mnc: ")
    monkeypatch.undo()
    assert read(path).voxels.any()  # the next file has a new decoder


def test_it_is_kept_warm_and_gives_back_what_it_took(tmp_path: Path) -> None:
    minc1(tmp_path / "a.mnc")
    minc2(tmp_path / "b.mnc")
    voxels = read(tmp_path / "a.mnc").voxels
    reader = native._reader()
    first = reader.pid
    np.testing.assert_array_equal(read(tmp_path / "b.mnc").voxels, voxels)
    assert reader.pid == first
    psutil.Process(first).kill()
    psutil.wait_procs([psutil.Process(first)] if psutil.pid_exists(first) else [], timeout=5)
    assert read(tmp_path / "a.mnc").voxels.any()
    if Path("/dev/shm").is_dir():
        assert not [p for p in Path("/dev/shm").iterdir() if p.name.startswith("psm_")]


def test_nothing_native_is_loaded_where_files_are_asked_for(tmp_path: Path) -> None:
    minc2(tmp_path / "a.mnc")
    write_series(tmp_path / "d")
    write_series(tmp_path / "rle", shape=(32, 32))
    compress(tmp_path / "rle")
    (tmp_path / "a.tfm").write_text(f"{AFFINE}{TWELVE}FixedParameters: 0 0 0\n")
    code = (
        "import sys\nfrom pathlib import Path\nfrom core.io import read\n"
        "from core.registration.transforms import read_transform\n"
        f"root = Path({str(tmp_path)!r})\n"
        "for name in ('a.mnc', 'd', 'rle'): read(root / name)\n"
        "read_transform(root / 'a.tfm')\n"
        "sys.exit(' '.join({'SimpleITK', 'h5py'} & set(sys.modules)) or None)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def compress(folder: Path) -> None:
    for path in folder.iterdir():
        ds = dcmread(path)
        ds.compress(RLELossless, generate_instance_uid=False)
        save(ds, path)


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_paths_that_are_no_text(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"M\xfcller")
    voxels, _ = write_series(folder / "plain")
    np.testing.assert_array_equal(read(folder / "plain").voxels, voxels)
    voxels, _ = write_series(folder / "rle", shape=(32, 32))
    compress(folder / "rle")
    np.testing.assert_array_equal(read(folder / "rle").voxels, voxels)
    minc2(tmp_path / "a.mnc")
    (tmp_path / "a.mnc").rename(folder / "a.mnc")
    assert read(folder / "a.mnc").voxels.any()
    path = folder / os.fsdecode(b"\xfc.tfm")
    path.write_text(f"{AFFINE}{TWELVE}FixedParameters: 0 0 0\n")
    np.testing.assert_allclose(read_transform(path).matrix[:3, 3], (5, 6, -7))


CUT: dict[str, tuple[str, str]] = {
    "before its parameters": (AFFINE, "ends before the Parameters"),
    "before its fixed parameters": (AFFINE + TWELVE, "ends before the FixedParameters"),
    "one too few": (
        AFFINE + TWELVE.replace(" 7", "") + "FixedParameters: 0 0 0\n",
        "has 11 parameters, not 12",
    ),
    "one too many": (
        AFFINE + TWELVE.replace(" 7", " 7 8") + "FixedParameters: 0 0 0\n",
        "has 13 parameters, not 12",
    ),
    "a word": (AFFINE + TWELVE.replace("7", "x") + "FixedParameters: 0 0 0\n", "are not numbers"),
    "not a number": (
        AFFINE + TWELVE.replace("7", "nan") + "FixedParameters: 0 0 0\n", "expected",
    ),
    "before its transform": (HEAD, "ends before its first transform"),
    "an endless grid": (
        f"{HEAD}Transform: BSplineTransform_double_3_3\nParameters: 0 0 0\n"
        "FixedParameters: 100000 100000 100000 0 0 0 1 1 1 1 0 0 0 1 0 0 0 1\n",
        "expected",
    ),
    "fixed parameters without end": (
        f"{HEAD}Transform: BSplineTransform_double_3_3\nParameters: 0\n"
        f"FixedParameters: {'9 ' * 500_000}\n",
        "expected",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", CUT)
def test_a_transform_without_all_its_numbers_is_no_identity(kind: str, tmp_path: Path) -> None:
    text, words = CUT[kind]
    path = tmp_path / "cut.tfm"
    path.write_text(text)
    with pytest.raises(AlignError, match=words) as error:
        read_transform(path)
    assert str(error.value).startswith("cut.tfm: ")


@pytest.mark.parametrize("cut", [1, 8, 24, 40, 100, 130])
def test_a_matlab_transform_that_is_cut(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    sitk.WriteTransform(sitk.AffineTransform((1, 0, 0, 0, 1, 0, 0, 0, 1), (5, 6, 7)), str(path))
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(AlignError, match=r"a\.mat: expected an ITK transform; the file"):
        read_transform(path)


def test_an_hdf5_transform_without_its_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    sitk.WriteTransform(sitk.AffineTransform((1, 0, 0, 0, 1, 0, 0, 0, 1), (5, 6, 7)), str(path))
    with h5py.File(path, "a") as file:
        group = next(g for g in file["TransformGroup"].values() if len(g) > 1)
        for name in [n for n in group if "arameters" in n and "Fixed" not in n]:
            del group[name]
    with pytest.raises(AlignError, match=r"a\.h5: expected an ITK transform"):
        read_transform(path)


def jpeg_2000(columns: int, rows: int) -> bytes:
    siz = struct.pack(">HHHIIIIIIIIH", 0xFF51, 41, 0, columns, rows, 0, 0, columns, rows, 0, 0, 1)
    return b"\xff\x4f" + siz + bytes(200) + b"\xff\xd9"


def jpeg(columns: int, rows: int) -> bytes:
    return b"\xff\xd8\xff\xc3" + struct.pack(">HBHHB", 11, 16, rows, columns, 1) + bytes(200)


@pytest.mark.parametrize(("stream", "syntax"), [(jpeg_2000, "90"), (jpeg, "70")])
@pytest.mark.parametrize("inside", [(30000, 30000), (64, 63), (63, 64)])
def test_a_compressed_image_larger_than_declared_is_not_unpacked(
    stream: Callable[[int, int], bytes], syntax: str, inside: tuple[int, int], tmp_path: Path
) -> None:
    series = generate_uid()
    for n in range(3):
        ds = base(MR, np.zeros((64, 64), np.uint16), series)
        ds.ImageOrientationPatient, ds.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 2 * n]
        ds.PixelSpacing = [1, 1]
        ds.file_meta.TransferSyntaxUID = UID(f"1.2.840.10008.1.2.4.{syntax}")
        ds.PixelData = encapsulate([stream(*inside)])
        ds["PixelData"].is_undefined_length = True
        save(ds, tmp_path / f"{n}.dcm")
    with pytest.raises(VolumeError, match=f"says {inside[0]}×{inside[1]}×1"):
        read(tmp_path)
    assert native._here is None or not native._here.pid  # nothing was started for it


def test_a_small_file_does_not_become_a_large_volume(tmp_path: Path) -> None:
    ds = base(MR, np.zeros((2, 8, 8), np.uint16), generate_uid())
    ds.ImageOrientationPatient, ds.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 0]
    ds.PixelSpacing, ds.SpacingBetweenSlices = [1, 1], 1
    ds.Rows = ds.Columns = 30000
    ds.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.90")
    ds.PixelData = encapsulate([jpeg_2000(30000, 30000)] * 2)
    ds["PixelData"].is_undefined_length = True
    save(ds, tmp_path / "bomb.dcm")
    with pytest.raises(VolumeError, match="would grow into"):
        read(tmp_path / "bomb.dcm")


def test_many_small_files_do_not_become_a_large_volume(tmp_path: Path) -> None:
    """Half a kilobyte each: every file alone is under the limit, the series is not."""
    series = generate_uid()
    for n in range(6):
        ds = base(MR, np.zeros((8, 8), np.uint16), series)
        ds.ImageOrientationPatient, ds.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 2 * n]
        ds.PixelSpacing = [1, 1]
        ds.Rows = ds.Columns = 9000
        ds.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.90")
        ds.PixelData = encapsulate([jpeg_2000(9000, 9000)])
        ds["PixelData"].is_undefined_length = True
        save(ds, tmp_path / f"{n}.dcm")
    assert "would grow into 972.0 MB" in read_headers(tmp_path)[0].problem
    with pytest.raises(VolumeError, match="would grow into"):
        read(tmp_path)
    assert native._here is None or not native._here.pid  # nothing was started for it


def test_a_frame_behind_the_first_is_no_larger_either(tmp_path: Path) -> None:
    ds = base(MR, np.zeros((2, 64, 64), np.uint16), generate_uid())
    ds.ImageOrientationPatient, ds.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 0]
    ds.PixelSpacing, ds.SpacingBetweenSlices = [1, 1], 1
    ds.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.90")
    whole = [packed(64, 64), packed(64, 64)]
    for frames, fits in ((whole, True), ([whole[0], packed(6000, 6000)], False)):
        ds.PixelData = encapsulate(frames)
        ds["PixelData"].is_undefined_length = True
        path = save(ds, tmp_path / f"{fits}.dcm")
        if fits:
            assert read(path).grid.shape == (64, 64, 2)
        else:
            with pytest.raises(VolumeError, match="expected an intact image file"):
                read(path)


def packed(columns: int, rows: int) -> bytes:
    """A real JPEG 2000 image, black but for a corner, of a few hundred bytes."""
    stream = io.BytesIO()
    pixels = np.zeros((rows, columns), np.uint16)
    pixels[:4, :4] = 900
    Image.fromarray(pixels).save(stream, "JPEG2000", no_jp2=True)
    return stream.getvalue()


def test_hdf5_that_would_inflate_is_not_inflated(tmp_path: Path) -> None:
    """Blocks that were never written read as zeros: 3 GB of them from 8 kB."""
    vast = {"shape": (400_000_000,), "dtype": "f8", "chunks": (1 << 16,), "compression": "gzip"}
    path = tmp_path / "a.h5"
    sitk.WriteTransform(sitk.AffineTransform(3), str(path))
    with h5py.File(path, "a") as file:
        group = next(g for g in file["TransformGroup"].values() if len(g) > 1)
        (name,) = (n for n in group if "arameters" in n and "Fixed" not in n)
        del group[name]
        group.create_dataset(name, **vast)
    with pytest.raises(AlignError, match=r"a\.h5: expected an ITK transform"):
        read_transform(path)
    minc2(tmp_path / "a.mnc")
    with h5py.File(tmp_path / "a.mnc", "a") as file:
        group = file["minc-2.0/image/0"]
        del group["image-max"]
        group.create_dataset("image-max", **vast).attrs["dimorder"] = np.bytes_("zspace")
    with pytest.raises(VolumeError, match=r"a\.mnc: expected"):
        read(tmp_path / "a.mnc")
    held = psutil.Process(native._reader().pid).memory_info().rss if native._reader().pid else 0
    assert held < native.ROOM


@pytest.mark.parametrize("bits", [10, 12, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_bits_that_are_not_the_voxels_do_not_count(bits: int, signed: bool, tmp_path: Path) -> None:
    random = np.random.default_rng(bits)
    low, high = (-(1 << bits - 1), 1 << bits - 1) if signed else (0, 1 << bits)
    voxels = random.integers(low, high, (4, 6, 5))
    series = generate_uid()
    for n, plane in enumerate(voxels):
        junk = random.integers(0, 1 << 16, plane.shape) << bits
        stored = ((plane & ((1 << bits) - 1)) | junk) & 0xFFFF
        ds = base(MR, stored.astype(np.uint16), series, PixelRepresentation=int(signed))
        ds.BitsStored, ds.HighBit = bits, bits - 1
        ds.ImageOrientationPatient, ds.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 2 * n]
        ds.PixelSpacing = [1, 1]
        save(ds, tmp_path / f"{n}.dcm")
    found = read(tmp_path).voxels
    np.testing.assert_array_equal(found, voxels.transpose(2, 1, 0))


@pytest.mark.parametrize("kind", ["Float", "DoubleFloat"])
def test_floating_point_voxels(kind: str, tmp_path: Path) -> None:
    dtype = np.float32 if kind == "Float" else np.float64
    voxels = np.random.default_rng(0).normal(size=(4, 6, 5)).astype(dtype)
    series = generate_uid()
    for n, plane in enumerate(voxels):
        ds = base(MR, np.zeros((6, 5), np.uint16), series)
        del ds.PixelData, ds.PixelRepresentation, ds.BitsStored, ds.HighBit
        ds.BitsAllocated = dtype().itemsize * 8
        setattr(ds, f"{kind}PixelData", plane.tobytes())
        ds.ImageOrientationPatient, ds.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 2 * n]
        ds.PixelSpacing = [1, 1]
        save(ds, tmp_path / f"{n}.dcm")
    (header,) = read_headers(tmp_path)
    assert (header.problem, header.dtype) == ("", np.dtype(dtype).name)
    np.testing.assert_array_equal(
        read(tmp_path).voxels, voxels.transpose(2, 1, 0).astype(np.float32)
    )


@pytest.mark.parametrize("compressed", [False, True])
def test_padding_is_no_image(compressed: bool, tmp_path: Path) -> None:
    voxels, _ = write_series(tmp_path, shape=(32, 32), PixelPaddingValue=-32768)
    for path in tmp_path.iterdir():
        ds = dcmread(path)
        ds["PixelPaddingValue"].VR = "SS"
        plane = ds.pixel_array.copy() + 100
        plane[:4] = -32768
        ds.PixelData = plane.tobytes()
        save(ds, path)
    if compressed:
        compress(tmp_path)
    volume = read(tmp_path)
    np.testing.assert_array_equal(volume.voxels[:, 4:], voxels[:, 4:] + 100)
    lowest = (voxels[:, 4:] + 100).min()
    assert (volume.voxels[:, :4] == lowest).all()
    assert any("768 voxels hold the padding value -32768" in text for text in volume.warnings)
