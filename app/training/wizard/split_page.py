"""Fourth step: which patients are held out; drawn once, by patient, and written into the run."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPixmap
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QSpinBox,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
)

from app.training.wizard.page import MessageLabel, Page, WizardContext
from core.errors import UserError
from trainer.cohort.split import PARTS, Split, check_leakage, draw

FEWEST_TESTS = 8
"""Cases below which the report gives no p-value."""
COLOURS = {"training": "#3b8ad8", "validation": "#e0902f", "test": "#a56bc0"}


class SplitPage(Page):
    """Deals patients to training, validation and test."""

    title_text = "Split by patient"
    about = (
        "Patients are dealt by a seeded draw. Once training starts, the split is written into the "
        "run and never drawn again."
    )

    def __init__(self, context: WizardContext) -> None:
        super().__init__(context)
        self.split: Split = {part: [] for part in PARTS}
        self.validation = _percent("Held out to watch the training")
        self.test = _percent("Held out for the report; never seen before")
        self.seed = QSpinBox()
        self.seed.setRange(0, 999_999)
        self.seed.setToolTip("Another number draws other patients; the same gives the same")
        self.again = QPushButton("Draw again")
        self.again.setToolTip("Take the next seed")
        self.counts = QLabel()
        self.counts.setWordWrap(True)
        self.table = QTableWidget(0, 3)
        self.table.setHorizontalHeaderLabels(["Patient", "Part", "Cases"])
        self.table.verticalHeader().setVisible(False)
        self.table.verticalHeader().setDefaultSectionSize(self.fontMetrics().lineSpacing() + 9)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setAlternatingRowColors(True)
        header = self.table.horizontalHeader()
        for column in (0, 1):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.Stretch)
        self.sentence = MessageLabel()
        seed = QHBoxLayout()
        seed.addWidget(self.seed)
        seed.addWidget(self.again)
        seed.addStretch(1)
        form = QFormLayout()
        form.addRow("Validation", self.validation)
        form.addRow("Test", self.test)
        form.addRow("Seed", seed)
        top = QHBoxLayout()
        top.addLayout(form)
        top.addSpacing(30)
        top.addWidget(self.counts, 1)
        page = QVBoxLayout(self)
        page.addLayout(top)
        page.addWidget(self.table, 1)
        page.addWidget(self.sentence)
        for box in (self.validation, self.test, self.seed):
            box.valueChanged.connect(self._changed)
        self.again.clicked.connect(lambda: self.seed.setValue(self.seed.value() + 1))

    def enter(self) -> None:
        """Show the draw."""
        data = self.draft.plan.data
        for box, value in (
            (self.validation, round(100 * data.validation)),
            (self.test, round(100 * data.test)),
            (self.seed, data.split_seed),
        ):
            box.blockSignals(True)
            box.setValue(value)
            box.blockSignals(False)
        self._draw()

    def isComplete(self) -> bool:
        """Tell whether somebody is left to train on and nobody is in two parts."""
        return bool(self.split["training"]) and not self._leak()

    # ---- inside

    def _changed(self) -> None:
        held, test = self.validation.value(), self.test.value()
        if held + test >= 100:
            self.sentence.show_message(
                "Validation and test leave nobody to train on; lower one of them.", bad=True
            )
            self.split = {part: [] for part in PARTS}
            self.completeChanged.emit()
            return
        plan = self.draft.plan
        data = replace(
            plan.data, validation=held / 100, test=test / 100, split_seed=self.seed.value()
        )
        self.draft.plan = replace(plan, data=data)
        self._draw()
        self.draft_changed()

    def _leak(self) -> str:
        try:
            check_leakage(self.draft.accepted(), self.split)
        except UserError as error:
            return str(error)
        return ""

    def _draw(self) -> None:
        cases = self.draft.accepted()
        self.split = draw(cases, self.draft.plan.data)
        part_of = {case: part for part in PARTS for case in self.split[part]}
        patients: dict[str, list[str]] = {}
        for case in cases:
            patients.setdefault(case.patient, []).append(case.id)
        order = sorted(patients, key=lambda p: (PARTS.index(part_of[patients[p][0]]), p))
        self.table.setRowCount(len(order))
        for row, patient in enumerate(order):
            part = part_of[patients[patient][0]]
            dot = QPixmap(10, 10)
            dot.fill(QColor(COLOURS[part]))
            for column, text in enumerate((patient, part, ", ".join(patients[patient]))):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                if column == 1:
                    item.setData(Qt.ItemDataRole.DecorationRole, dot)
                self.table.setItem(row, column, item)
        told = []
        for part in PARTS:
            owners = {c.patient for c in cases if c.id in self.split[part]}
            told.append(
                f"<span style='color:{COLOURS[part]}'>■</span> <b>{part}</b>: "
                f"{_number(len(owners), 'patient')}, {_number(len(self.split[part]), 'case')}"
            )
        self.counts.setText("<br>".join(told))
        self._validate()

    def _validate(self) -> None:
        leak = self._leak()
        if leak:
            self.sentence.show_message(leak, bad=True)
        elif not self.split["training"]:
            self.sentence.show_message(
                "Nobody is left to train on; lower validation or test.", bad=True
            )
        else:
            hints = ["No patient is in two parts."]
            if not self.split["test"]:
                hints.append("Without test patients the report has nothing to judge by.")
            elif len(self.split["test"]) < FEWEST_TESTS:
                hints.append(f"With fewer than {FEWEST_TESTS} test cases it gives no p-values.")
            if not self.split["validation"]:
                hints.append("Without validation patients the curves show training cases.")
            self.sentence.show_message(" ".join(hints))


def _number(count: int, of: str) -> str:
    return f"{count} {of}" if count == 1 else f"{count} {of}s"


def _percent(tip: str) -> QSpinBox:
    box = QSpinBox()
    box.setRange(0, 99)
    box.setSuffix(" % of the patients")
    box.setToolTip(tip)
    return box
