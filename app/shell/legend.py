"""The legend of a label map: colour, name and a switch for each of its labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtGui import QColor, QIcon, QPixmap
from PySide6.QtWidgets import (
    QAbstractItemView,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.state.values import Label, Layer
from app.viewer.colormaps import label_colour

LINES = 10
"""So many labels are seen at once; the others by scrolling."""


class Legend(QWidget):
    """Names and switches labels.

    Args:
        say: called with the labels as the user wants them.
    """

    def __init__(self, say: Callable[[tuple[Label, ...]], None]) -> None:
        super().__init__()
        self._say = say
        self._labels: tuple[Label, ...] = ()
        self._colours = ""
        self.list = QListWidget()
        self.list.setAccessibleName("Labels")
        self.list.setEditTriggers(QAbstractItemView.EditTrigger.DoubleClicked)
        self.list.setToolTip("Tick what is drawn. Double-click to rename.")
        self.list.itemChanged.connect(self._edited)
        self.every = QPushButton()
        self.every.clicked.connect(self._switch_all)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.list)
        column.addWidget(self.every)

    def show_layer(self, layer: Layer) -> None:
        """Show a label map's labels."""
        if (layer.labels, layer.colormap) == (self._labels, self._colours):
            return
        self._labels, self._colours = layer.labels, layer.colormap
        with QSignalBlocker(self.list):
            while self.list.count() > len(layer.labels):
                self.list.takeItem(self.list.count() - 1)
            while self.list.count() < len(layer.labels):
                self.list.addItem(QListWidgetItem())
            for n, label in enumerate(layer.labels):
                self._fill(self.list.item(n), label)
        line = self.list.sizeHintForRow(0) if layer.labels else self.fontMetrics().height()
        self.list.setFixedHeight(line * min(max(len(layer.labels), 1), LINES) + 4)
        some = any(x.shown for x in layer.labels)
        self.every.setText("Hide all" if some else "Show all")

    def _fill(self, item: QListWidgetItem, label: Label) -> None:
        swatch = QPixmap(12, 12)
        swatch.fill(QColor(label_colour(self._colours, label.value)))
        item.setIcon(QIcon(swatch))
        item.setText(label.name)
        item.setToolTip(f"{label.name} ({label.value})")
        item.setFlags(
            Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
            | Qt.ItemFlag.ItemIsEditable | Qt.ItemFlag.ItemIsUserCheckable
        )  # fmt: skip
        item.setCheckState(Qt.CheckState.Checked if label.shown else Qt.CheckState.Unchecked)

    def _edited(self, item: QListWidgetItem) -> None:
        n, labels = self.list.row(item), list(self._labels)
        name = item.text().strip() or labels[n].name
        shown = item.checkState() is Qt.CheckState.Checked
        labels[n] = replace(labels[n], name=name, shown=shown)
        self._say(tuple(labels))

    def _switch_all(self) -> None:
        some = any(x.shown for x in self._labels)
        self._say(tuple(replace(x, shown=not some) for x in self._labels))
