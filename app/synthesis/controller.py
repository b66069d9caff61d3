"""Runs the model on the case: requests out, results into the session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer, Signal

from app.processes.engine_job import EngineJob, Failure
from app.processes.progress import Stage
from app.processes.protocol import Message
from app.shared.commands import Command
from app.shared.context import Context
from app.state.messages import Action
from app.state.synthesis import Form
from app.state.undo import AddLayers
from app.state.values import Kind
from app.synthesis.cost import CostEstimator, pace_key
from app.synthesis.experts import Experts
from app.synthesis.live_preview import LivePreview, Question, question
from app.synthesis.request import device, sweep_obstacle, sweep_task, task
from app.synthesis.stale_results import StaleResults

if TYPE_CHECKING:
    from core.models.bundle import Bundle
    from core.volume import Volume

RERUN_DELAY_MS = 350


@dataclass
class _State:
    run: EngineJob | None = None
    live: LivePreview | None = None
    again: bool = False
    probe: Mapping[str, Any] | None = None
    asked: Question | None = None


class SynthesisController(QObject):
    """The one owner of runs; panels subscribe.

    Attributes:
        asked: the session's choices of model, inputs and options.
    """

    running_changed = Signal(bool)
    stage_changed = Signal(object)
    """:class:`Stage`."""

    def __init__(self, context: Context) -> None:
        super().__init__(context.session)
        self.context, self.session = context, context.session
        self.asked, self.results = self.session.synthesis, self.session.results
        self.asked.form = Form.from_dict(context.settings.form())
        self._state = _State()
        self._told: set[str] = set()
        self.cost = CostEstimator(context, lambda: self.running)
        self.cost.warned.connect(self._tell)
        self.cost.told.connect(context.messages.info)
        self.experts = Experts(context, lambda: self.running)
        self.stale = StaleResults(context, self._renew, lambda: self.running)
        self._rerun_timer = QTimer(self, singleShot=True, interval=RERUN_DELAY_MS)
        self._rerun_timer.timeout.connect(self._rerun)
        self.asked.form_edited.connect(self._keep_form)
        self.asked.form_changed.connect(self._case_changed)
        self.asked.inputs_edited.connect(self._inputs_edited)
        self.session.layers_changed.connect(self._case_changed)
        self.session.layer_changed.connect(self._layer_changed)
        context.engine.state_changed.connect(self._engine_changed)
        context.engine.engine_lost.connect(self._engine_lost)

    @property
    def running(self) -> bool:
        """Whether a run is under way."""
        return self._state.run is not None

    @property
    def sweeping(self) -> bool:
        """Whether a virtual sweep is under way."""
        return self.running and self._state.asked is not None and bool(self._state.asked.probe)

    def commands(self) -> list[Command]:
        """Return the commands of the menu Synthesis."""
        menu = "Synthesis"
        return [
            Command("run", "Run", menu, menu, self.run, ("Ctrl+R",),
                    "Synthesise; the tile under the cursor comes first",
                    enabled=lambda: not self.asked.obstacle()),
            Command("cancel", "Cancel the run", menu, menu, self.cancel, ("Ctrl+.",),
                    enabled=lambda: self.running),
        ]  # fmt: skip

    # ---- models

    def find_models(self) -> None:
        """Look for models in a thread, and offer them."""

        def work() -> list[Bundle]:
            from core.models.bundle import available

            return available()

        context = self.context
        context.jobs.submit("Looking for models", work, self._offer, context.messages.error)

    def open_model(self, path: Path) -> None:
        """Offer the model in a file, and choose it."""

        def work() -> Bundle:
            from core.models.bundle import header

            return header(path)

        def chosen(bundle: Bundle) -> None:
            self.asked.use_model(bundle)
            self.context.messages.info(f"Using the model {bundle.name}. {bundle.intended_use}")

        context = self.context
        context.jobs.submit(f"Reading {path.name}", work, chosen, context.messages.error)

    def _offer(self, models: Sequence[Bundle]) -> None:
        known = {str(b.path) for b in models}
        mine = [b for b in self.asked.models if str(b.path) not in known]
        self.asked.set_models([*models, *mine])

    # ---- running

    def run(self) -> None:
        """Start a run, or start again when one is under way."""
        self._start(None)

    def run_sweep(self, plan: Mapping[str, Any]) -> None:
        """Start a virtual sweep, or start again when a run is under way.

        Args:
            plan: see :class:`core.synthesis.sweep_plan.SweepPlan`.
        """
        self._start(plan)

    def _start(self, probe: Mapping[str, Any] | None) -> None:
        self._state.probe = probe
        obstacle = self.asked.obstacle() if probe is None else sweep_obstacle(self.asked)
        if obstacle:
            self.context.messages.error(obstacle)
            return
        if self._state.run is not None:
            self._state.again = True
            self._state.run.cancel()
            return
        self.cost.stop()
        self.experts.cancel()
        engine = self.context.engine
        self._state.asked = question(self.session, probe)
        job = engine.submit("run", *self._order(probe))
        self._state.run = job
        job.prepared.connect(self._prepared)
        job.progressed.connect(self._progressed)
        job.finished.connect(self._finished)
        job.failed.connect(self._failed)
        job.cancelled.connect(self._cancelled)
        starting = engine.state == "starting"
        self.stage_changed.emit(Stage("starting the engine" if starting else "handing over"))
        self.running_changed.emit(True)

    def _order(self, probe: Mapping[str, Any] | None) -> tuple[Message, dict[str, Volume]]:
        """Return a task, and the volumes it needs."""
        volumes = self.asked.volumes()
        if probe is None:
            return task(self.context), volumes
        return sweep_task(self.context, {"plan": dict(probe)}), volumes

    def cancel(self) -> None:
        """Stop the run; what was there before stays."""
        self._state.again = False
        if self._state.run is not None:
            self.stage_changed.emit(Stage("cancelling"))
            self._state.run.cancel()

    def close(self) -> None:
        """Stop timers; jobs end with the engine."""
        self.cost.stop()
        self.stale.stop()
        self._rerun_timer.stop()

    # ---- a run's life

    def _prepared(self, message: Message) -> None:
        assert self._state.asked is not None
        self._state.live = LivePreview(self.session, message, self._state.asked)

    def _progressed(self, message: Message) -> None:
        self._tell(message.get("warnings", []))
        for sentence in message.get("told", []):
            self.context.messages.info(sentence)
        if self._state.live is not None:
            self._state.live.touch(message.get("regions", []))
        self.stage_changed.emit(
            Stage(message["stage"], message["done"], message["total"], message.get("seconds_left"))
        )

    def _finished(self, message: Message) -> None:
        live = self._state.live
        assert live is not None
        if not live.asked.probe:  # its key tells of another number of inputs
            key = pace_key(self.context, device(self.context))
            self.context.settings.add_pace(key, float(message["pace"]))
        rows = live.finish(message)
        self.context.engine.release()
        self._end()
        what = f"Synthesise {' and '.join(message['results'])}"
        self.context.undo.push(AddLayers(self.session, rows, what))
        names = ", ".join(message["results"])
        self.context.messages.info(
            f"Synthesised {names} in {message['seconds']:.0f} s. Research use only."
        )
        self._tell(message.get("warnings", []))

    def _tell(self, sentences: Sequence[str]) -> None:
        """Say what is to be known of the inputs, once: a second run tells nothing new of them."""
        new = [text for text in map(str, sentences) if text not in self._told]
        self._told.update(new)
        if new:
            self.context.messages.warning(" ".join(new))

    def _failed(self, failure: Failure) -> None:
        self._drop_live()
        self._end()
        actions = []
        if failure.about_memory:
            form = self.asked.form
            if form.batch > 1:
                half = form.batch // 2
                actions.append(Action(f"Smaller batch ({half})", lambda: self._retry(batch=half)))
            if form.device != "cpu" and self.context.engine.devices[:1] != ["cpu"]:
                actions.append(Action("CPU", lambda: self._retry(device="cpu")))
        again = [Action("Run again", self._start_again)]
        self.context.messages.error(failure.sentence, actions or again)

    def _cancelled(self) -> None:
        self._drop_live()
        again = self._state.again
        self._end()
        if again:
            self._start_again()

    def _retry(self, **edit: Any) -> None:
        self.asked.set_form(**edit)
        self._start_again()

    def _renew(self) -> None:
        """Make what is under way, or else is shown, again from where the volumes are now."""
        current = self.results.current
        if not self.running:
            self._state.probe = (current.probe or None) if current else None
        self._start_again()

    def _start_again(self) -> None:
        """Start what was asked for last."""
        self._start(self._state.probe)

    def _drop_live(self) -> None:
        if self._state.live is not None:
            self._state.live.drop()

    def _end(self) -> None:
        self._state.run = self._state.live = None
        self._state.again = False
        self.stage_changed.emit(Stage(""))
        self.running_changed.emit(False)
        self.cost.restart()

    # ---- what changed

    def _keep_form(self) -> None:
        asked = self.asked
        name = asked.bundle.name if asked.bundle else ""
        self.context.settings.keep_form({**asked.form.to_dict(), "targets": [], "model": name})

    def _case_changed(self) -> None:
        if self.running:
            # Later: whoever changes the case now must not find rows gone while they do it.
            QTimer.singleShot(0, self, self._cancel_lost)
        else:
            self.cost.restart()

    def _cancel_lost(self) -> None:
        """Stop a run when what it was made from, or what it makes, was taken away."""
        asked, live = self._state.asked, self._state.live
        if not self.running or asked is None:
            return
        ids = [g.layer_id for g in asked.given.values()]
        ids += [r.layer_id for r in live.records.values()] if live else []
        if any(i not in self.session for i in ids):
            self.cancel()

    def _layer_changed(self, layer_id: str, changed: str) -> None:
        if changed not in ("available", "modality", "volume"):
            return
        if self.session.layer(layer_id).kind is Kind.REAL:
            self.asked.form_changed.emit()

    def _inputs_edited(self, what: str) -> None:
        if what == "available" and self.asked.form.rerun:
            self._rerun_timer.start()

    def _rerun(self) -> None:
        """Run from what is left after a toggle: the honest test on the user's own patient."""
        if self.asked.obstacle() or set(self.asked.subset()) == set(self.asked.known()):
            return
        now = question(self.session)
        if any(now.answered_by(r) for r in self.results.live):
            return
        for result in reversed(self.results.all):
            if now.answered_by(result) and result.target in self.asked.targets():
                self.results.choose(result.id)  # it is known: show it instead of waiting for it
                return
        self.run()

    def _engine_changed(self, state: str) -> None:
        if state == "ready" and not self.running:
            self.cost.restart()

    def _engine_lost(self, sentence: str) -> None:
        engine = self.context.engine
        if not self.running and engine.state == "off":
            again = [Action("Start it again", engine.start)]
            self.context.messages.error(f"{sentence} Viewing goes on; synthesis needs it.", again)
