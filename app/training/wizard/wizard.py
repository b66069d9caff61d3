"""The trainer wizard: seven steps over one draft, saved at every change."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget, QWizard

from app.shared.style import WheelGuard, say
from app.training.wizard.check_page import CheckPage
from app.training.wizard.draft import Draft, DraftError
from app.training.wizard.estimate_page import EstimatePage
from app.training.wizard.folder_page import STEPS, FolderPage
from app.training.wizard.page import Page, WizardContext
from app.training.wizard.preset_page import PresetPage
from app.training.wizard.scan_page import ScanPage
from app.training.wizard.split_page import SplitPage
from app.training.wizard.train_page import TrainPage


class TrainerWizard(QWizard):
    """Leads from a folder of cases to a run.

    Args:
        tools: what the pages work with.
        parent: the main window.
    """

    started = Signal(object)
    """A run was started (Path of its folder)."""
    kept = Signal(object)
    """The wizard was closed with a draft to go on with (Draft)."""

    def __init__(self, context: WizardContext, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.context = context
        self.draft = Draft()
        self._opening = False
        self.setWindowTitle("Train a model")
        self.setWizardStyle(QWizard.WizardStyle.ModernStyle)
        self.setOption(QWizard.WizardOption.NoBackButtonOnStartPage)
        self.setOption(QWizard.WizardOption.HaveHelpButton, False)
        self.setButtonText(QWizard.WizardButton.FinishButton, "Start training")
        self.setButtonText(QWizard.WizardButton.CancelButton, "Close")
        self.button(QWizard.WizardButton.CancelButton).setToolTip("The draft is kept")
        self.setWindowModality(Qt.WindowModality.NonModal)
        self.resize(1120, 800)
        self.folder = FolderPage(context)
        self.scan = ScanPage(context)
        self.check = CheckPage(context)
        self.split = SplitPage(context)
        self.preset = PresetPage(context)
        self.estimate = EstimatePage(context)
        self.train = TrainPage(context)
        self.steps: list[Page] = [
            self.folder, self.scan, self.check, self.split, self.preset, self.estimate, self.train
        ]  # fmt: skip
        self.marks = [QLabel(f"{n}  {name}") for n, name in enumerate(STEPS, start=1)]
        for number, page in enumerate(self.steps):
            self.setPage(number, page)
            page.draft = self.draft
            page.changed.connect(self.keep)
        self._build_side()
        self.folder.resume.connect(self.go_on_with)
        self.currentIdChanged.connect(self._came_to)
        self.finished.connect(self._end)
        for keys, button in (("Alt+Right", QWizard.WizardButton.NextButton),
                             ("Alt+Left", QWizard.WizardButton.BackButton)):  # fmt: skip
            QShortcut(QKeySequence(keys), self).activated.connect(partial(self._press, button))
        WheelGuard(self)

    def go_on_with(self, draft: Draft) -> None:
        """Go on with a draft, at the step it was left at or the last one that can be reached."""
        self.draft = draft
        for page in self.steps:
            page.leave()
            page.draft = draft
        self._opening = True
        goal = draft.page
        self.restart()
        while self.currentId() < goal and self.steps[self.currentId()].isComplete():
            here = self.currentId()
            self.next()
            if self.currentId() == here:
                break
        self._opening = False
        self._came_to(self.currentId())

    def look_again(self) -> None:
        """Look at the files again, after they were worked on elsewhere."""
        self.steps[self.currentId()].enter()

    def keep(self) -> None:
        """Save the draft."""
        if self.draft.source is None:
            return
        try:
            self.context.store.save(self.draft)
        except DraftError as error:
            self._complain(str(error))

    # ---- inside

    def _came_to(self, number: int) -> None:
        if number < 0 or self._opening:
            return
        for n, mark in enumerate(self.marks):
            font = mark.font()
            font.setBold(n == number)
            mark.setFont(font)
            mark.setEnabled(n <= number)
        first = self.steps[number].first
        if first is not None:
            QTimer.singleShot(0, first, first.setFocus)  # after the wizard's own choice
        self.draft.page = number
        self.keep()
        name = f" – {self.draft.title}" if self.draft.source else ""
        self.setWindowTitle(f"Train a model{name}")

    def _end(self, _: int) -> None:
        """With a run started the draft is over, without one it is kept."""
        for page in self.steps:
            page.leave()
        if self.train.started is not None:
            self.context.store.remove(self.draft)
            self.started.emit(self.train.started)
        elif self.draft.source is not None:
            self.keep()
            self.kept.emit(self.draft)

    def _press(self, which: QWizard.WizardButton) -> None:
        button = self.button(which)
        if button.isEnabled() and button.isVisible():
            button.click()

    def _complain(self, sentence: str) -> None:
        page = self.steps[self.currentId()]
        page.setSubTitle(f"{page.about} {sentence}")

    def _build_side(self) -> None:
        side = QWidget()
        column = QVBoxLayout(side)
        column.setContentsMargins(16, 22, 22, 16)
        column.setSpacing(12)
        for mark in self.marks:
            column.addWidget(mark)
        column.addStretch(1)
        notice = QLabel("Research use only.")
        say(notice, "hint", True)
        column.addWidget(notice)
        widest = max(m.fontMetrics().horizontalAdvance(m.text()) for m in self.marks)
        side.setMinimumWidth(round(widest * 1.15) + 40)
        self.side = side  # the wizard takes it over only when it is shown
        self.setSideWidget(side)
