"""A depthwise convolution whose gradient a CPU finds several times faster.

The library's weight gradient of a depthwise convolution took a fifth of a training step. It is the
correlation of each input channel with the same channel's output gradient, so it can be had from
one grouped convolution with the gradients as kernels, which is fast.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class DepthwiseConv2d(nn.Conv2d):
    """``channels`` separate square filters with zero padding that keeps the size.

    Parameters, values and gradients are those of ``nn.Conv2d(c, c, k, padding=k // 2, groups=c)``
    up to rounding.

    Args:
        channels: number of channels.
        kernel: side of the filters, odd.
    """

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__(channels, channels, kernel, padding=kernel // 2, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        plain = x.device.type != "cpu" or x.dtype != torch.float32 or not torch.is_grad_enabled()
        if plain or self.bias is None:
            return super().forward(x)
        out: Tensor = _Depthwise.apply(x, self.weight, self.bias)
        return out


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2, groups=weight.shape[0])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        batch, channels, height, width = x.shape
        side = weight.shape[-1]
        pad = side // 2
        grad = grad.contiguous()
        to_x = F.conv2d(grad, weight.flip(2, 3), padding=pad, groups=channels)
        # Every (row, channel) is a group of its own: one image filtered by one gradient image.
        padded = F.pad(x, (pad, pad, pad, pad)).reshape(
            1, batch * channels, height + 2 * pad, width + 2 * pad
        )
        kernels = grad.reshape(batch * channels, 1, height, width)
        to_weight = F.conv2d(padded, kernels, groups=batch * channels)
        to_weight = to_weight.reshape(batch, channels, side, side).sum(0)[:, None]
        return to_x, to_weight, grad.sum(dim=(0, 2, 3))
