"""What a run will cost, before it is started: tiles timed on this computer, and remembered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from app.processes.engine_job import EngineJob, Failure
from app.processes.protocol import Message
from app.shared.context import Context
from app.synthesis.request import device, task

DELAY_MS = 700


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


class CostEstimator(QObject):
    """Asks the engine for the cost of the present request whenever that changes.

    Args:
        context: the request, and the engine.
        running: tells whether a run is under way.
    """

    changed = Signal(object)
    """``Estimate``, a sentence saying why there is none, or None while it is being made."""
    told = Signal(str)
    """What the engine found out about this computer."""
    warned = Signal(list)
    """Sentences about the inputs: their scale, and whether they are like the model's training."""

    def __init__(self, context: Context, running: Callable[[], bool]) -> None:
        super().__init__(context.session)
        self.latest: Estimate | str | None = None
        self._context, self._running = context, running
        self._asked = context.session.synthesis
        self._job: EngineJob | None = None
        self._timer = QTimer(self, singleShot=True, interval=DELAY_MS)
        self._timer.timeout.connect(self._ask)

    def restart(self) -> None:
        """Ask again soon; several changes in a row lead to one question."""
        self._say(self._asked.obstacle() or None)
        self._timer.start()

    def stop(self) -> None:
        """Ask no more; an answer under way is dropped."""
        self._timer.stop()
        if self._job is not None:
            self._job.cancel()
            self._job = None

    def _ask(self) -> None:
        context, asked = self._context, self._asked
        if self._running() or context.engine.state not in ("ready", "busy"):
            return
        obstacle = asked.obstacle()
        if obstacle:
            self._say(obstacle)
            return
        self.stop()
        self._say(None)
        key = pace_key(context, device(context))
        known = context.settings.paces(key)
        request = {**task(context), "measure": not known}
        job = context.engine.submit("preflight", request, asked.volumes())
        self._job = job

        def done(message: Message) -> None:
            if self._job is not job:
                return
            self._job = None
            for pace in message["paces"]:
                context.settings.add_pace(key, pace)
            paces, tiles = [*known, *message["paces"]], int(message["tiles"])
            low, high = message["memory"]
            seconds = (tiles * min(paces), tiles * max(paces))
            self._say(Estimate(tiles, seconds, (low, high), message["device"]))
            for sentence in message.get("told", []):
                self.told.emit(sentence)
            self.warned.emit(list(message.get("warnings", [])))

        def failed(failure: Failure) -> None:
            if self._job is job:
                self._job = None
                self._say(failure.sentence)

        job.finished.connect(done)
        job.failed.connect(failed)

    def _say(self, what: Estimate | str | None) -> None:
        self.latest = what
        self.changed.emit(what)


def pace_key(context: Context, device: str) -> str:
    """Name what a pace depends on; the model by its file's size and age, never by its path."""
    asked = context.session.synthesis
    model = Path(asked.form.model)
    about = model.stat() if model.is_file() else None
    parts = (
        f"{about.st_size}-{int(about.st_mtime)}" if about else "",
        device,
        len(asked.subset()),
        len(asked.targets()),
        asked.form.samples,
        asked.form.batch,
    )
    return "|".join(str(p) for p in parts)
