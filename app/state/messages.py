"""What the program tells the user: one list of sentences, newest last, never a modal dialog."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from PySide6.QtCore import QObject, Signal

KEPT = 200


class Severity(StrEnum):
    """How urgent a note is."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Action:
    """A button beside a note: what it says and what a click does."""

    label: str
    run: Callable[[], None]


@dataclass(frozen=True)
class Note:
    """One sentence for the user."""

    severity: Severity
    sentence: str
    actions: tuple[Action, ...] = ()
    time: datetime = field(default_factory=datetime.now)


class Messages(QObject):
    """The history of sentences; views subscribe."""

    added = Signal(object)
    """A note was added."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.history: list[Note] = []

    def info(self, sentence: str, actions: Sequence[Action] = ()) -> None:
        """Tell something that went well."""
        self._add(Severity.INFO, sentence, actions)

    def warning(self, sentence: str, actions: Sequence[Action] = ()) -> None:
        """Tell something the user should know."""
        self._add(Severity.WARNING, sentence, actions)

    def error(self, sentence: str, actions: Sequence[Action] = ()) -> None:
        """Tell that something did not work, and what to do."""
        self._add(Severity.ERROR, sentence, actions)

    def clear(self) -> None:
        """Empty the history."""
        self.history.clear()

    def _add(self, severity: Severity, sentence: str, actions: Sequence[Action]) -> None:
        note = Note(severity, sentence, tuple(actions))
        self.history = [*self.history, note][-KEPT:]
        self.added.emit(note)
