"""The command line as a user meets it: results, one sentence for a mistake, exit codes."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from dicom_factory import write_series
from PIL import Image

from app import cli
from core.child_process import child_environment, python_module
from core.io import read, write
from core.models import weights
from core.models.bundle import Bundle, Preprocessing
from core.models.mhvae.config import MHVAEConfig
from core.models.mhvae.model import MHVAE
from core.models.typical import Typical
from core.volume import Volume

CONFIG = MHVAEConfig(tile=(16, 16), base_features=4, max_features=8, pools=2, final_blocks=1)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "small.safetensors"
    weights.save(Bundle(CONFIG, Preprocessing((2, 2, 2)), "small"), MHVAE(CONFIG), path)
    return path


@pytest.fixture
def t2(tmp_path: Path, make_volume: Callable[..., Volume]) -> Path:
    return write(make_volume((20, 14, 12)), tmp_path / "patient-T2.nii.gz")


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = cli.main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_synthesis_writes_marked_volumes_on_the_input_s_grid_and_a_picture(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, model: Path, t2: Path
) -> None:
    status, out, _ = run(
        capsys, "synthesize", "--input", f"T2={t2}", "--model", model, "--fov", "whole",
        "--samples", 3, "--seed", 4, "--out", tmp_path / "new" / "folder", "--json",
    )  # fmt: skip
    assert status == 0
    answer = json.loads(out)
    assert answer["subset"] == ["T2"]
    assert answer["targets"] == ["iUS"]
    assert set(answer["seconds"]) == {
        "read", "prepare", "load model", "check the input", "synthesise", "write",
    }  # fmt: skip
    assert "input_check" not in answer  # this model was never calibrated
    assert answer["peak_memory_mb"] > 0
    made = read(answer["outputs"]["synthetic iUS"])
    assert made.synthetic
    assert made.grid.same_as(read(t2).grid)
    assert read(answer["outputs"]["sigma iUS"]).voxels.max() > 0
    record = json.loads((tmp_path / "new/folder/synthetic-iUS.json").read_text())
    marks = json.dumps(record)
    for word in (answer["model_sha256"], "esearch use only", '"seed": 4', '"temperature": 1.0'):
        assert word in marks
    assert "patient-T2" not in marks
    assert np.asarray(Image.open(answer["outputs"]["picture"])).max() > 0


def test_an_input_unlike_the_training_is_warned_of_before_and_beside_the_result(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, make_volume: Callable[..., Volume]
) -> None:
    t2 = write(make_volume((60, 40, 12)), tmp_path / "patient-T2.nii.gz")
    model = tmp_path / "calibrated.safetensors"
    name = "error of the reconstruction"
    typical = Typical((name,), (-50.0,), (0.1,), (1.0,), (0.0,), 1.5, 0.97, 40)
    bundle = Bundle(CONFIG, Preprocessing((2, 2, 2)), "calibrated", typical={"T2": typical})
    weights.save(bundle, MHVAE(CONFIG), model)
    status, out, err = run(
        capsys, "synthesize", "--input", f"T2={t2}", "--model", model, "--fov", "whole",
        "--out", tmp_path / "out", "--json",
    )  # fmt: skip
    assert status == 0
    said = err.index("does not look like the T2 images")
    assert said < err.index("synthesise:")
    answer = json.loads(out)
    assert answer["input_check"]["T2"]["unlike_training"] is True
    assert any("do not rely on what is made of it" in text for text in answer["warnings"])
    record = json.loads((tmp_path / "out/synthetic-iUS.json").read_text())
    assert record["input_check"]["T2"]["limit"] == 1.5


def test_truth_is_measured_and_reconstructions_measure_themselves(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, model: Path, t2: Path
) -> None:
    ius = tmp_path / "iUS.mha"
    write(read(t2), ius)
    common = ("--input", f"T2={t2}", "--model", model, "--fov", "whole", "--json", "--out")
    status, out, _ = run(
        capsys, "synthesize", *common, tmp_path / "a", "--truth", f"iUS={ius}", "--grid", "model",
        "--format", "nrrd",
    )  # fmt: skip
    assert status == 0
    assert set(json.loads(out)["metrics"]["iUS"]) == {"psnr_db", "ssim", "mae"}
    assert np.allclose(read(tmp_path / "a/synthetic-iUS.nrrd").grid.spacing, 2)
    status, out, _ = run(capsys, "synthesize", *common, tmp_path / "b", "--target", "T2")
    assert status == 0
    assert "T2" in json.loads(out)["metrics"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--input", "T2=absent.nii.gz"], "absent.nii.gz"),
        (["--input", "T2"], "expected MODALITY=PATH"),
        (["--input", "CT=PATIENT"], "knows iUS, T2; it cannot use CT"),
        (["--input", "T2=PATIENT", "--target", "CT"], "cannot use CT"),
        (["--input", "T2=PATIENT", "--input", "T2=PATIENT"], "given twice"),
        (["--input", "T2=PATIENT", "--truth", "T2=PATIENT"], "target that is not an input"),
        (["--input", "T2=PATIENT", "--fov", "absent-mask.nii"], "absent-mask.nii"),
        (["--input", "T2=PATIENT", "--temperature", "-1"], "between 0 and 10"),
        (["--input", "T2=PATIENT", "--model", "nothing"], "no model called nothing"),
        (["--input", "T2=PATIENT", "--out", "BLOCKED/x"], "cannot be written"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, model: Path, t2: Path,
    arguments: list[str], sentence: str,
) -> None:  # fmt: skip
    (tmp_path / "blocked").write_text("a file, not a folder")
    words = [
        a.replace("PATIENT", str(t2)).replace("BLOCKED", str(tmp_path / "blocked"))
        for a in arguments
    ]
    base = ["--model", str(model), "--out", str(tmp_path / "out"), "--fov", "whole"]
    status, out, err = run(capsys, "synthesize", *base, *words)
    assert status == 2
    assert out == ""
    assert sentence in err
    assert "Traceback" not in err


def test_a_mistyped_command_opens_no_window(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.shell.window.main", lambda _: pytest.fail("the window was opened"))
    status, _, said = run(capsys, "synthesise", "--input", "T2=a.nii")
    assert (status, said.count("\n")) == (2, 1)
    assert "Did you mean synthesize?" in said


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such files")
@pytest.mark.parametrize("name", ["a.nii", "a.nrrd", "a.mha", "a"])
def test_a_pipe_is_not_waited_for(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / name)
    status, _, said = run(capsys, "info", tmp_path / name)
    assert status == 2
    assert "a pipe or a device" in said


def test_a_terminal_without_our_letters_gets_the_answer(t2: Path) -> None:
    done = subprocess.run(
        [*python_module("app"), "info", str(t2)],
        env={**child_environment(), "PYTHONIOENCODING": "ascii"}, capture_output=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"modality: T2" in done.stdout


def test_plan_only_onto_a_folder_is_a_sentence(
    tmp_path: Path, t2: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, said = run(capsys, "train", tmp_path, "--plan-only", "--out", tmp_path)
    assert status == 2
    assert "a folder has that name" in said


def test_options_are_checked_without_a_usage_block(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["synthesize", "--input", "T2=a", "--out", "b", "--device", "abacus"])
    assert stop.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_info_of_a_volume_a_model_and_the_computer(
    capsys: pytest.CaptureFixture[str], model: Path, t2: Path
) -> None:
    status, out, _ = run(capsys, "info", t2, "--json")
    assert status == 0
    (volume,) = json.loads(out)["volumes"]
    assert volume["shape"] == [20, 14, 12]
    assert volume["modality"] == "T2"
    status, out, _ = run(capsys, "info", model, "--json")
    answer = json.loads(out)
    assert answer["levels"] == 3
    assert set(answer["macs_per_tile"]) == {"iUS", "T2", "iUS+T2"}
    assert answer["parameters"] > 0
    status, out, _ = run(capsys, "info", "--json")
    assert "cpu" in json.loads(out)["devices"]


def test_self_test_passes(capsys: pytest.CaptureFixture[str], model: Path) -> None:
    status, out, _ = run(capsys, "self-test", "--model", model, "--json")
    assert status == 0
    assert json.loads(out)["self_test"] == "passed"


def test_help_and_version_answer_at_once_and_import_little() -> None:
    code = (
        "import sys; from app.cli import main; main(['--help']); main(['--version']);"
        "heavy = {'torch', 'numpy', 'PySide6', 'SimpleITK', 'nibabel'} & set(sys.modules);"
        "sys.exit(len(heavy))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert "synthesize" in answer.stdout


def test_a_volume_that_calls_itself_something_else_is_worth_a_word(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, model: Path
) -> None:
    write_series(tmp_path / "T2", shape=(24, 24), count=6, Modality="US")
    status, out, err = run(
        capsys, "synthesize", "--input", f"T2={tmp_path / 'T2'}", "--fov", "whole",
        "--model", model, "--out", tmp_path / "out", "--json",
    )  # fmt: skip
    assert (status, err.count("Traceback")) == (0, 0)
    found = json.loads(out)
    assert any("seems to be iUS (DICOM modality US)" in text for text in found["warnings"])
    assert str(tmp_path) not in json.dumps(found["sources"])
