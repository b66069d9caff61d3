"""PatchGAN: a convolutional critic that scores overlapping patches, not the whole tile."""

from __future__ import annotations

from torch import Tensor, nn

from trainer.plan.patches import score_map


class PatchDiscriminator(nn.Module):
    """4x4 convolutions, ``layers`` of them halving the image, then two that keep its size.

    Args:
        tile: height and width it will judge.
        layers: number of halvings; 3 sees patches of 70 pixels (Isola et al. 2017).
        features: channels after the first convolution; doubled up to four times.

    Raises:
        TrainerError: the score map would be smaller than 3x3: no patches to speak of.
    """

    def __init__(self, tile: tuple[int, int], layers: int = 3, features: int = 64) -> None:
        super().__init__()
        score_map(tile, layers)
        cells: list[nn.Module] = []
        channels = 1
        for depth in range(layers):
            width = features * min(2**depth, 4)
            cells.append(nn.Conv2d(channels, width, 4, stride=2, padding=1))
            if depth:
                cells.append(nn.InstanceNorm2d(width))
            cells.append(nn.LeakyReLU(0.2))
            channels = width
        width = features * min(2**layers, 4)
        cells += [nn.Conv2d(channels, width, 4, padding=1), nn.InstanceNorm2d(width)]
        cells += [nn.LeakyReLU(0.2), nn.Conv2d(width, 1, 4, padding=1)]
        self.cells = nn.Sequential(*cells)

    def forward(self, image: Tensor) -> Tensor:
        """Score (B, 1, H, W) as (B, 1, h, w): 1 for real, 0 for fake."""
        return self.cells(image)
