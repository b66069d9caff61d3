"""A simulated tracked sweep of a body of known shape becomes a volume whose places are right."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from app import cli
from core.io import read

PIXEL = 0.4
"""mm of a pixel of the simulated images."""
BALLS = np.array([[-8.0, 4, 12], [9, -5, 18], [2, 6, 24], [-3, -8, 8]])
"""Centres of bright balls of 3 mm radius, in the tracker's mm."""
CALIBRATION = np.array([[PIXEL, 0, 0, -15.0], [0, PIXEL, 0, 1.0], [0, 0, PIXEL, 0.5], [0, 0, 0, 1]])
"""Pixel to mm of the probe."""


def places(count: int) -> NDArray[np.float64]:
    """Probe to tracker while the probe is tilted and pushed over the balls."""
    found = []
    for n in range(count):
        t = n / (count - 1) - 0.5
        tilt, roll = 0.25 * t, 0.1 * np.sin(6 * t)
        about_x = np.array(
            [[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]]
        )
        about_z = np.array(
            [[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
        )
        place = np.eye(4)
        # Depth (y of the image) is z of the tracker; the probe moves along y.
        place[:3, :3] = np.array([[1, 0, 0], [0, 0, 1], [0, 1, 0]]) @ about_x @ about_z
        place[:3, 3] = [0.5 * np.sin(9 * t), 30 * t, 0]
        found.append(place)
    return np.array(found)


def sweep(count: int = 90, lost: tuple[int, ...] = ()) -> tuple[NDArray[np.uint8], list[str]]:
    """Return (x, y, n) images of the balls, and the header's lines with their places."""
    x, y = np.meshgrid(np.arange(75), np.arange(80), indexing="ij")
    pixels = np.stack([x, y, np.zeros_like(x), np.ones_like(x)], -1).astype(float)
    images = np.zeros((75, 80, count), np.uint8)
    lines = ["UltrasoundImageOrientation = MF"]
    for n, place in enumerate(places(count)):
        at = (pixels @ (place @ CALIBRATION).T)[..., :3]
        distance = np.linalg.norm(at[..., None, :] - BALLS, axis=-1).min(-1)
        images[..., n] = 40 + 180 * np.clip(3.5 - distance, 0, 1)
        if n in lost:
            place = place + 50.0
        numbers = " ".join(repr(float(v)) for v in place.ravel())
        status = "INVALID" if n in lost else "OK"
        lines.append(f"Seq_Frame{n:04d}_ProbeToTrackerTransform = {numbers}")
        lines.append(f"Seq_Frame{n:04d}_ProbeToTrackerTransformStatus = {status}")
    return images, lines


def write_mha(path: Path, images: NDArray[np.uint8], lines: list[str]) -> Path:
    size = " ".join(map(str, images.shape))
    head = ["ObjectType = Image", "NDims = 3", "BinaryData = True", f"DimSize = {size}", *lines,
            "ElementType = MET_UCHAR", "ElementDataFile = LOCAL\n"]  # fmt: skip
    path.write_bytes("\n".join(head).encode() + images.tobytes(order="F"))
    return path


def write_nrrd(path: Path, images: NDArray[np.uint8], lines: list[str]) -> Path:
    size = " ".join(map(str, images.shape))
    head = ["NRRD0004", "type: uint8", "dimension: 3", f"sizes: {size}",
            "kinds: domain domain list", "encoding: gzip",
            *(line.replace(" = ", ":=") for line in lines), "\n"]  # fmt: skip
    path.write_bytes("\n".join(head).encode() + gzip.compress(images.tobytes(order="F")))
    return path


@pytest.fixture
def calibration(tmp_path: Path) -> Path:
    path = tmp_path / "ImageToProbe.txt"
    path.write_text("\n".join(" ".join(map(str, row)) for row in CALIBRATION))
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = cli.main(["reconstruct", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def centres(path: Path) -> NDArray[np.float64]:
    """Return the bright balls' centres, mm RAS, in the order of ``BALLS``."""
    volume = read(path)
    labels, count = ndimage.label(volume.voxels > 130)
    assert count == len(BALLS)
    middle = np.array(ndimage.center_of_mass(labels > 0, labels, range(1, count + 1)))
    found = volume.grid.to_world(middle)
    near = np.linalg.norm(found[None] - BALLS[:, None], axis=-1).argmin(1)
    return found[near]


@pytest.mark.parametrize("form", ["mha", "nrrd"])
def test_what_was_swept_lies_where_it_was(
    form: str, tmp_path: Path, calibration: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, lines = sweep(lost=(30, 31))
    writer = write_mha if form == "mha" else write_nrrd
    path = writer(tmp_path / f"Case1.igs.{form}", images, lines)
    status, text, said = run(
        capsys, path, "--calibration", calibration, "--out", tmp_path / "out", "--json"
    )
    assert status == 0, said
    answer = json.loads(text)
    assert (answer["images"], answer["not_tracked"]) == (88, 2)
    error = np.linalg.norm(centres(Path(answer["output"])) - BALLS, axis=1)
    assert error.max() < 0.15, error
    assert any("not tracked" in w for w in answer["warnings"])
    assert "Case1.igs" not in (tmp_path / "out" / "Case1-iUS.json").read_text()


def test_gaps_are_filled_up_to_a_stated_size(
    tmp_path: Path, calibration: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, lines = sweep(count=22)  # an image every 1.4 mm
    path = write_mha(tmp_path / "a.mha", images, lines)
    parts = {}
    for holes in (0, 2):
        out = tmp_path / f"out{holes}"
        status, text, said = run(
            capsys, path, "--calibration", calibration, "--out", out, "--holes", holes, "--json"
        )
        assert status == 0, said
        parts[holes] = read(json.loads(text)["output"])
    at = np.argwhere(parts[2].voxels > 0)
    box = tuple(slice(low + 6, high - 6) for low, high in zip(at.min(0), at.max(0), strict=True))
    inner = {h: float((v.voxels[box] > 0).mean()) for h, v in parts.items()}
    assert inner[0] < 0.85
    assert inner[2] > inner[0] + 0.1
    same = parts[0].voxels > 0
    assert np.array_equal(parts[0].voxels[same], parts[2].voxels[same])
    assert abs(float(np.median(parts[2].voxels[~same & (parts[2].voxels > 0)])) - 40) < 1


def test_images_are_turned_by_their_orientation(
    tmp_path: Path, calibration: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, lines = sweep()
    lines[0] = "UltrasoundImageOrientation = UN"
    path = write_mha(tmp_path / "a.mha", images[::-1, ::-1], lines)
    status, text, _ = run(
        capsys, path, "--calibration", calibration, "--out", tmp_path / "o", "--json"
    )
    assert status == 0
    assert np.linalg.norm(centres(Path(json.loads(text)["output"])) - BALLS, axis=1).max() < 0.15


def test_what_is_missing_is_said(
    tmp_path: Path, calibration: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, lines = sweep(count=12)
    path = write_mha(tmp_path / "a.mha", images, lines)
    out = ("--out", tmp_path / "out")
    assert "calibration (ImageToProbe)" in run(capsys, path, *out)[2]
    wrong = run(capsys, path, *out, "--calibration", calibration, "--to", "Stylus")
    assert wrong[0] == 2
    assert "to Stylus; found ImageToProbe, ProbeToTracker" in wrong[2]
    plain = write_mha(tmp_path / "b.mha", images, [])
    assert "expected a tracked sweep" in run(capsys, plain, *out)[2]
    step = re.compile(r"(Transform = \S+ \S+ \S+) \S+")
    far = [step.sub(rf"\1 {n * 10**6}", line) for n, line in enumerate(lines)]
    assert (
        "near each other"
        in run(
            capsys, write_mha(tmp_path / "c.mha", images, far), *out, "--calibration", calibration
        )[2]
    )
    cut = path.read_bytes()[:-5000]
    (tmp_path / "d.mha").write_bytes(cut)
    status, _, said = run(capsys, tmp_path / "d.mha", *out, "--calibration", calibration)
    assert (status, said.count("\n")) == (2, 1)
    assert "reconstruct" in run_info(capsys, path)


def run_info(capsys: pytest.CaptureFixture[str], path: Path) -> str:
    cli.main(["info", str(path)])
    return "".join(capsys.readouterr())
