"""A run's plan as a table, and the user's notes on it, saved in the run's folder."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import (
    QHeaderView,
    QLabel,
    QPlainTextEdit,
    QSplitter,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from core.errors import UserError
from core.files import write_text
from trainer.plan.schema import Plan, load_plan

FILE = "notes.txt"
SAVE_MS = 1000
"""After the last key."""


class PlanAndNotes(QWidget):
    """Shows ``plan.json`` and edits ``notes.txt``."""

    def __init__(self, run: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.run = run
        self.notes = QPlainTextEdit()
        self.notes.setPlaceholderText("Notes on this run. They stay in its folder.")
        with contextlib.suppress(OSError, ValueError):  # none yet
            self.notes.setPlainText((run / FILE).read_text(encoding="utf-8"))
        self._saved = self.notes.toPlainText()
        self.table = QTableWidget(0, 2)
        self.table.setHorizontalHeaderLabels(["Setting", "Value"])
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.verticalHeader().hide()
        self.table.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self._timer = QTimer(self, singleShot=True, interval=SAVE_MS)
        self._timer.timeout.connect(self.save)
        self.notes.textChanged.connect(self._timer.start)
        parts = QSplitter(Qt.Orientation.Horizontal)
        parts.addWidget(self.table)
        parts.addWidget(self.notes)
        self.problem = QLabel()
        column = QVBoxLayout(self)
        column.addWidget(parts, 1)
        column.addWidget(self.problem)
        self.problem.hide()
        self._fill()

    def save(self) -> None:
        """Write the notes if they changed."""
        self._timer.stop()
        text = self.notes.toPlainText()
        if text == self._saved or not self.run.is_dir():
            return
        try:
            write_text(self.run / FILE, text)
        except OSError as error:
            self._say(f"The notes could not be saved ({error.strerror}); copy them elsewhere.")
            return
        self._saved = text
        self.problem.hide()

    def _fill(self) -> None:
        try:
            rows = settings_of(load_plan(self.run / "plan.json"))
        except UserError as error:
            self._say(str(error))
            return
        self.table.setRowCount(len(rows))
        for row, (name, value) in enumerate(rows.items()):
            self.table.setItem(row, 0, QTableWidgetItem(name))
            self.table.setItem(row, 1, QTableWidgetItem(shown(value)))
        self.table.resizeColumnToContents(0)

    def _say(self, sentence: str) -> None:
        self.problem.setText(sentence)
        self.problem.show()


def settings_of(plan: Plan) -> dict[str, Any]:
    """Return a plan's settings by dotted name, without those that are paths or case ids."""
    flat: dict[str, Any] = {}

    def walk(prefix: str, values: dict[str, Any]) -> None:
        for name, value in values.items():
            if isinstance(value, dict) and name not in ("gamma", "subset_odds"):
                walk(f"{prefix}{name}.", value)
            else:
                flat[f"{prefix}{name}"] = value

    walk("", plan.to_dict())
    flat["cohort"] = Path(plan.cohort).name
    flat["start_from"] = Path(plan.start_from).name
    flat["exclude"] = len(plan.exclude)
    return flat


def shown(value: Any) -> str:
    """Return a setting's value as people write it."""
    if isinstance(value, list | tuple):
        return ", ".join(shown(v) for v in value)
    if isinstance(value, dict):
        return ", ".join(f"{k} {shown(v)}" for k, v in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
