"""Last step: name and place of the run, a summary, and the start."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
)

from app.training.wizard.estimate_facts import duration
from app.training.wizard.fields import summary
from app.training.wizard.page import MessageLabel, Page, WizardContext
from core.errors import UserError
from trainer.cohort.split import PARTS
from trainer.run.state import default_folder


class TrainPage(Page):
    """Starts the run."""

    title_text = "Train"
    about = "The training runs on its own: closing the window, or the program, leaves it going."

    def __init__(self, context: WizardContext) -> None:
        super().__init__(context)
        self.started: Path | None = None
        self.name = QLineEdit()
        self.name.setToolTip("Becomes the name of the run's folder")
        self.place = QLineEdit()
        self.browse = QPushButton("Choose…")
        self.summary = QLabel()
        self.summary.setWordWrap(True)
        self.summary.setTextFormat(Qt.TextFormat.RichText)
        self.sentence = MessageLabel()
        self.command = QLineEdit()
        self.command.setReadOnly(True)
        self.command.setToolTip("Goes on with the run in a terminal, once it has been paused")
        self.copy = QPushButton("Copy")
        place = QHBoxLayout()
        place.addWidget(self.place, 1)
        place.addWidget(self.browse)
        terminal = QHBoxLayout()
        terminal.addWidget(self.command, 1)
        terminal.addWidget(self.copy)
        form = QFormLayout()
        form.addRow("Name", self.name)
        form.addRow("Place", place)
        form.addRow("In a terminal", terminal)
        column = QVBoxLayout(self)
        column.addWidget(self.summary)
        column.addSpacing(10)
        column.addLayout(form)
        column.addWidget(self.sentence)
        column.addStretch(1)
        self.name.textEdited.connect(self._typed)
        self.place.textEdited.connect(self._typed)
        self.browse.clicked.connect(self._ask)
        self.copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self.command.text()))

    def enter(self) -> None:
        """Show the summary; propose a name that is free."""
        draft = self.draft
        place = draft.place or default_folder()
        proposed = f"{draft.title.removesuffix('.csv')}-{draft.plan.preset}"
        self.name.setText(draft.name or _free(place, proposed))
        self.place.setText(str(place))
        self._summarise()
        self._validate()

    def isComplete(self) -> bool:
        """Tell whether the run can be made there."""
        return not self._problem()

    def validatePage(self) -> bool:
        """Start the run; stay when that did not work."""
        self.draft.name = self.name.text().strip()
        self.draft.place = Path(self.place.text().strip())
        try:
            self.started = self.context.start_run(self.draft)
        except UserError as error:
            self.sentence.show_message(str(error), bad=True)
            return False
        return True

    # ---- inside

    def _problem(self) -> str:
        name = self.name.text().strip()
        if not name:
            return "The run needs a name."
        if re.search(r'[\\/:*?"<>|]', name) or name.startswith("."):
            return 'A name may not begin with a dot or hold any of \\ / : * ? " < > |.'
        run = Path(self.place.text().strip()) / name
        if run.exists() and (not run.is_dir() or any(run.iterdir())):
            return f"There is a {name} in {run.parent.name} already. Choose another name."
        if not run.is_absolute():
            return "Choose the folder the run is to lie in."
        return ""

    def _typed(self) -> None:
        self.draft.name = self.name.text().strip()
        self.draft.place = Path(self.place.text().strip())
        self._validate()
        self.draft_changed()

    def _validate(self) -> None:
        self.sentence.show_message(self._problem(), bad=True)
        run = Path(self.place.text().strip()) / self.name.text().strip()
        words = ["mhvae-studio", "train", "--resume", "--out", str(run)]
        self.command.setText(shlex.join(words))

    def _ask(self) -> None:
        found = QFileDialog.getExistingDirectory(self, "Place of the run", self.place.text())
        if found:
            self.place.setText(found)
            self._typed()

    def _summarise(self) -> None:
        draft, found = self.draft, self.draft.estimate
        cases = draft.accepted()
        split = draft.split()
        parts = ", ".join(f"{len(split[part])} for {part}" for part in PARTS)
        lines = [
            f"<b>{len(cases)} cases</b> of {draft.title}: {parts}.",
            f"<b>Plan</b> {draft.plan.preset}{', changed' if draft.custom else ''}: "
            f"{summary(draft.plan)}.",
        ]
        if draft.plan.start_from:
            lines.append(f"<b>Begins</b> with the weights of {Path(draft.plan.start_from).name}.")
        if "total_seconds" in found:
            lines.append(
                f"<b>Takes</b> about {duration(float(found['total_seconds']))} and "
                f"{found['need_mb'] / 1024:.1f} GiB of memory."
            )
        if draft.edited:
            lines.append(
                "<b>Your corrections</b> are kept as cohort.csv in the run; your files stay as "
                "they are."
            )
        self.summary.setText("".join(f"<p>{line}</p>" for line in lines))


def _free(place: Path, name: str) -> str:
    """Return a name nothing in the place has yet."""
    clean = re.sub(r'[\\/:*?"<>|\s]+', "-", name).strip("-.") or "run"
    found, number = clean, 2
    while (place / found).exists():
        found, number = f"{clean}-{number}", number + 1
    return found
