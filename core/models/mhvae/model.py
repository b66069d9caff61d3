"""The hierarchical model: fuse the modalities at every level, coarse to fine, then decode."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from core.models.base.network import Network
from core.models.mhvae.blocks import (
    DecoderCell,
    EncoderCell,
    ImageDecoder,
    MapToVector,
    PosteriorHead,
    Upsample,
    VectorToMap,
    before_a_norm,
)
from core.models.mhvae.config import MHVAEConfig
from core.models.mhvae.product_of_experts import (
    Expert,
    deviation,
    fuse,
    kl_divergence,
    precision_shares,
)

Noise = Sequence[Tensor] | torch.Generator | None
"""Standard normal draws, coarsest level first; or where to draw them from (None: torch's own)."""


@dataclass(frozen=True)
class MHVAEOutput:
    """What one pass gives.

    Attributes:
        images: modality → (B, 1, H, W) in [-1, 1], not masked.
        kl: (L, B) nats, KL[q(z_l | x_π, z_>l) ‖ p(z_l | z_>l)] summed over a level's components,
            coarsest level first (Eq. 8); ``None`` when not asked for.
        shares: per level, coarsest first, (1 + |π|, B, h, w): the mean over channels of each
            expert's precision share, the prior first, then the inputs in the model's order; the
            coarsest level has h = w = 1. Empty when not asked for.
    """

    images: dict[str, Tensor]
    kl: Tensor | None = None
    shares: tuple[Tensor, ...] = ()


class ModalityEncoder(nn.Module):
    """The contracting path of one modality."""

    def __init__(self, config: MHVAEConfig) -> None:
        super().__init__()
        options = (config.residual, config.squeeze_excitation)
        widths = [config.features(depth) for depth in range(config.pools + 1)]
        self.first = nn.Conv2d(1, widths[0], 3, padding=1)
        self.cells = nn.ModuleList(EncoderCell(width, *options) for width in widths)
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(widths)
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return features from full resolution down: ``pools + 1`` maps."""
        x = self.first(image)
        features = []
        for cell, down in zip(self.cells[:-1], self.down, strict=True):
            x = cell(x)
            features.append(x)
            x = down(x)
        features.append(self.cells[-1](x))
        return features


class Level(nn.Module):
    """One level l < L of the expansive path: its features, prior and posterior head."""

    def __init__(self, config: MHVAEConfig, depth: int, channels_above: int) -> None:
        super().__init__()
        channels = config.features(depth)
        self.up = Upsample(channels_above, channels)
        self.cell = DecoderCell(channels, config.residual, config.squeeze_excitation)
        self.posterior = PosteriorHead(channels)
        self.prior = nn.utils.parametrizations.weight_norm(
            nn.Conv2d(channels, channels, 1, bias=False), dim=0
        )


class MHVAE(Network):
    """Multi-modal hierarchical VAE (Dorent et al. 2023) for any list of modalities.

    Args:
        config: the architecture; images must have ``config.tile`` as height and width, because the
            step to the 1x1 level is a linear map of the whole tile.
    """

    def __init__(self, config: MHVAEConfig) -> None:
        super().__init__()
        self.config: MHVAEConfig = config
        deepest = config.features(config.pools)
        self.encoders = nn.ModuleDict({m: ModalityEncoder(config) for m in config.modalities})
        self.bottleneck_down = MapToVector(deepest, config.bottleneck, 4 * config.max_features)
        self.bottleneck_up = VectorToMap(
            2 * config.max_features, config.max_features, config.bottleneck
        )
        self.levels = nn.ModuleList()
        channels = config.max_features
        for depth in reversed(range(config.pools)):  # levels L-1 … 1
            self.levels.append(Level(config, depth, channels))
            channels = config.features(depth) // 2
        self.image_decoders = nn.ModuleDict(
            {
                m: ImageDecoder(
                    channels, config.image_features, config.final_blocks, config.last_activation
                )
                for m in config.modalities
            }
        )

    def noise_shapes(self, batch: int) -> list[tuple[int, ...]]:
        """Return the shape of the noise of each level, coarsest first."""
        shapes: list[tuple[int, ...]] = [(batch, 2 * self.config.max_features)]
        for depth in reversed(range(self.config.pools)):
            height, width = (n >> depth for n in self.config.tile)
            shapes.append((batch, self.config.features(depth) // 2, height, width))
        return shapes

    def encode(self, images: Mapping[str, Tensor]) -> dict[str, list[Tensor]]:
        """Run the contracting path of each given modality.

        Args:
            images: a subset π: modality → (B, 1, H, W) in [-1, 1].

        Returns:
            modality → feature maps from full resolution down, in the model's order.
        """
        self.config.check_subset(tuple(images))
        return {m: self.encoders[m](images[m]) for m in self.config.modalities if m in images}

    def forward(
        self,
        images: Mapping[str, Tensor],
        *,
        temperature: float = 1.0,
        noise: Noise = None,
        outputs: Sequence[str] | None = None,
        kl: bool = True,
        shares: bool = False,
        without: Collection[int] = (),
    ) -> MHVAEOutput:
        """Fuse a subset of modalities and decode images.

        Args:
            images: the subset π: modality → (B, 1, H, W) in [-1, 1].
            temperature: factor on every level's standard deviation; 0 is the mean path.
            noise: standard normal draws per level, coarsest first, or a generator for them.
            outputs: modalities to decode; all when ``None``, may be empty.
            kl: whether to compute the divergences.
            shares: whether to report the experts' precision shares.
            without: levels, 1 being the finest, at which the inputs' experts are left out of the
                product, so that the prior decides alone.

        Raises:
            ModelError: the subset is empty or holds a modality the model does not know.
        """
        features = self.encode(images)
        batch = next(iter(images.values()))
        return self.decode(
            features,
            batch.shape[0],
            like=batch,
            temperature=temperature,
            noise=noise,
            outputs=outputs,
            kl=kl,
            shares=shares,
            without=without,
        )

    def freeze(self) -> None:
        """Let go of biases that an instance norm cancels."""
        for module in self.modules():
            for conv in before_a_norm(module):
                conv.bias = None

    def synthesise(self, images: Mapping[str, Tensor], outputs: Sequence[str]) -> dict[str, Tensor]:
        """Follow the mean path; see :class:`Network`."""
        return self(images, temperature=0.0, outputs=outputs, kl=False).images

    def draw(
        self,
        images: Mapping[str, Tensor],
        outputs: Sequence[str],
        temperature: float,
        noises: Sequence[Sequence[Tensor] | None],
    ) -> list[dict[str, Tensor]]:
        """See :class:`Network`; the contracting paths run once."""
        features = self.encode(images)
        like = next(iter(images.values()))
        return [
            self.decode(
                features,
                like.shape[0],
                like=like,
                temperature=temperature,
                noise=noise,
                outputs=outputs,
                kl=False,
            ).images
            for noise in noises
        ]

    def sample_prior(
        self,
        batch: int,
        *,
        temperature: float = 1.0,
        noise: Noise = None,
        outputs: Sequence[str] | None = None,
    ) -> dict[str, Tensor]:
        """Draw images from the model with no input: every level follows its prior (Eq. 4)."""
        like = self.bottleneck_up.linear.weight
        out = self.decode(
            {}, batch, like=like, temperature=temperature, noise=noise, outputs=outputs, kl=False
        )
        return out.images

    def decode(
        self,
        features: Mapping[str, Sequence[Tensor]],
        batch: int,
        *,
        like: Tensor,
        temperature: float = 1.0,
        noise: Noise = None,
        outputs: Sequence[str] | None = None,
        kl: bool = True,
        shares: bool = False,
        without: Collection[int] = (),
    ) -> MHVAEOutput:
        """Run the expansive path from encoded modalities (none: the prior alone).

        Arguments are those of :meth:`forward`; ``like`` gives device and dtype.
        """
        draws = _Draws(noise, temperature, self.config.fusion)
        divergences: list[Tensor] = []
        weights: list[Tensor] = []

        def fused_sample(prior: Expert, posteriors: list[Expert]) -> Tensor:
            q = fuse(prior, posteriors)
            if kl:
                terms = kl_divergence(q, prior, self.config.fusion)
                divergences.append(terms.flatten(1).sum(1))
            if shares:
                share = precision_shares(prior, posteriors).mean(dim=2)
                weights.append(share if share.dim() == 4 else share[:, :, None, None])
            return draws.sample(q)

        # Level L: the prior is N(0, I) (Eq. 6).
        zeros = like.new_zeros(batch, 2 * self.config.max_features)
        posteriors = [
            self._expert(self.bottleneck_down(maps[-1]))
            for maps in features.values()
            if self.config.levels not in without
        ]
        z = self.bottleneck_up(fused_sample(Expert(zeros, zeros), posteriors))

        # Levels L-1 … 1: prior and posteriors depend on the coarser sample (Eq. 7).
        for depth, module in zip(reversed(range(self.config.pools)), self.levels, strict=True):
            level = cast(Level, module)
            shared = level.cell(level.up(z))
            prior = self._expert(level.prior(shared))
            posteriors = [
                self._expert(level.posterior(shared, maps[depth]))
                for maps in features.values()
                if depth + 1 not in without
            ]
            z = fused_sample(prior, posteriors)

        wanted = self.config.modalities if outputs is None else tuple(outputs)
        if wanted:
            self.config.check_subset(wanted)
        return MHVAEOutput(
            images={m: self.image_decoders[m](z) for m in wanted},
            kl=torch.stack(divergences) if kl else None,
            shares=tuple(weights),
        )

    def _expert(self, parameters: Tensor) -> Expert:
        """Split (B, 2C, …) into mean and log-variance, both squashed to ±clamp."""
        clamp = self.config.clamp
        mean, logvar = (torch.tanh(parameters / clamp) * clamp).chunk(2, dim=1)
        return Expert(mean, logvar)


class _Draws:
    """Samples level after level, z_L first, from given noise or a generator."""

    def __init__(self, noise: Noise, temperature: float, fusion: str) -> None:
        self.given = None if noise is None or isinstance(noise, torch.Generator) else iter(noise)
        self.generator = noise if isinstance(noise, torch.Generator) else None
        self.temperature = temperature
        self.fusion = fusion

    def sample(self, q: Expert) -> Tensor:
        if self.temperature == 0:
            return q.mean
        if self.given is not None:
            draw = next(self.given)
        else:
            draw = torch.empty_like(q.mean).normal_(generator=self.generator)
        return torch.addcmul(q.mean, draw, deviation(q, self.fusion), value=self.temperature)
