"""Third step: look at every pair; the check runs in a process of its own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QToolButton,
    QVBoxLayout,
)

from app.training.runs.wording import time_left
from app.training.wizard.case_list import CaseList
from app.training.wizard.draft import DraftError
from app.training.wizard.page import CommandProcess, MessageLabel, Page, WizardContext
from app.training.wizard.pair_picture import CHECKER, OVERLAY
from app.training.wizard.pair_view import PairView
from trainer.cohort.pairs import no_pairs, pairs_in
from trainer.cohort.scan import write_csv


class CheckPage(Page):
    """Runs ``mhvae-studio check`` and lets the user accept or reject each case."""

    title_text = "Check"
    about = (
        "Every pair where it lies. PgDn and PgUp go through the cases, A accepts, X rejects, "
        "V changes the view."
    )

    def __init__(self, context: WizardContext) -> None:
        super().__init__(context)
        self.task = CommandProcess(self)
        self._began = 0.0
        self.bar = QProgressBar()
        self.stop = QPushButton("Stop")
        self.again = QPushButton("Check again")
        self.list = CaseList()
        self.first = self.list
        self.view = PairView()
        self.number = QLabel()
        self.number.setWordWrap(True)
        self.problems = QLabel()
        self.problems.setWordWrap(True)
        self.problems.setTextFormat(Qt.TextFormat.PlainText)
        self.problems.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.problems.setMinimumHeight(4 * self.fontMetrics().lineSpacing())
        self.accept = QPushButton("Accept (A)")
        self.reject = QPushButton("Reject (X)")
        self.align = QPushButton("Align in the main window")
        self.align.setToolTip("Opens this case beside the alignment tools; its check is done anew")
        self.align.setVisible(context.show_case is not None)
        self.previous = QPushButton("Previous")
        self.following = QPushButton("Next case")
        self.counts = QLabel()
        self.sentence = MessageLabel()
        self.other = QComboBox()
        self.other.setToolTip("The image the first one is compared with")
        self.modes = QButtonGroup(self)
        self._mode_row = QHBoxLayout()
        self._lay_out()
        self.task.event_received.connect(self._event)
        self.task.ended.connect(self._ended)
        self.list.currentRowChanged.connect(lambda _: self._show_case())
        self.stop.clicked.connect(self._stop)
        self.again.clicked.connect(self.check)
        self.accept.clicked.connect(lambda: self._decide(True))
        self.reject.clicked.connect(lambda: self._decide(False))
        self.align.clicked.connect(self._align)
        self.previous.clicked.connect(lambda: self.list.move_by(-1))
        self.following.clicked.connect(lambda: self.list.move_by(1))
        self.modes.idClicked.connect(lambda _: self._show_case())
        self.other.currentIndexChanged.connect(lambda _: self._show_case())
        for keys, run in (
            ("PgDown", lambda: self.list.move_by(1)),
            ("PgUp", lambda: self.list.move_by(-1)),
            ("A", lambda: self._decide(True)),
            ("X", lambda: self._decide(False)),
            ("V", self._next_mode),
        ):
            QShortcut(QKeySequence(keys), self).activated.connect(run)

    def enter(self) -> None:
        """Show what is known; check when the cohort is another than the one checked."""
        self._fill_modes()
        known = self.draft.checked == self.draft.cohort_fingerprint()
        self._fill_list()
        if not known:
            self.check()
        elif not self.task.running:
            self._rest()

    def leave(self) -> None:
        """End the check; what it found is kept when it was whole."""
        self.task.cancel()

    def check(self) -> None:
        """Start the check."""
        draft = self.draft
        draft.checked, draft.checks = "", {}
        try:
            folder = self.context.store.folder(draft)
            write_csv(draft.used(), folder / "check.csv", draft.modalities)
        except (DraftError, OSError) as error:
            self._ended(f"The list of cases cannot be written ({error}).")
            return
        spacing = max(draft.plan.data.spacing)
        self.task.start(
            self.context.command(
                ["check", str(folder / "check.csv"), "--events",
                 "--modalities", ",".join(draft.modalities), "--spacing", f"{spacing:g}",
                 "--pictures", str(folder / "pictures")]
            )
        )  # fmt: skip
        self.sentence.show_message("")
        self.bar.setRange(0, len(draft.used()))
        self.bar.setValue(0)
        self.bar.setFormat("checking, %v of %m")
        self._began = time.monotonic()
        self._show_running(True)
        self._fill_list()
        self.draft_changed()

    def isComplete(self) -> bool:
        """Tell whether all was checked and something is left to train on."""
        draft = self.draft
        return draft.checked == draft.cohort_fingerprint() and pairs_in(draft.accepted()) > 0

    # ---- what the child says

    def _event(self, event: dict[str, Any]) -> None:
        if event["event"] == "case":
            self.draft.checks[event["case"]] = {
                k: v for k, v in event.items() if k not in ("event", "done", "total")
            }
            self.bar.setMaximum(int(event["total"]))
            self.bar.setValue(int(event["done"]))
            left = time_left(self._began, int(event["done"]), int(event["total"]))
            self.bar.setFormat(f"checking, %v of %m{left}")
            self.list.mark(self.draft, event["case"])
            if self.list.case() in ("", event["case"]):
                self._show_case()

    def _ended(self, sentence: str) -> None:
        self._show_running(False)
        if sentence:
            self.sentence.show_message(f"The check did not come to its end. {sentence}", bad=True)
        else:
            self.draft.checked = self.draft.cohort_fingerprint()
            self._rest()
        self.draft_changed()

    def _stop(self) -> None:
        self.task.cancel()
        self._ended("It was stopped; Check again starts it anew.")

    def _rest(self) -> None:
        self._show_running(False)
        self._count()

    # ---- one case

    def _show_case(self) -> None:
        case = self.list.case()
        facts = self.draft.checks.get(case, {})
        mode = self.modes.checkedId()
        picture = facts.get("picture")
        folder = self.context.store.root / self.draft.id / "pictures"
        self.view.show_case(
            folder / picture if picture else None,
            len(self.draft.modalities),
            (CHECKER, OVERLAY)[mode] if mode < 2 else mode - 2,
            max(1, self.other.currentIndex() + 1),
        )
        self.number.setText(self._fits(case, facts))
        told = [f"{p['text'].rstrip('.')}. {p['fix']}" for p in facts.get("problems", [])]
        waiting = "Waiting for the check." if not facts and case else ""
        self.problems.setText("\n".join(told) or waiting)
        usable = bool(facts) and self.draft.usable(case)
        accepted = usable and self.draft.accepts(case)
        self.accept.setEnabled(usable and not accepted)
        self.reject.setEnabled(accepted)
        self.align.setEnabled(len(self._files(case)) > 1)
        why = "" if usable or not facts else "The training cannot use this case; see the problem."
        self.accept.setToolTip(why)
        self.reject.setToolTip(why)
        self.previous.setEnabled(self.list.currentRow() > 0)
        self.following.setEnabled(self.list.currentRow() < self.list.count() - 1)

    def _fits(self, case: str, facts: dict[str, Any]) -> str:
        """Say how well the images of a case fit."""
        told = [
            f"<b>{m}</b> explains <b>{one['similarity']:.0%}</b> of the ultrasound where it lies, "
            f"at most {one['moved']:.0%} when moved by 9 mm"
            for m, one in facts.get("fits", {}).items()
        ]
        if told:
            return "; ".join(told) + "."
        pair = bool(case) and len(self.draft.table.row(case).case().files) > 1
        both = "They have too little in common to be compared by number."
        return "" if not facts else both if pair else "No pair to compare."

    def _files(self, case: str) -> list[Path]:
        return list(self.draft.table.row(case).files.values()) if case else []

    def _align(self) -> None:
        """Let the user bring the images of the case together where that is done."""
        case = self.list.case()
        if self.context.show_case is not None and case:
            self.context.show_case(case, self._files(case))

    def _decide(self, accept: bool) -> None:
        case = self.list.case()
        if not self.draft.checks.get(case) or not self.draft.usable(case):
            return
        self.draft.decisions[case] = accept
        self.list.mark(self.draft, case)
        self._count()
        self._show_case()
        self.draft_changed()

    def _next_mode(self) -> None:
        buttons = self.modes.buttons()
        self.modes.button((self.modes.checkedId() + 1) % len(buttons)).click()

    # ---- list and counts

    def _fill_list(self) -> None:
        self.list.fill(self.draft)
        self._count()
        self._show_case()

    def _count(self) -> None:
        draft = self.draft
        known = [c.id for c in draft.used() if c.id in draft.checks]
        taken = sum(draft.accepts(case) for case in known)
        pairs = pairs_in(draft.accepted())
        told = f"{taken} accepted, {pairs} of them with a pair, {len(known) - taken} left out"
        self.counts.setText(told if known else "")
        if draft.checked and not draft.accepted():
            self.sentence.show_message(
                "No case is left to train on; accept one, or go back.", bad=True
            )
        elif draft.checked and not pairs:
            self.sentence.show_message(no_pairs(draft.modalities, taken), bad=True)
        elif draft.checked:
            self.sentence.show_message("")

    def _show_running(self, on: bool) -> None:
        self.bar.setVisible(on)
        self.stop.setVisible(on)
        self.again.setVisible(not on)

    def _fill_modes(self) -> None:
        modalities = self.draft.modalities
        names = [CHECKER, OVERLAY, *modalities]
        if [b.text() for b in self.modes.buttons()] != names:
            for button in self.modes.buttons():
                self.modes.removeButton(button)
                button.deleteLater()
            for number, name in enumerate(names):
                button = QToolButton()
                button.setText(name)
                button.setCheckable(True)
                button.setChecked(number == 0)
                self.modes.addButton(button, number)
                self._mode_row.insertWidget(number, button)
        self.other.blockSignals(True)
        self.other.clear()
        self.other.addItems([f"{modalities[0]} with {m}" for m in modalities[1:]])
        self.other.blockSignals(False)
        self.other.setVisible(len(modalities) > 2)

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.addWidget(self.bar, 1)
        top.addWidget(self.counts, 1)
        top.addWidget(self.stop)
        top.addWidget(self.again)
        self._mode_row.addStretch(1)
        self._mode_row.addWidget(self.other)
        buttons = QHBoxLayout()
        for button in (self.previous, self.following):
            buttons.addWidget(button)
        buttons.addWidget(self.align)
        buttons.addStretch(1)
        for button in (self.accept, self.reject):
            buttons.addWidget(button)
        right = QVBoxLayout()
        right.addLayout(self._mode_row)
        right.addWidget(self.view, 1)
        for label in (self.number, self.problems):
            right.addWidget(label)
        right.addLayout(buttons)
        middle = QHBoxLayout()
        middle.addWidget(self.list)
        middle.addLayout(right, 1)
        column = QVBoxLayout(self)
        column.addLayout(top)
        column.addLayout(middle, 1)
        column.addWidget(self.sentence)
