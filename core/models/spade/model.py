"""The generator of SPADE (Park et al. 2019): norms whose scale and shift the input decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from core.models.base.network import Network, stacked
from core.models.base.norm import norm
from core.models.spade.config import SPADEConfig


class SpatiallyAdaptiveNorm(nn.Module):
    """Norm(x) · (1 + γ(s)) + β(s), with γ and β for every pixel from the input s (Eq. 1)."""

    def __init__(self, channels: int, inputs: int, config: SPADEConfig) -> None:
        super().__init__()
        self.norm = norm(config.norm, channels, affine=False)
        self.shared = nn.Conv2d(inputs, config.hidden, 3, padding=1)
        self.scale = nn.Conv2d(config.hidden, channels, 3, padding=1)
        self.shift = nn.Conv2d(config.hidden, channels, 3, padding=1)

    def forward(self, x: Tensor, source: Tensor) -> Tensor:
        """Modulate (B, C, h, w) by (B, inputs, H, W), taken at the size of ``x``."""
        seen = F.relu(self.shared(F.interpolate(source, size=x.shape[2:])))
        return torch.addcmul(self.shift(seen), self.norm(x), 1 + self.scale(seen))


class SPADEBlock(nn.Module):
    """Residual block of two (modulated norm, leaky ReLU, 3x3 convolution); see figure 4."""

    def __init__(self, ins: int, outs: int, inputs: int, config: SPADEConfig) -> None:
        super().__init__()
        middle = min(ins, outs)
        self.norm0 = SpatiallyAdaptiveNorm(ins, inputs, config)
        self.norm1 = SpatiallyAdaptiveNorm(middle, inputs, config)
        self.conv0 = spectral_norm(nn.Conv2d(ins, middle, 3, padding=1))
        self.conv1 = spectral_norm(nn.Conv2d(middle, outs, 3, padding=1))
        self.learned = ins != outs
        if self.learned:
            self.norm_skip = SpatiallyAdaptiveNorm(ins, inputs, config)
            self.conv_skip = spectral_norm(nn.Conv2d(ins, outs, 1, bias=False))

    def forward(self, x: Tensor, source: Tensor) -> Tensor:
        """Map (B, ins, h, w) to (B, outs, h, w)."""
        y = self.conv0(F.leaky_relu(self.norm0(x, source), 0.2))
        y = self.conv1(F.leaky_relu(self.norm1(y, source), 0.2))
        skip = self.conv_skip(self.norm_skip(x, source)) if self.learned else x
        return cast(Tensor, skip + y)


class SPADE(Network):
    """Maps all modalities but one to that one, from the coarsest size to the full one."""

    def __init__(self, config: SPADEConfig) -> None:
        super().__init__()
        self.config: SPADEConfig = config
        inputs, widths = len(config.inputs), config.widths
        self.first = nn.Conv2d(inputs, widths[0], 3, padding=1)
        self.head = SPADEBlock(widths[0], widths[0], inputs, config)
        self.middle = nn.ModuleList(
            SPADEBlock(widths[0], widths[0], inputs, config) for _ in range(2)
        )
        self.up = nn.ModuleList(SPADEBlock(a, b, inputs, config) for a, b in pairwise(widths))
        self.last = nn.Conv2d(widths[-1], 1, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_normal_(module.weight, gain=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, source: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, 1, H, W) in [-1, 1]."""
        height, width = (n // self.config.stride for n in source.shape[2:])
        x = self.first(F.interpolate(source, size=(height, width)))
        x = F.interpolate(self.head(x, source), scale_factor=2)
        for block in self.middle:
            x = block(x, source)
        for block in self.up:
            x = block(F.interpolate(x, scale_factor=2), source)
        return torch.tanh(self.last(F.leaky_relu(x, 0.2)))

    def synthesise(self, images: Mapping[str, Tensor], outputs: Sequence[str]) -> dict[str, Tensor]:
        """See :class:`Network`; makes the configuration's target of all its inputs."""
        made = self(stacked(images, self.config.inputs))
        return dict.fromkeys(outputs, made)
