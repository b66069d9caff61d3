"""The paper's ablation: a multi-modal VAE with one latent level, else the same network.

The modalities meet in z_L alone (Eq. 2); from there to the images the expansive path is
deterministic, so everything an image shows has to pass through one vector.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from core.models.mhvae.blocks import DecoderCell, SqueezeExcitation, Upsample, norm_act
from core.models.mhvae.config import MHVAEConfig
from core.models.mhvae.model import MHVAE, MHVAEOutput, Noise, _Draws
from core.models.mhvae.product_of_experts import Expert, fuse, kl_divergence, precision_shares


class FeatureHead(nn.Module):
    """Halves the channels on the way to the next level: what the posterior head of an MHVAE does,
    without a modality's own features and without a distribution.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.gates = SqueezeExcitation(channels)
        self.last = weight_norm(nn.Conv2d(channels, channels // 2, 1, bias=False), dim=0)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C/2, H, W)."""
        return self.last(self.gates(self.conv1(norm_act(self.conv0(norm_act(x))))))


class FeatureLevel(nn.Module):
    """One deterministic step of the expansive path."""

    def __init__(self, config: MHVAEConfig, depth: int, channels_above: int) -> None:
        super().__init__()
        channels = config.features(depth)
        self.up = Upsample(channels_above, channels)
        self.cell = DecoderCell(channels, config.residual, config.squeeze_excitation)
        self.head = FeatureHead(channels)

    def forward(self, z: Tensor) -> Tensor:
        """Map (B, C, h, w) to the next finer map."""
        return self.head(self.cell(self.up(z)))


class MVAE(MHVAE):
    """Multi-modal VAE (Wu and Goodman 2018) built of the MHVAE's cells.

    Used like :class:`MHVAE`; ``kl`` has one row, ``shares`` one entry.
    """

    def __init__(self, config: MHVAEConfig) -> None:
        super().__init__(config)
        self.levels = nn.ModuleList()
        channels = config.max_features
        for depth in reversed(range(config.pools)):
            self.levels.append(FeatureLevel(config, depth, channels))
            channels = config.features(depth) // 2

    def noise_shapes(self, batch: int) -> list[tuple[int, ...]]:
        """Return the shape of the noise of the only level."""
        return super().noise_shapes(batch)[:1]

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
        """Fuse the modalities in z_L (Eq. 6) and decode; arguments as for the MHVAE."""
        wanted = self.config.modalities if outputs is None else tuple(outputs)
        if wanted:
            self.config.check_subset(tuple(wanted))
        zeros = like.new_zeros(batch, 2 * self.config.max_features)
        prior = Expert(zeros, zeros)
        posteriors = [
            self._expert(self.bottleneck_down(maps[-1]))
            for maps in features.values()
            if 1 not in without
        ]
        q = fuse(prior, posteriors)
        z = self.bottleneck_up(_Draws(noise, temperature, self.config.fusion).sample(q))
        for level in self.levels:
            z = level(z)
        share = precision_shares(prior, posteriors).mean(dim=2)[:, :, None, None]
        return MHVAEOutput(
            images={m: self.image_decoders[m](z) for m in wanted},
            kl=kl_divergence(q, prior, self.config.fusion).sum(1)[None] if kl else None,
            shares=(share,) if shares else (),
        )
