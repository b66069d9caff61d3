"""What a model costs: parameters and multiply-accumulates, counted, not estimated."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from core.models.base.config import ModelConfig
from core.models.weights import build


def parameters(model: nn.Module) -> int:
    """Number of learned parameters."""
    return sum(p.numel() for p in model.parameters())


def macs(config: ModelConfig, subset: Sequence[str], outputs: Sequence[str] | None = None) -> int:
    """Multiply-accumulates of convolutions and linear maps for one tile.

    Args:
        config: the architecture.
        subset: input modalities.
        outputs: modalities decoded; all when ``None``.
    """
    with torch.device("meta"), torch.no_grad():
        model = build(config).eval()
        images = {m: torch.empty(1, 1, *config.tile) for m in subset}
        with FlopCounterMode(display=False) as counter:
            model.synthesise(images, config.modalities if outputs is None else outputs)
    return int(counter.get_total_flops()) // 2
