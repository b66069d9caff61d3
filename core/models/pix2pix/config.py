"""What decides the shape of a Pix2Pix generator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from core.models.base.config import NORMS, OneWayConfig
from core.schema import setting

PAPER = "Isola et al. 2017, section 6.1"


@dataclass(frozen=True)
class Pix2PixConfig(OneWayConfig):
    """The U-Net of the paper; at 256x256 it has 8 halvings there, down to one pixel."""

    base_features: Annotated[
        int,
        setting("Features", "After the first convolution; doubled with every halving up to eight "
                "times.", unit="channels", paper=f"{PAPER}: 64", ge=1, le=4096),
    ] = 64  # fmt: skip
    pools: Annotated[
        int,
        setting("Halvings", "Of the contracting path.", paper=f"{PAPER}: 8 at 256x256", ge=2,
                le=16),
    ] = 6  # fmt: skip
    dropout: Annotated[
        float,
        setting("Dropout", "In the three coarsest layers of the expansive path, while training "
                "only: the images of a model are always the same.", paper=f"{PAPER}: 0.5",
                ge=0, lt=1),
    ] = 0.5  # fmt: skip
    norm: Annotated[
        str,
        setting("Norm", "batch is the paper's, which at its batch of 1 is the same as instance.",
                paper=PAPER, choices=NORMS),
    ] = "instance"  # fmt: skip

    @property
    def family(self) -> str:
        """``"pix2pix"``."""
        return "pix2pix"

    @property
    def stride(self) -> int:
        """Pixels of one pixel of the coarsest map."""
        return 1 << self.pools

    @property
    def words(self) -> str:
        """The architecture in a line, for a card."""
        return (
            f"Pix2Pix to {self.target}, U-Net of {self.pools} halvings, {self.base_features} "
            "features"
        )
