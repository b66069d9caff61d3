"""Sixth step: real steps in a process of its own, then time and memory of the whole run."""

from __future__ import annotations

from functools import partial
from typing import Any

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.training.wizard.cache_button import CacheButton
from app.training.wizard.draft import DraftError
from app.training.wizard.estimate_facts import NAMES, duration, facts_of
from app.training.wizard.page import CommandProcess, MessageLabel, Page, WizardContext
from app.training.wizard.preset_page import begun
from core.errors import UserError

COLOURS = {"green": "#3c9a55", "yellow": "#d9a514", "red": "#c0352b", "": "#8a8f98"}
WORDS = {"green": "Good to go", "yellow": "Possible", "red": "Not on this computer", "": ""}
KILLED = "memory ran out"
"""Part of the sentence for a child that the system ended."""


class Light(QWidget):
    """A round light in one of three colours; grey before anything is known."""

    def __init__(self) -> None:
        super().__init__()
        self.colour = ""
        self.setFixedSize(64, 64)
        self.setAccessibleName("Verdict")

    def show_colour(self, name: str) -> None:
        """Show ``"green"``, ``"yellow"``, ``"red"`` or nothing."""
        self.colour = name
        self.setAccessibleDescription(WORDS[name])
        self.update()

    def sizeHint(self) -> QSize:
        """A square."""
        return QSize(64, 64)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the light."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(COLOURS[self.colour]))
        painter.drawEllipse(4, 4, 56, 56)
        painter.end()


