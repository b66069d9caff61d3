"""A label of a few lines that never clips: what has no room is elided, the tooltip has it whole."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget


class FewLines(QLabel):
    """Plain text in at most so many lines, as wide as it gets.

    Args:
        lines: how many.
        parent: as for every widget.
    """

    def __init__(self, lines: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._lines, self.whole = lines, ""
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def setText(self, text: str) -> None:
        """Show another text."""
        self.whole = text
        self._fit()

    def minimumSizeHint(self) -> QSize:
        """Be as narrow as a word."""
        return QSize(80, self.fontMetrics().lineSpacing())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Show as much as has room now."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        words = self.whole.split(" ")
        count = len(words)
        while count > 1 and not self._has_room(self._shown(words, count)):
            count -= 1
        super().setText(self._shown(words, count))
        self.setToolTip(self.whole if count < len(words) else "")

    def _shown(self, words: list[str], count: int) -> str:
        return " ".join(words[:count]) + (" …" if count < len(words) else "")

    def _has_room(self, text: str) -> bool:
        metrics, flags = self.fontMetrics(), int(Qt.TextFlag.TextWordWrap)
        box = metrics.boundingRect(0, 0, max(self.width(), 80), 10_000, flags, text)
        return box.height() <= self._lines * metrics.lineSpacing() + 1
