"""Cells of the import table that can be changed: they look like a list, and open as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QAbstractItemModel, QRect, Qt, QTimer
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import (
    QApplication,
    QComboBox,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionComboBox,
    QStyleOptionViewItem,
    QWidget,
)

from app.files.import_table_model import Column, ImportModel, Index

MARGIN = 4


class ChoiceCell(QStyledItemDelegate):
    """Draws a cell as a closed list, and opens it on a click.

    Args:
        model: the table's rows.
        modalities: names to offer, at the time of asking.
        choose: called with (row number, modality, action); one of the last two is empty.
        parent: the view.
    """

    def __init__(
        self,
        model: ImportModel,
        modalities: Callable[[], Sequence[str]],
        choose: Callable[[int, str, str], None],
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self._model, self._modalities, self._choose = model, modalities, choose

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Draw the list's closed form; plain text where there is nothing to choose."""
        if not index.flags() & Qt.ItemFlag.ItemIsEditable:
            super().paint(painter, option, index)
            return
        background = QStyleOptionViewItem(option)
        self.initStyleOption(background, index)
        background.text = ""
        view = option.widget
        style = view.style() if view is not None else QApplication.style()
        style.drawControl(QStyle.ControlElement.CE_ItemViewItem, background, painter, view)
        box = QStyleOptionComboBox()
        box.initFrom(view)
        box.rect = self._place(option)
        box.currentText = str(index.data())
        box.state = QStyle.StateFlag.State_Enabled
        style.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, box, painter, view)
        style.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, box, painter, view)

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: Index) -> QWidget:
        """Return the list, about to open."""
        box = QComboBox(parent)
        row = self._model.row(index)
        if index.column() == Column.MODALITY:
            box.setEditable(True)
            box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
            box.setAccessibleName("Modality")
            box.addItems(list(self._modalities()))
            box.setCurrentIndex(box.findText(row.modality))
            box.setEditText(row.modality)
        else:
            box.setAccessibleName("What to do")
            for action, words in self._model.actions(row):
                box.addItem(words, action)
            box.setCurrentIndex(max(0, box.findData(row.action)))
        box.activated.connect(lambda _: self._done(box))
        QTimer.singleShot(0, box, box.showPopup)
        return box

    def setEditorData(self, editor: QWidget, index: Index) -> None:
        """Leave the list as it was made."""

    def setModelData(self, editor: QWidget, model: QAbstractItemModel, index: Index) -> None:
        """Hand the choice on."""
        assert isinstance(editor, QComboBox)
        if index.column() == Column.MODALITY:
            text = editor.currentText().strip()
            if text != self._model.row(index).modality:
                self._choose(index.row(), text, "")
        elif editor.currentData() != self._model.row(index).action:
            self._choose(index.row(), "", str(editor.currentData()))

    def updateEditorGeometry(
        self, editor: QWidget, option: QStyleOptionViewItem, index: Index
    ) -> None:
        """Put the open list where the closed one was drawn."""
        editor.setGeometry(self._place(option))

    def _done(self, box: QComboBox) -> None:
        self.commitData.emit(box)
        self.closeEditor.emit(box)

    def _place(self, option: QStyleOptionViewItem) -> QRect:
        rect = option.rect
        height = min(rect.height(), option.fontMetrics.height() + 12)
        top = rect.top() + (rect.height() - height) // 2
        return rect.adjusted(MARGIN, top - rect.top(), -MARGIN, top + height - 1 - rect.bottom())
