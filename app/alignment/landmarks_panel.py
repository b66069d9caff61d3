"""The list of landmarks in the Align panel: names, residuals, and the target registration error."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QEvent, QSignalBlocker, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QGridLayout,
    QHeaderView,
    QLabel,
    QSizePolicy,
    QToolButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.alignment.landmarks import FIXED, Landmarks

BUTTONS = (
    ("landmark_tool", "Click (L)"),
    ("landmark_add", "Add (P)"),
    ("landmarks_rigid", "Align rigid"),
    ("landmarks_affine", "Align affine"),
    ("landmarks_load", "Load…"),
    ("landmarks_save", "Save…"),
)
DELETE = (Qt.Key.Key_Delete, Qt.Key.Key_Backspace)


class LandmarkTable(QTreeWidget):
    """A row per pair; the delete key takes a row away, not the volume."""

    def __init__(self, landmarks: Landmarks) -> None:
        super().__init__()
        self.landmarks = landmarks
        self.setHeaderLabels(["Landmark", "Apart, mm"])
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.header().setStretchLastSection(False)
        self.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.header().setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        self.setAccessibleName("Landmarks")
        self.itemChanged.connect(self._renamed)
        self.currentItemChanged.connect(lambda *_: self._picked())

    def event(self, event: QEvent) -> bool:
        """Claim the delete key before the window's shortcut takes it."""
        mine = isinstance(event, QKeyEvent) and event.key() in DELETE
        if event.type() == QEvent.Type.ShortcutOverride and mine:
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Delete the chosen pair."""
        row = self._row()
        if event.key() in DELETE and row >= 0:
            self.landmarks.remove(row)
        else:
            super().keyPressEvent(event)

    def show_pairs(self) -> None:
        """Show the present pairs; rows that stay keep their items."""
        pairs = self.landmarks.pairs
        errors, _, _ = self.landmarks.errors()
        with QSignalBlocker(self):
            while self.topLevelItemCount() > len(pairs):
                self.takeTopLevelItem(self.topLevelItemCount() - 1)
            while self.topLevelItemCount() < len(pairs):
                item = QTreeWidgetItem()
                item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
                item.setTextAlignment(1, Qt.AlignmentFlag.AlignRight)
                self.addTopLevelItem(item)
            for n, (pair, error) in enumerate(zip(pairs, errors, strict=True)):
                shown = self.topLevelItem(n)
                assert shown is not None
                shown.setText(0, pair.name)
                shown.setText(1, f"{error:.1f}")
            chosen = self.landmarks.selected
            self.setCurrentIndex(self.model().index(chosen, 0))
        lines = min(max(len(pairs), 2), 6)
        height = self.fontMetrics().lineSpacing() + 6
        self.setFixedHeight(self.header().sizeHint().height() + lines * height + 4)

    def _row(self) -> int:
        item = self.currentItem()
        return -1 if item is None else self.indexOfTopLevelItem(item)

    def _renamed(self, item: QTreeWidgetItem, column: int) -> None:
        row = self.indexOfTopLevelItem(item)
        if column == 0:
            self.landmarks.rename(row, item.text(0).strip())
        self.landmarks.changed.emit()  # an error is no text to edit

    def _picked(self) -> None:
        """Choose a pair and look at it."""
        row = self._row()
        if row < 0 or row == self.landmarks.selected:
            return
        self.landmarks.select(row)
        where = self.landmarks.position(self.landmarks.pairs[row], FIXED)
        self.landmarks.aligner.session.set_cursor(np.asarray(where))


class LandmarkBox(QWidget):
    """The table, the errors, and the buttons."""

    def __init__(self, landmarks: Landmarks, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.landmarks = landmarks
        self.table = LandmarkTable(landmarks)
        self.summary = QLabel()
        self.summary.setWordWrap(True)
        self.summary.setToolTip(
            "Target registration error: how far apart the ends of the pairs are now. Pairs that "
            "an alignment was made from say less than others."
        )
        self.buttons: dict[str, QToolButton] = {}
        grid = QGridLayout()
        grid.setSpacing(4)
        for n, (name, text) in enumerate(BUTTONS):
            self.buttons[name] = command_button(text)
            grid.addWidget(self.buttons[name], n // 2, n % 2)
            grid.setColumnStretch(n % 2, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.table)
        column.addWidget(self.summary)
        column.addLayout(grid)
        landmarks.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the pairs, and how far apart they are."""
        self.table.show_pairs()
        count = len(self.landmarks.pairs)
        _, mean, largest = self.landmarks.errors()
        half = next(iter(self.landmarks.half), "")
        if half:
            other = "moving" if half == FIXED else "fixed"
            text = f"Now click the same point in the {other} volume."
        elif count:
            text = f"Target registration error {mean:.1f} mm mean, {largest:.1f} mm at most."
        else:
            text = "No landmarks yet. Click the same points in both volumes, or add at the cursor."
        self.summary.setText(text)


def command_button(text: str) -> QToolButton:
    """Return a button that shares a row evenly; it becomes a command's when the window has some."""
    button = QToolButton()
    button.setText(text)
    button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
    button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    return button
