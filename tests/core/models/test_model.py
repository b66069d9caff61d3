"""The network: anchors of the architecture, subsets, noise, gradients, the fast copy."""

import itertools
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.models.base.config import ModelError
from core.models.cost import macs, parameters
from core.models.inference import for_inference
from core.models.mhvae.config import MHVAEConfig
from core.models.mhvae.model import MHVAE
from core.models.mhvae.mvae import MVAE

SMALL = MHVAEConfig(
    modalities=("iUS", "T2", "FLAIR"),
    tile=(16, 24),
    base_features=4,
    max_features=8,
    pools=3,
    final_blocks=1,
)


@pytest.fixture(scope="module")
def model() -> MHVAE:
    torch.manual_seed(0)
    return MHVAE(SMALL).eval()


def images(*names: str, batch: int = 2) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    full = {
        m: torch.rand(batch, 1, *SMALL.tile, generator=generator) * 2 - 1 for m in SMALL.modalities
    }
    return {m: full[m] for m in names}


def test_the_published_architecture_has_its_parameters_and_macs() -> None:
    config = MHVAEConfig(final_blocks=6)
    with torch.device("meta"):
        assert parameters(MHVAE(config)) == 10_099_032
    assert config.levels == 7
    assert macs(config, ["iUS"]) / 1e9 == pytest.approx(5.77, abs=0.005)
    assert macs(config, ["T2"]) / 1e9 == pytest.approx(5.77, abs=0.005)
    assert macs(config, ["iUS", "T2"]) / 1e9 == pytest.approx(7.81, abs=0.005)


def test_the_paper_s_latent_shapes() -> None:
    with torch.device("meta"):
        shapes = MHVAE(MHVAEConfig()).noise_shapes(1)
    assert shapes == [
        (1, 256),
        (1, 64, 6, 6),
        (1, 64, 12, 12),
        (1, 64, 24, 24),
        (1, 32, 48, 48),
        (1, 16, 96, 96),
        (1, 8, 192, 192),
    ]


@pytest.mark.parametrize(
    "subset", [s for n in (1, 2, 3) for s in itertools.combinations(SMALL.modalities, n)]
)
def test_every_subset_gives_every_image(model: MHVAE, subset: tuple[str, ...]) -> None:
    out = model(images(*subset), shares=True)
    assert set(out.images) == set(SMALL.modalities)
    for image in out.images.values():
        assert image.shape == (2, 1, 16, 24)
        assert image.abs().max() <= 1
    assert out.kl is not None
    assert out.kl.shape == (4, 2)
    assert (out.kl >= 0).all()
    for share in out.shares:
        assert share.shape[0] == 1 + len(subset)
        torch.testing.assert_close(share.sum(0), torch.ones_like(share[0]))


def test_the_order_of_the_inputs_is_irrelevant(model: MHVAE) -> None:
    x = images(*SMALL.modalities)
    one = model(x, temperature=0.0).images["T2"]
    other = model(dict(reversed(x.items())), temperature=0.0).images["T2"]
    assert torch.equal(one, other)


def test_temperature_zero_is_deterministic_and_noise_is_seeded(model: MHVAE) -> None:
    x = images("T2")

    def run(seed: int, temperature: float) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return model(x, temperature=temperature, noise=generator).images["iUS"]

    assert torch.equal(run(1, 0.0), run(2, 0.0))
    assert torch.equal(run(1, 0.7), run(1, 0.7))
    assert not torch.equal(run(1, 0.7), run(2, 0.7))


def test_given_noise_is_used_coarsest_first(model: MHVAE) -> None:
    x = images("T2")
    zeros = [torch.zeros(shape) for shape in model.noise_shapes(2)]
    torch.testing.assert_close(
        model(x, noise=zeros).images["iUS"], model(x, temperature=0.0).images["iUS"]
    )
    zeros[0] += 3
    assert not torch.equal(
        model(x, noise=zeros).images["iUS"], model(x, temperature=0.0).images["iUS"]
    )


