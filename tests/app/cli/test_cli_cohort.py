"""``synthesize``: with an alignment first, and over a whole data set."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from align_pair import error_mm, make_pair

from app import cli
from core.io import read, write
from core.models import weights
from core.models.bundle import Bundle, Preprocessing
from core.models.mhvae.config import MHVAEConfig
from core.models.mhvae.model import MHVAE
from core.registration.alignment import Alignment, from_parameters, inverted, moved
from core.registration.transforms import write_transform
from core.volume import Volume

CONFIG = MHVAEConfig(tile=(16, 16), base_features=4, max_features=8, pools=2, final_blocks=1)
OFFSET = from_parameters([4, -3, 2, 3, -4, 5], [0, 0, 0])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "small.safetensors"
    weights.save(Bundle(CONFIG, Preprocessing((4, 4, 4)), "small"), MHVAE(CONFIG), path)
    return path


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """Two T2 with label maps, one of them on another grid; one broken file."""
    folder = tmp_path / "mr"
    folder.mkdir()
    _, t2 = make_pair()
    labels = Volume((t2.voxels > 300).astype(np.float32), t2.grid)
    for n in (1, 2):
        write(t2, folder / f"Case{n}-T2.nii.gz")
    write(labels, folder / "Case1-seg.nii.gz")
    write(moved(labels, OFFSET), folder / "Case2-seg.nii.gz")
    (folder / "Case3-T2.nii.gz").write_bytes(b"broken")
    return folder


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = cli.main(["synthesize", *[str(a) for a in arguments]])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_a_data_set_is_synthesised_once_and_its_labels_are_carried(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, model: Path, cohort: Path
) -> None:
    out = tmp_path / "out"
    common = ("--cohort", cohort, "--target", "iUS", "--out", out, "--model", model, "--json")
    status, text, _ = run(capsys, *common)
    assert status == 0
    answer = json.loads(text)
    assert (answer["done"], answer["kept"], answer["failed"]) == (2, 0, 1)
    rows = list(csv.DictReader((out / "outcomes.csv").read_text().splitlines()))
    assert [r["outcome"] for r in rows] == ["done", "done", "failed"]
    assert [r["labels"] for r in rows] == ["Case1-seg.nii.gz", "", ""]
    assert "another grid" in rows[1]["reason"]
    assert "Case3-T2.nii.gz" in rows[2]["reason"]
    made = read(out / "Case1-iUS.nii.gz")
    assert made.synthetic
    assert made.grid.same_as(read(cohort / "Case1-T2.nii.gz").grid)
    assert (out / "Case1-seg.nii.gz").read_bytes() == (cohort / "Case1-seg.nii.gz").read_bytes()
    assert not (out / "Case2-seg.nii.gz").exists()
    assert str(tmp_path) not in (out / "Case1-iUS.json").read_text()

    before = (out / "Case1-iUS.nii.gz").stat().st_mtime_ns
    (out / "Case2-iUS.nii.gz").unlink()
    _, text, _ = run(capsys, *common)
    answer = json.loads(text)
    assert (answer["done"], answer["kept"], answer["failed"]) == (1, 1, 1)
    assert (out / "Case1-iUS.nii.gz").stat().st_mtime_ns == before
    _, text, _ = run(capsys, *common, "--seed", 5)
    assert json.loads(text)["done"] == 2


def test_a_target_the_case_has_is_measured(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, model: Path
) -> None:
    folder = tmp_path / "both"
    folder.mkdir()
    for m, volume in zip(("iUS", "T2"), make_pair(), strict=True):
        write(volume, folder / f"Case1-{m}.nii.gz")
    status, _, _ = run(
        capsys, "--cohort", folder, "--target", "iUS", "--out", tmp_path / "o", "--model", model
    )
    assert status == 0
    (row,) = csv.DictReader((tmp_path / "o/outcomes.csv").read_text().splitlines())
    assert row["inputs"] == "T2"
    assert float(row["psnr_db"]) > 0


@pytest.mark.parametrize("how", ["file", "turned file", "rigid"])
def test_volumes_are_aligned_before_they_are_used(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, model: Path, how: str
) -> None:
    ius, t2 = make_pair()
    inputs = (write(ius, tmp_path / "iUS.nii.gz"), write(moved(t2, OFFSET), tmp_path / "T2.nii.gz"))
    arguments: list[object] = ["--register", "rigid"]
    if how != "rigid":
        matrix = inverted(OFFSET) if how == "file" else OFFSET
        path = write_transform(tmp_path / "a.tfm", Alignment(matrix, "manual"))
        arguments = ["--transform", path, *(["--inverse"] if how == "turned file" else [])]
    status, text, _ = run(
        capsys, "--input", f"T2={inputs[1]}", "--truth", f"iUS={inputs[0]}", "--model", model,
        "--out", tmp_path / "o", "--json", *arguments,
    )  # fmt: skip
    assert status == 0
    answer = json.loads(text)
    note = answer["alignment"]["T2"]
    assert error_mm(np.array(note["matrix"]), OFFSET) < 0.8
    assert not note["doubtful"]
    assert "psnr_db" in answer["metrics"]["iUS"]
    assert read(answer["outputs"]["synthetic iUS"]).grid.same_as(ius.grid)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "needs --input"),
        (["--cohort", "COHORT"], "needs --target"),
        (["--cohort", "COHORT", "--target", "CT"], "cannot use CT"),
        (["--cohort", "COHORT", "--target", "iUS", "--input", "T2=a"], "leave out --input"),
        (["--cohort", "COHORT", "--target", "iUS", "--register", "rigid"], "prepare"),
        (["--cohort", "absent", "--target", "iUS"], "there is none"),
        (["--input", "T2=T2FILE", "--register", "rigid"], "only T2 was given"),
        (["--input", "T2=T2FILE", "--transform", "absent.tfm"], "only T2 was given"),
    ],
)
def test_arguments_that_do_not_fit_are_one_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, model: Path, cohort: Path,
    arguments: list[str], sentence: str,
) -> None:  # fmt: skip
    words = [
        a.replace("COHORT", str(cohort)).replace("T2FILE", str(cohort / "Case1-T2.nii.gz"))
        for a in arguments
    ]
    status, out, err = run(capsys, "--model", model, "--out", tmp_path / "o", *words)
    assert (status, out) == (2, "")
    assert sentence in err
