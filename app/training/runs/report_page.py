"""The report of a run inside the window: before and after, scores, the worst cases' pictures."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPalette, QPixmap
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.training.runs.evaluation_process import (
    FOLDER,
    NOTHING_LOCKED,
    EvaluationProcess,
    before_model,
    locked_away,
)
from app.training.runs.wording import COLOURS, time_left
from core.errors import UserError
from core.lpips.layouts import HOW
from trainer.run.state import RunInfo

SLICES = (("all slices", 0), ("16 slices of each case", 16))
HEADS = ("Inputs → target", "Metric", "Before", "After", "Change (95 % interval)", "p")
LEARNING = "learning.png"
BEST_HEADS = ("Inputs → target", "Metric", "Best", "Last", "Last − best (95 % interval)")
VERDICTS = {"better": COLOURS["running"], "worse": COLOURS["failed"]}
CHANGE = ("direction", "metric", "before", "after", "change", "p")
BEST = ("direction", "metric", "best", "last", "difference")
"""Fields of the lines of the two tables."""
PICTURE_HEIGHT = 190


class ReportPage(QWidget):
    """Evaluates a run when asked to, and shows what came of it.

    Args:
        run: the run's folder.
        open_file: opens a file with the system's program for it.
        use_model: called when the user wants the run's model.
    """

    def __init__(
        self,
        run: Path,
        open_file: Callable[[Path], None],
        use_model: Callable[[], None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.run = run
        self.evaluation = EvaluationProcess(run, self)
        self.slices = QComboBox()
        for text, count in SLICES:
            self.slices.addItem(text, count)
        self.lpips = QPushButton("LPIPS weights…")
        self.lpips.setToolTip(f"Without weights LPIPS is not computed. {HOW}")
        self._lpips: list[Path] = []
        self._began = 0.0
        self.begin = QPushButton("Evaluate on the test cases")
        self.cancel = QPushButton("Cancel")
        self.bar = QProgressBar()
        self.message = QLabel()
        self.message.setWordWrap(True)
        self.page = QPushButton("Open as web page")
        self.table_file = QPushButton("Open the CSV")
        self.use = QPushButton("Use this model")
        self.use.setToolTip("Put the model into the model list and choose it")
        self.body = QWidget()
        self._column = QVBoxLayout(self.body)
        self._column.setContentsMargins(4, 4, 4, 4)
        self._lay_out()
        it = self.evaluation
        it.progressed.connect(self._progressed)
        it.finished.connect(self._finished)
        it.failed.connect(self._failed)
        it.cancelled.connect(lambda: self._failed("The evaluation was cancelled."))
        self.begin.clicked.connect(self.evaluate)
        self.cancel.clicked.connect(it.cancel)
        self.lpips.clicked.connect(self._ask_lpips)
        self.page.clicked.connect(lambda: open_file(run / FOLDER / "report.html"))
        self.table_file.clicked.connect(lambda: open_file(run / FOLDER / "scores.csv"))
        self.use.clicked.connect(use_model)
        self._show_running()
        self.show_report()

    @property
    def has_report(self) -> bool:
        """Whether the run was evaluated."""
        return (self.run / FOLDER / "report.json").is_file()

    def evaluate(self) -> None:
        """Begin an evaluation."""
        try:
            self.evaluation.start(self.slices.currentData(), self._lpips)
        except UserError as error:
            self._failed(str(error))
            return
        self.message.setText(self._plan())
        self.bar.setRange(0, 0)
        self._began = time.monotonic()
        self._show_running()

    def show_state(self, info: RunInfo) -> None:
        """Offer an evaluation when the run has a model and is not being trained."""
        ready = not info.alive and (self.run / "model.safetensors").is_file()
        self.begin.setEnabled(ready and locked_away(self.run))
        if not self.has_report and not self.evaluation.running:
            self.message.setText(
                self._plan() if ready else "The report can be made when the run has stopped."
            )

    def stop(self) -> None:
        """End an evaluation under way."""
        self.evaluation.close()

    def show_report(self) -> None:
        """Show the report there is."""
        while self._column.count():
            item = self._column.takeAt(0)
            widget = item.widget() if item else None
            if widget is not None:
                widget.deleteLater()
        found = read_report(self.run / FOLDER)
        for button in (self.page, self.table_file, self.use):
            button.setVisible(found is not None)
        if found is None:
            return
        self._column.addWidget(_text(about(found)))
        changed = found.get("before_after", [])
        if changed:
            self._column.addWidget(_text("<h3>Before and after</h3>"))
            self._column.addWidget(_table(changed, HEADS, CHANGE, "change"))
        beside = found.get("best_last", [])
        if beside:
            steps = escape(str(found.get("best_last_steps", "")))
            self._column.addWidget(_text(f"<h3>Best and last weights</h3>{steps}"))
            self._column.addWidget(_table(beside, BEST_HEADS, BEST, "difference"))
        if found.get("learning"):
            self._column.addWidget(_text("<h3>How the run learned</h3>"))
            self._add_picture(found["learning"])
        self._column.addWidget(_text("<h3>Worst cases</h3>"))
        for picture in found.get("pictures", []):
            self._add_picture(picture)
        if found.get("problems"):
            lines = "<br>".join(escape(problem) for problem in found["problems"])
            self._column.addWidget(_text(f"<h3>Left out, and worth a look</h3>{lines}"))
        self._column.addStretch(1)

    # ---- inside

    def _lay_out(self) -> None:
        bar = QHBoxLayout()
        bar.addWidget(self.begin)
        bar.addWidget(self.slices)
        bar.addWidget(self.lpips)
        bar.addWidget(self.bar, 1)
        bar.addWidget(self.cancel)
        bar.addStretch(1)
        for button in (self.page, self.table_file, self.use):
            bar.addWidget(button)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setWidget(self.body)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 6, 4, 4)
        column.addLayout(bar)
        column.addWidget(self.message)
        column.addWidget(scroll, 1)

    def _plan(self) -> str:
        if not locked_away(self.run):
            return NOTHING_LOCKED
        try:
            before = before_model(self.run)
        except UserError as error:
            return str(error)
        with_what = f"compared with {label(before)}" if before else "with nothing to compare with"
        return f"The model is scored on the patients that were locked away, {with_what}."

    def _show_running(self) -> None:
        on = self.evaluation.running
        self.bar.setVisible(on)
        self.cancel.setVisible(on)
        self.begin.setVisible(not on)
        self.slices.setVisible(not on)
        self.lpips.setVisible(not on)

    def _progressed(self, done: int, total: int) -> None:
        self.bar.setRange(0, total)
        self.bar.setValue(done)
        self.bar.setFormat(f"%p%{time_left(self._began, done, total)}")

    def _finished(self) -> None:
        self.message.setText("")
        self._show_running()
        self.show_report()

    def _failed(self, sentence: str) -> None:
        self.message.setText(sentence)
        self._show_running()

    def _ask_lpips(self) -> None:
        chosen, _ = QFileDialog.getOpenFileNames(
            self,
            "LPIPS weights: backbone and heads, in one file or two",
            "",
            "Weights (*.pt *.pth *.safetensors);;All files (*)",
        )
        if chosen:
            self._lpips = [Path(name) for name in chosen]
            self.lpips.setText("LPIPS: " + " + ".join(path.name for path in self._lpips))

    def _add_picture(self, picture: dict[str, Any]) -> None:
        file = self.run / FOLDER / Path(str(picture.get("file", ""))).name
        image = QPixmap(str(file))
        if image.isNull():
            return
        view = QLabel()
        tall = Qt.TransformationMode.FastTransformation
        slices = picture.get("file") != LEARNING
        view.setPixmap(image.scaledToHeight(PICTURE_HEIGHT, tall) if slices else image)
        view.setAccessibleName(str(picture.get("caption", "")))
        self._column.addWidget(view)
        self._column.addWidget(_text(str(picture.get("caption", "")), plain=True))


def read_report(folder: Path) -> dict[str, Any] | None:
    """Return ``report.json``, or ``None`` when there is none that can be read."""
    try:
        found = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("schema") == 1 else None


def about(report: dict[str, Any]) -> str:
    """Say what was measured on what."""
    cases = len({row["case"] for row in report.get("rows", [])})
    pair = report.get("pair")
    told = [f"<b>{cases} cases</b>, scored slice by slice inside the field of view."]
    if pair:
        told.append(escape(f"Before: {pair['before']}. After: {pair['after']}."))
        told += [f"<b>{escape(sentence)}</b>" for sentence in report.get("verdicts", [])]
    told += [escape(sentence) for sentence in report.get("cautions", [])]
    told += [escape(f"{report.get('lpips', '')}."), escape(str(report.get("data", "")))]
    told.append("Research use only; synthetic images, not for clinical use.")
    return "<br>".join(t for t in told if t)


def label(model: Path) -> str:
    """Return what a report calls a model."""
    return model.resolve().parent.name if model.stem == "model" else model.stem


def _text(text: str, plain: bool = False) -> QLabel:
    made = QLabel(text)
    made.setWordWrap(True)
    if plain:
        made.setTextFormat(Qt.TextFormat.PlainText)
    made.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return made


def _table(
    lines: Sequence[dict[str, Any]], heads: Sequence[str], names: Sequence[str], wide: str
) -> QTableWidget:
    """Show a report's lines as a table without scroll bars, one column as wide as can be."""
    table = QTableWidget(len(lines), len(heads))
    table.setHorizontalHeaderLabels(list(heads))
    table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
    table.verticalHeader().hide()
    grey = table.palette().color(QPalette.ColorRole.PlaceholderText)
    for row, change in enumerate(lines):
        for place, name in enumerate(names):
            item = QTableWidgetItem(str(change.get(name, "")))
            if change.get("reconstruction"):
                item.setForeground(grey)
                item.setToolTip("A reconstruction: the target was an input")
            verdict = VERDICTS.get(str(change.get("verdict")))
            if name == wide and verdict:
                item.setForeground(QColor(verdict))
                item.setToolTip(f"{change['verdict']}, p < 0.05")
            table.setItem(row, place, item)
    table.resizeColumnsToContents()
    stretch = QHeaderView.ResizeMode.Stretch
    table.horizontalHeader().setSectionResizeMode(names.index(wide), stretch)
    height = table.horizontalHeader().height() + 4
    height += sum(table.rowHeight(n) for n in range(len(lines)))
    table.setFixedHeight(height)
    table.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    return table
