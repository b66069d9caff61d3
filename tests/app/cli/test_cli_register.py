"""``mhvae-studio register`` as a user and as the window meet it."""

import json
from pathlib import Path

import numpy as np
import pytest
from align_pair import error_mm, make_pair
from PIL import Image

from app import cli
from core.io import read, write
from core.registration.alignment import Alignment, from_parameters, inverted, moved
from core.registration.transforms import read_transform, write_transform

OFFSET = from_parameters([4, -3, 2, 3, -4, 5], [0, 0, 0])


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    ius, t2 = make_pair()
    return (
        write(ius, tmp_path / "Case1-iUS.nii.gz"),
        write(moved(t2, OFFSET), tmp_path / "Case1-T2.nii.gz"),
    )


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = cli.main(["register", *[str(a) for a in arguments]])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_a_search_writes_volume_transform_picture_and_record(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, files: tuple[Path, Path]
) -> None:
    ius, t2 = files
    out = tmp_path / "out"
    status, text, _ = run(capsys, "--fixed", ius, "--moving", t2, "--out", out, "--json")
    assert status == 0
    answer = json.loads(text)
    matrix = np.array(answer["matrix"])
    assert error_mm(matrix, OFFSET) < 0.6
    assert answer["after"] > answer["before"]
    outputs = {k: Path(v) for k, v in answer["outputs"].items()}
    assert outputs["volume"].name == "T2-registered.nii.gz"
    there, here = read(outputs["volume"]), read(t2)
    assert np.array_equal(there.voxels, here.voxels)
    assert np.allclose(there.grid.affine, matrix @ here.grid.affine, atol=1e-4)
    assert np.allclose(read_transform(outputs["transform"]).matrix, matrix)
    assert np.asarray(Image.open(outputs["picture"])).max() > 100
    record = outputs["record"].read_text()
    assert "esearch use only" in record
    assert str(tmp_path) not in record


def test_events_are_one_json_object_a_line(
    capsys: pytest.CaptureFixture[str], files: tuple[Path, Path]
) -> None:
    ius, t2 = files
    status, text, _ = run(capsys, "--fixed", ius, "--moving", t2, "--events")
    assert status == 0
    events = [json.loads(line) for line in text.splitlines()]
    assert {e["event"] for e in events[:-1]} == {"progress"}
    assert set(events[0]) == {"event", "stage", "done", "total", "seconds_left"}
    assert events[-1]["event"] == "result"
    assert np.array(events[-1]["matrix"]).shape == (4, 4)
    status, text, _ = run(capsys, "--fixed", ius, "--moving", "absent.nii", "--events")
    assert status == 2
    assert json.loads(text)["event"] == "error"
    assert "absent.nii" in json.loads(text)["text"]


def test_a_transform_is_applied_in_either_direction_and_the_wrong_one_is_noticed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, files: tuple[Path, Path]
) -> None:
    ius, t2 = files
    right = write_transform(tmp_path / "a.tfm", Alignment(inverted(OFFSET), "manual"))
    other = write_transform(tmp_path / "b.tfm", Alignment(OFFSET, "manual"))
    common = ("--fixed", ius, "--moving", t2, "--json", "--out", tmp_path / "o")
    for arguments, good in (
        (("--transform", right), True),
        (("--transform", other, "--inverse"), True),
        (("--transform", other), False),
    ):
        status, text, _ = run(capsys, *common, *arguments)
        assert status == 0
        answer = json.loads(text)
        assert answer["kind"] == "file"
        assert answer["doubtful"] is not good
        assert ("--inverse" in answer["reason"]) is not good
        assert (error_mm(np.array(answer["matrix"]), OFFSET) < 1e-3) is good


def test_volumes_far_apart_are_refused_and_can_be_centred(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, files: tuple[Path, Path]
) -> None:
    ius, t2 = files
    far = write(
        moved(read(t2), from_parameters([-500, 0, 0, 0, 0, 0], [0, 0, 0])), tmp_path / "far-T2.nii"
    )
    common = ("--fixed", ius, "--moving", far, "--out", tmp_path / "o", "--json")
    status, text, error = run(capsys, *common)
    assert (status, text) == (2, "")
    assert "mm apart" in error
    assert "--centre" in error
    assert str(tmp_path) not in error
    status, text, _ = run(capsys, *common, "--centre", "--kind", "none", "--grid", "fixed")
    assert status == 0
    assert json.loads(text)["kind"] == "centred"
    assert read(json.loads(text)["outputs"]["volume"]).grid.same_as(read(ius).grid)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--kind", "none"], "needs --transform"),
        (["--inverse"], "none was given"),
        (["--transform", "absent.tfm"], "absent.tfm"),
    ],
)
def test_arguments_that_do_not_fit_are_one_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, files: tuple[Path, Path],
    arguments: list[str], sentence: str,
) -> None:  # fmt: skip
    status, out, err = run(
        capsys, "--fixed", files[0], "--moving", files[1], "--out", tmp_path / "o", *arguments
    )
    assert (status, out) == (2, "")
    assert sentence in err
