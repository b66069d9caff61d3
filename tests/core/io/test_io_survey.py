"""Looking through files of any kind at once: what is found, what is said, and that it can stop."""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from conftest import oblique_affine
from dicom_factory import (
    AXIAL,
    ENHANCED_MR,
    OBLIQUE,
    US_MULTI,
    base,
    enhanced,
    save,
    write_series,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import MPEG4HP41, generate_uid

from core.errors import Cancelled
from core.grid import Grid
from core.io import Header, read, read_headers, survey, write
from core.io.dicom_groups import volumes
from core.io.dicom_tags import Image, read_tags
from core.io.preview import middle_slice
from core.volume import Volume, VolumeError


def one(found: list[Header]) -> Header:
    assert len(found) == 1, [header.problem or header.source for header in found]
    return found[0]


def nifti(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    voxels = np.random.default_rng(seed).random((6, 5, 4), dtype=np.float32)
    return Path(write(Volume(voxels, Grid(voxels.shape, oblique_affine())), path))


def test_random_names_change_nothing(tmp_path: Path) -> None:
    voxels, affine = write_series(tmp_path / "a", orientation=OBLIQUE, SeriesDescription="T2")
    before = one(survey([tmp_path / "a"]))
    (tmp_path / "b").mkdir()
    for path in sorted((tmp_path / "a").iterdir()):
        path.rename(tmp_path / "b" / uuid.uuid4().hex)
    header = one(survey([tmp_path / "b"]))
    assert (header.series, header.modality) == (before.series, "T2")
    volume = read(header)
    np.testing.assert_array_equal(volume.voxels, voxels)
    np.testing.assert_allclose(volume.grid.affine, affine, atol=1e-9)


def test_files_without_a_preamble_are_found(tmp_path: Path) -> None:
    """As written before 1993, and by some tools since: the data set alone, without a suffix."""
    voxels, _ = write_series(tmp_path, shape=(16, 16))
    for n, path in enumerate(sorted(tmp_path.iterdir())):
        data = path.read_bytes()
        length = int.from_bytes(data[140:144], "little")
        (tmp_path / f"IM{n}").write_bytes(data[144 + length :])
        path.unlink()
    np.testing.assert_array_equal(read(one(survey([tmp_path]))).voxels, voxels)


def test_frames_of_reference_are_told_apart(tmp_path: Path) -> None:
    a, b = generate_uid(), generate_uid()
    for n, uid in enumerate((a, a, b)):
        write_series(tmp_path / str(n), FrameOfReferenceUID=uid, SeriesNumber=n)
    first, second, third = survey([tmp_path])
    assert first.frame == second.frame != third.frame
    assert first.frame not in a


def test_a_header_reads_its_own_files_only(tmp_path: Path) -> None:
    t2, _ = write_series(tmp_path, SeriesDescription="AX T2")
    write_series(tmp_path, SeriesDescription="AX T1", name="other")
    header = next(h for h in survey([tmp_path]) if h.modality == "T2")
    for path in tmp_path.glob("other*"):
        path.write_bytes(b"")
    np.testing.assert_array_equal(read(header).voxels, t2)
    header.members[0].unlink()
    with pytest.raises(VolumeError, match="cannot be opened"):
        read(header)


def test_a_series_may_be_spread_over_folders(tmp_path: Path) -> None:
    voxels, _ = write_series(tmp_path / "a")
    (tmp_path / "b").mkdir()
    for path in sorted((tmp_path / "a").iterdir())[::2]:
        path.rename(tmp_path / "b" / path.name)
    header = one(survey([tmp_path / "a", tmp_path / "b"]))
    assert header.path == tmp_path
    np.testing.assert_array_equal(read(header).voxels, voxels)
    np.testing.assert_array_equal(read(header.path, series=header.series).voxels, voxels)


def test_one_slice_stands_for_its_series(tmp_path: Path) -> None:
    voxels, _ = write_series(tmp_path)
    write_series(tmp_path, name="other")
    header = one(survey([tmp_path / "slice-002.dcm"]))
    assert "Of its 6 images one slice was chosen" in header.remarks[0]
    np.testing.assert_array_equal(read(header).voxels, voxels)
    header = one(survey(sorted(tmp_path.glob("slice-*"))))
    assert header.remarks == ()


def test_copies_are_counted_once_and_named(tmp_path: Path) -> None:
    voxels, _ = write_series(tmp_path / "a", SeriesDescription="T2")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    short = tmp_path / "a" / "slice-001.dcm"
    short.write_bytes(short.read_bytes()[:-30])  # the whole copy is taken
    header = one(survey([tmp_path]))
    assert "6 images were there more than once" in header.remarks[0]
    np.testing.assert_array_equal(read(header).voxels, voxels)


def test_equal_content_under_other_names_is_a_duplicate(tmp_path: Path) -> None:
    write_series(tmp_path / "a", SeriesDescription="T2", SeriesNumber=1)
    write_series(tmp_path / "b", SeriesDescription="T2 again", SeriesNumber=2)
    other = {3: {"pixels": np.full((5, 4), 7, np.int16)}}
    write_series(tmp_path / "c", SeriesDescription="T2 changed", SeriesNumber=3, each=other)
    nifti(tmp_path / "x.nii.gz")
    shutil.copy(tmp_path / "x.nii.gz", tmp_path / "y.nii.gz")
    nifti(tmp_path / "z.nii.gz", seed=1)
    found = {header.source: header.duplicate for header in survey([tmp_path])}
    assert found == {
        "1 T2": "",
        "2 T2 again": "Its content is that of series 1 T2 in a.",
        "3 T2 changed": "",
        "x.nii.gz": "",
        "y.nii.gz": "Its content is that of x.nii.gz.",
        "z.nii.gz": "",
    }


def test_everything_given_has_its_say(tmp_path: Path) -> None:
    write_series(tmp_path / "good", SeriesDescription="T2")
    write_series(tmp_path / "gap", drop=[2])
    good = nifti(tmp_path / "US.nii.gz")
    torn = tmp_path / "torn.nii.gz"
    torn.write_bytes(b"\x1f\x8b\x08 not really")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "study.zip").write_bytes(b"PK\x03\x04" + bytes(60))
    (tmp_path / "empty").mkdir()
    names = (
        "good", "gap", "US.nii.gz", "torn.nii.gz", "notes.txt", "study.zip", "empty", "not-there",
    )  # fmt: skip
    found = survey([tmp_path / name for name in names])
    said = {h.path.name: h.problem for h in found if h.problem}
    assert "1 is missing" in said["gap"]
    assert "torn.nii.gz" in said["torn.nii.gz"]
    assert "none of these" in said["notes.txt"]
    assert "Unpack it" in said["study.zip"]
    assert "found none" in said["empty"]
    assert "no such file" in said["not-there"]
    assert {h.path for h in found if not h.problem} == {tmp_path / "good", good}
    # The same file given twice, once inside its folder, is one volume.
    assert len(survey([tmp_path / "good", tmp_path / "good", *(tmp_path / "good").iterdir()])) == 1


def test_a_folder_without_access_is_no_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    assert "no access" in one(survey([tmp_path])).problem


def test_damaged_slices_are_named(tmp_path: Path) -> None:
    write_series(tmp_path)
    whole = (tmp_path / "slice-003.dcm").read_bytes()
    for cut, words in (
        (len(whole) - 20, "cut short"),  # some voxels are gone
        (len(whole) - 45, "before its voxels"),  # all are
        (300, "damaged"),  # not even a header
        (0, "the file is empty"),
    ):
        (tmp_path / "slice-003.dcm").write_bytes(whole[:cut])
        problems = [header.problem for header in survey([tmp_path])]
        assert any("slice-003.dcm" in text and words in text for text in problems), problems
        assert not any(header.grid for header in survey([tmp_path]))


def test_a_missing_end_is_suspected(tmp_path: Path) -> None:
    write_series(tmp_path, drop=[5])  # numbered 2…6
    header = one(survey([tmp_path]))
    assert "numbered up to 6, and 5 are here" in header.warnings[0]
    assert read(header).warnings == header.warnings


NATURES: dict[str, tuple[dict[str, Any], str]] = {
    "original": ({"ImageType": ["ORIGINAL", "PRIMARY", "MPR"]}, ""),
    "localizer": ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localizer"),
    "by name": ({"SeriesDescription": "3-plane scout"}, "localizer"),
    "projection": ({"ImageType": ["DERIVED", "SECONDARY", "MIP"]}, "projection"),
    "derived": ({"ImageType": ["DERIVED", "SECONDARY", "MPR"]}, "derived"),
}


@pytest.mark.parametrize("kind", NATURES)
def test_what_is_no_original_is_said(kind: str, tmp_path: Path) -> None:
    tags, expected = NATURES[kind]
    write_series(tmp_path, **tags)
    header = one(survey([tmp_path]))
    assert header.nature == expected
    assert bool(header.remarks) == bool(expected)
    assert not header.problem
    # A planning view or a projection does not stand in the way of the volume beside it.
    t2, _ = write_series(tmp_path, name="t2", SeriesDescription="T2")
    if expected in ("localizer", "projection"):
        np.testing.assert_array_equal(read(tmp_path).voxels, t2)


def test_scattered_single_images_are_one_row(tmp_path: Path) -> None:
    turned = (0, 1, 0, 0, 0, -1), (1, 0, 0, 0, 0, -1), AXIAL
    each = {n: {"ImageOrientationPatient": list(turned[n])} for n in range(3)}
    write_series(tmp_path, count=3, each=each)
    assert "3 single images in different directions" in one(survey([tmp_path])).problem


def test_two_directions_of_one_series_are_two_volumes(tmp_path: Path) -> None:
    uid = generate_uid()
    write_series(tmp_path, series=uid)
    write_series(tmp_path, series=uid, orientation=(0, 1, 0, 0, 0, -1), name="sagittal")
    found = survey([tmp_path])
    assert [header.files for header in found] == [6, 6]
    assert len({header.series for header in found}) == 2


def test_one_identifier_for_all_slices_makes_no_copies(tmp_path: Path) -> None:
    voxels, _ = write_series(tmp_path, SOPInstanceUID=generate_uid())
    np.testing.assert_array_equal(read(one(survey([tmp_path]))).voxels, voxels)


def test_colour_and_video_are_refused_before_reading(tmp_path: Path) -> None:
    ds = base(US_MULTI, np.zeros((4, 5, 6), np.uint8), generate_uid(), Modality="US")
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [0, 0, 0], list(AXIAL)
    ds.PixelSpacing, ds.SpacingBetweenSlices = [1, 1], "1"
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 3, "RGB"
    assert "RGB" in one(survey([save(ds, tmp_path / "a.dcm")])).problem
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.file_meta.TransferSyntaxUID = MPEG4HP41
    ds.PixelData = encapsulate([b"not really a film "])
    ds["PixelData"].is_undefined_length = True
    assert "a video" in one(survey([save(ds, tmp_path / "b" / "b.dcm")])).problem


def test_enhanced_slices_in_files_of_their_own_are_a_stack(tmp_path: Path) -> None:
    uid = generate_uid()
    stored = []
    for n in range(5):
        ds, frames = enhanced(np.array([[1.0, 2.0, 3.0 * n]]))
        ds.SeriesInstanceUID, ds.InstanceNumber = uid, n + 1
        echo, timing = Dataset(), Dataset()
        echo.EffectiveEchoTime, timing.RepetitionTime = 95.0, 4000.0
        shared = ds.SharedFunctionalGroupsSequence[0]
        shared.MREchoSequence = [echo]
        shared.MRTimingAndRelatedParametersSequence = [timing]
        ds.PixelData = (frames + n).tobytes()
        stored.append(frames[0] + n)
        save(ds, tmp_path / f"{n}.dcm")
    header = one(survey([tmp_path]))
    assert (header.modality, header.modality_reason) == ("T2", "TE 95 ms, TR 4000 ms")
    volume = read(header)
    np.testing.assert_array_equal(volume.voxels, np.array(stored).transpose(2, 1, 0))
    np.testing.assert_allclose(volume.grid.to_world((0, 0, 4)), (-1, -2, 12))


@pytest.mark.parametrize("kind", ["MR", "OT"])
def test_multi_frame_files_of_another_program_are_read(kind: str, tmp_path: Path) -> None:
    """SimpleITK writes enhanced MR, or 8-bit frames with geometry (as research ultrasound is)."""
    frames = np.arange(6 * 5 * 4, dtype=np.uint8).reshape(6, 5, 4)
    image = SimpleITK.GetImageFromArray(frames)
    image.SetSpacing((0.4, 0.5, 0.6))
    image.SetOrigin((-10.0, 20.0, 30.0))
    image.SetDirection(SimpleITK.Euler3DTransform((0, 0, 0), 0.3, -0.2, 0.5).GetMatrix())
    image.SetMetaData("0008|0060", kind)
    SimpleITK.WriteImage(image, tmp_path / "intraop-US.dcm")
    header = one(survey([tmp_path]))
    assert header.modality == ("iUS" if kind == "OT" else "")
    volume = read(header)
    np.testing.assert_array_equal(volume.voxels, frames.transpose(2, 1, 0))
    for index in ((0, 0, 0), (3, 4, 5)):
        x, y, z = image.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose(volume.grid.to_world(index), (-x, -y, z), atol=1e-6)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nrrd", "a.mha"])
def test_no_dicom_tag_reaches_a_saved_file(name: str, tmp_path: Path) -> None:
    write_series(tmp_path / "Secret^Person", SeriesDescription="T2 of Secret Person")
    saved = write(read(one(survey([tmp_path / "Secret^Person"]))), tmp_path / name, marks={})
    data = saved.read_bytes()
    if name.endswith(".gz"):
        data = gzip.decompress(data)
    for file in (data, saved.with_name("a.json").read_bytes()):
        assert b"secret" not in file.lower()


def test_where_a_series_lies_is_the_last_hint(tmp_path: Path) -> None:
    write_series(tmp_path / "T2-dicom")
    write_series(tmp_path / "x", ProtocolName="t1_mprage", SeriesDescription="AX")
    found = {h.modality: h.modality_reason for h in survey([tmp_path])}
    assert found == {"T2": "folder name contains “t2”", "T1": "protocol contains “t1”"}


def test_thousands_of_files_can_be_stopped(tmp_path: Path) -> None:
    write_series(tmp_path, count=10)
    slices = sorted(tmp_path.iterdir())
    for n in range(400):
        (tmp_path / f"more{n}").mkdir()
        for path in slices:
            os.link(path, tmp_path / f"more{n}" / path.name)
    told: list[tuple[int, int]] = []
    began = time.process_time()
    with pytest.raises(Cancelled):
        read_headers(
            tmp_path,
            progress=lambda done, total: told.append((done, total)),
            cancelled=lambda: bool(told) and told[-1][0] >= 100,
        )
    assert told[0] == (0, 4010)
    assert 100 <= told[-1][0] <= 140
    assert time.process_time() - began < 3


def test_pictures_before_reading(tmp_path: Path) -> None:
    voxels, _ = write_series(tmp_path)
    found = middle_slice(one(survey([tmp_path])))
    assert found is not None
    np.testing.assert_array_equal(found[0], voxels[:, :, 3].T)
    assert found[1] == pytest.approx(0.8 / 0.5)
    found = middle_slice(one(survey([nifti(tmp_path / "n" / "a.nii.gz")])))
    assert found is not None
    assert found[0].shape == (5, 6)


@given(order=st.permutations(range(12)), echoes=st.integers(1, 3))
def test_groups_do_not_depend_on_the_order_of_files(order: list[int], echoes: int) -> None:
    images = [_image(n, echo=10.0 * (n % echoes)) for n in range(12)]
    groups, twice = volumes([images[n] for n in order])
    assert twice == 0
    assert len(groups) == echoes
    assert [sorted(i.instance or 0 for i in g) for g in groups] == [
        list(range(e, 12, echoes)) for e in range(echoes)
    ]


def _image(n: int, echo: float) -> Image:
    """A slice; slices of different echoes lie at the same places."""
    return Image(
        path=Path(f"{n}"), series="s", uid=f"u{n:02d}", number="1", instance=n, description="",
        protocol="", kind="MR", sop_class=ENHANCED_MR, rows=4, columns=4, frames=1, samples=1,
        photometric="MONOCHROME2", bits=16, bits_stored=16, high_bit=15, signed=False,
        floating=False, slope=1.0, intercept=0.0, padding=None, syntax="", voxels_at=1,
        spacing=(1.0, 1.0), position=(0.0, 0.0, float(n - echo / 10)), orientation=AXIAL,
        slice_step=None, echo=echo, repetition=None, inversion=None, contrast=False,
        image_type=(), frame="", acquisition="", temporal="", offsets=(), synthetic=False,
        multiframe=None,
    )  # fmt: skip


@given(at=st.integers(100, 700), new=st.binary(min_size=1, max_size=8), cut=st.booleans())
@settings(max_examples=60, deadline=None)
def test_damaged_bytes_never_cause_more_than_a_sentence(at: int, new: bytes, cut: bool) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_series(folder, count=3, SeriesDescription="T2", EchoTime=90, RepetitionTime=3000)
        ds, _ = enhanced(np.array([[0.0, 0.0, 2.0 * n] for n in range(3)]))
        save(ds, folder / "e.dcm")
        for path in (folder / "slice-002.dcm", folder / "e.dcm"):
            data = path.read_bytes()
            path.write_bytes(data[:at] + new + (b"" if cut else data[at + len(new) :]))
        for header in survey([folder]):
            with suppress(VolumeError):
                assert header.problem or read(header).voxels.size


def test_real_series_shuffled_and_damaged(real_data: Path, tmp_path: Path) -> None:
    source = sorted((real_data / "remind-022" / "T2-dicom").iterdir())
    for n, path in enumerate(source):
        shutil.copyfile(path, tmp_path / f"{(n * 89) % 192:03d}")
    whole = one(survey([tmp_path]))
    assert not whole.problem
    assert (whole.nature, whole.remarks, whole.warnings) == ("", (), ())
    assert whole.grid is not None
    # Every slice lies where its own header says, within the headers' own rounding.
    for k, path in enumerate(whole.members):
        image = read_tags(path)
        assert image is not None
        assert image.position is not None
        at = np.array(image.position) * (-1, -1, 1)
        assert np.abs(whole.grid.to_world((0, 0, k)) - at).max() < 2e-3
    whole.members[100].unlink()
    assert "1 is missing, the first gap after slice 100 of 191" in one(survey([tmp_path])).problem


def test_what_lies_beside_the_slices_is_no_slice(tmp_path: Path) -> None:
    voxels, _ = write_series(tmp_path)
    (tmp_path / "DICOMDIR").write_bytes(directory())
    (tmp_path / "readme").write_bytes(b"")
    (tmp_path / "report.dcm").write_text("This is a report, not an image, whatever it is called.")
    (tmp_path / "notes.nii").write_text("Nor is this.")
    assert one(survey([tmp_path])).problem == ""
    np.testing.assert_array_equal(read(tmp_path).voxels, voxels)
    assert "a report or a directory" in one(survey([tmp_path / "DICOMDIR"])).problem
    # An empty file that is called as the slices are is one that lost its content.
    (tmp_path / "slice-099.dcm").write_bytes(b"")
    with pytest.raises(VolumeError, match=r"slice-099\.dcm: expected a DICOM image; the file is"):
        read(tmp_path)


def directory() -> bytes:
    """The list of contents of a disk, as far as its head goes."""
    uid = b"1.2.840.10008.1.3.10"
    meta = b"\2\0\2\0UI" + len(uid).to_bytes(2, "little") + uid
    syntax = b"1.2.840.10008.1.2.1\0"
    meta += b"\2\0\x10\0UI" + len(syntax).to_bytes(2, "little") + syntax
    head = b"\2\0\0\0UL\4\0" + len(meta).to_bytes(4, "little") + meta
    return bytes(128) + b"DICM" + head + b"\4\0\x30\x11CS\6\0DISK01"


def test_links_to_folders_are_followed(tmp_path: Path) -> None:
    voxels, _ = write_series(tmp_path / "away")
    (tmp_path / "here").mkdir()
    try:
        (tmp_path / "here" / "series").symlink_to(tmp_path / "away")
        (tmp_path / "here" / "round").symlink_to(tmp_path / "here")
    except OSError:
        pytest.skip("this system lets nobody make links")
    np.testing.assert_array_equal(read(tmp_path / "here").voxels, voxels)


@pytest.mark.parametrize("spacing", [0.5, 0.7, 1.0])
def test_positions_rounded_to_a_tenth_of_a_millimetre(spacing: float, tmp_path: Path) -> None:
    across = np.array([0.36, -0.48, 0.8])
    exact = np.array([3.21, 7.4, -9.99]) + np.arange(20)[:, None] * spacing * across
    turn = (0.8, 0.6, 0.0, -0.48, 0.64, 0.6)
    voxels, _ = write_series(
        tmp_path / "whole", count=20, positions=exact.round(1), orientation=turn
    )
    volume = read(tmp_path / "whole")
    np.testing.assert_array_equal(volume.voxels, voxels)
    far = volume.grid.to_world((0, 0, 19)) * (-1, -1, 1) - exact[19]
    assert np.abs(far).max() < 0.06
    assert any("stray by up to" in text for text in volume.warnings)
    write_series(tmp_path / "cut", count=20, positions=exact.round(1), orientation=turn, drop=[9])
    with pytest.raises(VolumeError, match=r"missing|evenly spaced"):
        read(tmp_path / "cut")


def test_an_end_slice_in_another_direction_is_worth_a_word(tmp_path: Path) -> None:
    other = {0: {"ImageOrientationPatient": [1, 0, 0, 0, 0, 1]}}
    write_series(tmp_path, each=other)
    volume = read(tmp_path)
    assert volume.grid.shape[2] == 5
    assert any("1 image of the series lies in another direction" in w for w in volume.warnings)


@pytest.mark.parametrize(
    ("damaged", "direction"),
    [((0, 1), [1, 0, 0, 0, 0, 1]), ((0, 5), [1, 0, 0, 0, 0, 1]), ((4, 5), None)],
)
def test_end_slices_that_share_a_damaged_direction_are_missed_too(
    damaged: tuple[int, int], direction: list[float] | None, tmp_path: Path
) -> None:
    """They look like a small volume of their own; their positions tell whose they are."""
    write_series(tmp_path, each={n: {"ImageOrientationPatient": direction} for n in damaged})
    whole = max(survey([tmp_path]), key=lambda header: header.files)
    assert whole.files == 4
    assert any("2 images of the series lie in another" in w for w in read(whole).warnings)


def test_a_second_direction_of_a_series_is_not_missed_from_the_first(tmp_path: Path) -> None:
    uid = generate_uid()
    write_series(tmp_path, series=uid)
    write_series(tmp_path, series=uid, orientation=(0, 1, 0, 0, 0, -1), name="sagittal")
    assert all(not header.warnings for header in survey([tmp_path]))
