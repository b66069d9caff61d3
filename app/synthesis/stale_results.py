"""Says which results are out of date because a volume was moved after they were made."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer

from app.shared.context import Context
from app.state.messages import Action
from app.state.record import Result
from app.state.results import OUTDATED
from app.state.values import Kind

SETTLE_MS = 600


class StaleResults(QObject):
    """Runs again when the form says so, else marks the layers and offers to.

    Args:
        context: the results, and where volumes are.
        run: starts a run, or starts it again.
        running: tells whether a run is under way.
    """

    def __init__(
        self, context: Context, run: Callable[[], None], running: Callable[[], bool]
    ) -> None:
        super().__init__(context.session)
        self._session, self._messages = context.session, context.messages
        self._run, self._running = run, running
        self._told = self._by_user = False
        self._timer = QTimer(self, singleShot=True, interval=SETTLE_MS)
        self._timer.timeout.connect(self._look)
        context.session.layer_changed.connect(self._layer_changed)
        context.session.synthesis.inputs_edited.connect(self._edited)
        context.session.results.changed.connect(self._mark)

    def moved_since(self, result: Result) -> list[str]:
        """Return the modalities that lie elsewhere now than when a result was made."""
        session = self._session
        return [
            m for m, given in result.given.items()
            if given.layer_id in session
            and not session.layer(given.layer_id).volume.grid.same_as(given.grid)
        ]  # fmt: skip

    def stop(self) -> None:
        """Look no more."""
        self._timer.stop()

    def _layer_changed(self, layer_id: str, field: str) -> None:
        if field == "position" and self._session.layer(layer_id).kind is Kind.REAL:
            self._timer.start()

    def _edited(self, what: str) -> None:
        self._by_user = self._by_user or what == "position"

    def _look(self) -> None:
        asked, results = self._session.synthesis, self._session.results
        by_user, self._by_user = self._by_user, False
        asked.form_changed.emit()
        self._mark()  # what stands there until a new run is whole, or after it is cancelled
        if self._running():
            self._run()  # again, from where the volume is now
            return
        current = results.current
        moved = set(self.moved_since(current)) if current else set()
        if moved and by_user and asked.form.rerun and not asked.obstacle():
            self._run()
            return
        if moved and not self._told:
            names = " and ".join(sorted(moved))
            self._messages.warning(
                f"{names} was moved: the synthetic volumes show the position before.",
                [Action("Run again", self._run)],
            )
        self._told = bool(moved)

    def _mark(self) -> None:
        """Say in the names of layers whether they are out of date."""
        session = self._session
        for result in session.results.all:
            moved = self.moved_since(result)
            for layer in session.results.rows(result):
                name = layer.name.partition(OUTDATED)[0]
                if moved:
                    name += f"{OUTDATED}{' and '.join(moved)} moved since"
                session.update_layer(layer.id, name=name)
