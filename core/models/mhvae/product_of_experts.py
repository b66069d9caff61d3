"""Products of Normal experts with diagonal covariance: Eq. 6-7 and the closed form below them.

Every expert is a mean μ and a log-variance ln D of one shape. The paper prints D⁻¹ before the sum
in the fused mean; the product of Gaussians has D there, and so does this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Expert:
    """One Normal factor: ``mean`` and ``logvar`` (natural log of the variance), one shape."""

    mean: Tensor
    logvar: Tensor


def fuse(prior: Expert, posteriors: Sequence[Expert]) -> Expert:
    """Return the product of the prior and any number of unimodal posteriors.

    D = (D_prior⁻¹ + Σ Dᵢ⁻¹)⁻¹ and μ = D (D_prior⁻¹ μ_prior + Σ Dᵢ⁻¹ μᵢ). With no posterior the
    result is the prior. The order of the posteriors does not matter beyond rounding.
    """
    if not posteriors:
        return prior
    precision = torch.exp(-prior.logvar)
    weighted = precision * prior.mean
    for expert in posteriors:
        weight = torch.exp(-expert.logvar)
        precision = precision + weight
        weighted = torch.addcmul(weighted, weight, expert.mean)
    return Expert(weighted / precision, -torch.log(precision))


def precision_shares(prior: Expert, posteriors: Sequence[Expert]) -> Tensor:
    """Return how much each expert weighs in the fused mean: Dₑ⁻¹ / Σ D⁻¹.

    Returns:
        (experts, *shape): the prior first, then the posteriors in their order; sums to 1 over the
        first axis.
    """
    logits = torch.stack([-e.logvar for e in (prior, *posteriors)])
    return torch.softmax(logits, dim=0)


def deviation(expert: Expert, fusion: str) -> Tensor:
    """Return the standard deviation an expert is sampled with.

    ``"gaussian"``: σ = exp(½ ln D). ``"authors"``: σ = exp(ln D), because their code hands the
    fused variance to a sampler that expects a standard deviation; imported weights were trained so.
    """
    return torch.exp(expert.logvar if fusion == "authors" else 0.5 * expert.logvar)


def kl_divergence(q: Expert, p: Expert, fusion: str) -> Tensor:
    """Return KL[q ‖ p] in closed form, element by element, in nats (the terms of Eq. 5 and 8)."""
    scale = 2.0 if fusion == "authors" else 1.0  # ln σ² as a multiple of logvar
    log_ratio = scale * (q.logvar - p.logvar)
    distance = (q.mean - p.mean) ** 2 * torch.exp(-scale * p.logvar)
    return 0.5 * (torch.exp(log_ratio) + distance - 1.0 - log_ratio)
