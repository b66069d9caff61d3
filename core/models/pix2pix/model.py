"""The generator of Pix2Pix (Isola et al. 2017, section 6.1): a U-Net of strided convolutions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.models.base.network import Network, stacked
from core.models.base.norm import norm
from core.models.pix2pix.config import Pix2PixConfig

DROPPED = 3
"""Layers of the expansive path with dropout, from the coarsest on."""


class Pix2Pix(Network):
    """Maps all modalities but one to that one.

    Every layer of the contracting path is leaky ReLU, 4x4 convolution with stride 2, norm; of the
    expansive one ReLU, transposed convolution, norm, dropout, on what came up and what went down at
    its size. The first and the innermost layer have no norm, the last ends in tanh.
    """

    def __init__(self, config: Pix2PixConfig) -> None:
        super().__init__()
        self.config: Pix2PixConfig = config
        widths = [config.base_features * min(2**depth, 8) for depth in range(config.pools)]
        pairs = list(pairwise([len(config.inputs), *widths]))
        self.down = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairs)
        self.down_norms = nn.ModuleList(norm(config.norm, w) for w in widths[1:-1])
        below = [1, *widths]
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(
                widths[d] * (1 if d == config.pools - 1 else 2), below[d], 4, stride=2, padding=1
            )
            for d in range(config.pools)
        )
        self.up_norms = nn.ModuleList(norm(config.norm, w) for w in widths[:-1])
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, 0.0, 0.02)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, 1, H, W) in [-1, 1]."""
        last = self.config.pools - 1
        kept: list[Tensor] = []
        for depth, conv in enumerate(self.down):
            x = conv(F.leaky_relu(x, 0.2) if depth else x)
            if 0 < depth < last:
                x = self.down_norms[depth - 1](x)
            kept.append(x)
        for depth in reversed(range(last + 1)):
            if depth < last:
                x = torch.cat([kept[depth], x], dim=1)
            x = self.up[depth](F.relu(x))
            if depth:
                x = self.up_norms[depth - 1](x)
            if 0 < depth < last and depth >= last - DROPPED:
                x = F.dropout(x, self.config.dropout, self.training)
        return torch.tanh(x)

    def synthesise(self, images: Mapping[str, Tensor], outputs: Sequence[str]) -> dict[str, Tensor]:
        """See :class:`Network`; makes the configuration's target of all its inputs."""
        made = self(stacked(images, self.config.inputs))
        return dict.fromkeys(outputs, made)
