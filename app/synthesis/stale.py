"""Says which results are out of date because a volume was moved after they were made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer

from app.state.messages import Action
from app.state.values import Kind

if TYPE_CHECKING:
    from app.synthesis.controller import Synthesiser
    from app.synthesis.live import Result

OUTDATED = " – outdated, "
"""Begins what is added to the names of layers that are out of date."""
SETTLE_MS = 600


class Stale(QObject):
    """Runs again when the form says so, else marks the layers and offers to.

    Args:
        owner: whose results.
    """

    def __init__(self, owner: Synthesiser) -> None:
        super().__init__(owner)
        self._owner = owner
        self._told = False
        self._timer = QTimer(self, singleShot=True, interval=SETTLE_MS)
        self._timer.timeout.connect(self._look)
        owner.session.layer_changed.connect(self._layer_changed)
        owner.results_changed.connect(self._mark)

    def moved_since(self, result: Result) -> list[str]:
        """Return the modalities that lie elsewhere now than when a result was made."""
        volumes = self._owner.session.case().volumes
        return [
            m for m, grid in result.places.items()
            if m in volumes and not volumes[m].grid.same_as(grid)
        ]  # fmt: skip

    def stop(self) -> None:
        """Look no more."""
        self._timer.stop()

    def _layer_changed(self, layer_id: str, field: str) -> None:
        if field == "position" and self._owner.session.layer(layer_id).kind is Kind.REAL:
            self._timer.start()

    def _look(self) -> None:
        owner = self._owner
        owner.form_changed.emit()
        self._mark()  # what stands there until a new run is whole, or after it is cancelled
        if owner.running:
            owner.run()  # again, from where the volume is now
            return
        moved = {m for result in owner.results.values() for m in self.moved_since(result)}
        if moved and owner.form.rerun and not owner.obstacle():
            owner.run()
            return
        if moved and not self._told:
            names = " and ".join(sorted(moved))
            owner.notes.warning(
                f"{names} was moved: the synthetic volumes show the position before.",
                [Action("Run again", owner.run)],
            )
        self._told = bool(moved)

    def _mark(self) -> None:
        """Say in the names of layers whether they are out of date."""
        session = self._owner.session
        for result in self._owner.results.values():
            moved = self.moved_since(result)
            for layer_id in (result.layer_id, *result.others):
                if result.places and layer_id in session:
                    name = session.layer(layer_id).name.partition(OUTDATED)[0]
                    if moved:
                        name += f"{OUTDATED}{' and '.join(moved)} moved since"
                    session.update_layer(layer_id, name=name)
