"""The optimiser of a network, by the plan."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from trainer.plan.schema import Plan

BETAS = (0.5, 0.999)
"""Of Adam beside a discriminator (Radford et al. 2016; Isola et al. 2017)."""


def optimiser(plan: Plan, parameters: Iterator[nn.Parameter]) -> torch.optim.Optimizer:
    """Return the plan's optimiser at its first learning rate."""
    if plan.optimiser.kind == "adam":
        return torch.optim.Adam(parameters, lr=plan.optimiser.rate, betas=BETAS)
    return torch.optim.Adamax(parameters, lr=plan.optimiser.rate)
