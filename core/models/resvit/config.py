"""What decides the shape of a ResViT generator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from core.models.base.config import NORMS, ModelConfig, ModelError
from core.schema import setting

PAPER = "Dalmaz et al. 2022, section III"


@dataclass(frozen=True)
class ResViTConfig(ModelConfig):
    """The unified model; a missing modality is an image of zeros."""

    base_features: Annotated[
        int,
        setting("Features", "After the first convolution; four times as many in the blocks, 16 "
                "times before the transformer.", unit="channels", paper=f"{PAPER}: 64", ge=1,
                le=4096),
    ] = 64  # fmt: skip
    blocks: Annotated[
        int,
        setting("Blocks", "Aggregated residual transformer blocks.", paper=f"{PAPER}: 9", ge=1,
                le=64),
    ] = 9  # fmt: skip
    transformers: Annotated[
        tuple[int, ...],
        setting("Blocks with a transformer", "Counted from 1; they share its weights, but for "
                "embeddings and positions.", paper=f"{PAPER}: 1 and 6"),
    ] = (1, 6)  # fmt: skip
    hidden: Annotated[
        int,
        setting("Token size", "Of the transformer.", unit="channels", paper="ViT-B/16: 768", ge=1,
                le=8192),
    ] = 768  # fmt: skip
    layers: Annotated[
        int, setting("Layers", "Of the transformer.", paper="ViT-B/16: 12", ge=1, le=128)
    ] = 12  # fmt: skip
    heads: Annotated[
        int, setting("Heads", "Of its attention.", paper="ViT-B/16: 12", ge=1, le=128)
    ] = 12  # fmt: skip
    mlp: Annotated[
        int,
        setting("Hidden features", "Of its layers.", unit="channels", paper="ViT-B/16: 3072",
                ge=1, le=65536),
    ] = 3072  # fmt: skip
    dropout: Annotated[
        float,
        setting("Dropout", "Of tokens and of its layers.", paper="ViT-B/16: 0.1", ge=0, lt=1),
    ] = 0.1  # fmt: skip
    norm: Annotated[
        str,
        setting("Norm", "Of the convolutions; batch is the authors', which at their batch of 1 "
                "trains like instance.", choices=NORMS),
    ] = "instance"  # fmt: skip

    def __post_init__(self) -> None:
        object.__setattr__(self, "transformers", tuple(self.transformers))
        super().__post_init__()
        if self.hidden % self.heads:
            raise ModelError(
                f"A token's size must be a multiple of the heads; found {self.hidden} and "
                f"{self.heads}."
            )
        if any(not 1 <= n <= self.blocks for n in self.transformers):
            raise ModelError(
                f"Blocks with a transformer must be numbers from 1 to {self.blocks}; found "
                f"{list(self.transformers)}."
            )

    @property
    def family(self) -> str:
        """``"resvit"``."""
        return "resvit"

    @property
    def normed(self) -> bool:
        """The coarsest map is."""
        return True

    @property
    def stride(self) -> int:
        """Pixels of one token: two halvings before the blocks, two before the transformer."""
        return 16

    @property
    def words(self) -> str:
        """The architecture in a line, for a card."""
        return (
            f"ResViT, {self.blocks} blocks, {self.base_features} features, transformer of "
            f"{self.layers} layers in {len(self.transformers)} of them"
        )
