"""The cells the networks are built of.

All tensors are (batch, channels, height, width). Instance norms have no learned scale or shift and
use the statistics of the tile they see.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from core.models.mhvae.depthwise import DepthwiseConv2d


class SqueezeExcitation(nn.Module):
    """Channel gates from the mean over the whole tile (Hu et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // 16, 4)
        self.squeeze = nn.Linear(channels, hidden)
        self.excite = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` with every channel scaled by its gate in (0, 1)."""
        gates = torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean(dim=(2, 3))))))
        return x * gates[:, :, None, None]


def instance_norm(x: Tensor) -> Tensor:
    """Normalise every channel of every tile to mean 0 and variance 1.

    A group norm with one channel per group is the same arithmetic and, on a CPU, two to four times
    as fast as torch's instance norm, which goes through the batch norm kernel.
    """
    return F.group_norm(x, x.shape[1])


def norm_act(x: Tensor) -> Tensor:
    """Instance norm, then SiLU (the paper's Swish)."""
    return F.silu(instance_norm(x), inplace=not x.requires_grad)


class EncoderCell(nn.Module):
    """Residual cell of the contracting path: twice (norm, SiLU, 3x3 conv), then gates."""

    def __init__(self, channels: int, residual: bool, squeeze_excitation: bool) -> None:
        super().__init__()
        self.residual = residual
        self.conv0 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.gates = SqueezeExcitation(channels) if squeeze_excitation else None

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        y = self.conv1(norm_act(self.conv0(norm_act(x))))
        if self.gates is not None:
            y = self.gates(y)
        return y + x if self.residual else y


class DecoderCell(nn.Module):
    """Inverted residual cell of the expansive path (MobileNetV2, as NVAE uses it).

    Widens six-fold by a 3x3 conv, filters each channel by a 5x5 depthwise conv, narrows by a 1x1.
    """

    def __init__(self, channels: int, residual: bool, squeeze_excitation: bool) -> None:
        super().__init__()
        self.residual = residual
        hidden = 6 * channels
        self.widen = nn.Conv2d(channels, hidden, 3, padding=1)
        self.depthwise = DepthwiseConv2d(hidden, 5)
        self.gates = SqueezeExcitation(hidden) if squeeze_excitation else None
        self.narrow = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        y = norm_act(self.widen(instance_norm(x)))
        y = norm_act(self.depthwise(y))
        if self.gates is not None:
            y = self.gates(y)
        y = self.narrow(y)
        return y + x if self.residual else y


class PosteriorHead(nn.Module):
    """Turns shared features beside one modality's features into that modality's expert.

    (B, 2C, H, W) → (B, C, H, W): mean and log-variance, C/2 channels each.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(2 * channels, channels, 3, padding=1)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.gates = SqueezeExcitation(channels)
        self.last = weight_norm(nn.Conv2d(channels, channels, 1, bias=False), dim=0)

    def forward(self, shared: Tensor, own: Tensor) -> Tensor:
        """Map two (B, C, H, W) to one (B, C, H, W)."""
        # Instance norm works per channel, so both halves may be normed before they meet.
        y = torch.cat((norm_act(shared), norm_act(own)), dim=1)
        return self.last(self.gates(self.conv1(norm_act(self.conv0(y)))))


class Upsample(nn.Module):
    """Bilinear doubling, then a 3x3 conv without bias."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, out, 2H, 2W)."""
        return self.conv(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False))


class MapToVector(nn.Module):
    """The last encoder map (B, C, h, w) → (B, out): the step to the 1x1 level."""

    def __init__(self, channels: int, size: tuple[int, int], out: int) -> None:
        super().__init__()
        self.linear = weight_norm(nn.Linear(channels * size[0] * size[1], out), dim=0)

    def forward(self, x: Tensor) -> Tensor:
        """Flatten in (C, h, w) order and project."""
        return self.linear(x.flatten(1))


class VectorToMap(nn.Module):
    """z_L (B, in) → (B, C, h, w): the step back from the 1x1 level."""

    def __init__(self, features: int, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.shape = (channels, *size)
        self.linear = weight_norm(nn.Linear(features, channels * size[0] * size[1]), dim=0)

    def forward(self, z: Tensor) -> Tensor:
        """Project and unfold in (C, h, w) order."""
        return self.linear(z).unflatten(1, self.shape)


class ResnetBlock(nn.Module):
    """Reflect-padded 3x3 conv, norm, ReLU, conv, norm, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(channels, channels, 3)
        self.conv1 = nn.Conv2d(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        y = F.relu(instance_norm(self.conv0(F.pad(x, (1, 1, 1, 1), mode="reflect"))))
        return x + instance_norm(self.conv1(F.pad(y, (1, 1, 1, 1), mode="reflect")))


class ImageDecoder(nn.Module):
    """μᵢ(z₁), the finest latent to one modality's image: ResNet blocks, then two 7x7 convs."""

    def __init__(self, channels: int, features: int, blocks: int, last_activation: str) -> None:
        super().__init__()
        self.enter = nn.Conv2d(channels, features, 1) if features != channels else None
        self.blocks = nn.Sequential(*(ResnetBlock(features) for _ in range(blocks)))
        self.conv0 = nn.Conv2d(features, features, 7)
        self.conv1 = nn.Conv2d(features, 1, 7)
        self.tanh = last_activation == "tanh"

    def forward(self, z: Tensor) -> Tensor:
        """Map z₁ (B, C, H, W) to (B, 1, H, W), in [-1, 1] when the last activation is tanh."""
        y = z if self.enter is None else self.enter(z)
        y = self.conv0(F.pad(self.blocks(y), (3, 3, 3, 3), mode="reflect"))
        y = F.leaky_relu(instance_norm(y), 0.2)
        y = self.conv1(F.pad(y, (3, 3, 3, 3), mode="reflect"))
        return torch.tanh(y) if self.tanh else y


def before_a_norm(module: nn.Module) -> list[nn.Conv2d]:
    """Return the convolutions of a cell whose bias the instance norm after them takes away."""
    if isinstance(module, EncoderCell | PosteriorHead):
        return [module.conv0]
    if isinstance(module, DecoderCell):
        return [module.widen, module.depthwise]
    if isinstance(module, ResnetBlock):
        return [module.conv0, module.conv1]
    if isinstance(module, ImageDecoder):
        return [module.conv0]
    return []
