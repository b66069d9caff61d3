"""What the program asks of the network of every family."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from core.models.base.config import ModelConfig


class Network(nn.Module):
    """Makes images of a subset of modalities.

    Attributes:
        config: the configuration it was built from, alone.
    """

    config: ModelConfig

    @abstractmethod
    def synthesise(self, images: Mapping[str, Tensor], outputs: Sequence[str]) -> dict[str, Tensor]:
        """Make images on the deterministic path.

        Args:
            images: a subset π that the configuration serves: modality → (B, 1, H, W) in [-1, 1].
            outputs: the modalities wanted.

        Returns:
            modality → (B, 1, H, W) in [-1, 1], not masked.
        """

    def draw(
        self,
        images: Mapping[str, Tensor],
        outputs: Sequence[str],
        temperature: float,
        noises: Sequence[Sequence[Tensor] | None],
    ) -> list[dict[str, Tensor]]:
        """Make images for every noise; what does not depend on the noise is computed once.

        Args:
            images, outputs: as for :meth:`synthesise`.
            temperature: factor on the noise.
            noises: per sample, the noise of each latent level, of :meth:`noise_shapes`; ``None``
                for the deterministic path.
        """
        made = self.synthesise(images, outputs)
        return [made for _ in noises]

    def freeze(self) -> None:
        """Settle what training may still change; called on a copy for inference."""

    def noise_shapes(self, batch: int) -> list[tuple[int, ...]]:
        """Return the shape of the noise of each latent level, coarsest first; none without any."""
        return []


def stacked(images: Mapping[str, Tensor], names: Sequence[str]) -> Tensor:
    """Stack modalities as channels, zeros where one is missing: (B, len(names), H, W)."""
    like = next(iter(images.values()))
    return torch.cat([images.get(m, torch.zeros_like(like)) for m in names], dim=1)
