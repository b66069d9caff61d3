"""Runs the model on the case: requests out, results into the session."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from PySide6.QtCore import QTimer, Signal

from app.processes.client import EngineClient
from app.processes.engine_job import EngineJob, Failure
from app.processes.protocol import Message
from app.state.messages import Action, Notifications
from app.state.session import Session
from app.state.settings import Settings
from app.state.values import Kind
from app.synthesis.choices import Choices
from app.synthesis.cost import Preflight, pace_key
from app.synthesis.live import LiveRun, Result
from app.synthesis.request import Stage
from app.synthesis.shares import Shares
from app.synthesis.stale import OUTDATED, Stale

RERUN_DELAY_MS = 350


@dataclass
class _State:
    run: EngineJob | None = None
    live: LiveRun | None = None
    shares: EngineJob | None = None
    again: bool = False
    given: frozenset[str] = frozenset()
    """Ids of the input volumes at the last run or switch."""
    results: dict[str, Result] = field(default_factory=dict)


class Synthesiser(Choices):
    """The one owner of runs; panels subscribe."""

    running_changed = Signal(bool)
    stage_changed = Signal(object)
    results_changed = Signal()
    shares_changed = Signal(object)
    """``Shares`` of a slice, or None."""

    def __init__(
        self,
        session: Session,
        client: EngineClient,
        notes: Notifications,
        settings: Settings,
    ) -> None:
        super().__init__(session, client, settings)
        self.notes = notes
        self._state = _State()
        self.preflight = Preflight(self)
        self.stale = Stale(self)
        self._rerun_timer = QTimer(self, singleShot=True, interval=RERUN_DELAY_MS)
        self._rerun_timer.timeout.connect(self._rerun)
        self.form_changed.connect(self._case_changed)
        session.layers_changed.connect(self._case_changed)
        session.layer_changed.connect(self._layer_changed)
        client.state_changed.connect(self._engine_changed)

    # ---- what panels show

    @property
    def running(self) -> bool:
        """Whether a run is under way."""
        return self._state.run is not None

    @property
    def results(self) -> dict[str, Result]:
        """Target → the last whole result."""
        return self._state.results

    # ---- running

    def run(self) -> None:
        """Start a run, or start again when one is under way."""
        obstacle = self.obstacle()
        if obstacle:
            self.notes.error(obstacle)
            return
        self._state.given = self._given()
        if self._state.run is not None:
            self._state.again = True
            self._state.run.cancel()
            return
        self.preflight.stop()
        if self._state.shares is not None:
            self._state.shares.cancel()
        job = self.client.submit("run", self.task(), self.volumes())
        self._state.run = job
        job.prepared.connect(self._prepared)
        job.progressed.connect(self._progressed)
        job.finished.connect(self._finished)
        job.failed.connect(self._failed)
        job.cancelled.connect(self._cancelled)
        starting = self.client.state == "starting"
        self.stage_changed.emit(Stage("starting the engine" if starting else "handing over"))
        self.running_changed.emit(True)

    def cancel(self) -> None:
        """Stop the run; what was there before stays."""
        self._state.again = False
        if self._state.run is not None:
            self.stage_changed.emit(Stage("cancelling"))
            self._state.run.cancel()

    def forget_results(self) -> None:
        """Drop results whose layers are gone (another case was opened)."""
        self._state.results = {
            m: r for m, r in self._state.results.items() if r.layer_id in self.session
        }
        self.results_changed.emit()

    def adopt(self, modality: str, result: Result) -> None:
        """Take over a result that was read from a project, made from where volumes are now."""
        if OUTDATED not in self.session.layer(result.layer_id).name:
            places = {m: v.grid for m, v in self.session.case().volumes.items()}
            result = replace(result, places=places)
        self._state.results[modality] = result
        self.results_changed.emit()

    def ask_shares(self) -> None:
        """Ask for the experts' shares of the slice under the cursor, unless a run is under way."""
        if self.running or self._state.shares or self.blind():
            return
        # Shares need no output; the request must name one.
        task = {**self.task(), "targets": list(self.subset())}
        job = self.client.submit("shares", task, self.volumes())
        self._state.shares = job

        def done(message: Message) -> None:
            self._state.shares = None
            shares = Shares.from_message(message)
            self.client.release()
            self.shares_changed.emit(shares)

        def ended(*_: object) -> None:
            self._state.shares = None
            self.shares_changed.emit(None)

        job.finished.connect(done)
        job.failed.connect(ended)
        job.cancelled.connect(ended)

    def close(self) -> None:
        """Stop timers; jobs end with the engine."""
        self.preflight.stop()
        self.stale.stop()
        self._rerun_timer.stop()

    # ---- a run's life

    def _prepared(self, message: Message) -> None:
        self._state.live = LiveRun(self.session, message, self.subset())

    def _progressed(self, message: Message) -> None:
        if self._state.live is not None:
            self._state.live.touch(message.get("regions", []))
        self.stage_changed.emit(
            Stage(message["stage"], message["done"], message["total"], message.get("seconds_left"))
        )

    def _finished(self, message: Message) -> None:
        live, run = self._state.live, self._state.run
        assert live is not None
        assert run is not None
        key = pace_key(self, message["device"])
        self.settings.add_pace(key, float(message["pace"]))
        old = {m: self._state.results.get(m) for m in message["results"]}
        places = {m: v.grid for m, v in run.volumes.items()}
        made = live.finish(message, old)
        self._state.results.update({m: replace(r, places=places) for m, r in made.items()})
        self.client.release()
        self._end()
        self.results_changed.emit()
        names = ", ".join(message["results"])
        self.notes.info(f"Synthesised {names} in {message['seconds']:.0f} s. Research use only.")

    def _failed(self, failure: Failure) -> None:
        self._drop_live()
        self._end()
        actions = []
        if failure.about_memory:
            if self.form.batch > 1:
                half = self.form.batch // 2
                actions.append(Action(f"Smaller batch ({half})", lambda: self._retry(batch=half)))
            if self.form.device != "cpu" and self.client.devices[:1] != ["cpu"]:
                actions.append(Action("CPU", lambda: self._retry(device="cpu")))
        self.notes.error(failure.sentence, actions or [Action("Run again", self.run)])

    def _cancelled(self) -> None:
        self._drop_live()
        again = self._state.again
        self._end()
        if again:
            self.run()

    def _retry(self, **edit: Any) -> None:
        self.set_form(**edit)
        self.run()

    def _drop_live(self) -> None:
        if self._state.live is not None:
            self._state.live.drop()

    def _end(self) -> None:
        self._state.run = self._state.live = None
        self._state.again = False
        self.stage_changed.emit(Stage(""))
        self.running_changed.emit(False)
        self.preflight.restart()

    # ---- preflight and toggles

    def _case_changed(self) -> None:
        if not self.running:
            self.preflight.restart()
        gone = [m for m, r in self._state.results.items() if r.layer_id not in self.session]
        if gone and not self.running:
            self.forget_results()

    def _layer_changed(self, layer_id: str, changed: str) -> None:
        if changed not in ("available", "modality", "volume"):
            return
        layer = self.session.layer(layer_id)
        if layer.kind is not Kind.REAL:
            return
        self.form_changed.emit()
        if changed == "available" and self.form.rerun and layer.modality:
            self._rerun_timer.start()

    def _rerun(self) -> None:
        """Run from what is left after a toggle: the honest test on the user's own patient."""
        before, self._state.given = self._state.given, self._given()
        if self._state.given == before:  # an undo of something else sets them as they were
            return
        if not self.obstacle() and set(self.subset()) != set(self.known()):
            self.run()

    def _given(self) -> frozenset[str]:
        real = (x for x in self.session.layers if x.kind is Kind.REAL)
        return frozenset(x.id for x in real if x.available and x.modality)

    def _engine_changed(self, state: str) -> None:
        if state == "ready" and not self.running:
            self.preflight.restart()
