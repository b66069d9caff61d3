"""``export``: a copy that loads, a card that tells the truth, ONNX that makes the same images."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from app.cli import main
from core.models.bundle import Bundle, Preprocessing, header
from core.models.mhvae.config import MHVAEConfig
from core.models.mhvae.model import MHVAE
from core.models.model_card import model_card
from core.models.relabel import describe
from core.models.sampling import Sampling
from core.models.weights import load, save

CONFIG = MHVAEConfig(tile=(16, 16), base_features=4, max_features=8, pools=2, final_blocks=1)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    card = {"summary": "A *small* one", "metrics": {"PSNR": {"T2 > iUS": 12.5}}}
    bundle = Bundle(CONFIG, Preprocessing((2, 2, 2)), "small model", card=card)
    save(bundle, MHVAE(CONFIG), tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


def test_a_folder_for_others_holds_the_model_and_its_card(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(model), "--out", str(tmp_path / "out"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["files"] == ["README.md", "small-model.safetensors"]
    assert header(tmp_path / "out" / "small-model.safetensors").name == "small model"
    text = (tmp_path / "out" / "README.md").read_text()
    assert text.startswith("---\nlicense: other\n")
    assert "pipeline_tag: image-to-image" in text
    assert "A \\*small\\* one" in text
    assert "| PSNR | T2 &gt; iUS: 12.5 |" in text or "T2 > iUS: 12.5" in text
    assert header(model).intended_use in text
    assert str(tmp_path) not in text


def test_onnx_makes_the_images_of_the_model_for_any_batch(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    words = ["export", str(model), "--out", str(tmp_path / "out"), "--onnx", "T2>iUS", "--json"]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)
    name = "small-model-T2-to-iUS.onnx"
    assert told["onnx_difference"][name] < 1e-4
    session = onnxruntime.InferenceSession(tmp_path / "out" / name)
    network = load(model)[1]
    tiles = torch.rand(5, 1, 16, 16) * 2 - 1
    noise = [torch.randn(shape) for shape in network.noise_shapes(5)]
    for temperature in (0.0, 0.7):
        given = {f"noise_{n}": (temperature * x).numpy() for n, x in enumerate(noise)}
        (theirs,) = session.run(["synthetic_iUS"], {"T2": tiles.numpy(), **given})
        with torch.no_grad():
            ours = network({"T2": tiles}, temperature=temperature, noise=noise, outputs=("iUS",))
        np.testing.assert_allclose(theirs, ours.images["iUS"].numpy(), atol=1e-4)


def test_standard_normal_noise_gives_calibrated_samples(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    factors = (0.5, 1.0, 2.0)
    told = {"T2": Sampling(factors, "iUS", "simulated cases")}
    describe(model, replace(header(model), sampling=told))
    words = ["export", str(model), "--out", str(tmp_path / "out"), "--onnx", "T2>iUS"]
    assert main(words) == 0
    assert header(tmp_path / "out" / "small-model.safetensors").sampling == told
    session = onnxruntime.InferenceSession(tmp_path / "out" / "small-model-T2-to-iUS.onnx")
    network = load(model)[1]
    tiles = torch.rand(2, 1, 16, 16) * 2 - 1
    noise = [torch.randn(shape) for shape in network.noise_shapes(2)]
    given = {f"noise_{n}": x.numpy() for n, x in enumerate(noise)}
    (theirs,) = session.run(["synthetic_iUS"], {"T2": tiles.numpy(), **given})
    scaled = [f * x for f, x in zip(factors, noise, strict=True)]
    with torch.no_grad():
        ours = network({"T2": tiles}, noise=scaled, outputs=("iUS",)).images["iUS"]
        plain = network({"T2": tiles}, noise=noise, outputs=("iUS",)).images["iUS"]
    np.testing.assert_allclose(theirs, ours.numpy(), atol=1e-4)
    assert float((plain - ours).abs().max()) > 1e-2


@pytest.mark.parametrize("direction", ["T2", "T2>", "CT>iUS", "T2>CT"])
def test_what_the_model_cannot_do_is_refused(
    model: Path, tmp_path: Path, direction: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(model), "--out", str(tmp_path / "out"), "--onnx", direction]) == 2
    assert "mhvae-studio: " in capsys.readouterr().err
    assert not (tmp_path / "out" / "README.md").exists()


def test_what_a_file_says_marks_nothing_up() -> None:
    bundle = Bundle(CONFIG, name="[x](http://y) <script>", card={"summary": "a | b\n# c"})
    text = model_card(bundle, {"x": "y"})
    assert "<script>" not in text.replace("\\<script>", "")
    assert "\\[x\\](http://y)" in text
    assert "\n# c" not in text
