"""A model that ships: half the size, a whole card, the same images."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from core.models import weights
from core.models.bundle import Bundle, Preprocessing, header
from core.models.mhvae.config import MHVAEConfig
from core.models.mhvae.model import MHVAE
from trainer.errors import TrainerError
from trainer.loop.publish import main, publish

CONFIG = MHVAEConfig(tile=(8, 8), base_features=4, max_features=8, pools=2, final_blocks=1)
CARD: dict[str, object] = {
    "name": "shipped", "summary": "s", "trained_on": "simulated data", "limits": "many",
    "licence": "Apache-2.0", "metrics": {"cases": 1},
}  # fmt: skip


def test_publishing_keeps_the_run_s_record_and_halves_the_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    run = tmp_path / "model.safetensors"
    weights.save(
        Bundle(CONFIG, Preprocessing(), "run", {"training": {"step": 7}}), MHVAE(CONFIG), run
    )
    out = publish(run, tmp_path / "out.safetensors", CARD)
    assert (out.name, out.card["training"], out.card["trained_on"]) == (
        "shipped", {"step": 7}, "simulated data",
    )  # fmt: skip
    assert "name" not in header(tmp_path / "out.safetensors").card
    assert {v.dtype for v in load_file(tmp_path / "out.safetensors").values()} == {torch.float16}
    x = {"T2": torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8)}
    images = [
        weights.load(path)[1](x, temperature=0.0).images["iUS"]
        for path in (run, tmp_path / "out.safetensors")
    ]
    torch.testing.assert_close(images[0], images[1], atol=0.05, rtol=0)


def test_a_card_that_hides_its_limits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainerError, match="must say limits"):
        publish(tmp_path / "a", tmp_path / "b", {**CARD, "limits": ""})


def test_the_command_needs_a_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, out = tmp_path / "model.safetensors", tmp_path / "out.safetensors"
    weights.save(Bundle(CONFIG, Preprocessing(), "run"), MHVAE(CONFIG), run)
    with pytest.raises(SystemExit):
        main([str(run), str(out)])
    assert "--card" in capsys.readouterr().err
    card = tmp_path / "card.json"
    card.write_text(json.dumps({**CARD, "limits": "σ is not calibrated"}), encoding="utf-8")
    assert main([str(run), str(out), "--card", str(card)]) == 0
    assert capsys.readouterr().out == f"{out}: shipped, sha256 {header(out).sha256}\n"
    assert header(out).card["limits"] == "σ is not calibrated"
