"""The rows of the import table, as Qt's views want them."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor, QGuiApplication, QImage, QPalette

from app.files.import_rules import KEEP, SKIP, ImportItem, Key, size_text
from app.files.importer import Importer
from app.shared.style import warning_colour

Index = QModelIndex | QPersistentModelIndex
Role = Qt.ItemDataRole


class Column(IntEnum):
    """What a column shows."""

    PICTURE = 0
    VOLUME = 1
    MODALITY = 2
    WHY = 3
    SIZE = 4
    VERDICT = 5
    ACTION = 6


TITLES = ("", "Volume", "Modality", "Why", "Voxels", "Geometry and remarks", "What to do")
UNKNOWN = "modality?"


class ImportModel(QAbstractTableModel):
    """A view of the importer's rows; edits go to the importer."""

    def __init__(self, importer: Importer) -> None:
        super().__init__(importer)
        self.importer = importer
        self.pictures: dict[Key, QImage] = {}
        self._rows: list[ImportItem] = []
        self.refresh()

    def refresh(self) -> None:
        """Follow the importer."""
        rows = self.importer.rows
        if [row.key for row in rows] == [row.key for row in self._rows]:
            self._rows = list(rows)
            if rows:
                self.dataChanged.emit(self.index(0, 0), self.index(len(rows) - 1, len(TITLES) - 1))
            return
        self.beginResetModel()
        self._rows = list(rows)
        self.endResetModel()

    def row(self, index: Index) -> ImportItem:
        """Return what an index is about."""
        return self._rows[index.row()]

    def set_picture(self, key: Key, picture: QImage) -> None:
        """Show a volume's picture."""
        self.pictures[key] = picture
        for n, row in enumerate(self._rows):
            if row.key == key:
                at = self.index(n, Column.PICTURE)
                self.dataChanged.emit(at, at)

    def actions(self, row: ImportItem) -> list[tuple[str, str]]:
        """Return (action, words) of what can become of a volume."""
        others = [(i, f"Replace {name}") for i, name in self.importer.replaceable(row)]
        return [(KEEP, "Keep"), *others, (SKIP, "Skip")]

    # ---- what Qt asks

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        """Return the number of volumes."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        """Return the number of columns."""
        return 0 if parent.isValid() else len(TITLES)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Role.DisplayRole
    ) -> Any:
        """Return the titles."""
        if orientation is Qt.Orientation.Horizontal and role == Role.DisplayRole:
            return TITLES[section]
        return None

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Tell what can be changed."""
        flags = super().flags(index)
        row = self.row(index)
        if row.usable and index.column() in (Column.MODALITY, Column.ACTION):
            flags |= Qt.ItemFlag.ItemIsEditable
        return flags

    def data(self, index: Index, role: int = Role.DisplayRole) -> Any:
        """Return a cell's text, picture, colour or help."""
        row, column = self.row(index), Column(index.column())
        if role == Role.DisplayRole:
            return self._text(row, column)
        if role == Role.EditRole:
            return row.modality if column is Column.MODALITY else row.action
        if role == Role.DecorationRole and column is Column.PICTURE:
            return self.pictures.get(row.key)
        if role == Role.ToolTipRole:
            return self._help(row, column)
        if role == Role.ForegroundRole:
            return self._colour(row, column)
        return None

    def _text(self, row: ImportItem, column: Column) -> str:
        header = row.header
        if column is Column.VOLUME:
            files = "" if header.files == 1 else f", {header.files} files"
            return f"{header.source}\n{header.format}{files}"
        if column is Column.MODALITY:
            return row.modality or (UNKNOWN if row.usable else "")
        if column is Column.WHY:
            return "you said so" if row.named_by_user else row.reason
        if column is Column.SIZE:
            return size_text(header)
        if column is Column.VERDICT:
            return row.verdict
        if column is Column.ACTION:
            return dict(self.actions(row)).get(row.action, "Keep") if row.usable else "Cannot use"
        return ""

    def _help(self, row: ImportItem, column: Column) -> str:
        if column is Column.VERDICT:
            return row.verdict
        if column is Column.MODALITY and row.usable:
            return f"Guessed from the {row.reason}." if row.reason else "What kind of image this is"
        return ""

    def _colour(self, row: ImportItem, column: Column) -> Any:
        palette = QGuiApplication.palette()
        if column is Column.VERDICT and not row.usable:
            return QColor(warning_colour(palette))
        if not row.kept:
            return palette.color(QPalette.ColorGroup.Disabled, QPalette.ColorRole.Text)
        return None
