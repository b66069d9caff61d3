"""The page of one run: how it is doing, what can be done to it, its curves, pictures and report."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QMenu,
    QProgressBar,
    QPushButton,
    QTabWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.training.runs.actions import RunActions
from app.training.runs.curves import CurvesPage
from app.training.runs.filmstrip import Filmstrip
from app.training.runs.follower import RunFollower
from app.training.runs.history import History
from app.training.runs.notes import PlanAndNotes
from app.training.runs.report_page import ReportPage
from app.training.runs.wording import COLOURS, state_sentence, state_word
from core.errors import UserError
from core.models.base.config import ModelConfig
from trainer.plan.schema import load_plan
from trainer.run.balance import WON_LINES, Balance, assess_balance, overall
from trainer.run.learning import learning_from
from trainer.run.state import RunInfo

LIGHTS = {"off": "#8a8f98", "green": "#4aa564", "yellow": "#e0902f", "red": "#c9564c"}


class RunPage(QWidget):
    """Follows one run.

    Args:
        path: the run's folder.
        actions: what the buttons do.
        use_model: receives the run's model file.
    """

    gone = Signal()
    reported = Signal(str)
    fine_tune_wanted = Signal(object)

    def __init__(
        self,
        path: Path,
        actions: RunActions,
        use_model: Callable[[Path], None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.path = path
        self.actions_ = actions
        self.follower = RunFollower(path, self)
        self._finishing = False
        self.name = QLabel(f"<b style='font-size:15pt'>{escape(path.name)}</b>")
        self.state = QLabel()
        self.light = QLabel()
        self.light.hide()
        self.sentence = QLabel()
        self.sentence.setWordWrap(True)
        self.sentence.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.learning = QLabel()
        self.learning.setWordWrap(True)
        self.learning.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.learning.hide()
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.bar = QProgressBar(maximum=1000)
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(8)
        self.pause = _button("Pause", "Save and stop after the current step; resume any time")
        self.finish = _button("Finish now", "End here: save, validate and deliver the model")
        self.resume = _button("Resume", "Continue this run from its last checkpoint")
        self.fine_tune = _button(
            "Fine-tune from this…", "Begin a new run with this run's weights; this one stays"
        )
        self.use = _button("Use this model", "Put the model into the model list and choose it")
        self.discard = _button("Discard…", "Stop the run and delete it; asks for its name first")
        self.more = QToolButton()
        self.more.setText("More")
        self.tabs = QTabWidget()
        self.curves = CurvesPage()
        self.pictures = Filmstrip(path, model_of(path), actions.jobs)
        self.report = ReportPage(path, actions.open_file, lambda: use_model(self.model))
        self.notes = PlanAndNotes(path)
        self._lay_out()
        it, act = self.follower, actions
        it.state_changed.connect(self._show_state)
        it.changed.connect(self._show_history)
        it.gone.connect(self.gone)
        self.pause.clicked.connect(lambda: act.pause(path))
        self.finish.clicked.connect(self._finish)
        self.resume.clicked.connect(self._resume)
        self.discard.clicked.connect(lambda: act.discard(path))
        self.use.clicked.connect(lambda: use_model(self.model))
        self.fine_tune.clicked.connect(lambda: self.fine_tune_wanted.emit(self.model))
        self._show_state()

    @property
    def model(self) -> Path:
        """Where the run's model lies once it has one."""
        return self.path / "model.safetensors"

    @property
    def info(self) -> RunInfo:
        """The run's state."""
        return self.follower.info

    def start(self) -> None:
        """Begin to follow the run."""
        self.follower.start()

    def stop(self) -> None:
        """Save the notes and follow no longer."""
        self.curves.stop()
        self.pictures.stop()
        self.report.stop()
        self.notes.save()
        self.follower.stop()

    # ---- inside

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.addWidget(self.name)
        head.addWidget(self.state)
        head.addStretch(1)
        head.addWidget(self.light)
        buttons = QHBoxLayout()
        for button in (self.resume, self.pause, self.finish, self.discard):
            buttons.addWidget(button)
        buttons.addStretch(1)
        for button in (self.fine_tune, self.use):
            buttons.addWidget(button)
        buttons.addWidget(self.more)
        menu = QMenu(self.more)
        menu.addAction("Open folder", lambda: self.actions_.open_folder(self.path))
        menu.addAction("Export…", lambda: self.actions_.export(self.path))
        self.delete = menu.addAction("Delete…", lambda: self.actions_.delete(self.path))
        self.more.setMenu(menu)
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.tabs.addTab(self.curves, "Curves")
        self.tabs.addTab(self.pictures, "Pictures")
        self.tabs.addTab(self.report, "Report")
        self.tabs.addTab(self.notes, "Plan and notes")
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 8, 10, 6)
        column.addLayout(head)
        column.addWidget(self.sentence)
        column.addWidget(self.learning)
        column.addWidget(self.words)
        column.addWidget(self.bar)
        column.addLayout(buttons)
        column.addWidget(self.tabs, 1)

    def _finish(self) -> None:
        """Ask the run to end; it is evaluated as soon as it has."""
        self._finishing = self.actions_.finish(self.path)

    def _resume(self) -> None:
        self.actions_.resume(self.path)
        self.follower.look()

    def _show_history(self) -> None:
        history = self.follower.history
        self.curves.show_history(history)
        self.pictures.show_previews(history.previews)
        balance = balance_of(history)
        self.light.setVisible(bool(history.start) and balance.light != "off")
        self.light.setText(f"<span style='color:{LIGHTS[balance.light]}'>●</span> G/D balance")
        self.light.setToolTip(balance.reason)
        learned = learning_from(history.validation_events)
        self.learning.setVisible(learned is not None)
        self.learning.setText(learned.sentence if learned else "")
        self._show_state()

    def _show_state(self) -> None:
        info, history = self.info, self.follower.history
        colour = COLOURS.get(info.state, "#8a8f98")
        self.state.setText(f"<span style='color:{colour}'>●</span> {state_word(info)}")
        self.sentence.setText(" ".join(filter(None, (state_sentence(info), epoch_of(history)))))
        self.words.setVisible(info.crashed and info.words.count("\n") > 0)
        self.words.setText(
            f"<p>The process's last lines:</p><pre>{escape(info.words)}</pre>"
            if self.words.isVisibleTo(self)
            else ""
        )
        self.bar.setValue(round(1000 * info.part))
        has_model = self.model.is_file()
        self.pause.setVisible(info.alive)
        self.finish.setVisible(info.alive)
        self.resume.setVisible(info.resumable)
        for button in (self.pause, self.finish):
            button.setEnabled(info.state == "running")
        self.fine_tune.setEnabled(has_model)
        self.use.setEnabled(has_model)
        self.delete.setEnabled(not info.alive)
        self.report.show_state(info)
        if info.state == "finished" and self._finishing:
            self._finishing = False
            self.tabs.setCurrentWidget(self.report)
            self.report.evaluate()


