"""The same network, rewritten so that a forward pass costs less and gives the same image."""

from __future__ import annotations

import torch
from torch.nn.utils import parametrize

from core.models.base.network import Network


def for_inference(model: Network) -> Network:
    """Return a copy with its weight norms folded and without what only training needs.

    Images differ from the original's only by rounding.
    """
    # A deep copy would share the classes that parametrizations create; removing them from the copy
    # would then break the original. A second model that takes over the weights does not.
    with torch.device("meta"):
        fast = type(model)(model.config)
    fast.load_state_dict(model.state_dict(), assign=True)
    fast.eval().requires_grad_(False)
    for module in list(fast.modules()):
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
    fast.freeze()
    return fast
