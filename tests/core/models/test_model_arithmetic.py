"""The cells of the networks against the formulas in their docstrings, written out once more."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils import parametrize

from core.models.base.config import ModelError
from core.models.cost import macs, parameters
from core.models.inference import for_inference
from core.models.mhvae.blocks import (
    DecoderCell,
    EncoderCell,
    ImageDecoder,
    MapToVector,
    PosteriorHead,
    ResnetBlock,
    SqueezeExcitation,
    Upsample,
    VectorToMap,
    instance_norm,
    norm_act,
)
from core.models.mhvae.config import MHVAEConfig
from core.models.mhvae.model import MHVAE, ModalityEncoder
from core.models.mhvae.mvae import MVAE, FeatureHead, FeatureLevel
from core.models.mhvae.product_of_experts import Expert, deviation, fuse, kl_divergence

CONFIG = MHVAEConfig(tile=(16, 8), base_features=4, max_features=8, pools=2, final_blocks=1)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def maps(channels: int, side: int = 8, batch: int = 2) -> Tensor:
    return torch.randn(batch, channels, side, side)


def normed(x: Tensor) -> Tensor:
    mean = x.mean(dim=(2, 3), keepdim=True)
    variance = x.var(dim=(2, 3), keepdim=True, unbiased=False)
    return (x - mean) / torch.sqrt(variance + 1e-5)


def silu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


def gated(gates: SqueezeExcitation | None, x: Tensor) -> Tensor:
    assert gates is not None
    hidden = torch.relu(x.mean(dim=(2, 3)) @ gates.squeeze.weight.T + gates.squeeze.bias)
    return x * torch.sigmoid(hidden @ gates.excite.weight.T + gates.excite.bias)[:, :, None, None]


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_norms_and_gates() -> None:
    x = maps(3) * 4 + 1
    close(instance_norm(x), normed(x))
    close(norm_act(x.clone()), silu(normed(x)))
    kept = x.clone().requires_grad_()
    norm_act(kept)
    assert torch.equal(kept, x)
    for channels, hidden in ((3, 4), (64, 4), (160, 10)):
        gates = SqueezeExcitation(channels)
        assert gates.squeeze.out_features == hidden
        y = maps(channels)
        close(gates(y), gated(gates, y))


@torch.no_grad()
def test_encoder_and_decoder_cells() -> None:
    x = maps(4)
    for residual in (True, False):
        cell = EncoderCell(4, residual, squeeze_excitation=True)
        y = F.conv2d(silu(normed(x)), cell.conv0.weight, cell.conv0.bias, padding=1)
        y = gated(
            cell.gates, F.conv2d(silu(normed(y)), cell.conv1.weight, cell.conv1.bias, padding=1)
        )
        close(cell(x), y + x * residual)
        inverted = DecoderCell(4, residual, squeeze_excitation=True)
        assert inverted.widen.out_channels == 24
        y = F.conv2d(normed(x), inverted.widen.weight, inverted.widen.bias, padding=1)
        deep = inverted.depthwise
        y = F.conv2d(silu(normed(y)), deep.weight, deep.bias, padding=2, groups=24)
        y = gated(inverted.gates, silu(normed(y)))
        close(inverted(x), F.conv2d(y, inverted.narrow.weight, inverted.narrow.bias) + x * residual)
    assert EncoderCell(4, True, squeeze_excitation=False).gates is None
    assert DecoderCell(4, True, squeeze_excitation=False).gates is None
    without = EncoderCell(4, True, squeeze_excitation=False)
    assert without(x).shape == x.shape


@torch.no_grad()
def test_posterior_heads_upsampling_and_the_steps_to_one_pixel() -> None:
    shared, own = maps(4), maps(4)
    head = PosteriorHead(4)
    y = torch.cat((silu(normed(shared)), silu(normed(own))), dim=1)
    y = F.conv2d(y, head.conv0.weight, head.conv0.bias, padding=1)
    y = F.conv2d(silu(normed(y)), head.conv1.weight, head.conv1.bias, padding=1)
    close(head(shared, own), F.conv2d(gated(head.gates, y), head.last.weight))
    assert head.last.bias is None
    up = Upsample(4, 6)
    doubled = F.interpolate(shared, size=(16, 16), mode="bilinear")
    close(up(shared), F.conv2d(doubled, up.conv.weight, padding=1))
    assert up.conv.bias is None
    down = MapToVector(4, (8, 8), 10)
    close(down(own), own.reshape(2, -1) @ down.linear.weight.T + down.linear.bias)
    back = VectorToMap(10, 3, (8, 8))
    z = torch.randn(2, 10)
    close(back(z), (z @ back.linear.weight.T + back.linear.bias).reshape(2, 3, 8, 8))


@torch.no_grad()
def test_image_decoders() -> None:
    def reflected(x: Tensor, by: int) -> Tensor:
        return F.pad(x, (by, by, by, by), mode="reflect")

    x = maps(4)
    block = ResnetBlock(4)
    y = torch.relu(normed(F.conv2d(reflected(x, 1), block.conv0.weight, block.conv0.bias)))
    wanted = x + normed(F.conv2d(reflected(y, 1), block.conv1.weight, block.conv1.bias))
    close(block(x), wanted)
    for features, activation in ((4, "tanh"), (6, "identity")):
        decoder = ImageDecoder(4, features, 1, activation)
        assert (decoder.enter is None) == (features == 4)
        y = x if decoder.enter is None else F.conv2d(x, decoder.enter.weight, decoder.enter.bias)
        y = decoder.blocks(y)
        y = normed(F.conv2d(reflected(y, 3), decoder.conv0.weight, decoder.conv0.bias))
        y = torch.where(y > 0, y, 0.2 * y)
        y = F.conv2d(reflected(y, 3), decoder.conv1.weight, decoder.conv1.bias)
        close(decoder(x), torch.tanh(y) if activation == "tanh" else y)
        assert decoder(x).shape == (2, 1, 8, 8)


@torch.no_grad()
def test_the_contracting_path_halves_and_widens() -> None:
    encoder = ModalityEncoder(replace(CONFIG, base_features=2, max_features=6))
    found = encoder(torch.randn(3, 1, 16, 8))
    assert [tuple(f.shape) for f in found] == [(3, 2, 16, 8), (3, 4, 8, 4), (3, 6, 4, 2)]
    image: Any = torch.randn(1, 1, 16, 8)
    first: Any = encoder.cells[0]
    second: Any = encoder.cells[1]
    one = first(encoder.first(image))
    close(encoder(image)[0], one)
    close(encoder(image)[1], second(encoder.down[0](one)))


@torch.no_grad()
def test_eq_6_and_7_by_hand_on_a_model_of_two_levels() -> None:
    """The mean path and a sampled one, with everything between encoders and images written out."""
    config = replace(CONFIG, pools=1, tile=(8, 8), clamp=3.0, final_features=3)
    for fusion in ("gaussian", "authors"):
        model: Any = MHVAE(replace(config, fusion=fusion)).eval()
        x = {m: torch.rand(2, 1, 8, 8) * 2 - 1 for m in config.modalities}
        features = model.encode(x)
        assert list(features) == ["iUS", "T2"]
        noise = [torch.randn(shape) for shape in model.noise_shapes(2)]

        def expert(both: Tensor) -> Expert:
            both = 3.0 * torch.tanh(both / 3.0)
            half = both.shape[1] // 2
            return Expert(both[:, :half], both[:, half:])

        for temperature in (0.0, 0.7):
            zeros = torch.zeros(2, 16)
            prior = Expert(zeros, zeros)
            q = fuse(prior, [expert(model.bottleneck_down(f[-1])) for f in features.values()])
            kl = [kl_divergence(q, prior, fusion).sum(1)]
            z = q.mean + temperature * deviation(q, fusion) * noise[0]
            level = model.levels[0]
            shared = level.cell(level.up(model.bottleneck_up(z)))
            prior = expert(level.prior(shared))
            q = fuse(prior, [expert(level.posterior(shared, f[0])) for f in features.values()])
            kl.append(kl_divergence(q, prior, fusion).sum(dim=(1, 2, 3)))
            z = q.mean + temperature * deviation(q, fusion) * noise[1]
            out = model(x, temperature=temperature, noise=noise)
            for m in config.modalities:
                close(out.images[m], model.image_decoders[m](z))
            close(out.kl, torch.stack(kl))
            assert out.shares == ()


def test_what_is_not_asked_for_is_not_made() -> None:
    for model in (MHVAE(CONFIG), MVAE(replace(CONFIG, hierarchical=False))):
        x = {"T2": torch.zeros(2, 1, 16, 8)}
        plain = model(x)
        assert (plain.shares, set(plain.images)) == ((), {"iUS", "T2"})
        assert plain.kl.shape == (model.config.levels, 2)
        assert model(x, kl=False).kl is None
        assert model(x, outputs=["T2"]).images.keys() == {"T2"}
        assert model(x, outputs=()).images == {}
        assert model.decode(model.encode(x), 2, like=x["T2"]).shares == ()
        assert [s.shape[0] for s in model(x, shares=True).shares] == [2] * model.config.levels
        assert model(x, shares=True).shares[0].shape == (2, 2, 1, 1)
        with pytest.raises(ModelError, match="cannot use CT"):
            model(x, outputs=["CT"])
        with pytest.raises(FrozenInstanceError):
            plain.kl = None
        for drawn in (model(x, temperature=1.0), model.decode(model.encode(x), 2, like=x["T2"])):
            again = model(x)
            assert not torch.equal(drawn.images["T2"], again.images["T2"])  # 1 is the default


@torch.no_grad()
def test_the_mvae_is_one_level_and_then_no_more_chance() -> None:
    config = replace(CONFIG, hierarchical=False)
    assert config.levels == 1
    model: Any = MVAE(config).eval()
    assert model.noise_shapes(3) == [(3, 16)]
    x = {m: torch.rand(2, 1, 16, 8) for m in config.modalities}
    noise = [torch.randn(2, 16)]
    zeros = torch.zeros(2, 16)
    experts = []
    for maps_of in model.encode(x).values():
        both = 10 * torch.tanh(model.bottleneck_down(maps_of[-1]) / 10)
        experts.append(Expert(both[:, :16], both[:, 16:]))
    q = fuse(Expert(zeros, zeros), experts)
    z = model.bottleneck_up(q.mean + torch.exp(q.logvar / 2) * noise[0])
    for level in model.levels:
        z = level.head(level.cell(level.up(z)))
    out = model(x, noise=noise)
    assert out.images["T2"].shape == (2, 1, 16, 8)
    close(out.images["T2"], model.image_decoders["T2"](z))
    close(out.kl, kl_divergence(q, Expert(zeros, zeros), "gaussian").sum(1)[None])
    head = FeatureHead(4)
    y = maps(4)
    inner = F.conv2d(silu(normed(y)), head.conv0.weight, head.conv0.bias, padding=1)
    inner = F.conv2d(silu(normed(inner)), head.conv1.weight, head.conv1.bias, padding=1)
    close(head(y), F.conv2d(gated(head.gates, inner), head.last.weight))
    assert head.last.bias is None
    assert [level.up.conv.in_channels for level in model.levels] == [8, 4]
    assert isinstance(model.levels[0], FeatureLevel)


def test_the_fast_copy_has_no_norm_left_to_compute() -> None:
    model = MHVAE(CONFIG)
    fast = for_inference(model)
    assert not any(parametrize.is_parametrized(m) for m in fast.modules())
    assert any(parametrize.is_parametrized(m) for m in model.modules())
    assert not fast.training
    assert not any(p.requires_grad for p in fast.parameters())
    gone = {
        name
        for name, module in fast.named_modules()
        if isinstance(module, torch.nn.Conv2d) and module.bias is None
    }
    for name in (
        "encoders.T2.cells.0.conv0", "levels.1.cell.widen", "levels.1.cell.depthwise",
        "levels.0.posterior.conv0", "image_decoders.iUS.blocks.0.conv0",
        "image_decoders.iUS.blocks.0.conv1", "image_decoders.iUS.conv0",
    ):  # fmt: skip
        assert name in gone, name
    for name in ("encoders.T2.cells.0.conv1", "levels.1.cell.narrow", "image_decoders.T2.conv1"):
        assert name not in gone, name


def test_the_configuration_says_what_it_means() -> None:
    config = MHVAEConfig()
    assert (config.levels, config.bottleneck, config.image_features) == (7, (3, 3), 8)
    assert [config.features(d) for d in range(7)] == [16, 32, 64, 128, 128, 128, 128]
    assert replace(config, final_features=24).image_features == 24
    assert (config.clamp, config.fusion, config.final_blocks) == (10.0, "gaussian", 5)
    assert MHVAEConfig.from_dict(config.to_dict()) == config
    assert config.to_dict()["tile"] == [192, 192]
    with pytest.raises(FrozenInstanceError):
        config.pools = 3  # type: ignore[misc]
    for wrong, told in (
        ({"modalities": ()}, "different modalities"),
        ({"modalities": ("T2", "T2")}, "different modalities"),
        ({"modalities": ("T2", "")}, "empty or hold a dot"),
        ({"modalities": ("T2", "a.b")}, "empty or hold a dot"),
        ({"tile": (64, 128)}, None),
        ({"tile": (64, 90)}, "multiples of 64"),
        ({"tile": (32, 64)}, "multiples of 64"),
        ({"tile": (64, 64, 64)}, "2 values"),
        ({"pools": 0}, "pools must be"),
        ({"base_features": 1}, "base_features must be|even number"),
        ({"base_features": 7}, "even number"),
        ({"base_features": 2}, None),
        ({"pools": 1}, None),
        ({"fusion": "sum"}, "fusion must be"),
        ({"last_activation": "relu"}, "last.activation"),
    ):
        if told is None:
            replace(config, **wrong)
            continue
        with pytest.raises(ModelError, match=told):
            replace(config, **wrong)
    with pytest.raises(ModelError, match="configuration"):
        MHVAEConfig.from_dict({"tile": 7})


def test_costs_are_counted() -> None:
    with torch.device("meta"):
        assert parameters(torch.nn.Linear(3, 2)) == 8
    small = replace(CONFIG, pools=1, tile=(8, 8))
    whole, one = macs(small, ["T2"]), macs(small, ["T2"], ["iUS"])
    assert 0 < one < whole
    assert macs(small, ["T2"], ["iUS", "T2"]) == whole
    decoder = 64 * (2 * 4 * 2 * 9 // 2 + 2 * 2 * 49 + 2 * 49)  # one block and two 7x7
    assert whole - one == pytest.approx(decoder, rel=0.35)
    assert macs(replace(small, hierarchical=False), ["T2"]) != whole


def test_experts_by_numbers() -> None:
    def of(mean: float, variance: float) -> Expert:
        return Expert(torch.tensor(mean), torch.tensor(math.log(variance)))

    fused = fuse(of(1.0, 0.5), [of(3.0, 0.25)])  # (2·1 + 4·3) / 6
    assert fused.mean.item() == pytest.approx(14 / 6)
    assert fused.logvar.exp().item() == pytest.approx(1 / 6)
    with pytest.raises(FrozenInstanceError):
        fused.mean = fused.logvar  # type: ignore[misc]
