"""Imports a checkpoint the paper's authors publish: says what it is, asks what it does not tell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.processes.jobs import ChildProcess, Outcome, program_command
from app.processes.protocol import JsonLines, Message
from app.training.models.orientation_choice import OrientationChoice
from app.training.models.store import free_path
from core.models.bundle import header

ABOUT = (
    "<p>The paper's authors publish trained networks as <code>CP_main_….pth</code> in the "
    "<code>pretrained</code> folder of their repository <b>ReubenDo/MMHVAE</b> on GitHub; earlier "
    "ones belong to <b>ReubenDo/MHVAE</b>. This program opens no network connection: download the "
    "file with a browser, then choose it here.</p>"
    "<p>They were trained on the authors' data with the authors' preparation of the images, which "
    "differs from this program's (mask, crop, intensities), so results differ from the paper's. "
    "Their fusion of variances is kept as they wrote it. Research use only; their licence is in "
    "their repository.</p>"
)
QUESTIONS = {
    "tile": ("Tile, pixels", "Height and width the network was trained on, for example 192,192"),
    "spacing": ("Spacing, mm", "Millimetres per pixel of the training images"),
    "squeeze-excitation": ("Squeeze-and-excitation", "Whether the cells used their gates"),
    "residual": ("Residual cells", "Whether the cells added their input"),
    "last-activation": ("Last activation", "What the image decoders end with"),
    "clamp": ("Clamp", "Bound of means and log-variances, for example 10"),
    "decoders": ("Image decoders, in order", "Which modality each numbered decoder makes"),
}
"""Option of ``import-weights`` → what people read, and its tooltip."""
CHOICES = {
    "squeeze-excitation": ("yes", "no"),
    "residual": ("yes", "no"),
    "last-activation": ("tanh", "identity"),
}


class ImportDialog(QDialog):
    """Reading and converting happen in a child process, because they need torch."""

    imported = Signal(object)
    """The new model (bundle)."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Import a published checkpoint")
        self.resize(1060, 660)
        self._child: ChildProcess | None = None
        self._said: dict[str, Message] = {}
        self._defaults: dict[str, str] = {}
        self._target: Path | None = None
        self.file: Path | None = None
        about = QLabel(ABOUT)
        about.setWordWrap(True)
        self.choose = QPushButton("Choose the file…")
        self.chosen = QLabel("No file is chosen.")
        self.found = QLabel()
        self.found.setWordWrap(True)
        self.name = QLineEdit()
        self.modalities = QLineEdit()
        self.modalities.setToolTip("This program's names, in the file's order")
        self.fields: dict[str, QLineEdit | QComboBox] = {}
        self.form = QFormLayout()
        self.form.addRow("Name", self.name)
        self.form.addRow("Modalities", self.modalities)
        for option, (text, tip) in QUESTIONS.items():
            self.form.addRow(text, self._field(option, tip))
        self.orientation = OrientationChoice()
        self.orientation.changed.connect(lambda: self._show())
        self.defaults = QPushButton("Fill in the defaults of the authors' training script")
        self.defaults.setToolTip("Look at them before you import: the file does not confirm them")
        self.bar = QProgressBar()
        self.bar.setRange(0, 0)
        self.message = QLabel()
        self.message.setWordWrap(True)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.begin = buttons.addButton("Import", QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.rejected.connect(self.reject)
        self.begin.clicked.connect(self._import)
        self.choose.clicked.connect(self._ask_file)
        self.defaults.clicked.connect(self._fill)
        row = QHBoxLayout()
        row.addWidget(self.choose)
        row.addWidget(self.chosen, 1)
        inside = QWidget()
        questions = QVBoxLayout(inside)
        questions.setContentsMargins(0, 0, 0, 0)
        questions.addWidget(about)
        questions.addLayout(row)
        questions.addWidget(self.found)
        questions.addLayout(self._beside_each_other())
        questions.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setWidget(inside)
        column = QVBoxLayout(self)
        column.addWidget(scroll, 1)
        column.addWidget(self.bar)
        column.addWidget(self.message)
        column.addWidget(buttons)
        self.modalities.textChanged.connect(lambda _: self._show())
        self._show()

    def inspect(self, file: Path) -> None:
        """Read what a checkpoint tells by itself."""
        self.file, self._defaults, self._target = file, {}, None
        self.chosen.setText(file.name)
        self.found.setText("")
        self.message.setText("")
        self.orientation.clear()
        self._run(["import-weights", str(file), "--inspect"])

    def reject(self) -> None:
        """Close, and end what is under way."""
        if self._child is not None:
            self._child.kill()
            self._child.close()
            self._drop()
        super().reject()

    # ---- inside

    def _beside_each_other(self) -> QHBoxLayout:
        """Put what is written to the left of what is chosen by its picture."""
        left = QVBoxLayout()
        left.addLayout(self.form)
        left.addWidget(self.defaults, 0, Qt.AlignmentFlag.AlignLeft)
        left.addStretch(1)
        both = QHBoxLayout()
        both.addLayout(left, 1)
        both.addWidget(self.orientation, 1)
        return both

    def _field(self, option: str, tip: str) -> QWidget:
        field: QLineEdit | QComboBox
        if option in CHOICES:
            field = QComboBox()
            field.addItems(["choose…", *CHOICES[option]])
            field.currentIndexChanged.connect(lambda _: self._show())
        else:
            field = QLineEdit()
            field.textChanged.connect(lambda _: self._show())
        field.setToolTip(tip)
        self.fields[option] = field
        return field

    def _answer(self, option: str) -> str:
        field = self.fields[option]
        if isinstance(field, QComboBox):
            return field.currentText() if field.currentIndex() > 0 else ""
        return field.text().strip()

    def _ask_file(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(
            self, "A checkpoint of the authors", "", "Checkpoints (*.pth *.pt);;All files (*)"
        )
        if chosen:
            self.inspect(Path(chosen))

    def _fill(self) -> None:
        for option, text in self._defaults.items():
            field = self.fields[option]
            if isinstance(field, QComboBox):
                field.setCurrentText(text)
            else:
                field.setText(text)

    def _import(self) -> None:
        assert self.file is not None
        self._target = free_path(self.name.text() or self.file.stem)
        words = ["import-weights", str(self.file), "--out", str(self._target)]
        words += ["--name", self.name.text().strip() or self.file.stem]
        words += ["--modalities", self.modalities.text().strip()]
        words += ["--orientation", self.orientation.orientation]
        for option in self._asked():
            words += [f"--{option}", self._answer(option)]
        self._run(words)

    def _asked(self) -> Sequence[str]:
        return list(self._defaults)

    def _run(self, words: Sequence[str]) -> None:
        self._said = {}
        child = ChildProcess(program_command([*words, "--events"]), self, JsonLines())
        child.message.connect(lambda m: self._said.__setitem__(m["event"], m))
        child.ended.connect(self._ended)
        self._child = child
        child.start()
        self._show()

    def _ended(self, outcome: Outcome) -> None:
        self._drop()
        if outcome.status == "finished" and "inspected" in self._said:
            self._inspected(self._said["inspected"])
        elif outcome.status == "finished" and "imported" in self._said and self._target:
            self.imported.emit(header(self._target))
            self.accept()
        else:
            words = outcome.error_lines[-1] if outcome.error_lines else ""
            told = words.removeprefix("mhvae-studio: ")
            sentence = told if outcome.code == 2 and told else outcome.sentence("The import")
            self.message.setText(sentence)
        self._show()

    def _inspected(self, said: Message) -> None:
        names = ", ".join(said["own_names"])
        kind = "an MHVAE" if said["hierarchical"] else "an MVAE, the paper's ablation"
        self.found.setText(
            f"The weights tell: {kind}; modalities {names}; {said['pools']} poolings; "
            f"{said['base_features']} to {said['max_features']} features; a bottleneck of "
            f"{said['bottleneck_pixels']} pixels. They do not tell what is asked below."
        )
        self.modalities.setText(",".join(said["modalities"]))
        assert self.file is not None
        self.name.setText(self.file.stem)
        self._defaults = dict(said["defaults"])

    def _drop(self) -> None:
        if self._child is not None:
            self._child.deleteLater()
            self._child = None

    def _show(self) -> None:
        busy, known = self._child is not None, bool(self._defaults)
        self.bar.setVisible(busy)
        self.choose.setEnabled(not busy)
        for option, field in self.fields.items():
            self.form.setRowVisible(field, option in self._defaults)
        for widget in (self.name, self.modalities):
            self.form.setRowVisible(widget, known)
        self.defaults.setVisible(known)
        self.orientation.setVisible(known)
        answered = known and all(self._answer(option) for option in self._asked())
        answered = answered and bool(self.orientation.orientation)
        self.begin.setEnabled(answered and bool(self.modalities.text().strip()) and not busy)
