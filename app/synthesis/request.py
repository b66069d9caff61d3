"""What the user asks of the model, and what a run will cost: values without behaviour."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Form:
    """The choices of the Synthesis panel.

    Attributes:
        model: path of the bundle; empty while there is none.
        targets: outputs ticked by the user; modalities held back are always added.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
        batch: tiles per network pass.
        whole: synthesise the whole grid instead of the field of view.
        rerun: run again when an input is held back or given.
    """

    model: str = ""
    targets: tuple[str, ...] = ()
    device: str = "auto"
    temperature: float = 0.0
    samples: int = 1
    seed: int = 0
    batch: int = 4
    whole: bool = False
    rerun: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Form:
        """Rebuild; what is missing or of another type keeps its default."""
        known = cls()
        for name, value in data.items():
            old = getattr(known, name, None)
            if name == "targets" and isinstance(value, list | tuple):
                known = replace(known, targets=tuple(str(v) for v in value))
            elif old is not None and isinstance(value, type(old)):
                known = replace(known, **{name: value})
        return known


@dataclass(frozen=True)
class Estimate:
    """What a run will cost, from tiles measured on this computer.

    Attributes:
        tiles: how many.
        seconds: least and most.
        memory: MB the engine holds now, and at the peak.
        device: what it will run on.
    """

    tiles: int
    seconds: tuple[float, float]
    memory: tuple[float, float]
    device: str


@dataclass(frozen=True)
class Stage:
    """Where a run stands; ``total`` 0 means unknown."""

    name: str
    done: int = 0
    total: int = 0
    seconds_left: float | None = None
