"""DICOM: slices become one volume at the right place, or a sentence says why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_factory import AXIAL, OBLIQUE, US_MULTI, base, enhanced, save, write_series
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless, generate_uid

from core.io import read, read_headers
from core.volume import VolumeError

POSITIONS = np.array([[-20.0, -30.0, 40.0 + 2 * n] for n in range(6)])


def at(*heights: float) -> np.ndarray:
    return np.array([[0.0, 0.0, height] for height in heights])


@pytest.mark.parametrize("orientation", [AXIAL, OBLIQUE])
def test_a_series_is_read_whole_from_its_folder_or_any_slice(
    orientation: tuple[float, ...], tmp_path: Path
) -> None:
    voxels, affine = write_series(tmp_path, orientation=orientation)
    header = read_headers(tmp_path)[0]
    assert (header.format, header.files, header.dtype) == ("DICOM series", 6, "int16")
    for path in (tmp_path, tmp_path / "slice-003.dcm"):
        volume = read(path)
        np.testing.assert_array_equal(volume.voxels, voxels)
        np.testing.assert_allclose(volume.grid.affine, affine, atol=1e-9)
        assert volume.warnings == ()


def test_nobody_s_name_leaves_the_header(tmp_path: Path) -> None:
    write_series(tmp_path, SeriesDescription="T2 SPACE")
    assert "SECRET" not in repr(read_headers(tmp_path)).upper()
    assert "SECRET" not in repr(read(tmp_path)).upper()


def test_scaling_may_change_from_slice_to_slice(tmp_path: Path) -> None:
    scaled = {2: {"RescaleSlope": "2.5", "RescaleIntercept": "-7"}}
    voxels, _ = write_series(tmp_path, each=scaled)
    expected = voxels.astype(np.float32)
    expected[:, :, 2] = expected[:, :, 2] * 2.5 - 7
    np.testing.assert_array_equal(read(tmp_path).voxels, expected)


def test_gantry_tilt_gives_a_sheared_matrix(tmp_path: Path) -> None:
    _, affine = write_series(tmp_path, step=(0, 0.7, 2))
    volume = read(tmp_path)
    np.testing.assert_allclose(volume.grid.affine, affine, atol=1e-9)
    assert any("sheared by 19.3°" in text for text in volume.warnings)


def test_rounded_positions_are_tolerated(tmp_path: Path) -> None:
    write_series(tmp_path / "a", positions=at(0, 2.004, 3.996, 6, 8.003, 10))
    assert read(tmp_path / "a").warnings == ()
    write_series(tmp_path / "b", positions=at(0, 2.05, 4, 6, 8, 10))
    assert any("stray by up to 0.0" in text for text in read(tmp_path / "b").warnings)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "one slice missing": ({"drop": [2]}, "1 is missing, the first gap after slice 2 of 5"),
    "most slices missing": ({"drop": [1, 3]}, "every 2 mm; 2 are missing"),
    "uneven spacing": ({"positions": at(0, 2, 4.7, 6, 8, 10.5)}, "gaps from 1.3 to 2.7 mm"),
    "drifting sideways": (
        {"positions": at(0, 2, 4, 6, 8, 10) + np.eye(6, 3, -2) * 0.9},
        "evenly spaced",
    ),
    "mixed sizes": ({"each": {2: {"pixels": np.ones((3, 3), np.int16)}}}, "5 of 4×5, 1 of 3×3"),
    "mixed spacing": ({"each": {2: {"PixelSpacing": [1, 1]}}}, "changes from slice to slice"),
    "doubled slice": ({"positions": at(0, 2, 4, 4, 6, 8)}, "lie at the same one"),
    "no positions": ({"ImagePositionPatient": None}, "6 of 6 lack them"),
    "bent axes": ({"orientation": (1, 0, 0, 0.5, 0.8, 0)}, "perpendicular"),
    "inverted grey": ({"PhotometricInterpretation": "MONOCHROME1"}, "MONOCHROME2"),
    "single image": ({"drop": [1, 2, 3, 4, 5]}, "a single image"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_series_that_are_no_volume_are_refused(kind: str, tmp_path: Path) -> None:
    tags, words = REFUSED[kind]
    write_series(tmp_path, **tags)
    with pytest.raises(VolumeError, match=words):
        read(tmp_path)
    header = read_headers(tmp_path)[0]
    assert header.grid is None
    assert words in header.problem


def test_colour_is_refused(tmp_path: Path) -> None:
    ds = base(US_MULTI, np.zeros((4, 5, 6), np.uint8), generate_uid())
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [0, 0, 0], list(AXIAL)
    ds.PixelSpacing, ds.SpacingBetweenSlices = [1, 1], "1"
    with pytest.raises(VolumeError, match="RGB"):
        read(save(ds, tmp_path / "a.dcm"))


def test_several_series_are_offered_and_one_is_chosen(tmp_path: Path) -> None:
    t2, _ = write_series(tmp_path, SeriesDescription="AX T2", shape=(5, 4))
    t1, _ = write_series(tmp_path, SeriesDescription="AX T1", shape=(3, 7), name="other")
    by_guess = {header.modality: header for header in read_headers(tmp_path)}
    assert set(by_guess) == {"T1", "T2"}
    with pytest.raises(VolumeError, match="it offers 2: 3 AX T"):
        read(tmp_path)
    np.testing.assert_array_equal(read(tmp_path, series=by_guess["T1"].series).voxels, t1)
    np.testing.assert_array_equal(read(tmp_path / "slice-002.dcm").voxels, t2)


def test_a_faulty_series_is_not_passed_over_for_its_neighbour(tmp_path: Path) -> None:
    write_series(tmp_path, SeriesDescription="AX T2", drop=[2])
    write_series(tmp_path, SeriesDescription="AX T1", name="other")
    with pytest.raises(VolumeError, match="1 is missing"):
        read(tmp_path)


def test_a_localiser_does_not_stand_in_the_way(tmp_path: Path) -> None:
    voxels, _ = write_series(tmp_path)
    write_series(tmp_path, drop=[1, 2, 3, 4, 5], name="scout")
    np.testing.assert_array_equal(read(tmp_path).voxels, voxels)


def test_echoes_of_one_series_are_told_apart(tmp_path: Path) -> None:
    uid = generate_uid()
    common: dict[str, Any] = {"series": uid, "RepetitionTime": 3000}
    write_series(tmp_path, EchoTime=20, **common)
    late, _ = write_series(tmp_path, EchoTime=90, name="late", **common)
    headers = {header.description: header for header in read_headers(tmp_path)}
    assert {name: h.modality for name, h in headers.items()} == {
        "3 TE 20 ms": "",
        "3 TE 90 ms": "T2",
    }
    assert "TR 3000 ms" in headers["3 TE 90 ms"].modality_reason
    chosen = read(tmp_path, series=headers["3 TE 90 ms"].series)
    np.testing.assert_array_equal(chosen.voxels, late)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path)
    path = tmp_path / "slice-001.dcm"
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with pytest.raises(VolumeError, match=r"slice-001\.dcm: .*cut short"):
        read(tmp_path)
    path.write_bytes(whole[:200])
    with pytest.raises(VolumeError, match=r"slice-001\.dcm: "):
        read(tmp_path)


def test_sizes_are_not_believed(tmp_path: Path) -> None:
    write_series(tmp_path)
    for path in tmp_path.iterdir():
        ds = dcmread(path)
        ds.Rows = ds.Columns = 60000
        save(ds, path)
    with pytest.raises(VolumeError, match=r"declares 7\.2 GB; the file holds"):
        read(tmp_path)


def test_deflated_dicom_is_not_inflated(tmp_path: Path) -> None:
    write_series(tmp_path)
    ds = dcmread(tmp_path / "slice-001.dcm")
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    with pytest.raises(VolumeError, match="deflated"):
        read(save(ds, tmp_path / "deflated.dcm"))


def test_enhanced_multiframe(tmp_path: Path) -> None:
    ds, frames = enhanced(POSITIONS[::-1], slopes=[2] * 6)
    volume = read(save(ds, tmp_path / "a.dcm"))
    np.testing.assert_array_equal(volume.voxels, 2.0 * frames[::-1].transpose(2, 1, 0))
    np.testing.assert_allclose(volume.grid.to_world((0, 0, 0)), (20, 30, 40))
    np.testing.assert_allclose(volume.grid.spacing, (0.5, 0.8, 2))
    assert read_headers(tmp_path)[0].format == "DICOM multi-frame"
    ds, _ = enhanced(POSITIONS, slopes=[1, 2, 3, 4, 5, 6])
    with pytest.raises(VolumeError, match="one intensity scaling"):
        read(save(ds, tmp_path / "b.dcm"))
    ds, _ = enhanced(np.repeat(POSITIONS[:3], 2, axis=0))
    with pytest.raises(VolumeError, match="more than one volume"):
        read(save(ds, tmp_path / "c.dcm"))
    ds, _ = enhanced(POSITIONS)
    del ds.PerFrameFunctionalGroupsSequence[2].PlanePositionSequence
    with pytest.raises(VolumeError, match="some are missing"):
        read(save(ds, tmp_path / "d.dcm"))


def test_ultrasound_volumes_with_and_without_geometry(tmp_path: Path) -> None:
    ds, frames = enhanced(POSITIONS, volume_frame=True)
    volume = read(save(ds, tmp_path / "volume.dcm"))
    np.testing.assert_array_equal(volume.voxels, frames.transpose(2, 1, 0))
    assert any("not the patient's" in text for text in volume.warnings)
    plain = base(US_MULTI, frames, generate_uid(), Modality="US")
    save(plain, tmp_path / "cine.dcm")
    header = read_headers(tmp_path / "cine.dcm")[0]
    assert header.modality == "iUS"
    assert "6 frames without position, orientation, pixel spacing" in header.problem
    plain.ImagePositionPatient, plain.ImageOrientationPatient = [1, 2, 3], list(AXIAL)
    plain.PixelSpacing, plain.SpacingBetweenSlices = [0.5, 0.5], "0.6"
    volume = read(save(plain, tmp_path / "stack.dcm"))
    np.testing.assert_array_equal(volume.voxels, frames.transpose(2, 1, 0))
    np.testing.assert_allclose(volume.grid.to_world((0, 0, 5)), (-1, -2, 6))
    assert any("position of the first frame" in text for text in volume.warnings)


def test_compressed_slices_are_decoded_and_scaled(tmp_path: Path) -> None:
    voxels, _ = write_series(tmp_path, shape=(32, 32), RescaleSlope="0.5", RescaleIntercept="3")
    for path in tmp_path.iterdir():
        ds = dcmread(path)
        ds.compress(RLELossless, generate_instance_uid=False)
        save(ds, path)
    np.testing.assert_array_equal(read(tmp_path).voxels, voxels * np.float32(0.5) + 3)


def test_an_element_longer_than_its_file_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path)
    path = tmp_path / "slice-001.dcm"
    data = path.read_bytes()
    start = data.index(b"\xe0\x7f\x10\x00OW") + 8
    path.write_bytes(data[:start] + (4_000_000_000).to_bytes(4, "little") + data[start + 4 :])
    with pytest.raises(VolumeError, match=r"slice-001\.dcm: a DICOM element declares 4\.0 GB"):
        read(tmp_path)


def test_series_in_sub_folders_are_found(tmp_path: Path) -> None:
    voxels, _ = write_series(tmp_path / "study" / "1")
    np.testing.assert_array_equal(read(tmp_path).voxels, voxels)
    (tmp_path / "study" / "notes.txt").write_text("no image")
    assert [header.files for header in read_headers(tmp_path)] == [6]
