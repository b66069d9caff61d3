"""PatchGAN: a convolutional critic that scores overlapping patches, not the whole tile."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

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

    Raises:
        TrainerError: the score map would be smaller than 3x3: no patches to speak of.
    """

    def __init__(
        self, tile: tuple[int, int], layers: int = 3, features: int = 64, norm: str = "spectral"
    ) -> None:
        super().__init__()
        score_map(tile, layers)
        self.spectral = norm == "spectral"
        cells: list[nn.Module] = []
        channels = 1
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
        """Score (B, 1, H, W) as (B, 1, h, w): 1 for real, 0 for fake."""
        scores: Tensor = self.cells(image)
        return scores

    def follow(self) -> None:
        """Move the singular vectors one power iteration after the weights; after every step."""
        if self.spectral:
            self.train()
            with torch.no_grad():
                for cell in self.cells:
                    _ = getattr(cell, "weight", None)  # training mode iterates when it is read
            self.eval()


def discriminators(plan: Plan, device: torch.device) -> dict[str, PatchDiscriminator]:
    """Return one discriminator per modality; none without adversarial term."""
    loss, tile = plan.loss, plan.model.tile
    names: Iterable[str] = plan.model.modalities if loss.gan > 0 else ()
    return {
        m: PatchDiscriminator(tile, loss.gan_layers, loss.gan_features, loss.gan_norm).to(device)
        for m in names
    }
