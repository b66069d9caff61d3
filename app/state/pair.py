"""The two volumes of an alignment, which of them moves, and the landmarks between any two."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal

from app.state.layers import Layers
from app.state.values import Kind, Layer
from core.modalities import SWEPT
from core.registration.landmarks import Landmark

Pairs = tuple[Landmark, ...]
Key = tuple[str, str]
"""Ids of the moving and the fixed layer."""


class AlignedPair(QObject):
    """What moves and what stays.

    Args:
        layers: the volumes to choose from.
        stays: told the id of what stays when it is chosen.

    Attributes:
        landmarks: (moving id, fixed id) → pairs, both ends in the header spaces of their volumes,
            so that they stay in the anatomy whichever volume is moved; change it with
            ``put_landmarks``.
    """

    changed = Signal()
    """Another volume moves or stays."""
    landmarks_changed = Signal()

    def __init__(self, layers: Layers, stays: Callable[[str], None]) -> None:
        super().__init__(layers)
        self._layers, self._stays = layers, stays
        self._chosen = ("", "")
        self.landmarks: dict[Key, Pairs] = {}

    def candidates(self) -> list[Layer]:
        """Return the volumes that can move or stay."""
        return [x for x in self._layers.layers if x.kind is Kind.REAL]

    def pair(self) -> tuple[Layer, Layer] | None:
        """Return (moving, fixed); None while the case has no two volumes.

        What was chosen, else: the ultrasound stays, and the first other volume moves.
        """
        layers = self._layers
        moving, fixed = (layers.layer(i) if i in layers else None for i in self._chosen)
        rest = [x for x in self.candidates() if x not in (moving, fixed)]
        if fixed is None:
            used = sorted(rest, key=lambda x: (x.modality not in SWEPT, not x.available))
            fixed = used[0] if used else None
            rest = [x for x in rest if x is not fixed]
        moving = moving or (rest[0] if rest else None)
        return None if moving is None or fixed is None else (moving, fixed)

    @property
    def chosen(self) -> bool:
        """Whether somebody said what moves."""
        return self._chosen[0] in self._layers

    def choose(self, moving: str = "", fixed: str = "") -> None:
        """Choose what moves or what stays; the other gives way when both would be one."""
        pair = self.pair()
        was = (pair[0].id, pair[1].id) if pair else ("", "")
        new = (moving or was[0], fixed or was[1])
        if new[0] == new[1]:
            new = (new[0], was[0]) if moving else (was[1], new[1])
        self._chosen = new
        self._stays(new[1])
        self.changed.emit()

    def put_landmarks(self, key: Key, pairs: Pairs) -> None:
        """Keep the landmarks of two volumes."""
        self.landmarks[key] = pairs
        self.landmarks_changed.emit()
