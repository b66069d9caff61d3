"""Everything that decides the shape of an MHVAE, frozen and saved with its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from core.models.base.config import ModelConfig, ModelError
from core.schema import setting

FUSIONS = ("gaussian", "authors")
ACTIVATIONS = ("tanh", "identity")
DETAILS = "section 4, Implementation details"


@dataclass(frozen=True)
class MHVAEConfig(ModelConfig):
    """Architecture of one model; the defaults are the paper's."""

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
        super().__post_init__()
        if self.base_features % 2:
            raise ModelError(
                "A model needs an even number of base features; found "
                f"{self.base_features} features."
            )

    @property
    def family(self) -> str:
        """``"mhvae"``, or ``"mvae"`` with one level."""
        return "mhvae" if self.hierarchical else "mvae"

    @property
    def stride(self) -> int:
        """Pixels of one pixel of the coarsest map."""
        return 1 << self.pools

    @property
    def words(self) -> str:
        """The architecture in a line, for a card."""
        return (
            f"{self.family.upper()}, {self.levels} levels, {self.base_features} to "
            f"{self.max_features} features, fusion {self.fusion}"
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
