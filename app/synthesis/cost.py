"""What a run will cost, before it is started: tiles timed on this computer, and remembered."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from app.processes.engine_job import EngineJob, Failure
from app.processes.protocol import Message
from app.synthesis.request import Estimate

if TYPE_CHECKING:
    from app.synthesis.controller import Synthesiser

DELAY_MS = 700


class Preflight(QObject):
    """Asks the engine for the cost of the present request whenever that changes.

    Args:
        owner: says what the request is.
    """

    changed = Signal(object)
    """``Estimate``, a sentence saying why there is none, or None while it is being made."""

    def __init__(self, owner: Synthesiser) -> None:
        super().__init__(owner)
        self.latest: Estimate | str | None = None
        self._owner = owner
        self._job: EngineJob | None = None
        self._timer = QTimer(self, singleShot=True, interval=DELAY_MS)
        self._timer.timeout.connect(self._ask)

    def restart(self) -> None:
        """Ask again soon; several changes in a row lead to one question."""
        self._say(self._owner.obstacle() or None)
        self._timer.start()

    def stop(self) -> None:
        """Ask no more; an answer under way is dropped."""
        self._timer.stop()
        if self._job is not None:
            self._job.cancel()
            self._job = None

    def _ask(self) -> None:
        owner = self._owner
        if owner.running or owner.client.state not in ("ready", "busy"):
            return
        obstacle = owner.obstacle()
        if obstacle:
            self._say(obstacle)
            return
        self.stop()
        self._say(None)
        key = pace_key(owner, owner.device())
        known = owner.settings.paces(key)
        task = {**owner.task(), "measure": not known}
        job = owner.client.submit("preflight", task, owner.volumes())
        self._job = job

        def done(message: Message) -> None:
            if self._job is not job:
                return
            self._job = None
            for pace in message["paces"]:
                owner.settings.add_pace(key, pace)
            paces, tiles = [*known, *message["paces"]], int(message["tiles"])
            low, high = message["memory"]
            seconds = (tiles * min(paces), tiles * max(paces))
            self._say(Estimate(tiles, seconds, (low, high), message["device"]))

        def failed(failure: Failure) -> None:
            if self._job is job:
                self._job = None
                self._say(failure.sentence)

        job.finished.connect(done)
        job.failed.connect(failed)

    def _say(self, what: Estimate | str | None) -> None:
        self.latest = what
        self.changed.emit(what)


def pace_key(owner: Synthesiser, device: str) -> str:
    """Name what a pace depends on; the model by its file's size and age, never by its path."""
    model = Path(owner.form.model)
    about = model.stat() if model.is_file() else None
    parts = (
        f"{about.st_size}-{int(about.st_mtime)}" if about else "",
        device,
        len(owner.subset()),
        len(owner.targets()),
        owner.form.samples,
        owner.form.batch,
    )
    return "|".join(str(p) for p in parts)
