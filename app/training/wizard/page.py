"""What all pages of the wizard share: the draft, and the tools they may use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QLabel, QWidget, QWizardPage

from app.processes.jobs import ChildProcess, Jobs, Outcome, program_command
from app.processes.protocol import JsonLines, Message
from app.shared.style import say
from app.state.settings import Settings
from app.training.wizard.draft import Draft, DraftStore

SENTENCE_PREFIX = "mhvae-studio: "
"""What a command puts before its sentence."""


@dataclass
class WizardContext:
    """What the pages work with.

    Attributes:
        settings: what is remembered between starts.
        jobs: threads for reading names and headers.
        store: keeps the draft.
        start_run: makes a run of a draft and starts it; returns its folder.
        command: how a command of the program is started; tests pass another.
        show_case: opens a case's files in the main window, to be aligned there.
    """

    settings: Settings
    jobs: Jobs
    store: DraftStore
    start_run: Callable[[Draft], Path]
    command: Callable[[Sequence[str]], list[str]] = program_command
    show_case: Callable[[str, Sequence[Path]], None] | None = None


class Page(QWizardPage):
    """One step; it shows the draft and changes it.

    Attributes:
        draft: what the wizard works on.
        first: has the keyboard when the page comes up, by Next or by Back.
    """

    changed = Signal()
    """The draft was changed; it will be saved."""
    title_text = ""
    about = ""

    def __init__(self, context: WizardContext) -> None:
        super().__init__()
        self.context = context
        self.draft = Draft()
        self.first: QWidget | None = None
        self.setTitle(self.title_text)
        self.setSubTitle(self.about)

    def enter(self) -> None:
        """Show the draft; called whenever the page comes up by Next or a reopened draft."""

    def leave(self) -> None:
        """Stop what the page has under way."""

    def initializePage(self) -> None:
        """Show the draft."""
        self.enter()

    def cleanupPage(self) -> None:
        """Keep everything: going back loses nothing."""
        self.leave()

    def draft_changed(self) -> None:
        """Save the draft and look again whether the page is complete."""
        self.changed.emit()
        self.completeChanged.emit()


class CommandProcess(QObject):
    """A command of the program in a child process, with its events.

    Args:
        parent: owner; the child is ended with it.
    """

    event_received = Signal(object)
    """One event (dict)."""
    ended = Signal(str)
    """It is over; a sentence when it failed, empty when it finished. Not after a cancel."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._child: ChildProcess | None = None

    @property
    def running(self) -> bool:
        """Whether it is under way."""
        return self._child is not None

    def start(self, command: Sequence[str]) -> None:
        """Start a command; one under way is ended."""
        self.cancel()
        child = ChildProcess(command, self, JsonLines())
        self._child = child
        child.message.connect(self._tell)
        child.ended.connect(self._end)
        child.start()

    def cancel(self) -> None:
        """End it at once; nothing more is heard of it."""
        child, self._child = self._child, None
        if child is not None:
            child.message.disconnect(self._tell)
            child.ended.disconnect(self._end)
            child.kill()
            child.close()
            child.deleteLater()

    def _tell(self, message: Message) -> None:
        self.event_received.emit(message)

    def _end(self, outcome: Outcome) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.deleteLater()
        if outcome.status == "finished":
            self.ended.emit("")
        elif outcome.error_lines and outcome.error_lines[-1].startswith(SENTENCE_PREFIX):
            self.ended.emit(outcome.error_lines[-1].removeprefix(SENTENCE_PREFIX))
        else:
            self.ended.emit(outcome.sentence("It"))


class MessageLabel(QLabel):
    """One sentence for the user, in the colour of its weight; hidden when empty."""

    def __init__(self) -> None:
        super().__init__()
        self.setWordWrap(True)
        self.hide()

    def show_message(self, text: str, *, bad: bool = False) -> None:
        """Show a sentence."""
        say(self, "bad", bad)
        self.setText(text)
        self.setVisible(bool(text))
