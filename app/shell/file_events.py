"""Files that the system hands to the running program, as macOS does after a double click."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QEvent, QObject
from PySide6.QtGui import QFileOpenEvent


class FileEvents(QObject):
    """Passes on files that arrive as events of the application.

    Args:
        app: the application.
        opens: receives the files.
        parent: owner.
    """

    def __init__(
        self, app: QObject, opens: Callable[[Sequence[Path]], None], parent: QObject
    ) -> None:
        super().__init__(parent)
        self._opens = opens
        app.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Take file events, leave all others."""
        if isinstance(event, QFileOpenEvent) and event.url().isLocalFile():
            self._opens([Path(event.url().toLocalFile())])
            return True
        return super().eventFilter(watched, event)
