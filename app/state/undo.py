"""Changes of the case that can be taken back; display settings are not among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from PySide6.QtGui import QUndoCommand

from app.state.record import Result
from app.state.session import Session
from app.state.values import Kind, Layer, Placement

_State = dict[str, tuple[str, bool, str]]
"""Layer id → (modality, available, name)."""


class EditModality(QUndoCommand):
    """Name a volume's modality."""

    def __init__(self, session: Session, layer_id: str, modality: str) -> None:
        super().__init__(f"Set modality {modality or 'unknown'}")
        self._session, self._id, self._modality = session, layer_id, modality
        self._before = _state(session)

    def redo(self) -> None:
        """Apply."""
        source = self._session.layer(self._id).volume.source
        name = layer_name(self._modality, source)
        self._session.update_layer(self._id, modality=self._modality, name=name)

    def undo(self) -> None:
        """Take back, with the availability other volumes had."""
        _restore(self._session, self._before)


class EditAvailable(QUndoCommand):
    """Show a real volume to the model, or hide it."""

    def __init__(self, session: Session, layer_id: str, available: bool) -> None:
        name = session.layer(layer_id).modality or "volume"
        super().__init__(f"{'Use' if available else 'Do not use'} {name} as input")
        self._session, self._id, self._available = session, layer_id, available
        self._before = _state(session)
        self._done = False

    def redo(self) -> None:
        """Apply."""
        self._session.update_layer(self._id, available=self._available)
        if not self._done:
            self._done = True
            self._session.synthesis.inputs_edited.emit("available")

    def undo(self) -> None:
        """Take back, with the availability other volumes had."""
        _restore(self._session, self._before)


class AddLayers(QUndoCommand):
    """Bring volumes into the case. The layers are in the session already when this is pushed."""

    def __init__(self, session: Session, layer_ids: Sequence[str], text: str) -> None:
        super().__init__(text)
        self._session, self._ids = session, list(layer_ids)
        self._taken: list[tuple[int, Layer]] = []

    def redo(self) -> None:
        """Put the layers back where they were (nothing to do the first time)."""
        for place, layer in self._taken:
            self._session.restore_layer(layer, place)
        self._taken = []

    def undo(self) -> None:
        """Take the layers out."""
        self._taken = _take(self._session, self._ids)


class ImportLayers(QUndoCommand):
    """Bring volumes into the case one by one, some in place of others, as one step.

    Push it when the first volume is in; tell it of every further one.
    """

    def __init__(self, session: Session, text: str) -> None:
        super().__init__(text)
        self._session = session
        self._before = _state(session)
        self._ids: list[str] = []
        self._replaced: list[tuple[int, Layer]] = []
        self._taken: list[tuple[int, Layer]] = []
        self.undone = False

    def added(self, layer_id: str) -> None:
        """Note a layer that was added to the session."""
        self._ids.append(layer_id)

    def replace(self, layer_id: str) -> None:
        """Take out a layer that a new one is about to replace."""
        place = [x.id for x in self._session.layers].index(layer_id)
        self._replaced.append((place, self._session.remove_layer(layer_id)))

    def redo(self) -> None:
        """Put the layers back (nothing to do the first time)."""
        if self.undone:
            for _, layer in self._replaced:
                if layer.id in self._session:
                    self._session.remove_layer(layer.id)
            for place, layer in self._taken:
                self._session.restore_layer(layer, place)
        self._taken, self.undone = [], False

    def undo(self) -> None:
        """Take the layers out, and put back those that were replaced."""
        self._taken = _take(self._session, self._ids)
        for place, layer in reversed(self._replaced):
            self._session.restore_layer(layer, place)
        self.undone = True
        _restore(self._session, self._before)


class RemoveLayers(QUndoCommand):
    """Take volumes out of the case."""

    def __init__(self, session: Session, layer_ids: Sequence[str], text: str) -> None:
        super().__init__(text)
        self._session, self._ids = session, list(layer_ids)
        self._taken: list[tuple[int, Layer]] = []
        self._before = _state(session)

    def redo(self) -> None:
        """Take the layers out."""
        self._taken = _take(self._session, self._ids)

    def undo(self) -> None:
        """Put them back where they were."""
        for place, layer in self._taken:
            self._session.restore_layer(layer, place)
        _restore(self._session, self._before)


class MoveLayers(QUndoCommand):
    """Put volumes elsewhere; what belongs to one gesture is one step.

    Args:
        session: whose layers.
        placements: layer id → where it goes; None is the position in its file.
        text: what the Edit menu calls it.
        gesture: moves of one number that follow each other are taken back together; 0 for a step
            of its own.
    """

    def __init__(
        self,
        session: Session,
        placements: Mapping[str, Placement | None],
        text: str,
        gesture: int = 0,
    ) -> None:
        super().__init__(text)
        self._session, self._after, self._gesture = session, dict(placements), gesture
        self._before = {i: session.layer(i).placement for i in placements}
        self._done = False

    def redo(self) -> None:
        """Put them there."""
        self._put(self._after)
        if not self._done:
            self._done = True
            self._session.synthesis.inputs_edited.emit("position")

    def undo(self) -> None:
        """Put them back."""
        self._put(self._before)

    def id(self) -> int:
        """Return what kinds of steps may be merged."""
        return 1 if self._gesture else -1

    def mergeWith(self, other: QUndoCommand) -> bool:
        """Take over where a later step of the same gesture went."""
        same = isinstance(other, MoveLayers) and other._gesture == self._gesture
        if same and isinstance(other, MoveLayers) and set(other._after) == set(self._after):
            self._after = other._after
            return True
        return False

    def _put(self, placements: Mapping[str, Placement | None]) -> None:
        for layer_id, placement in placements.items():
            if layer_id in self._session:
                self._session.place(layer_id, placement)


class RenameResult(QUndoCommand):
    """Call a result something; its rows follow."""

    def __init__(self, session: Session, result: Result, name: str) -> None:
        super().__init__(f"Rename #{result.number}")
        self._session, self._before = session, result
        self._after = replace(result, name=name)

    def redo(self) -> None:
        """Apply."""
        self._put(self._after)

    def undo(self) -> None:
        """Take back."""
        self._put(self._before)

    def _put(self, result: Result) -> None:
        for row in self._session.results.rows(result):
            self._session.update_layer(row.id, result=result)
            if row.id == result.layer_id:
                self._session.update_layer(row.id, name=result.title)


def _take(session: Session, layer_ids: Sequence[str]) -> list[tuple[int, Layer]]:
    """Remove layers; returns where each was, in an order in which they can be put back."""
    order = [x.id for x in session.layers]
    places = sorted(order.index(i) for i in layer_ids if i in session)
    return [(n, session.remove_layer(order[n])) for n in places]


def layer_name(modality: str, source: str) -> str:
    """Return what to call a real volume."""
    return f"{modality} ({source})" if modality and source else modality or source


def _state(session: Session) -> _State:
    return {x.id: (x.modality, x.available, x.name) for x in session.layers if x.kind is Kind.REAL}


def _restore(session: Session, state: _State) -> None:
    """Bring modalities and availability back; what is held back first, as only one may be used."""
    known = {i: s for i, s in state.items() if i in session}
    for layer_id in known:
        session.update_layer(layer_id, available=False)
    for layer_id, (modality, _, name) in known.items():
        session.update_layer(layer_id, modality=modality, name=name)
    for layer_id, (_, available, _) in known.items():
        session.update_layer(layer_id, available=available)
