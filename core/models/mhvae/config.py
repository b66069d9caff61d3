"""Everything that decides the shape of an MHVAE, frozen and saved with its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any

from core.errors import UserError
from core.modalities import PAPER
from core.schema import faults, setting, taken


class ModelError(UserError):
    """A model file or configuration that cannot be used."""


FUSIONS = ("gaussian", "authors")
ACTIVATIONS = ("tanh", "identity")
DETAILS = "section 4, Implementation details"
Side = Annotated[int, setting(ge=1, le=2048)]


@dataclass(frozen=True)
class MHVAEConfig:
    """Architecture of one model; the defaults are the paper's."""

    modalities: Annotated[
        tuple[str, ...],
        setting(about="Names in the model's order; the paper's unless told otherwise."),
    ] = PAPER
    tile: Annotated[
        tuple[Side, Side],
        setting("Tile", "Height and width the network is built for; multiples of 2 to the number "
                "of poolings.", unit="pixels", paper="section 4, Data: 192x192"),
    ] = (192, 192)  # fmt: skip
    base_features: Annotated[
        int,
        setting("Features", "Of the encoders at full resolution; an even number.",
                unit="channels", paper=f"{DETAILS}; 16 in the authors' code", ge=2, le=4096),
    ] = 16  # fmt: skip
    max_features: Annotated[
        int,
        setting("Most features", "Bound at coarse resolutions; z_L has twice as many components.",
                unit="channels", paper=DETAILS, ge=1, le=65536),
    ] = 128  # fmt: skip
    pools: Annotated[
        int,
        setting("Poolings", "Halvings; the model has one level more.", paper=f"{DETAILS}: 7 levels",
                ge=1, le=16),
    ] = 6  # fmt: skip
    final_features: Annotated[
        Annotated[int, setting(ge=1, le=4096)] | None,
        setting("Decoder features", "Of the image decoders; empty is half of the features, the "
                "width of z_1.", unit="channels", paper=DETAILS),
    ] = None  # fmt: skip
    final_blocks: Annotated[
        int,
        setting("Decoder blocks", "ResNet blocks of an image decoder (6 in the authors' code).",
                paper=f"{DETAILS}: 5", ge=0, le=256),
    ] = 5  # fmt: skip
    fusion: Annotated[
        str,
        setting("Fusion", "gaussian: σ = √D; authors: σ = D, as their code samples.",
                paper="Eq. 6 and 7", choices=FUSIONS),
    ] = "gaussian"  # fmt: skip
    clamp: Annotated[
        float,
        setting("Clamp", "Means and log-variances x are squashed to clamp·tanh(x/clamp).",
                gt=0, le=1000),
    ] = 10.0  # fmt: skip
    squeeze_excitation: Annotated[
        bool,
        setting("Squeeze and excitation", "At the end of every encoder and decoder cell.",
                paper=DETAILS),
    ] = True  # fmt: skip
    residual: Annotated[
        bool, setting("Residual cells", "Whether cells add their input.", paper=DETAILS)
    ] = True  # fmt: skip
    last_activation: Annotated[
        str,
        setting("Last activation", "tanh keeps images in [-1, 1].", choices=ACTIVATIONS),
    ] = "tanh"  # fmt: skip
    hierarchical: Annotated[
        bool, setting(about="False for the paper's ablation, an MVAE with z_L alone.")
    ] = True  # fmt: skip

    def __post_init__(self) -> None:
        wrong = faults(self)
        if wrong:
            raise ModelError(f"The model's configuration cannot be used: {'; '.join(wrong)}.")
        object.__setattr__(self, "modalities", tuple(self.modalities))
        object.__setattr__(self, "tile", tuple(self.tile))
        if not self.modalities or len(set(self.modalities)) != len(self.modalities):
            raise ModelError(
                f"A model needs a list of different modalities; found {list(self.modalities)}."
            )
        if any(not name or "." in name for name in self.modalities):
            raise ModelError(
                f"A modality's name may not be empty or hold a dot; found {list(self.modalities)}."
            )
        step = 2**self.pools
        if any(n % step for n in self.tile):
            raise ModelError(
                f"With {self.pools} poolings the tile's sides must be multiples of {step} pixels; "
                f"found {list(self.tile)}."
            )
        if self.base_features % 2:
            raise ModelError(
                "A model needs an even number of base features; found "
                f"{self.base_features} features."
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
        built, wrong = taken(cls, values)
        if wrong:
            raise ModelError(f"The model's configuration is damaged: {'; '.join(wrong)}.")
        return cls(**built)