def test_the_prior_alone_makes_images_with_no_divergence(model: MHVAE) -> None:
    drawn = model.sample_prior(3, noise=torch.Generator().manual_seed(0))
    assert drawn["iUS"].shape == (3, 1, 16, 24)
    out = model.decode({}, 2, like=torch.zeros(1))
    assert out.kl is not None
    assert out.kl.abs().max() == 0


def test_levels_do_without_their_experts(model: MHVAE) -> None:
    given = images("T2")
    other = {"T2": given["T2"].flip(2)}
    with torch.no_grad():
        whole = model(given, temperature=0.0)
        cut = model(given, temperature=0.0, without=(1, 3))
        alone = model(given, temperature=0.0, without=range(1, SMALL.levels + 1))
        prior = model.sample_prior(2, temperature=0.0)
        same = model(other, temperature=0.0, without=(1, 2, 3, 4))
    assert cut.kl is not None
    assert whole.kl is not None
    assert (cut.kl.sum(1) == 0).tolist() == [False, True, False, True]  # coarsest level first
    assert torch.equal(cut.kl[0], whole.kl[0])
    for m in SMALL.modalities:
        assert not torch.allclose(whole.images[m], cut.images[m], atol=1e-4)
        assert torch.equal(alone.images[m], prior[m])
        assert torch.equal(alone.images[m], same.images[m])


def test_the_one_level_of_an_mvae_can_do_without_experts_as_well() -> None:
    torch.manual_seed(0)
    config = replace(SMALL, hierarchical=False)
    one = MVAE(config).eval()
    with torch.no_grad():
        found = one(images("T2"), temperature=0.0, without=(1,)).images["iUS"]
        assert torch.equal(found, one.sample_prior(2, temperature=0.0)["iUS"])
        assert not torch.equal(found, one(images("T2"), temperature=0.0).images["iUS"])


def test_gradients_reach_every_expert() -> None:
    torch.manual_seed(0)
    model = MHVAE(SMALL)
    out = model(images(*SMALL.modalities))
    assert out.kl is not None
    loss = sum(image.abs().mean() for image in out.images.values()) + out.kl.sum() * 1e-3
    torch.as_tensor(loss).backward()
    moved = {n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    for modality in SMALL.modalities:
        assert f"encoders.{modality}.first.weight" in moved
        assert f"image_decoders.{modality}.conv1.weight" in moved
    for level in range(SMALL.pools):
        assert f"levels.{level}.prior.parametrizations.weight.original1" in moved
        assert f"levels.{level}.posterior.last.parametrizations.weight.original1" in moved
    assert "bottleneck_down.linear.parametrizations.weight.original1" in moved


def test_the_fast_copy_gives_the_same_images_and_spares_the_original(model: MHVAE) -> None:
    x = images("iUS", "T2")
    before = model(x, temperature=0.0).images
    fast = for_inference(model)(x, temperature=0.0, outputs=["FLAIR"], kl=False)
    assert list(fast.images) == ["FLAIR"]
    torch.testing.assert_close(fast.images["FLAIR"], before["FLAIR"], atol=2e-5, rtol=0)
    assert torch.equal(model(x, temperature=0.0).images["FLAIR"], before["FLAIR"])


@given(st.integers(1, 3), st.sampled_from([8, 12, 20, 33]))
@settings(max_examples=20, deadline=None)
def test_tiles_must_divide_by_the_poolings(pools: int, side: int) -> None:
    if side % 2**pools:
        with pytest.raises(ModelError, match="multiples"):
            MHVAEConfig(tile=(side, side), pools=pools)
    else:
        assert MHVAEConfig(tile=(side, side), pools=pools).bottleneck == (side >> pools,) * 2


def test_wrong_subsets_are_named(model: MHVAE) -> None:
    with pytest.raises(ModelError, match="knows iUS, T2, FLAIR; it cannot use CT"):
        model({"CT": torch.zeros(1, 1, 16, 24)})
    with pytest.raises(ModelError, match="at least one of"):
        model({})
    with pytest.raises(ModelError, match="does not know"):
        MHVAEConfig.from_dict({"depth": 3})
