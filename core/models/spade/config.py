"""What decides the shape of a SPADE generator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from core.models.base.config import NORMS, OneWayConfig
from core.schema import setting

PAPER = "Park et al. 2019, appendix A"


@dataclass(frozen=True)
class SPADEConfig(OneWayConfig):
    """The generator without a latent code: it begins with the input at its coarsest size."""

    base_features: Annotated[
        int,
        setting("Features", "At full size; doubled with every halving up to 16 times.",
                unit="channels", paper=f"{PAPER}: 64", ge=1, le=4096),
    ] = 64  # fmt: skip
    pools: Annotated[
        int,
        setting("Doublings", "From the coarsest size to the full one.",
                paper=f"{PAPER}: 5 at 256x256 in the authors' code", ge=1, le=16),
    ] = 5  # fmt: skip
    hidden: Annotated[
        int,
        setting("Hidden features", "Between the input and a norm's scale and shift.",
                unit="channels", paper=f"{PAPER}: 128", ge=1, le=4096),
    ] = 128  # fmt: skip
    norm: Annotated[
        str,
        setting("Norm", "What is modulated; batch over all processes in the paper, which finds "
                "instance about as good.", paper=PAPER, choices=NORMS),
    ] = "instance"  # fmt: skip

    @property
    def family(self) -> str:
        """``"spade"``."""
        return "spade"

    @property
    def normed(self) -> bool:
        """The coarsest map is."""
        return True

    @property
    def stride(self) -> int:
        """Pixels of one pixel of the coarsest map."""
        return 1 << self.pools

    @property
    def words(self) -> str:
        """The architecture in a line, for a card."""
        return f"SPADE to {self.target}, {self.pools} doublings, {self.base_features} features"

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the blocks, coarsest first, one size after the other."""
        inner = range(self.pools - 1, 0, -1)
        widest = self.base_features * min(16, 2 ** (self.pools - 1))
        return (widest, *(self.base_features * min(16, 2 ** (n - 1)) for n in inner))
