"""PatchGAN: a convolutional critic that scores overlapping patches, not the whole tile."""

from __future__ import annotations

from itertools import combinations
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from core.models.base.config import ModelConfig
from trainer.plan.patches import score_map
from trainer.plan.schema import Plan


class PatchDiscriminator(nn.Module):
    """4x4 convolutions, ``layers`` of them halving the image, then two that keep its size.

    With spectral norms (Miyato et al. 2018) it sees how strong an image's contrast is, which
    instance norms remove from it. Their singular vectors move in :meth:`follow` and nowhere else,
    so that a score does not depend on how many were asked for before it.

    Args:
        tile: height and width it will judge.
        layers: number of halvings; 3 sees patches of 70 pixels (Isola et al. 2017).
        features: channels after the first convolution; doubled up to four times.
        norm: ``"spectral"`` or ``"instance"``.
        channels: of what it judges: the image, and its inputs where it sees them.

    Raises:
        TrainerError: the score map would be smaller than 3x3: no patches to speak of.
    """

    def __init__(
        self,
        tile: tuple[int, int],
        layers: int = 3,
        features: int = 64,
        norm: str = "spectral",
        channels: int = 1,
    ) -> None:
        super().__init__()
        score_map(tile, layers)
        self.spectral = norm == "spectral"
        cells: list[nn.Module] = []
        for depth in range(layers):
            width = features * min(2**depth, 4)
            cells.append(self._conv(channels, width, stride=2))
            if depth and not self.spectral:
                cells.append(nn.InstanceNorm2d(width))
            cells.append(nn.LeakyReLU(0.2))
            channels = width
        width = features * min(2**layers, 4)
        cells.append(self._conv(channels, width))
        if not self.spectral:
            cells.append(nn.InstanceNorm2d(width))
        cells += [nn.LeakyReLU(0.2), self._conv(width, 1)]
        self.cells = nn.Sequential(*cells)
        self.eval()

    def _conv(self, channels: int, out: int, stride: int = 1) -> nn.Module:
        conv = nn.Conv2d(channels, out, 4, stride=stride, padding=1)
        return spectral_norm(conv) if self.spectral else conv

    def forward(self, image: Tensor) -> Tensor:
        """Score (B, channels, H, W) as (B, 1, h, w): 1 for real, 0 for fake."""
        scores: Tensor = self.cells(image)
        return scores

    def maps(self, image: Tensor) -> list[list[Tensor]]:
        """Return the maps after every layer of the only scale, the scores last."""
        found, x = [], image
        for cell in self.cells:
            x = cell(x)
            if isinstance(cell, nn.LeakyReLU):
                found.append(x)
        return [[*found, x]]

    def follow(self) -> None:
        """Move the singular vectors one power iteration after the weights; after every step."""
        if self.spectral:
            self.train()
            with torch.no_grad():
                for cell in self.cells:
                    _ = getattr(cell, "weight", None)  # training mode iterates when it is read
            self.eval()


class MultiScaleDiscriminator(nn.Module):
    """PatchGANs at full, half, quarter … size (Wang et al. 2018), which see as much more around.

    Args:
        tile, layers, features, norm, channels: as for :class:`PatchDiscriminator`.
        scales: how many.

    Raises:
        TrainerError: the coarsest score map would be smaller than 3x3.
    """

    def __init__(
        self,
        tile: tuple[int, int],
        layers: int = 3,
        features: int = 64,
        norm: str = "spectral",
        channels: int = 1,
        scales: int = 2,
    ) -> None:
        super().__init__()
        sizes = [(tile[0] >> n, tile[1] >> n) for n in range(scales)]
        self.scales = nn.ModuleList(
            PatchDiscriminator(size, layers, features, norm, channels) for size in sizes
        )
        self.eval()

    def maps(self, image: Tensor) -> list[list[Tensor]]:
        """Return for every scale the maps after every layer, the scores last."""
        found = []
        for n, scale in enumerate(self.scales):
            if n:
                image = F.avg_pool2d(image, 3, stride=2, padding=1, count_include_pad=False)
            found += cast(PatchDiscriminator, scale).maps(image)
        return found

    def follow(self) -> None:
        """See :meth:`PatchDiscriminator.follow`."""
        for scale in self.scales:
            cast(PatchDiscriminator, scale).follow()


Discriminator = PatchDiscriminator | MultiScaleDiscriminator


def discriminators(plan: Plan, device: torch.device) -> dict[str, Discriminator]:
    """Return one discriminator per modality the model makes; none without adversarial term."""
    loss, config = plan.loss, plan.model
    if loss.gan <= 0:
        return {}
    made = [m for m in config.modalities if any(config.serves(s, m) for s in subsets(config))]
    channels = 1 + loss.gan_conditional * len(config.modalities)
    shape = (config.tile, loss.gan_layers, loss.gan_features, loss.gan_norm, channels)
    built: dict[str, Discriminator] = {}
    for m in made:
        critic: Discriminator = (
            PatchDiscriminator(*shape)
            if loss.gan_scales == 1
            else MultiScaleDiscriminator(*shape, loss.gan_scales)
        )
        built[m] = critic.to(device)
    return built


def subsets(config: ModelConfig) -> list[tuple[str, ...]]:
    """Return all non-empty subsets of a model's modalities."""
    names = config.modalities
    return [s for n in range(1, len(names) + 1) for s in combinations(names, n)]
