"""The generator of ResViT (Dalmaz et al. 2022): encoder, residual transformer blocks, decoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.models.base.network import Network, stacked
from core.models.base.norm import norm
from core.models.resvit.config import ResViTConfig
from core.models.resvit.transformer import Tokens, Transformer


def _conv(ins: int, outs: int, kind: str, *, size: int = 3, stride: int = 1) -> nn.Sequential:
    """Return a convolution with a norm, no ReLU."""
    conv = nn.Conv2d(ins, outs, size, stride=stride, padding=size // 2, bias=False)
    return nn.Sequential(conv, norm(kind, outs))


def _up(ins: int, outs: int, kind: str) -> nn.Sequential:
    """Return a transposed convolution that doubles the size, with norm and ReLU."""
    conv = nn.ConvTranspose2d(ins, outs, 3, stride=2, padding=1, output_padding=1, bias=False)
    return nn.Sequential(conv, norm(kind, outs), nn.ReLU())


class ResidualBlock(nn.Module):
    """x + two 3x3 convolutions of it, with reflected borders."""

    def __init__(self, channels: int, kind: str) -> None:
        super().__init__()
        cells: list[nn.Module] = []
        for last in (False, True):
            conv = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect", bias=False)
            cells += [conv, norm(kind, channels)] + ([] if last else [nn.ReLU()])
        self.cells = nn.Sequential(*cells)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to the same shape."""
        return cast(Tensor, x + self.cells(x))


class Compression(nn.Module):
    """Brings two sources of context side by side back to the channels of one (figure 2)."""

    def __init__(self, ins: int, outs: int, kind: str) -> None:
        super().__init__()
        self.skip = _conv(ins, outs, kind, size=1)
        self.cells = nn.Sequential(*_conv(ins, outs, kind), nn.ReLU(), *_conv(outs, outs, kind))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, ins, h, w) to (B, outs, h, w)."""
        return F.relu(self.cells(x) + self.skip(x))


class Context(nn.Module):
    """A block's way through the transformer: two halvings, tokens, and back (Eq. 3 to 6)."""

    def __init__(self, channels: int, config: ResViTConfig) -> None:
        super().__init__()
        kind, coarse = config.norm, 4 * channels
        self.down = nn.Sequential(
            *_conv(channels, 2 * channels, kind, stride=2), nn.ReLU(),
            *_conv(2 * channels, coarse, kind, stride=2), nn.ReLU(),
        )  # fmt: skip
        self.tokens = Tokens(coarse, config)
        self.up = nn.Sequential(
            *_up(config.hidden, 2 * channels, kind), *_up(2 * channels, channels, kind)
        )
        self.compress = Compression(2 * channels, channels, kind)

    def forward(self, x: Tensor, transformer: Transformer) -> Tensor:
        """Map (B, C, h, w) to the same shape."""
        down = self.down(x)
        tokens = transformer(self.tokens(down))
        seen = tokens.transpose(1, 2).reshape(x.shape[0], -1, *down.shape[2:])
        return cast(Tensor, self.compress(torch.cat([self.up(seen), x], dim=1)))


class ARTBlock(nn.Module):
    """Aggregated residual transformer block: context, where it has any, then convolutions."""

    def __init__(self, channels: int, config: ResViTConfig, *, context: bool) -> None:
        super().__init__()
        self.context = Context(channels, config) if context else None
        self.residual = ResidualBlock(channels, config.norm)

    def forward(self, x: Tensor, transformer: Transformer | None) -> Tensor:
        """Map (B, C, h, w) to the same shape; without a transformer by convolutions alone."""
        if self.context is not None and transformer is not None:
            x = self.context(x, transformer)
        return cast(Tensor, self.residual(x))


class ResViT(Network):
    """Maps any subset of the modalities to all of them; a missing one is an image of zeros.

    It is trained in two stages: convolutions first, then with the transformers
    (:attr:`with_transformers`, kept with the weights).
    """

    with_transformers: Tensor

    def __init__(self, config: ResViTConfig) -> None:
        super().__init__()
        self.config: ResViTConfig = config
        f, kind, count = config.base_features, config.norm, len(config.modalities)
        self.encoder = nn.Sequential(
            nn.Conv2d(count, f, 7, padding=3, padding_mode="reflect", bias=False),
            norm(kind, f), nn.ReLU(),
            *_conv(f, 2 * f, kind, stride=2), nn.ReLU(),
            *_conv(2 * f, 4 * f, kind, stride=2), nn.ReLU(),
        )  # fmt: skip
        self.transformer = Transformer(config)
        self.blocks = nn.ModuleList(
            ARTBlock(4 * f, config, context=n in config.transformers)
            for n in range(1, config.blocks + 1)
        )
        self.decoder = nn.Sequential(
            *_up(4 * f, 2 * f, kind), *_up(2 * f, f, kind),
            nn.Conv2d(f, count, 7, padding=3, padding_mode="reflect"), nn.Tanh(),
        )  # fmt: skip
        self.register_buffer("with_transformers", torch.ones(()))
        self.frozen: bool | None = None
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, 0.0, 0.02)
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, modalities, H, W), zeros for missing ones, to the same shape in [-1, 1]."""
        if self.frozen is None:
            on = self.with_transformers.is_meta or bool(self.with_transformers > 0)
        else:
            on = self.frozen
        transformer = self.transformer if on else None
        x = self.encoder(x)
        for block in self.blocks:
            x = block(x, transformer)
        return cast(Tensor, self.decoder(x))

    def freeze(self) -> None:
        """Settle the stage: a graph that is exported cannot ask a number in between."""
        self.frozen = bool(self.with_transformers > 0)

    def synthesise(self, images: Mapping[str, Tensor], outputs: Sequence[str]) -> dict[str, Tensor]:
        """See :class:`Network`."""
        names = self.config.modalities
        made = self(stacked(images, names))
        return {m: made[:, names.index(m)][:, None] for m in outputs}
