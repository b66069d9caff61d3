"""The list of runs: a dot for the state, a bar for how far, what the score is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QRect, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPalette
from PySide6.QtWidgets import (
    QAbstractItemView,
    QListWidget,
    QListWidgetItem,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from app.training.runs.wording import COLOURS, duration, state_word
from trainer.run.state import RunInfo

ROLE = Qt.ItemDataRole.UserRole


class RunList(QListWidget):
    """Runs by latest activity; several can be selected to compare them."""

    chosen = Signal(list)
    """Paths of the selected runs."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setItemDelegate(_Row(self))
        self.setUniformItemSizes(True)
        self.setMinimumWidth(230)
        self.setAccessibleName("Training runs")
        self.itemSelectionChanged.connect(lambda: self.chosen.emit(self.selected()))

    def selected(self) -> list[Path]:
        """Return the selected runs' folders."""
        return [item.data(ROLE).path for item in self.selectedItems()]

    def show_runs(self, runs: Sequence[RunInfo]) -> None:
        """Show runs; the selection stays."""
        selected, current = set(self.selected()), self.currentItem()
        now = current.data(ROLE).path if current else None
        before = self.blockSignals(True)
        self.clear()
        for info in runs:
            item = QListWidgetItem(info.path.name)
            item.setData(ROLE, info)
            item.setToolTip(f"{info.path.name}: {state_word(info)}")
            self.addItem(item)
            item.setSelected(info.path in selected)
            if info.path == now:
                self.setCurrentItem(item)
                item.setSelected(info.path in selected)
        self.blockSignals(before)
        if set(self.selected()) != selected:
            self.chosen.emit(self.selected())

    def select(self, path: Path) -> None:
        """Select one run."""
        for row in range(self.count()):
            if self.item(row).data(ROLE).path == path:
                self.setCurrentRow(row)
                return


class _Row(QStyledItemDelegate):
    """Paints a run's row."""

    def sizeHint(self, option: QStyleOptionViewItem, index: object) -> QSize:
        return QSize(220, option.fontMetrics.height() * 2 + 18)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: object) -> None:
        info: RunInfo = index.data(ROLE)  # type: ignore[attr-defined]
        palette, place = option.palette, option.rect.adjusted(8, 5, -8, -5)
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        if chosen:
            painter.fillRect(option.rect, palette.color(QPalette.ColorRole.Highlight))
        role = QPalette.ColorRole.HighlightedText if chosen else QPalette.ColorRole.Text
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(COLOURS.get(info.state, "#8a8f98")))
        line = option.fontMetrics.height()
        painter.drawEllipse(QRect(place.left(), place.top() + line // 2 - 4, 9, 9))
        painter.setPen(palette.color(role))
        text = place.adjusted(16, 0, 0, 0)
        left = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop
        name = option.fontMetrics.elidedText(
            info.path.name, Qt.TextElideMode.ElideMiddle, text.width()
        )
        painter.drawText(text, left, name)
        painter.setOpacity(0.75)
        words = [state_word(info)]
        if info.state in ("running", "waiting", "paused"):
            words.append(f"{info.part:.0%}")
        if info.seconds_left is not None:
            words.append(f"{duration(info.seconds_left)} left")
        if info.score is not None:
            words.append(f"{info.score:.2f} dB")
        painter.drawText(text.adjusted(0, line + 1, 0, 0), left, ", ".join(words))
        painter.setOpacity(1.0)
        bar = QRect(text.left(), place.bottom() - 2, text.width(), 3)
        painter.fillRect(bar, palette.color(QPalette.ColorRole.Mid))
        bar.setWidth(round(bar.width() * min(1.0, info.part)))
        painter.fillRect(bar, QColor(COLOURS.get(info.state, "#8a8f98")))
        painter.restore()
