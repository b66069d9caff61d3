"""Model files: what is written is what is read; damage is said, not loaded."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from core import assets
from core.models import bundle as bundles
from core.models import weights
from core.models.base.config import ModelError
from core.models.bundle import INTENDED_USE, KEY, Bundle, Preprocessing
from core.models.mhvae.config import MHVAEConfig
from core.models.mhvae.model import MHVAE

CONFIG = MHVAEConfig(tile=(8, 8), base_features=4, max_features=8, pools=2, final_blocks=1)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    bundle = Bundle(CONFIG, Preprocessing((1, 1, 1)), "small", {"summary": "a test"})
    weights.save(bundle, MHVAE(CONFIG), tmp_path / "small.safetensors")
    return tmp_path / "small.safetensors"


def test_round_trip(saved: Path) -> None:
    torch.manual_seed(0)
    original = MHVAE(CONFIG)
    bundle, model = weights.load(saved)
    assert (bundle.config, bundle.name, bundle.card) == (CONFIG, "small", {"summary": "a test"})
    assert len(bundle.sha256) == 64
    for name, tensor in original.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name])
    assert not list(saved.parent.glob(".part-*"))


def test_half_precision_is_loaded_as_float32(saved: Path, tmp_path: Path) -> None:
    bundle, model = weights.load(saved)
    weights.save(bundle, model, tmp_path / "half.safetensors", half=True)
    again = weights.load(tmp_path / "half.safetensors")[1]
    assert {v.dtype for v in again.state_dict().values()} == {torch.float32}
    assert (tmp_path / "half.safetensors").stat().st_size < saved.stat().st_size * 0.75


def rewrite(path: Path, **changes: object) -> None:
    tensors = load_file(path)
    header = json.loads(bundles.header(path).to_json()) | changes
    save_file(tensors, path, metadata={KEY: json.dumps(header)})


def test_a_newer_schema_asks_for_an_update(saved: Path) -> None:
    rewrite(saved, schema=99)
    with pytest.raises(ModelError, match=r"small.safetensors.*version 99.*Update"):
        bundles.header(saved)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"preprocessing": {"spacing": [0, 1, 1]}}, "spacing"),
        ({"preprocessing": {"plane": "tilted"}}, "plane"),
        ({"preprocessing": {"colour": 1}}, "damaged"),
        ({"config": {"pools": 9}}, "multiples of 512"),
        ({"temperature": 11.0}, "temperature must lie between 0 and 10"),
        ({"temperature": "warm"}, "damaged"),
        ({"config": None}, "damaged"),
        ({"config": {"pools": 10**30}}, "damaged"),
        ({"config": {"final_blocks": 10**6}}, "final_blocks"),
        ({"config": {"clamp": 0}}, "clamp"),
        ({"config": {"tile": [65536, 65536], "pools": 2}}, "tile"),
        ({"preprocessing": {"percentiles": [90, 5]}}, "percentiles"),
        ({"preprocessing": {"swept": [1]}}, "swept"),
        ({"preprocessing": {"plane": []}}, "damaged"),
        ({"card": {"training": "all night"}}, "card.training"),
        ({"card": {"training": {"step": 1}, "data": 3}}, "card.data"),
        ({"card": {"renamed_from": ["me"]}}, "renamed_from"),
        ({"schema": 1e999}, "damaged"),
        ({"card": {"score": float("nan")}}, "NaN is no number"),
    ],
)
def test_damaged_headers_are_refused(saved: Path, change: dict[str, object], sentence: str) -> None:
    rewrite(saved, **change)
    with pytest.raises(ModelError, match=sentence):
        bundles.header(saved)


def test_nested_headers_are_refused_and_hide_no_other(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / "deep.safetensors"
    save_file(load_file(saved), deep, metadata={KEY: "[" * 100_000})
    with pytest.raises(ModelError, match="damaged"):
        bundles.header(deep)
    monkeypatch.setattr(assets, "MODELS", tmp_path)
    monkeypatch.setattr(bundles, "user_models", lambda: tmp_path / "none")
    assert [bundle.path for bundle in bundles.available()] == [saved]


def test_what_a_model_is_for_is_said_by_the_program(saved: Path) -> None:
    rewrite(saved, intended_use="FDA cleared for neurosurgery.", name="a\nname " + "x" * 999)
    bundle = bundles.header(saved)
    assert bundle.intended_use == INTENDED_USE
    assert "FDA" not in bundle.to_json()
    assert bundle.name.startswith("a name x")
    assert len(bundle.name) < 200


def test_weights_that_do_not_fit_are_refused(saved: Path) -> None:
    rewrite(saved, config=MHVAEConfig(tile=(8, 8), pools=2, base_features=6).to_dict())
    with pytest.raises(ModelError, match="do not fit"):
        weights.load(saved)


def test_weights_that_are_not_numbers_are_refused(saved: Path) -> None:
    bundle, model = weights.load(saved)
    next(iter(model.parameters())).data.fill_(float("nan"))
    weights.save(bundle, model, saved)
    with pytest.raises(ModelError, match="not finite"):
        weights.load(saved)


def test_files_that_are_no_bundles_are_refused(tmp_path: Path, saved: Path) -> None:
    with pytest.raises(ModelError, match="no such model"):
        bundles.header(tmp_path / "absent.safetensors")
    (tmp_path / "text.safetensors").write_text("not a model")
    with pytest.raises(ModelError, match="damaged or of another kind"):
        bundles.header(tmp_path / "text.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(ModelError, match="not written by MHVAE Studio"):
        bundles.header(tmp_path / "foreign.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(saved.read_bytes()[:-100])
    with pytest.raises(ModelError, match="damaged or of another kind"):
        weights.load(tmp_path / "cut.safetensors")


def test_models_are_found_by_name_and_path(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "MODELS", saved.parent)
    monkeypatch.setattr(bundles, "user_models", lambda: saved.parent / "none")
    (saved.parent / f".part-{saved.name}").write_bytes(saved.read_bytes())  # being written
    assert [bundle.path for bundle in bundles.available()] == [saved]
    assert bundles.find().name == "small"
    assert bundles.find("small").path == saved
    assert bundles.find(str(saved)).name == "small"
    with pytest.raises(ModelError, match=r"no model called large\. Known models: small"):
        bundles.find("large")


def test_a_model_says_how_its_images_are_drawn(saved: Path) -> None:
    assert bundles.header(saved).draws(1) == 0
    assert bundles.header(saved).draws(4) == 1
    rewrite(saved, temperature=0.8)
    bundle = bundles.header(saved)
    assert (bundle.draws(1), bundle.draws(4), bundle.draws(1, 0.0)) == (0.8, 0.8, 0.0)


def test_a_model_from_before_such_a_choice_draws_the_expected_image(saved: Path) -> None:
    tensors = load_file(saved)
    header = json.loads(bundles.header(saved).to_json())
    del header["temperature"]
    save_file(tensors, saved, metadata={KEY: json.dumps(header)})
    assert bundles.header(saved).temperature == 0