def epoch_of(history: History) -> str:
    """Say which epoch of how many a run is in; empty when it does not count them."""
    start, now = history.start, history.now
    steps, total = start.get("epoch_steps"), start.get("total_steps")
    if not steps or not now:
        return ""
    epoch = int(now.get("epoch", 0)) + 1
    if total:
        return f"Epoch {min(epoch, -(-total // steps))} of {-(-total // steps)}."
    return f"Epoch {epoch}."


def balance_of(history: History) -> Balance:
    """Judge the adversarial balance by the last log lines."""
    found = []
    for name in history.steps.names:
        parts = name.split("/")
        if parts[0] == "d" and parts[-1] == "real":
            first = max(0, len(history.steps) - WON_LINES)
            real, fake = (
                history.steps.get(f"d/{parts[1]}/{s}", first)[1] for s in ("real", "fake")
            )
            seen = ~np.isnan(real) if len(real) == len(fake) else np.zeros(0, bool)
            if len(seen):
                found.append(assess_balance(parts[1], real[seen].tolist(), fake[seen].tolist()))
    return overall(found)


def model_of(run: Path) -> ModelConfig | None:
    """Return the configuration of a run's model; None when its plan cannot be read."""
    try:
        return load_plan(run / "plan.json").model
    except UserError:
        return None


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    return button
