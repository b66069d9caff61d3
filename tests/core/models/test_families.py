"""Networks of all families: what each promises to the rest of the program."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from core.models.base.config import ModelConfig, ModelError
from core.models.base.network import Network, stacked
from core.models.bundle import Bundle, header
from core.models.family import FAMILIES, config_from_dict
from core.models.inference import for_inference
from core.models.mhvae.config import MHVAEConfig
from core.models.pix2pix.config import Pix2PixConfig
from core.models.pix2pix.model import Pix2Pix
from core.models.resvit.config import ResViTConfig
from core.models.resvit.model import ResViT
from core.models.resvit.transformer import Layer
from core.models.resvit.vit_weights import load_vit
from core.models.spade.config import SPADEConfig
from core.models.spade.model import SPADE, SpatiallyAdaptiveNorm
from core.models.unet.config import UNetConfig
from core.models.weights import build, load, save
from core.synthesis.backends import OpenVinoPass, TorchPass

TILE = (32, 48)
SMALL: dict[str, ModelConfig] = {
    "mhvae": MHVAEConfig(tile=TILE, base_features=4, max_features=8, pools=2, final_blocks=1),
    "mvae": MHVAEConfig(
        tile=TILE, base_features=4, max_features=8, pools=2, final_blocks=1, hierarchical=False
    ),
    "pix2pix": Pix2PixConfig(tile=TILE, base_features=4, pools=4),
    "spade": SPADEConfig(tile=TILE, base_features=4, hidden=6, pools=3),
    "resvit": ResViTConfig(
        tile=TILE, base_features=4, blocks=3, transformers=(1, 3), hidden=12, layers=2, heads=3,
        mlp=16,
    ),
    "unet": UNetConfig(tile=TILE, base_features=4, pools=3),
}  # fmt: skip


def image(seed: int, batch: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, 1, *TILE, generator=generator) * 2 - 1


def network(name: str) -> Network:
    torch.manual_seed(1)
    return build(SMALL[name]).eval()


def given(config: ModelConfig) -> dict[str, Tensor]:
    """The smallest subset from which a network makes something that is missing."""
    names = [m for m in config.modalities if m != config.modalities[0]]
    return {m: image(n) for n, m in enumerate(names)}


def test_every_family_is_tried() -> None:
    assert set(SMALL) == set(FAMILIES)
    assert all(SMALL[name].family == name for name in SMALL)


@pytest.mark.parametrize("name", SMALL)
def test_an_image_of_the_missing_modality_in_range(name: str) -> None:
    model = network(name)
    config = model.config
    target = config.modalities[0]
    inputs = given(config)
    assert config.serves(tuple(inputs), target)
    with torch.no_grad():
        made = model.synthesise(inputs, [target])
        again = model.draw(inputs, [target], 0.0, [None])
    assert list(made) == [target]
    assert made[target].shape == (2, 1, *TILE)
    assert float(made[target].abs().max()) <= 1
    torch.testing.assert_close(again[0][target], made[target])
    alone = model.synthesise({m: x[1:] for m, x in inputs.items()}, [target])[target]
    torch.testing.assert_close(alone[0], made[target][1])  # tiles know nothing of each other
    other = {m: -x for m, x in inputs.items()}
    assert not torch.allclose(model.synthesise(other, [target])[target], made[target])


@pytest.mark.parametrize("name", SMALL)
def test_a_bundle_comes_back_whole_and_its_header_without_torch(name: str, tmp_path: Path) -> None:
    model = network(name)
    path = tmp_path / "model.safetensors"
    save(Bundle(SMALL[name], name="mine"), model, path)
    assert header(path).config == SMALL[name]
    bundle, back = load(path)
    assert json.loads(bundle.to_json())["family"] == name
    inputs, target = given(back.config), back.config.modalities[0]
    with torch.no_grad():
        wanted = model.synthesise(inputs, [target])[target]
        # Spectral norms are divided by anew, whose last bit depends on where memory lies.
        same = back.synthesise(inputs, [target])[target]
        torch.testing.assert_close(same, wanted, rtol=0, atol=0 if name != "spade" else 1e-6)
        quick = for_inference(back).synthesise(inputs, [target])[target]
    torch.testing.assert_close(quick, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SMALL)
def test_the_accelerated_back_end_makes_the_same_images(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_, **__: tmp_path)
    model, bundle = network(name), Bundle(SMALL[name])
    tiles = {m: x.numpy() for m, x in given(model.config).items()}
    target = (model.config.modalities[0],)
    wanted = TorchPass(model, "cpu")(tiles, target, 0.0, [None])[target[0]]
    found = OpenVinoPass(model, bundle)(tiles, target, 0.0, [None])[target[0]]
    assert float(abs(found - wanted).max()) < 1e-3


def test_a_model_file_from_before_there_were_families_is_an_mhvae() -> None:
    values = SMALL["mvae"].to_dict()
    assert config_from_dict(values).family == "mvae"
    with pytest.raises(ModelError, match="no family of models called 'diffusion'"):
        config_from_dict(values, "diffusion")
    with pytest.raises(ModelError, match="says it is of family mhvae"):
        config_from_dict(values, "mhvae")


@pytest.mark.parametrize("name", ["pix2pix", "spade", "unet"])
def test_a_model_of_one_direction_says_so(name: str) -> None:
    config = SMALL[name]
    assert config.serves(("T2",), "iUS")
    assert not config.serves(("iUS",), "T2")
    assert not config.serves(("iUS", "T2"), "iUS")
    with pytest.raises(ModelError, match=f"This {name} model makes iUS from T2 and nothing else"):
        config.check(("iUS",), ("T2",))
    assert replace(config, target="T2").serves(("iUS",), "T2")  # type: ignore[call-arg]
    with pytest.raises(ModelError, match="found the target FLAIR"):
        replace(config, target="FLAIR")  # type: ignore[call-arg]
    three = replace(config, modalities=("iUS", "T2", "ceT1"))
    assert three.serves(("ceT1", "T2"), "iUS")
    assert not three.serves(("T2",), "iUS")
    assert build(three).synthesise({"T2": image(1), "ceT1": image(2)}, ["iUS"])["iUS"].shape[1] == 1


@pytest.mark.parametrize(
    ("cls", "values", "text"),
    [
        (Pix2PixConfig, {"tile": (40, 40)}, "multiples of 64 pixels"),
        (Pix2PixConfig, {"dropout": 1.0}, "dropout must be"),
        (ResViTConfig, {"heads": 7}, "multiple of the heads"),
        (ResViTConfig, {"transformers": (0,)}, "numbers from 1 to 9"),
        (SPADEConfig, {"norm": "layer"}, "one of instance, batch"),
    ],
)
def test_impossible_networks_are_refused(
    cls: type[ModelConfig], values: dict[str, Any], text: str
) -> None:
    with pytest.raises(ModelError, match=text):
        cls(**values)
    with pytest.raises(ModelError, match="fields this version does not know"):
        cls.from_dict({"depth": 3})


@pytest.mark.parametrize("name", SMALL)
def test_a_batch_norm_is_there_for_those_who_ask(name: str) -> None:
    config = SMALL[name]
    if not hasattr(config, "norm"):
        pytest.skip("this family has one kind of norm")
    model = build(replace(config, norm="batch"))  # type: ignore[call-arg]
    assert any(isinstance(m, torch.nn.BatchNorm2d) for m in model.modules())
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in build(config).modules())


def test_pix2pix_is_the_u_net_of_its_paper() -> None:
    """Encoder and decoder written out once more, layer by layer (Isola et al., 6.1.1)."""
    model = network("pix2pix")
    assert isinstance(model, Pix2Pix)
    x = stacked(given(model.config), model.config.inputs)

    def normed(y: Tensor) -> Tensor:
        mean = y.mean(dim=(2, 3), keepdim=True)
        return (y - mean) / (y.var(dim=(2, 3), keepdim=True, correction=0) + 1e-5).sqrt()

    d, u = model.down, model.up
    e1 = d[0](x)
    e2 = normed(d[1](F.leaky_relu(e1, 0.2)))
    e3 = normed(d[2](F.leaky_relu(e2, 0.2)))
    e4 = d[3](F.leaky_relu(e3, 0.2))
    y = normed(u[3](F.relu(e4)))
    y = normed(u[2](F.relu(torch.cat([e3, y], 1))))
    y = normed(u[1](F.relu(torch.cat([e2, y], 1))))
    y = torch.tanh(u[0](F.relu(torch.cat([e1, y], 1))))
    torch.testing.assert_close(model(x), y, rtol=1e-4, atol=1e-5)
    # With 8 halvings and 3 channels in and out the authors count 54.414 million.
    names = ("a", "b", "c", "d")
    full = Pix2PixConfig(names, (256, 256), target="d", pools=8)
    with torch.device("meta"):
        count = sum(p.numel() for p in Pix2Pix(full).parameters())
    assert (count + 2 * 128 * 16) / 1e6 == pytest.approx(54.414, abs=0.005)


def test_dropout_is_for_training_alone() -> None:
    model = network("pix2pix")
    inputs = given(model.config)
    model.train()
    first, second = (model.synthesise(inputs, ["iUS"])["iUS"] for _ in range(2))
    assert not torch.equal(first, second)


def test_a_spade_norm_is_its_equation() -> None:
    """γ(s) · (h - μ) / σ + β(s) of every pixel (Park et al., Eq. 1), γ counted from 1."""
    config = SPADEConfig(tile=TILE, base_features=4, hidden=6, pools=3)
    torch.manual_seed(0)
    layer = SpatiallyAdaptiveNorm(5, 1, config)
    h, s = torch.randn(2, 5, 16, 24), image(0)
    small = s[:, :, ::2, ::2]
    seen = F.relu(F.conv2d(small, layer.shared.weight, layer.shared.bias, padding=1))
    scale = F.conv2d(seen, layer.scale.weight, layer.scale.bias, padding=1)
    shift = F.conv2d(seen, layer.shift.weight, layer.shift.bias, padding=1)
    mean = h.mean(dim=(2, 3), keepdim=True)
    spread = (h.var(dim=(2, 3), keepdim=True, correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(layer(h, s), (1 + scale) * (h - mean) / spread + shift)


def test_spade_has_the_widths_of_its_paper() -> None:
    full = SPADEConfig(tile=(256, 256))
    assert full.widths == (1024, 512, 256, 128, 64)
    assert (full.stride, SPADEConfig(pools=2, tile=TILE).widths) == (32, (128, 64))
    model = network("spade")
    assert isinstance(model, SPADE)
    blocks: Any = model.up
    assert [len(block.conv0.weight) for block in blocks] == [8, 4]


def test_attention_is_its_equation() -> None:
    """softmax(QKᵀ/√d)V for every head, then two dense layers, each added (Dosovitskiy, Eq. 2-3)."""
    config = SMALL["resvit"]
    assert isinstance(config, ResViTConfig)
    torch.manual_seed(0)
    layer = Layer(config).eval()
    x = torch.randn(2, 6, config.hidden)
    seen = layer.norm0(x)
    size = config.hidden // config.heads
    heads = []
    for h in range(config.heads):
        part = slice(h * size, (h + 1) * size)
        q, k, v = (f(seen)[..., part] for f in (layer.query, layer.key, layer.value))
        heads.append(torch.softmax(q @ k.transpose(1, 2) / size**0.5, dim=-1) @ v)
    y = x + layer.out(torch.cat(heads, dim=-1))
    y = y + layer.narrow(F.gelu(layer.widen(layer.norm1(y))))
    torch.testing.assert_close(layer(x), y)


def vit_file(path: Path, config: ResViTConfig, grid: int, *, token: bool) -> dict[str, Any]:
    """Write what Google's Vision Transformer files hold, by their names and shapes."""
    random = np.random.default_rng(0)
    size, heads = config.hidden, config.heads

    def draw(*shape: int) -> np.ndarray[Any, Any]:
        return random.normal(size=shape).astype(np.float32)

    arrays = {
        "embedding/kernel": draw(1, 1, 16 * config.base_features, size),
        "embedding/bias": draw(size),
        "Transformer/posembed_input/pos_embedding": draw(1, grid * grid + token, size),
        "Transformer/encoder_norm/scale": draw(size),
        "Transformer/encoder_norm/bias": draw(size),
    }
    for n in range(config.layers):
        root = f"Transformer/encoderblock_{n}"
        for name in ("query", "key", "value"):
            place = f"{root}/MultiHeadDotProductAttention_1/{name}"
            arrays[f"{place}/kernel"] = draw(size, heads, size // heads)
            arrays[f"{place}/bias"] = draw(heads, size // heads)
        place = f"{root}/MultiHeadDotProductAttention_1/out"
        arrays[f"{place}/kernel"], arrays[f"{place}/bias"] = (
            draw(heads, size // heads, size),
            draw(size),
        )
        for name, shape in (("Dense_0", (size, config.mlp)), ("Dense_1", (config.mlp, size))):
            arrays[f"{root}/MlpBlock_3/{name}/kernel"] = draw(*shape)
            arrays[f"{root}/MlpBlock_3/{name}/bias"] = draw(shape[1])
        for name in ("LayerNorm_0", "LayerNorm_2"):
            arrays[f"{root}/{name}/scale"] = draw(size)
            arrays[f"{root}/{name}/bias"] = draw(size)
    whole: Any = arrays
    np.savez(path, **whole)
    return arrays


def test_a_transformer_with_imagenet_weights(tmp_path: Path) -> None:
    config = SMALL["resvit"]
    assert isinstance(config, ResViTConfig)
    model: Any = build(config)
    arrays = vit_file(tmp_path / "vit.npz", config, 3, token=True)
    load_vit(model, tmp_path / "vit.npz")
    root = "Transformer/encoderblock_1"
    layer = model.transformer.layers[1]
    x = np.random.default_rng(1).normal(size=(5, config.hidden)).astype(np.float32)
    # Attention as the file's own program has it: an einsum over heads.
    kernel = arrays[f"{root}/MultiHeadDotProductAttention_1/key/kernel"]
    bias = arrays[f"{root}/MultiHeadDotProductAttention_1/key/bias"]
    wanted = (np.einsum("nd,dhe->nhe", x, kernel) + bias).reshape(5, -1)
    found = layer.key(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    out = arrays[f"{root}/MultiHeadDotProductAttention_1/out/kernel"]
    mixed = x.reshape(5, config.heads, -1)
    wanted = (
        np.einsum("nhe,hed->nd", mixed, out)
        + arrays[f"{root}/MultiHeadDotProductAttention_1/out/bias"]
    )
    found = layer.out(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    first, second = (model.blocks[n - 1].context.tokens for n in config.transformers)
    assert torch.equal(first.embed.weight, second.embed.weight)
    assert torch.equal(first.places, second.places)
    assert first.places.shape == (1, 2 * 3, config.hidden)
    corner = arrays["Transformer/posembed_input/pos_embedding"][0, 1]  # after the class token
    np.testing.assert_allclose(first.places[0, 0].detach().numpy(), corner, rtol=1e-5)
    short: Any = {k: v for k, v in arrays.items() if "Dense" not in k}
    np.savez(tmp_path / "other.npz", **short)
    with pytest.raises(ModelError, match="its arrays do not fit"):
        load_vit(model, tmp_path / "other.npz")
    (tmp_path / "text.npz").write_text("no")
    with pytest.raises(ModelError, match="cannot be read"):
        load_vit(model, tmp_path / "text.npz")


def test_the_first_stage_of_resvit_knows_no_transformer() -> None:
    model = network("resvit")
    assert isinstance(model, ResViT)
    inputs = given(model.config)
    with torch.no_grad():
        whole = model.synthesise(inputs, ["iUS"])["iUS"]
        model.with_transformers.zero_()
        first = model.synthesise(inputs, ["iUS"])["iUS"]
        for parameter in model.transformer.parameters():
            parameter.add_(1.0)
        assert torch.equal(model.synthesise(inputs, ["iUS"])["iUS"], first)
    assert not torch.allclose(first, whole)


def test_a_missing_modality_is_an_image_of_zeros() -> None:
    x = stacked({"T2": image(1)}, ("iUS", "T2"))
    assert torch.equal(x[:, :1], torch.zeros(2, 1, *TILE))
    assert torch.equal(x[:, 1:], image(1))
    model = network("resvit")
    with torch.no_grad():
        both = {"T2": image(1), "iUS": torch.zeros(2, 1, *TILE)}
        wanted = model.synthesise({"T2": image(1)}, ["iUS", "T2"])
        found = model.synthesise(both, ["iUS", "T2"])
    assert torch.equal(wanted["iUS"], found["iUS"])
    assert not torch.equal(wanted["iUS"], wanted["T2"])


def test_resvit_has_the_weights_its_authors_count() -> None:
    """123.4 million at 256x256, with one channel in and out (measured with their code)."""
    with torch.device("meta"):
        model = build(ResViTConfig(("T2",), (256, 256), norm="batch"))
    count = sum(p.numel() for p in model.parameters())
    assert count / 1e6 == pytest.approx(123.4, abs=0.1)
