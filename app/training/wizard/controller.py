"""The wizard in the main window: its command, and one wizard at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, QTimer, Signal
from PySide6.QtWidgets import QWidget

from app.shared.commands import Command
from app.shared.context import Context
from app.state.messages import Action

if TYPE_CHECKING:
    from app.training.wizard.draft import Draft
    from app.training.wizard.wizard import TrainerWizard


WITHOUT_QT = ("trainer.plan.schema", "trainer.cohort.scan", "trainer.cohort.pair")
"""The slow part of what the wizard needs; it may be imported in a thread."""
MODULES = (
    "app.training.runs.launch",
    *(
        f"app.training.wizard.{page}_page"
        for page in ("folder", "scan", "check", "split", "preset")
    ),
    *(
        f"app.training.wizard.{page}"
        for page in ("estimate_page", "train_page", "wizard", "start_run")
    ),
)
"""The rest, in steps of a few milliseconds each."""


class WizardController(QObject):
    """Opens the wizard when it is asked for; nothing of it is imported before.

    Args:
        context: the ways to work and speak, and the settings.
        parent: the main window.
        show_run: shows a run that was started.
    """

    case_wanted = Signal(str, object)
    """A case and its files (list of paths) that the user wants to align in the main window."""

    def __init__(self, context: Context, parent: QWidget, show_run: Callable[[Path], None]) -> None:
        super().__init__(parent)
        self.context, self._parent, self._show_run = context, parent, show_run
        self.wizard: TrainerWizard | None = None
        self._opening = False

    def commands(self) -> list[Command]:
        """Return the command for the menu Training."""
        menu = "Training"
        return [
            Command("train_model", "Train a model…", menu, menu, self.open, ("Ctrl+Shift+T",),
                    "Lead from a folder of patients to a training run"),
        ]  # fmt: skip

    def open(self, draft: Draft | None = None) -> None:
        """Show the wizard where it stands, at its first step, or at a draft's."""
        if self.wizard is not None:
            self._show(self.wizard)
        elif not self._opening:
            self._opening = True
            self.context.jobs.submit(
                "Opening the wizard",
                lambda: [import_module(name) for name in WITHOUT_QT],
                lambda _: self._load(MODULES, draft),
                self.context.messages.error,
            )

    def close(self) -> None:
        """Close the wizard; its draft is kept."""
        if self.wizard is not None:
            self.wizard.kept.disconnect(self._kept)
            self.wizard.reject()

    # ---- inside

    def _load(self, modules: Sequence[str], draft: Draft | None) -> None:
        """Import one module a turn of the event loop, so that the window goes on answering.

        Not in a thread, for these use Qt: PySide6 makes its classes where they are first asked
        for, and may crash when that is not the window's thread.
        """
        if not modules:
            self._loaded(draft)
            return
        import_module(modules[0])
        QTimer.singleShot(0, self, partial(self._load, modules[1:], draft))

    def _loaded(self, draft: Draft | None) -> None:
        self._opening = False
        self.wizard = self._make()
        self._show(self.wizard)
        if draft is not None:
            self.wizard.go_on_with(draft)

    def _show(self, wizard: TrainerWizard) -> None:
        wizard.show()
        wizard.raise_()
        wizard.activateWindow()

    def _make(self) -> TrainerWizard:
        from app.training.wizard.draft import DraftStore
        from app.training.wizard.page import WizardContext
        from app.training.wizard.wizard import TrainerWizard

        context = self.context
        tools = WizardContext(
            context.settings,
            context.jobs,
            DraftStore(),
            self._begin,
            show_case=self.case_wanted.emit,
        )
        wizard = TrainerWizard(tools, self._parent)
        wizard.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        wizard.started.connect(self._show_run)
        wizard.kept.connect(self._kept)
        wizard.finished.connect(self._over)
        return wizard

    def offer_return(self, case: str) -> None:
        """Say what to do with a case that was opened from the check, and how to go back."""
        self.context.messages.info(
            f"{case} is open to be aligned. Save the moved volume over the one in the cohort, then "
            "go back to the training: the case is checked again.",
            [Action("Back to the training", self._go_back)],
        )

    def _go_back(self) -> None:
        if self.wizard is None:
            self.open()
            return
        self._show(self.wizard)
        self.wizard.look_again()

    def _begin(self, draft: Draft) -> Path:
        from app.training.runs.launch import resume
        from app.training.wizard.start_run import start_run

        return start_run(draft, resume)

    def _kept(self, draft: Draft) -> None:
        self.context.messages.info(
            "The training you were preparing is kept as a draft.",
            [Action("Go on", partial(self.open, draft))],
        )

    def _over(self, _: int) -> None:
        self.wizard = None
