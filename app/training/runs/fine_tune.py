"""Begins a new run with a model's weights: what it is called and what it learns from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.shared.style import WheelGuard
from app.training.runs import launch
from core.errors import UserError
from trainer.plan.new import PRESETS, plan_for
from trainer.plan.schema import Plan, load_plan
from trainer.run.state import default_folder

SAME = "as in the run it comes from"


class FineTune(QDialog):
    """A small form; the new run is another one than the run the model comes from.

    Args:
        model: the model file to begin with.
    """

    started = Signal(object)
    """Folder of the new run."""

    def __init__(self, model: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = model
        self.setWindowTitle("Fine-tune from a model")
        self.setMinimumWidth(480)
        self.old = _plan(model.parent)
        name = model.parent.name if self.old else model.stem
        about = QLabel(
            f"This begins a <b>new</b> run with the weights of {name}, on the same or another "
            "cohort. To continue the same run, use Resume."
        )
        about.setWordWrap(True)
        self.name = QLineEdit(_free(f"{name}-tuned").name)
        self.cohort = QLineEdit(self.old.cohort if self.old else "")
        self.preset = QComboBox()
        self.preset.addItems([*([SAME] if self.old else []), *PRESETS])
        browse = QPushButton("Choose…")
        browse.clicked.connect(self._browse)
        row = QHBoxLayout()
        row.addWidget(self.cohort, 1)
        row.addWidget(browse)
        self.message = QLabel()
        self.message.setWordWrap(True)
        form = QFormLayout()
        form.addRow("Name of the new run", self.name)
        form.addRow("Cohort", row)
        form.addRow("Settings", self.preset)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        begin = buttons.addButton("Start", QDialogButtonBox.ButtonRole.AcceptRole)
        begin.clicked.connect(self.start)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.addWidget(about)
        column.addLayout(form)
        column.addWidget(self.message)
        column.addWidget(buttons)
        WheelGuard(self)

    def plan(self) -> Plan:
        """Return the new run's plan.

        Raises:
            UserError: the cohort or the model cannot be used.
        """
        cohort = Path(self.cohort.text().strip())
        if not self.cohort.text().strip() or not cohort.exists():
            raise UserError("Choose the folder of the cohort, or its CSV; there is none here.")
        chosen = self.preset.currentText()
        plan = plan_for(cohort, chosen if chosen in PRESETS else "quick", str(self.model))
        if self.old is not None and chosen == SAME:
            plan = replace(self.old, cohort=plan.cohort, start_from=plan.start_from, grow=False)
        return plan

    def start(self) -> None:
        """Begin the run."""
        name = self.name.text().strip()
        if not name or Path(name).name != name:
            self.message.setText("Give the new run a name without slashes.")
            return
        try:
            folder = default_folder() / name
            launch.start(self.plan(), folder)
        except UserError as error:
            self.message.setText(str(error))
            return
        self.started.emit(folder)
        self.accept()

    def _browse(self) -> None:
        found = QFileDialog.getExistingDirectory(self, "The cohort", self.cohort.text())
        if found:
            self.cohort.setText(found)


def _plan(run: Path) -> Plan | None:
    try:
        return load_plan(run / "plan.json")
    except UserError:
        return None


def _free(name: str) -> Path:
    path, number = default_folder() / name, 2
    while path.exists():
        path, number = default_folder() / f"{name}-{number}", number + 1
    return path
