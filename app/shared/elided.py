"""A label that never clips: what does not fit is elided, and the tooltip has it whole."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QStyle, QStyleOption, QWidget


class ElidedLabel(QLabel):
    """One line of plain text that may be narrower than its words.

    Args:
        text: the words.
        parent: as for every widget.
        mode: where the dots go.
    """

    def __init__(
        self,
        text: str = "",
        parent: QWidget | None = None,
        mode: Qt.TextElideMode = Qt.TextElideMode.ElideRight,
    ) -> None:
        super().__init__(text, parent)
        self._mode, self._more = mode, ""
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def setText(self, text: str) -> None:
        """Show other words."""
        super().setText(text)
        self._tell()

    def explain(self, more: str) -> None:
        """Say more in the tooltip than the words themselves."""
        self._more = more
        self._tell()

    @property
    def elided(self) -> str:
        """What is painted."""
        room = self.contentsRect().width()
        return self.fontMetrics().elidedText(self.text(), self._mode, room)

    def minimumSizeHint(self) -> QSize:
        """Be as narrow as a few letters."""
        return QSize(self.fontMetrics().averageCharWidth() * 4, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Say in the tooltip what has no room now."""
        super().resizeEvent(event)
        self._tell()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint what fits."""
        option = QStyleOption()
        option.initFrom(self)
        painter = QPainter(self)
        style = self.style()
        style.drawPrimitive(QStyle.PrimitiveElement.PE_Widget, option, painter, self)
        style.drawItemText(
            painter, self.contentsRect(), int(self.alignment()), option.palette,
            self.isEnabled(), self.elided, self.foregroundRole(),
        )  # fmt: skip

    def _tell(self) -> None:
        whole = self.text() if self.elided != self.text() else ""
        self.setToolTip("\n".join(x for x in (whole, self._more) if x))
