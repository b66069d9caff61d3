"""``synthesize --cohort --bids``: derivatives that the validator passes beside a valid input."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from app.cli import main
from app.cli.cohort_files import _entities
from core.grid import Grid
from core.io import read, write
from core.models.bundle import Bundle, Preprocessing
from core.models.mhvae.config import MHVAEConfig
from core.models.mhvae.model import MHVAE
from core.models.weights import save
from core.volume import Volume
from trainer.cohort.scan import scan

CONFIG = MHVAEConfig(
    modalities=("FLAIR", "T2"), tile=(16, 16), base_features=4, max_features=8, pools=2,
    final_blocks=1,
)  # fmt: skip


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A BIDS data set of two subjects, one with two sessions and a label map; and a model."""
    torch.manual_seed(0)
    bundle = Bundle(CONFIG, Preprocessing((2, 2, 2), swept=()), "small")
    save(bundle, MHVAE(CONFIG), tmp_path / "m.safetensors")
    root = tmp_path / "data"
    shape = (18, 16, 5)
    voxels = np.random.default_rng(0).uniform(1, 90, shape).astype(np.float32)
    volume = Volume(voxels, Grid(shape, np.diag([2.0, 2.0, 2.0, 1.0])), "FLAIR")
    for entities in ("sub-01_ses-1", "sub-01_ses-2", "sub-02"):
        folder = root / entities.replace("_", "/") / "anat"
        folder.mkdir(parents=True)
        write(volume, folder / f"{entities}_FLAIR.nii.gz")
        (folder / f"{entities}_FLAIR.json").write_text("{}")
    described = {"Name": "x", "BIDSVersion": "1.10.0", "DatasetType": "raw", "Authors": ["a", "b"]}
    (root / "dataset_description.json").write_text(json.dumps(described))
    (root / "README").write_text("Two subjects. " * 20)
    return root


def synthesize(dataset: Path, *more: str) -> int:
    return main(["synthesize", "--cohort", str(dataset), "--target", "T2", "--bids", "--json",
                 "--model", str(dataset.parent / "m.safetensors"), "--fov", "whole",
                 *more])  # fmt: skip


def test_results_lie_where_bids_wants_them(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert synthesize(dataset, "--out", str(dataset)) == 0
    assert json.loads(capsys.readouterr().out)["done"] == 3
    out = dataset / "derivatives" / "mhvae-studio"
    anat = out / "sub-01" / "ses-2" / "anat"
    stem = "sub-01_ses-2_space-orig_desc"
    names = {p.name for p in anat.iterdir()}
    assert names == {f"{stem}-synthetic_T2w.{e}" for e in ("nii.gz", "json")}
    assert read(anat / f"{stem}-synthetic_T2w.nii.gz").synthetic
    told = json.loads((anat / f"{stem}-synthetic_T2w.json").read_text())
    assert told["seed"] == 0
    assert told["Sources"] == ["bids:raw:sub-01/ses-2/anat/sub-01_ses-2_FLAIR.nii.gz"]
    described = json.loads((out / "dataset_description.json").read_text())
    assert described["DatasetLinks"] == {"raw": "../.."}
    assert described["GeneratedBy"][0]["Name"] == "MHVAE Studio"

    # What was made is no part of the cohort, neither for another run nor for a training.
    assert synthesize(dataset, "--out", str(dataset)) == 0
    assert json.loads(capsys.readouterr().out)["kept"] == 3
    assert [c.files.keys() for c in scan(dataset, ("FLAIR", "T2"))] == [{"FLAIR"}] * 3
    with pytest.raises(Exception, match="holds no cases"):
        scan(out, ("FLAIR", "T2"))


@pytest.mark.skipif(shutil.which("bids-validator-deno") is None, reason="no BIDS validator")
def test_the_validator_finds_no_error(dataset: Path) -> None:
    assert synthesize(dataset, "--out", str(dataset)) == 0
    for folder in (dataset, dataset / "derivatives" / "mhvae-studio"):
        found = subprocess.run(
            ["bids-validator-deno", "--json", str(folder)],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        issues = json.loads(found.stdout)["issues"]["issues"]
        assert [i for i in issues if i["severity"] == "error"] == [], folder.name


def test_two_cases_of_one_label_are_refused(
    tmp_path: Path, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "flat"
    folder.mkdir()
    source = dataset / "sub-02" / "anat" / "sub-02_FLAIR.nii.gz"
    for name in ("Case-1-2", "Case-12"):
        shutil.copy(source, folder / f"{name}_FLAIR.nii.gz")
    assert synthesize(dataset, "--cohort", str(folder), "--out", str(tmp_path / "o")) == 2
    assert "sub-Case12" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("case", "entities"),
    [("sub-01", "sub-01"), ("sub-01_ses-pre_2", "sub-01_ses-pre2"), ("Case-7", "sub-Case7"),
     ("sub-01-ses-1", "sub-01_ses-1")],
)  # fmt: skip
def test_cases_get_labels_of_bids(case: str, entities: str) -> None:
    assert _entities(case) == entities
