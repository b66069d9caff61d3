"""A plain U-Net (Ronneberger et al. 2015) that learns the expected image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.models.base.config import INSTANCE
from core.models.base.network import Network, stacked
from core.models.base.norm import norm
from core.models.unet.config import UNetConfig


class UNet(Network):
    """Maps all modalities but one to that one."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config: UNetConfig = config
        widths = [config.base_features << depth for depth in range(config.pools + 1)]
        ins = [len(config.inputs), *widths]
        self.down = nn.ModuleList(_twice(a, b) for a, b in zip(ins, widths, strict=False))
        self.up = nn.ModuleList(_twice(3 * width, width) for width in widths[:-1])
        self.last = nn.Conv2d(widths[0], 1, 1)

    def synthesise(self, images: Mapping[str, Tensor], outputs: Sequence[str]) -> dict[str, Tensor]:
        """See :class:`Network`; makes the configuration's target of all its inputs."""
        x, kept = stacked(images, self.config.inputs), []
        for depth, cell in enumerate(self.down):
            x = cell(F.max_pool2d(x, 2) if depth else x)
            kept.append(x)
        for depth in reversed(range(self.config.pools)):
            x = self.up[depth](torch.cat([kept[depth], F.interpolate(x, scale_factor=2)], dim=1))
        return {m: torch.tanh(self.last(x)) for m in outputs}


def _twice(ins: int, width: int) -> nn.Sequential:
    cells: list[nn.Module] = []
    for channels in (ins, width):
        conv = nn.Conv2d(channels, width, 3, padding=1)
        cells += [conv, norm(INSTANCE, width), nn.ReLU()]
    return nn.Sequential(*cells)
