"""The one drop target: anything that comes as files, anywhere on the window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QEvent, QObject, Qt, QTimer
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QLabel, QWidget


class DropTarget(QObject):
    """Takes the drops of a window and shows a hint while something is over it.

    Args:
        window: receives the drops.
        centre: where the hint appears.
        open_paths: called with what was dropped.
    """

    def __init__(
        self, window: QWidget, centre: QWidget, open_paths: Callable[[Sequence[Path]], None]
    ) -> None:
        super().__init__(window)
        self._centre, self._open = centre, open_paths
        self.hint = QLabel("Drop to open", centre)
        self.hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.hint.setObjectName("drop")
        self.hint.hide()
        window.setAcceptDrops(True)
        window.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Handle the window's drag and drop events."""
        kind = event.type()
        if kind == QEvent.Type.DragEnter:
            assert isinstance(event, QDragEnterEvent)
            if local_paths(event):
                event.acceptProposedAction()
                self._show_hint(True)
            return True
        if kind == QEvent.Type.DragLeave:
            self._show_hint(False)
            return True
        if kind == QEvent.Type.Drop:
            assert isinstance(event, QDropEvent)
            self._show_hint(False)
            paths = local_paths(event)
            event.acceptProposedAction()
            # The source waits for this event to end; reading starts after it.
            QTimer.singleShot(0, self, lambda: self._open(paths))
            return True
        return super().eventFilter(watched, event)

    def _show_hint(self, on: bool) -> None:
        self.hint.setGeometry(self._centre.rect())
        self.hint.setVisible(on)
        self.hint.raise_()


def local_paths(event: QDropEvent) -> list[Path]:
    """Return the files and folders that a drag carries."""
    return [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
