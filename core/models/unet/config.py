"""What decides the shape of a plain U-Net."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from core.models.base.config import OneWayConfig
from core.schema import setting


@dataclass(frozen=True)
class UNetConfig(OneWayConfig):
    """Two convolutions a level, as Ronneberger et al. (2015), with norms."""

    base_features: Annotated[
        int, setting("Features", "At full size; doubled level by level.", unit="channels", ge=1)
    ] = 32  # fmt: skip
    pools: Annotated[int, setting("Halvings", "Of the contracting path.", ge=1, le=16)] = 5

    @property
    def family(self) -> str:
        """``"unet"``."""
        return "unet"

    @property
    def normed(self) -> bool:
        """The coarsest map is."""
        return True

    @property
    def stride(self) -> int:
        """Pixels of one pixel of the coarsest map."""
        return 1 << self.pools
