"""Everything that decides the shape of an MHVAE, frozen and saved with its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from core.errors import UserError
from core.modalities import PAPER


class ModelError(UserError):
    """A model file or configuration that cannot be used."""


FUSIONS = ("gaussian", "authors")
ACTIVATIONS = ("tanh", "identity")


@dataclass(frozen=True)
class MHVAEConfig:
    """Architecture of one model; see METHOD in the docs for where it departs from the paper.

    Attributes:
        modalities: names in the model's order, the paper's by default.
        tile: height and width in pixels the network was built for; multiples of ``2 ** pools``.
        base_features: channels at full resolution in the encoders.
        max_features: upper bound of channels; z_L has twice as many components.
        pools: number of halvings; the model has ``pools + 1`` levels (L = 7 in the paper).
        final_features: channels of the image decoders; ``None`` means ``base_features // 2``,
            the width of z_1.
        final_blocks: ResNet blocks per image decoder (5 in the paper, 6 in the authors' code).
        fusion: ``"gaussian"`` (Eq. 6-7, σ = √D) or ``"authors"`` (σ = D, as their code samples).
        clamp: means and log-variances are squashed to ±clamp by clamp·tanh(x/clamp).
        squeeze_excitation: whether encoder and decoder cells end in squeeze-and-excitation.
        residual: whether encoder and decoder cells are residual.
        last_activation: ``"tanh"`` (images in [-1, 1]) or ``"identity"``.
        hierarchical: ``False`` for the paper's ablation, an MVAE with z_L alone.
    """

    modalities: tuple[str, ...] = PAPER
    tile: tuple[int, int] = (192, 192)
    base_features: int = 16
    max_features: int = 128
    pools: int = 6
    final_features: int | None = None
    final_blocks: int = 5
    fusion: str = "gaussian"
    clamp: float = 10.0
    squeeze_excitation: bool = True
    residual: bool = True
    last_activation: str = "tanh"
    hierarchical: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "modalities", tuple(self.modalities))
        object.__setattr__(self, "tile", tuple(int(n) for n in self.tile))
        if not self.modalities or len(set(self.modalities)) != len(self.modalities):
            raise ModelError(
                f"A model needs a list of different modalities; found {list(self.modalities)}."
            )
        if any(not name or "." in name for name in self.modalities):
            raise ModelError(
                f"A modality's name may not be empty or hold a dot; found {list(self.modalities)}."
            )
        step = 2**self.pools
        if len(self.tile) != 2 or any(n < step or n % step for n in self.tile):
            raise ModelError(
                f"With {self.pools} poolings the tile's sides must be multiples of {step} pixels; "
                f"found {list(self.tile)}."
            )
        if self.pools < 1 or self.base_features < 2 or self.base_features % 2:
            raise ModelError(
                "A model needs at least one pooling and an even number of base features; found "
                f"{self.pools} poolings and {self.base_features} features."
            )
        if self.fusion not in FUSIONS:
            raise ModelError(f"The fusion must be one of {FUSIONS}; found {self.fusion!r}.")
        if self.last_activation not in ACTIVATIONS:
            raise ModelError(
                f"The last activation must be one of {ACTIVATIONS}; found {self.last_activation!r}."
            )

    @property
    def levels(self) -> int:
        """Number of latent levels, L."""
        return self.pools + 1 if self.hierarchical else 1

    @property
    def bottleneck(self) -> tuple[int, int]:
        """Height and width of the coarsest feature map, in its own pixels."""
        return self.tile[0] >> self.pools, self.tile[1] >> self.pools

    @property
    def image_features(self) -> int:
        """Channels of the image decoders."""
        return self.final_features or self.base_features // 2

    def features(self, depth: int) -> int:
        """Encoder channels after ``depth`` halvings."""
        return min(self.base_features << depth, self.max_features)

    def check_subset(self, subset: tuple[str, ...]) -> None:
        """Refuse an empty subset or one with modalities the model does not know.

        Raises:
            ModelError: names the unknown modalities and those the model knows.
        """
        unknown = [name for name in subset if name not in self.modalities]
        if unknown:
            raise ModelError(
                f"This model knows {', '.join(self.modalities)}; "
                f"it cannot use {', '.join(unknown)}."
            )
        if not subset:
            raise ModelError(
                f"Synthesis needs at least one of {', '.join(self.modalities)} as input; "
                "none was given."
            )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-ready values."""
        values = asdict(self)
        values["modalities"] = list(self.modalities)
        values["tile"] = list(self.tile)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MHVAEConfig:
        """Rebuild a configuration saved by :meth:`to_dict`.

        Raises:
            ModelError: a field is unknown or has an impossible value.
        """
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ModelError(
                f"The model's configuration holds fields this version does not know: {unknown}. "
                "It was probably written by a newer version; update the program."
            )
        try:
            return cls(**values)
        except (TypeError, ValueError) as error:
            raise ModelError(f"The model's configuration is damaged: {error}.") from error
