"""The transformer of ResViT: ViT's encoder (Dosovitskiy et al. 2021), shared by its blocks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.models.resvit.config import ResViTConfig


class Layer(nn.Module):
    """Attention and two dense layers, each after a norm and added to what came in."""

    def __init__(self, config: ResViTConfig) -> None:
        super().__init__()
        size = config.hidden
        self.heads, self.dropout = config.heads, config.dropout
        self.norm0 = nn.LayerNorm(size, eps=1e-6)
        self.norm1 = nn.LayerNorm(size, eps=1e-6)
        self.query, self.key, self.value, self.out = (nn.Linear(size, size) for _ in range(4))
        self.widen = nn.Linear(size, config.mlp)
        self.narrow = nn.Linear(config.mlp, size)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (B, N, hidden) to the same shape."""
        seen = self.norm0(tokens)
        batch, count, size = seen.shape

        def split(x: Tensor) -> Tensor:
            return x.view(batch, count, self.heads, size // self.heads).transpose(1, 2)

        query, key, value = (split(f(seen)) for f in (self.query, self.key, self.value))
        mixed = F.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.out(mixed.transpose(1, 2).reshape(batch, count, size))
        x = F.dropout(F.gelu(self.widen(self.norm1(tokens))), self.dropout, self.training)
        return tokens + F.dropout(self.narrow(x), self.dropout, self.training)


class Transformer(nn.Module):
    """All layers and a last norm."""

    def __init__(self, config: ResViTConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.hidden, eps=1e-6)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (B, N, hidden) to the same shape."""
        for layer in self.layers:
            tokens = layer(tokens)
        return self.norm(tokens)


class Tokens(nn.Module):
    """Every pixel of a coarse map as a token, with a learned place added to it."""

    def __init__(self, channels: int, config: ResViTConfig) -> None:
        super().__init__()
        height, width = (n // config.stride for n in config.tile)
        self.embed = nn.Conv2d(channels, config.hidden, 1)
        self.places = nn.Parameter(torch.zeros(1, height * width, config.hidden))
        self.dropout = config.dropout

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, h·w, hidden)."""
        tokens = self.embed(x).flatten(2).transpose(1, 2) + self.places
        return F.dropout(tokens, self.dropout, self.training)
