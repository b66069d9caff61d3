"""What ``synthesize`` writes: series of the input's patient or of nobody, and single samples."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch

from app.cli import main
from core.grid import Grid
from core.io import read, write, write_dicom
from core.models.bundle import Bundle, Preprocessing
from core.models.mhvae.config import MHVAEConfig
from core.models.mhvae.model import MHVAE
from core.models.weights import save
from core.volume import Volume

CONFIG = MHVAEConfig(tile=(16, 16), base_features=4, max_features=8, pools=2, final_blocks=1)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A small model, and a T2 as a DICOM series and as a file."""
    torch.manual_seed(0)
    bundle = Bundle(CONFIG, Preprocessing((2, 2, 2)), "small")
    save(bundle, MHVAE(CONFIG), tmp_path / "m.safetensors")
    voxels = np.random.default_rng(0).uniform(1, 90, (18, 16, 5)).astype(np.float32)
    volume = Volume(voxels, Grid(voxels.shape, np.diag([2.0, 2.0, 2.0, 1.0])), "T2")
    write_dicom(volume, tmp_path / "T2")
    write(volume, tmp_path / "T2.nii.gz")
    return tmp_path


def synthesize(files: Path, source: str, out: str, *more: str) -> Path:
    words = ["synthesize", "--input", f"T2={files / source}", "--model",
             str(files / "m.safetensors"), "--out", str(files / out), "--format", "dicom",
             "--fov", "whole", "--samples", "2", "--temperature", "1", "--json"]  # fmt: skip
    assert main([*words, *more]) == 0
    return files / out


def test_a_series_goes_back_to_the_patient(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = synthesize(files, "T2", "kept")
    told = json.loads(capsys.readouterr().out)
    assert set(told["outputs"]) == {"synthetic iUS", "sigma iUS", "picture"}
    assert read(out / "synthetic-iUS").synthetic
    theirs = pydicom.dcmread(files / "T2" / "IM00001.dcm")
    ours = pydicom.dcmread(out / "synthetic-iUS" / "IM00001.dcm")
    sigma = pydicom.dcmread(out / "sigma-iUS" / "IM00001.dcm")
    assert ours.StudyInstanceUID == sigma.StudyInstanceUID == theirs.StudyInstanceUID
    assert ours.PatientID == theirs.PatientID
    assert "Model: small" in ours.DerivationDescription


def test_a_patient_is_new_when_asked_for_or_when_there_was_none(files: Path) -> None:
    theirs = pydicom.dcmread(files / "T2" / "IM00001.dcm")
    new = synthesize(files, "T2", "new", "--dicom-patient", "new")
    assert pydicom.dcmread(new / "synthetic-iUS" / "IM00001.dcm").PatientID != theirs.PatientID
    none = synthesize(files, "T2.nii.gz", "none")
    assert read(none / "synthetic-iUS").synthetic


def test_a_cohort_becomes_series_with_every_sample(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cohort = files / "cohort"
    for name in ("Case1", "Case2"):
        (cohort / name).mkdir(parents=True)
    (files / "T2").rename(cohort / "Case1" / "T2")
    (files / "T2.nii.gz").rename(cohort / "Case2" / "Case2-T2.nii.gz")
    out = files / "out"
    words = ["synthesize", "--cohort", str(cohort), "--target", "iUS", "--format", "dicom", "--fov",
             "whole", "--model", str(files / "m.safetensors"), "--out", str(out), "--json",
             "--keep-samples"]  # fmt: skip
    assert main(words) == 2
    assert "at least two samples" in capsys.readouterr().err
    words += ["--samples", "2", "--temperature", "1"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["done"] == 2
    theirs = pydicom.dcmread(cohort / "Case1" / "T2" / "IM00001.dcm")
    for case, kept in (("Case1", True), ("Case2", False)):
        draws = []
        for part in ("", "-sample-01", "-sample-02"):
            name = f"{case}-iUS{part}"
            ours = pydicom.dcmread(out / name / "IM00001.dcm")
            assert (ours.StudyInstanceUID == theirs.StudyInstanceUID) is kept
            draws.append(read(out / name))
            assert draws[-1].synthetic
            marks = json.loads((out / f"{name}.json").read_text())
            assert marks.get("sample", 0) == (int(part[-1]) if part else 0)
            assert ("cohort" in marks) is (part == "")
        step = (draws[0].voxels.max() - draws[0].voxels.min()) / 65535
        middle = (draws[1].voxels + draws[2].voxels) / 2
        np.testing.assert_allclose(middle, draws[0].voxels, atol=2 * step + 1e-3)
    assert not list(out.glob(".mhvae-*"))

    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["kept"] == 2
    shutil.rmtree(out / "Case2-iUS-sample-02")
    assert main(words) == 0  # the series of before are replaced
    told = json.loads(capsys.readouterr().out)
    assert (told["kept"], told["done"]) == (1, 1)
    (out / "Case1-iUS.json").unlink()  # now the series is nobody's, and stays
    before = (out / "Case1-iUS" / "IM00001.dcm").read_bytes()
    assert main(words) == 0
    assert "new or empty folder" in json.loads(capsys.readouterr().out)["problems"][0]
    assert (out / "Case1-iUS" / "IM00001.dcm").read_bytes() == before


def test_every_sample_is_kept_and_says_which_it_is(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = files / "samples"
    words = ["synthesize", "--input", f"T2={files / 'T2.nii.gz'}", "--model",
             str(files / "m.safetensors"), "--out", str(out), "--fov", "whole", "--json",
             "--keep-samples"]  # fmt: skip
    assert main(words) == 2
    assert "at least two samples" in capsys.readouterr().err
    assert main([*words, "--samples", "3", "--temperature", "1", "--seed", "5"]) == 0
    told = json.loads(capsys.readouterr().out)["outputs"]
    assert set(told) == {"synthetic iUS", "sigma iUS", "picture", "sample-01 iUS", "sample-02 iUS",
                         "sample-03 iUS"}  # fmt: skip
    samples = np.stack([read(told[f"sample-0{n} iUS"]).voxels for n in (1, 2, 3)])
    mean, sigma = (read(told[f"{kind} iUS"]).voxels for kind in ("synthetic", "sigma"))
    np.testing.assert_allclose(samples.mean(axis=0), mean, atol=2e-4)
    inside = mean != 0
    np.testing.assert_allclose(
        samples.std(axis=0, ddof=1)[inside], sigma[inside], rtol=2e-2, atol=1e-3
    )
    marks = json.loads((out / "sample-02-iUS.json").read_text())
    assert (marks["sample"], marks["seed"]) == (2, 5)
    assert not list(out.glob(".mhvae-*"))
