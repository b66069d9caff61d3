"""The ablation's model: one level, the cost the authors' has, the same use."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from core.models.cost import macs, parameters
from core.models.inference import for_inference
from core.models.mhvae.config import MHVAEConfig
from core.models.mhvae.model import MHVAE
from core.models.mhvae.mvae import MVAE

CONFIG = MHVAEConfig(
    tile=(16, 16), base_features=4, max_features=8, pools=2, final_blocks=1, hierarchical=False
)


def test_one_level_and_any_subset() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = MVAE(CONFIG)
    images = {m: torch.rand(2, 1, 16, 16) for m in CONFIG.modalities}
    one = model({"T2": images["T2"]}, noise=torch.Generator().manual_seed(1), shares=True)
    assert one.kl is not None
    assert one.kl.shape == (1, 2)
    assert one.images.keys() == images.keys()
    assert torch.allclose(one.shares[0].sum(0), torch.ones(2, 1, 1))
    both = model(images, temperature=0, outputs=("iUS",), kl=False)
    assert list(both.images) == ["iUS"]
    fast = for_inference(model)
    torch.testing.assert_close(
        fast(images, temperature=0).images["iUS"], both.images["iUS"], atol=1e-5, rtol=1e-5
    )
    assert model.sample_prior(1)["T2"].shape == (1, 1, 16, 16)


def test_nothing_but_the_vector_reaches_the_image() -> None:
    model = MVAE(CONFIG)
    noise = [torch.zeros(1, 16)]
    vector = model.bottleneck_down
    torch.nn.init.zeros_(vector.linear.parametrizations.weight.original0)
    torch.nn.init.zeros_(vector.linear.bias)
    a, b = (model({"T2": torch.rand(1, 1, 16, 16)}, noise=noise).images["T2"] for _ in range(2))
    assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("subset", "expected"), [(("iUS",), 5.343984e9), (("iUS", "T2"), 6.240378112e9)]
)
def test_cost_equals_the_authors_ablation(subset: tuple[str, ...], expected: float) -> None:
    """Counted on their MVAE2D with the settings of the MHVAE's anchors (6 blocks, 8 channels)."""
    config = MHVAEConfig(final_blocks=6)
    single = replace(config, hierarchical=False)
    assert macs(single, subset) == pytest.approx(expected, rel=1e-6)
    with torch.device("meta"):
        assert parameters(MVAE(single)) == 9_525_744
        assert parameters(MHVAE(config)) == 10_099_032
