"""Fourth step: which patients are held out; drawn once, by patient, and written into the run."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPixmap
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
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
from core.files import write_text
from trainer.cohort.pairs import doubts, pairs_in
from trainer.cohort.split import PARTS, Split, check_leakage, placed_by, read_split

COLOURS = {"training": "#3b8ad8", "validation": "#e0902f", "test": "#a56bc0"}


class SplitPage(Page):
    """Deals patients to training, validation and test."""

    title_text = "Split by patient"
    about = (
        "Patients are dealt by a seeded draw, those with a pair held out first; place them by hand "
        "with the buttons below. Once training starts, the split is never drawn again."
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
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.sentence = MessageLabel()
        hand = QHBoxLayout()
        hand.addWidget(QLabel("Place the selected patients in"))
        self.places = {part: QPushButton(part) for part in PARTS}
        for part, button in self.places.items():
            button.clicked.connect(partial(self._place, part))
            hand.addWidget(button)
        self.drawn = QPushButton("Draw all")
        self.drawn.setToolTip("Forget what was placed by hand")
        self.load = QPushButton("Import…")
        self.load.setToolTip("Take the split of a file, for example another run's split.json")
        self.export = QPushButton("Export…")
        self.export.setToolTip("Write this split, for other trainings of the same cohort")
        hand.addWidget(self.drawn)
        hand.addStretch(1)
        hand.addWidget(self.load)
        hand.addWidget(self.export)
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
        page.addLayout(hand)
        page.addWidget(self.sentence)
        for box in (self.validation, self.test, self.seed):
            box.valueChanged.connect(self._changed)
        self.drawn.clicked.connect(self._forget)
        self.load.clicked.connect(self._ask_import)
        self.export.clicked.connect(self._ask_export)
        self.table.itemSelectionChanged.connect(self._selected)
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
        """Tell whether pairs are left to train on and nobody is in two parts."""
        return self._pairs()["training"] > 0 and not self._leak()

    def import_split(self, path: Path) -> None:
        """Take a split from a file; what it does not name is drawn."""
        try:
            self.draft.placed = placed_by(read_split(path), self.draft.accepted())
        except UserError as error:
            self.sentence.show_message(str(error), bad=True)
            return
        self._draw()
        self.draft_changed()

    def export_split(self, path: Path) -> None:
        """Write the split as a run keeps it."""
        try:
            write_text(path, json.dumps(self.split, indent=1))
        except OSError as error:
            self.sentence.show_message(
                f"{path.name} cannot be written ({error.strerror}). Choose another place.", bad=True
            )

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

    def _place(self, part: str) -> None:
        """Place the selected patients by hand."""
        rows = {index.row() for index in self.table.selectedIndexes()}
        for row in rows:
            item = self.table.item(row, 0)
            if item is not None:
                self.draft.placed[item.text()] = part
        self._draw()
        self.draft_changed()

    def _forget(self) -> None:
        self.draft.placed = {}
        self._draw()
        self.draft_changed()

    def _ask_import(self) -> None:
        found, _ = QFileDialog.getOpenFileName(self, "A split", "", "Splits (*.json)")
        if found:
            self.import_split(Path(found))

    def _ask_export(self) -> None:
        found, _ = QFileDialog.getSaveFileName(self, "Write the split", "split.json", "*.json")
        if found:
            self.export_split(Path(found))

    def _selected(self) -> None:
        for button in self.places.values():
            button.setEnabled(bool(self.table.selectedIndexes()))

    def _pairs(self) -> dict[str, int]:
        cases = self.draft.accepted()
        return {part: pairs_in(cases, self.split[part]) for part in PARTS}

    def _leak(self) -> str:
        try:
            check_leakage(self.draft.accepted(), self.split)
        except UserError as error:
            return str(error)
        return ""

    def _draw(self) -> None:
        cases = self.draft.accepted()
        self.split = self.draft.split()
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
            hand = " (by hand)" if patient in self.draft.placed else ""
            texts = (patient, part + hand, ", ".join(patients[patient]))
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                if column == 1:
                    item.setData(Qt.ItemDataRole.DecorationRole, dot)
                self.table.setItem(row, column, item)
        self.drawn.setEnabled(bool(self.draft.placed))
        self._selected()
        told, pairs = [], self._pairs()
        for part in PARTS:
            owners = {c.patient for c in cases if c.id in self.split[part]}
            told.append(
                f"<span style='color:{COLOURS[part]}'>■</span> <b>{part}</b>: "
                f"{_number(len(owners), 'patient')}, {_number(len(self.split[part]), 'case')}, "
                f"{_number(pairs[part], 'pair')}"
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
        elif not self._pairs()["training"]:
            self.sentence.show_message(
                "No pair is left to train on; lower validation or test, or place patients by hand.",
                bad=True,
            )
        else:
            told = doubts(self._pairs(), len(self.draft.modalities))
            enough = f"The test's {self._pairs()['test']} pairs can show a difference."
            self.sentence.show_message(
                " ".join(["No patient is in two parts.", *(told or [enough])])
            )


def _number(count: int, of: str) -> str:
    return f"{count} {of}" if count == 1 else f"{count} {of}s"


def _percent(tip: str) -> QSpinBox:
    box = QSpinBox()
    box.setRange(0, 99)
    box.setSuffix(" % of the patients")
    box.setToolTip(tip)
    return box
