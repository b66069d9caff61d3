"""What the configuration of every family tells the rest of the program; needs no torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any, Self

from core.errors import UserError
from core.modalities import PAPER
from core.schema import faults, setting, taken


class ModelError(UserError):
    """A model file or configuration that cannot be used."""


Side = Annotated[int, setting(ge=1, le=2048)]
INSTANCE, BATCH = "instance", "batch"
NORMS = (INSTANCE, BATCH)
"""Norms a network may have: of the tile alone, or with the statistics of the batch."""


@dataclass(frozen=True)
class ModelConfig(ABC):
    """Everything that decides the shape of a network, frozen and saved with its weights.

    A family's own configuration adds its fields, each with its range and text, and says by the
    properties below what its networks can do.
    """

    modalities: Annotated[
        tuple[str, ...],
        setting(about="Names in the model's order; the paper's unless told otherwise."),
    ] = PAPER
    tile: Annotated[
        tuple[Side, Side],
        setting("Tile", "Height and width the network is built for; multiples of 2 to the number "
                "of halvings.", unit="pixels", paper="section 4, Data: 192x192"),
    ] = (192, 192)  # fmt: skip

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
        if any(n % self.stride for n in self.tile):
            raise ModelError(
                f"With {self.stride.bit_length() - 1} halvings the tile's sides must be multiples "
                f"of {self.stride} pixels; found {list(self.tile)}."
            )
        if self.normed and self.tile == (self.stride, self.stride):
            raise ModelError(
                f"A {self.family} model normalises its coarsest map, which must have more than one "
                f"pixel: a tile larger than {self.stride}x{self.stride}; found {list(self.tile)}."
            )

    @property
    @abstractmethod
    def family(self) -> str:
        """Name in :data:`core.models.family.FAMILIES`."""

    @property
    @abstractmethod
    def stride(self) -> int:
        """Pixels of one pixel of the coarsest map; tiles lie on multiples of it."""

    @property
    def normed(self) -> bool:
        """Whether the coarsest map is normalised over its pixels, so that one would say nothing."""
        return False

    @property
    def levels(self) -> int:
        """Number of latent levels; 0 for a network that makes one image of an input."""
        return 0

    @property
    def words(self) -> str:
        """The architecture in a line, for a card."""
        return self.family

    def serves(self, subset: tuple[str, ...], target: str) -> bool:
        """Tell whether the network can make ``target`` of a subset of its modalities."""
        return True

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

    def check(self, subset: tuple[str, ...], targets: tuple[str, ...]) -> None:
        """Refuse what the network cannot make.

        Raises:
            ModelError: an unknown modality, or a direction that this model was not made for.
        """
        self.check_subset(subset)
        self.check_subset(targets)
        for target in targets:
            if not self.serves(subset, target):
                raise ModelError(self.refusal(subset, target))

    def refusal(self, subset: tuple[str, ...], target: str) -> str:
        """Say why a target cannot be made of a subset."""
        return f"This model cannot make {target} from {' and '.join(subset)}."

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-ready values."""
        values = asdict(self)
        values["modalities"] = list(self.modalities)
        values["tile"] = list(self.tile)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
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


@dataclass(frozen=True)
class OneWayConfig(ModelConfig):
    """Of a network that makes one modality of all the others, and nothing else."""

    target: Annotated[
        str,
        setting("Target", "The modality it makes, of all the others; a model for each direction.",
                paper="Table 1"),
    ] = PAPER[0]  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.target not in self.modalities or len(self.modalities) < 2:
            raise ModelError(
                f"A {self.family} model makes one of at least two modalities of the others; found "
                f"the target {self.target} and the modalities {', '.join(self.modalities)}."
            )

    @property
    def inputs(self) -> tuple[str, ...]:
        """The modalities it needs, in the model's order."""
        return tuple(m for m in self.modalities if m != self.target)

    def serves(self, subset: tuple[str, ...], target: str) -> bool:
        """Tell whether this is the network's one direction."""
        return target == self.target and set(subset) == set(self.inputs)

    def refusal(self, subset: tuple[str, ...], target: str) -> str:
        """Say what the network is for."""
        return (
            f"This {self.family} model makes {self.target} from {' and '.join(self.inputs)} and "
            f"nothing else; it cannot make {target} from {' and '.join(subset)}. Give it "
            f"{' and '.join(self.inputs)} alone, or choose a model that serves every subset."
        )