class EstimatePage(Page):
    """Runs ``mhvae-studio estimate`` and offers what would help."""

    title_text = "Estimate"
    about = "A few real steps on this computer tell what the whole run will take."

    def __init__(self, context: WizardContext) -> None:
        super().__init__(context)
        self.task = CommandProcess(self)
        self.light = Light()
        self.word = QLabel()
        font = self.word.font()
        font.setPointSizeF(font.pointSizeF() * 1.5)
        font.setBold(True)
        self.word.setFont(font)
        self.reason = QLabel()
        self.reason.setWordWrap(True)
        self.bar = QProgressBar()
        self.stop = QPushButton("Stop")
        self.cache = CacheButton(context.jobs, self)
        self.again = QPushButton("Estimate again")
        self.rates = QPushButton("Test learning rates")
        self.rates.setToolTip(
            "Some sixty more real steps at a rising rate; proposes a rate if one lowers the loss"
        )
        self.facts = {name: QLabel() for name in NAMES}
        self.fixes: list[QPushButton] = []
        self._fix_row = QVBoxLayout()
        self.sentence = MessageLabel()
        words = QVBoxLayout()
        words.addWidget(self.word)
        words.addWidget(self.reason)
        top = QHBoxLayout()
        top.addWidget(self.light, 0, Qt.AlignmentFlag.AlignTop)
        top.addSpacing(12)
        top.addLayout(words, 1)
        form = QFormLayout()
        for name, label in self.facts.items():
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            label.setWordWrap(True)
            form.addRow(f"{name}:", label)
        below = QHBoxLayout()
        below.addWidget(self.bar, 1)
        below.addWidget(self.stop)
        below.addWidget(self.cache)
        below.addWidget(self.rates)
        below.addWidget(self.again)
        below.addStretch(0)
        column = QVBoxLayout(self)
        column.addLayout(top)
        column.addSpacing(10)
        column.addLayout(form)
        column.addSpacing(10)
        column.addLayout(self._fix_row)
        column.addWidget(self.sentence)
        column.addStretch(1)
        column.addLayout(below)
        self.task.event_received.connect(self._event)
        self.task.ended.connect(self._ended)
        self.stop.clicked.connect(self._stop)
        self.again.clicked.connect(lambda: self.estimate())
        self.cache.told.connect(lambda text, bad: self.sentence.show_message(text, bad=bad))
        self.rates.clicked.connect(lambda: self.estimate(rates=True))

    def enter(self) -> None:
        """Show the verdict; estimate anew when plan or cohort are others than those estimated."""
        if self.draft.estimated == self.draft.plan_fingerprint():
            self._show()
        else:
            self.estimate()

    def leave(self) -> None:
        """End the estimate."""
        self.task.cancel()
        self.cache.leave()

    def estimate(self, *, rates: bool = False) -> None:
        """Start the estimate, with a test of learning rates if wanted."""
        draft = self.draft
        draft.estimated, draft.estimate = "", {}
        self._show()
        try:
            folder = self.context.store.folder(draft)
            path = folder / "plan.json"
            draft.write_cohort(folder).save(path)
        except (DraftError, OSError) as error:
            self._ended(f"The plan cannot be written ({error}).")
            return
        self.sentence.show_message("")
        words = ["estimate", str(path), "--events", *(["--rate-test"] if rates else [])]
        self.task.start(self.context.command(words))
        self.bar.setRange(0, 0)
        self.bar.setFormat("starting")
        self._show_running(True)
        self.draft_changed()

    def isComplete(self) -> bool:
        """Tell whether the run is possible."""
        return self.draft.estimated == self.draft.plan_fingerprint() and bool(
            self.draft.estimate.get("light") in ("green", "yellow")
        )

    # ---- what the child says

    def _event(self, event: dict[str, Any]) -> None:
        if event["event"] == "progress":
            self.bar.setRange(0, max(1, int(event["total"])))
            self.bar.setValue(int(event["done"]))
            left = event.get("seconds_left")
            rest = f", about {duration(float(left))} left of this" if left is not None else ""
            self.bar.setFormat(f"{event['stage']}{rest}")
            self.reason.setText(f"{event['stage'].capitalize()}…")
        elif event["event"] == "done":
            self.draft.estimate = {k: v for k, v in event.items() if k != "event"}

    def _ended(self, sentence: str) -> None:
        self._show_running(False)
        if KILLED in sentence:
            self._ran_out()
        elif sentence or not self.draft.estimate:
            self.reason.setText("")
            self.sentence.show_message(
                f"The estimate did not come to its end. {sentence}".strip(), bad=True
            )
        else:
            self.draft.estimated = self.draft.plan_fingerprint()
            self._show()
        self.draft_changed()

    def _ran_out(self) -> None:
        """The system ended the estimate: that is an answer too."""
        half = (self.draft.plan.data.micro_batch or self.draft.plan.data.batch) // 2
        fixes = [{"label": f"Work in parts of {half} tiles (same result)",
                  "settings": {"data.micro_batch": half}}] if half else []  # fmt: skip
        self.draft.estimate = {
            "light": "red",
            "reason": "The system stopped the estimate, most likely because memory ran out.",
            "fixes": fixes,
        }
        self.draft.estimated = self.draft.plan_fingerprint()
        self._show()

    def _stop(self) -> None:
        self.task.cancel()
        self._show_running(False)
        self.reason.setText("Stopped. Nothing is known about this plan yet.")
        self.completeChanged.emit()

    # ---- the verdict

    def _show(self) -> None:
        found = self.draft.estimate
        light = str(found.get("light", ""))
        self.light.show_colour(light)
        self.word.setText(WORDS[light])
        self.reason.setText(" ".join([str(found.get("reason", "")), *found.get("worth", ())]))
        self.cache.show_cache(str(found.get("cache", "")))
        for name, text in facts_of(found).items():
            self.facts[name].setText(text)
        for old in self.fixes:
            old.hide()
            old.deleteLater()
        self.fixes = []
        for fix in found.get("fixes", []):
            button = QPushButton(str(fix["label"]))
            button.setToolTip("Changes the plan and estimates again")
            button.clicked.connect(partial(self._apply, dict(fix["settings"])))
            row = QHBoxLayout()
            row.addWidget(button)
            row.addStretch(1)
            self._fix_row.addLayout(row)
            self.fixes.append(button)
        if not self.task.running:
            self._show_running(False)

    def _apply(self, settings: dict[str, Any], _: bool = False) -> None:
        """Change the plan as a fix says, and estimate again."""
        draft = self.draft
        try:
            if "preset" in settings:
                name = str(settings.pop("preset"))
                draft.plan, draft.custom = begun(name, draft), False
            if settings:
                draft.plan = draft.plan.override(settings)
                draft.custom = True
        except UserError as error:
            self.sentence.show_message(str(error), bad=True)
            return
        self.estimate()

    def _show_running(self, on: bool) -> None:
        self.bar.setVisible(on)
        self.stop.setVisible(on)
        self.again.setVisible(not on)
        self.rates.setVisible(not on)
        self.cache.setVisible(not on)
