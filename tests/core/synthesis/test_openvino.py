"""OpenVINO's graphs: any number of tiles a pass, for every family, and never an old graph's."""

from pathlib import Path

import numpy as np
import pytest
import torch

from core.models.base.config import ModelConfig
from core.models.bundle import Bundle, Preprocessing, header
from core.models.mhvae.config import MHVAEConfig
from core.models.pix2pix.config import Pix2PixConfig
from core.models.spade.config import SPADEConfig
from core.models.unet.config import UNetConfig
from core.models.weights import build, save
from core.synthesis.backends import OpenVinoPass, TorchPass

openvino = pytest.importorskip("openvino")

TILE = (32, 32)
CONFIGS: list[ModelConfig] = [
    MHVAEConfig(tile=TILE, base_features=4, max_features=8, pools=2, final_blocks=1),
    Pix2PixConfig(tile=TILE, base_features=4, pools=4),
    SPADEConfig(tile=TILE, base_features=4, hidden=6, pools=3),
    UNetConfig(tile=TILE, base_features=4, pools=3),
]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_, **__: tmp_path / "cache")
    torch.manual_seed(0)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.family)
def test_a_pass_takes_any_number_of_tiles(config: ModelConfig) -> None:
    model = build(config).eval()
    exact, fast = TorchPass(model, "cpu"), OpenVinoPass(model, Bundle(config))
    for tiles in (1, 2, 3):  # converted with an example of 2
        images = {"T2": np.random.default_rng(tiles).uniform(-1, 1, (tiles, 1, *TILE))}
        given = {m: x.astype(np.float32) for m, x in images.items()}
        drawn = [torch.randn(shape) for shape in model.noise_shapes(tiles)]
        for temperature, noise in ((0.0, None), (0.7, drawn)) if drawn else ((0.0, None),):
            wanted = exact(given, ["iUS"], temperature, [noise])["iUS"]
            made = fast(given, ["iUS"], temperature, [noise])["iUS"]
            assert made.shape == (1, tiles, *TILE)
            np.testing.assert_allclose(made, wanted, atol=5e-3)


def test_a_kept_graph_for_another_number_of_tiles_is_made_anew(tmp_path: Path) -> None:
    config, path = CONFIGS[-1], tmp_path / "small.safetensors"
    model = build(config).eval()
    save(Bundle(config, Preprocessing((1, 1, 1)), "small"), model, path)
    bundle = header(path)
    images = {"T2": np.zeros((3, 1, *TILE), np.float32)}
    wanted = OpenVinoPass(model, bundle)(images, ["iUS"], 0.0, [None])["iUS"]
    (kept,) = (tmp_path / "cache").rglob("*.xml")
    graph = openvino.Core().read_model(kept)
    graph.reshape([2, 1, *TILE])
    openvino.save_model(graph, tmp_path / "fixed.xml", compress_to_fp16=False)
    for ending in (".xml", ".bin"):
        (tmp_path / "fixed").with_suffix(ending).replace(kept.with_suffix(ending))
    made = OpenVinoPass(model, bundle)(images, ["iUS"], 0.0, [None])["iUS"]
    np.testing.assert_allclose(made, wanted, atol=1e-5)
