"""Sampling factors: they travel with a model, its weights stay as they are, damage is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from core.models import bundle as bundles
from core.models.base.config import ModelError
from core.models.bundle import Bundle, Preprocessing
from core.models.mhvae.config import MHVAEConfig
from core.models.mhvae.model import MHVAE
from core.models.relabel import describe
from core.models.sampling import Sampling
from core.models.weights import load, save

CONFIG = MHVAEConfig(tile=(8, 8), base_features=4, max_features=8, pools=2, final_blocks=1)
WIDE = Sampling((1.5, 1.0, 2.0), "iUS", "simulated cases")


def weights_of(path: Path) -> bytes:
    """What follows the header, byte for byte."""
    content = path.read_bytes()
    return content[8 + int.from_bytes(content[:8], "little") :]


def test_they_are_written_into_a_model_file_whose_weights_stay(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "m.safetensors"
    old = save(Bundle(CONFIG, Preprocessing((1, 1, 1)), "m"), MHVAE(CONFIG), path, half=True)
    before, hashed = weights_of(path), old.sha256
    told = describe(path, replace(old, sampling={"T2": WIDE}))
    assert told.sampling == bundles.header(path).sampling == {"T2": WIDE}
    assert (told.name, told.config) == (old.name, old.config)
    assert weights_of(path) == before
    assert told.sha256 != hashed  # what is drawn has changed, so the model has
    assert load(path)[0].sampling_of(("T2",)) == WIDE


def test_a_subset_has_its_own_whatever_its_order() -> None:
    bundle = Bundle(CONFIG, sampling={"iUS+T2": WIDE})
    assert bundle.sampling_of(("T2", "iUS")) == bundle.sampling_of(("iUS", "T2")) == WIDE
    assert bundle.sampling_of(("T2",)) is None


def test_a_model_from_before_is_drawn_as_it_was() -> None:
    values = json.loads(Bundle(CONFIG).to_json())
    del values["sampling"]
    read = Bundle.from_json(json.dumps(values), Path("m.safetensors"))
    assert read.sampling == {}
    assert values["schema"] == 1  # older programs read the file too, and draw with 1


@pytest.mark.parametrize(
    "damaged",
    [
        [1, 1, 1],
        {"T2": {"factors": [1, 1], "target": "iUS", "measured_on": "x"}},
        {"T2": {"factors": [1, 1, 11], "target": "iUS", "measured_on": "x"}},
        {"T2": {"factors": [1, 1, -1], "target": "iUS", "measured_on": "x"}},
        {"T2": {"factors": [1, 1, "wide"], "target": "iUS", "measured_on": "x"}},
        {"T2": {"factors": [1, 1, 1]}},
        {"T2": 2.0},
    ],
)
def test_damaged_ones_are_refused(damaged: Any) -> None:
    values = json.loads(Bundle(CONFIG).to_json()) | {"sampling": damaged}
    with pytest.raises(ModelError, match=r"m\.safetensors: .*damaged"):
        Bundle.from_json(json.dumps(values), Path("m.safetensors"))
