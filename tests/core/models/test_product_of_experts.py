"""The product of experts against an oracle that multiplies densities."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Normal, kl_divergence

from core.models.mhvae import product_of_experts as poe
from core.models.mhvae.product_of_experts import Expert

finite = st.floats(-8, 8, allow_nan=False)


def expert(mean: float, logvar: float) -> Expert:
    return Expert(
        torch.tensor([mean], dtype=torch.float64), torch.tensor([logvar], dtype=torch.float64)
    )


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(finite, finite), min_size=1, max_size=5))
def test_fused_moments_match_the_multiplied_densities(
    parameters: list[tuple[float, float]],
) -> None:
    fused = poe.fuse(expert(*parameters[0]), [expert(*p) for p in parameters[1:]])
    # ln of a product of normals is a parabola; its curvature and apex give the moments.
    curvature = math.fsum(math.exp(-logvar) for _, logvar in parameters)
    slope = math.fsum(math.exp(-logvar) * mean for mean, logvar in parameters)
    assert float(torch.exp(fused.logvar)) == pytest.approx(1 / curvature, rel=1e-12)
    assert float(fused.mean) == pytest.approx(slope / curvature, rel=1e-12, abs=1e-12)


def test_without_a_posterior_the_product_is_the_prior() -> None:
    prior = expert(0.3, -1.2)
    assert poe.fuse(prior, []) is prior


def test_the_order_of_the_posteriors_does_not_matter() -> None:
    torch.manual_seed(0)
    prior, a, b, c = (
        Expert(torch.randn(4, 5, dtype=torch.float64), torch.randn(4, 5, dtype=torch.float64))
        for _ in range(4)
    )
    one, other = poe.fuse(prior, [a, b, c]), poe.fuse(prior, [c, a, b])
    torch.testing.assert_close(one.mean, other.mean, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(one.logvar, other.logvar, rtol=1e-12, atol=1e-12)


def test_one_unit_expert_and_the_prior_give_a_deviation_of_0707() -> None:
    fused = poe.fuse(expert(0, 0), [expert(0, 0)])
    assert float(poe.deviation(fused, "gaussian")) == pytest.approx(math.sqrt(0.5))
    assert float(poe.deviation(fused, "authors")) == pytest.approx(0.5)


@pytest.mark.parametrize("fusion", ["gaussian", "authors"])
def test_closed_form_kl_equals_torch_and_the_single_sample_estimator(fusion: str) -> None:
    torch.manual_seed(1)
    q, p = (Expert(torch.randn(6).double(), 0.5 * torch.randn(6).double()) for _ in range(2))
    closed = poe.kl_divergence(q, p, fusion)
    nq = Normal(q.mean, poe.deviation(q, fusion))
    np_ = Normal(p.mean, poe.deviation(p, fusion))
    torch.testing.assert_close(closed, kl_divergence(nq, np_))
    z = nq.sample((200_000,))
    estimate = (nq.log_prob(z) - np_.log_prob(z)).mean(0)
    torch.testing.assert_close(estimate, closed, rtol=0.03, atol=0.02)


def test_shares_are_precisions_and_sum_to_one() -> None:
    shares = poe.precision_shares(expert(0, 0), [expert(5, math.log(0.5)), expert(1, 0)])
    torch.testing.assert_close(shares[:, 0], torch.tensor([0.25, 0.5, 0.25], dtype=torch.float64))
