"""The import table: one row per volume found, with the guess, the verdict and what to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QModelIndex, QRect, QSize, Qt, QTimer
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QProgressBar,
    QPushButton,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from app.files.import_rules import KEEP, LABEL_MAP, OTHER, SKIP, summary
from app.files.import_table_cells import ChoiceCell
from app.files.import_table_model import Column, ImportModel
from app.files.import_table_pictures import SIZE, Pictures
from app.files.importer import Importer
from app.shared.drops import local_paths
from app.shared.style import say
from core.modalities import OFFERED

WIDTHS = {
    Column.PICTURE: SIZE + 12,
    Column.VOLUME: 190,
    Column.MODALITY: 120,
    Column.WHY: 140,
    Column.SIZE: 134,
    Column.ACTION: 140,
}
PADDING = 8
HINT = "Drop files or folders here, or add them. DICOM folders may be nested."


class ImportTable(QDialog):
    """Shows what the importer found; not modal, so the window stays usable.

    Args:
        importer: finds and opens.
        modalities: names the chosen model knows, at the time of asking.
        parent: the window.
    """

    def __init__(
        self, importer: Importer, modalities: Callable[[], Sequence[str]], parent: QWidget
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Import")
        self.setAcceptDrops(True)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(1080, 520)
        self.importer, self._known = importer, modalities
        self._folder = ""
        self._over = False
        self.model = ImportModel(importer)
        self.pictures = Pictures(importer.jobs, self)
        self.pictures.made.connect(self.model.set_picture)
        self.pictures.failed.connect(importer.reject)
        self._fit = QTimer(self, singleShot=True, interval=30)  # one layout for many changes
        self.table = self._make_table()
        self.hint = QLabel(HINT)
        self.hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        say(self.hint, "hint", True)
        self.progress = QProgressBar()
        self.count = QLabel()
        self.stop = QPushButton("Stop looking")
        self.stop.clicked.connect(importer.cancel)
        self.about = QLabel()
        self.about.setWordWrap(True)
        self.files = QPushButton("Add files…")
        self.files.clicked.connect(self._ask_files)
        self.folders = QPushButton("Add folder…")
        self.folders.clicked.connect(self._ask_folder)
        self.keep = self._button("Keep selected", "K", KEEP)
        self.skip = self._button("Skip selected", "S", SKIP)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.go = self.buttons.addButton("Open", QDialogButtonBox.ButtonRole.AcceptRole)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        cancel = self.buttons.button(QDialogButtonBox.StandardButton.Cancel)
        for button in (self.stop, self.files, self.folders, self.keep, self.skip, cancel):
            button.setAutoDefault(False)
        self.go.setDefault(True)
        self.table.selectionModel().selectionChanged.connect(lambda *_: self._show_selection())
        self._lay_out()
        importer.changed.connect(self._refresh)
        importer.progressed.connect(self._tell)
        importer.settled.connect(self._leave)
        self._refresh()
        self.table.setFocus()

    def accept(self) -> None:
        """Open what is kept."""
        self.importer.accept()

    def done(self, result: int) -> None:
        """Close, and leave nothing running or waiting behind."""
        if not self._over:
            self._over = True
            self.pictures.stop()
            self.importer.dismiss()
            super().done(result)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take files and folders."""
        if local_paths(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Look through what was dropped, too."""
        event.acceptProposedAction()
        self.importer.opener.open(local_paths(event), ask=True)

    # ---- inside

    def _make_table(self) -> QTableView:
        table = QTableView()
        table.setModel(self.model)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setEditTriggers(QAbstractItemView.EditTrigger.EditKeyPressed)
        table.clicked.connect(self._edit)
        table.setIconSize(QSize(SIZE, SIZE))
        table.setWordWrap(True)
        table.setShowGrid(False)
        table.setAlternatingRowColors(True)
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(SIZE + PADDING)
        head = table.horizontalHeader()
        head.setHighlightSections(False)
        head.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        for column, width in WIDTHS.items():
            table.setColumnWidth(column, width)
        head.setSectionResizeMode(Column.VERDICT, QHeaderView.ResizeMode.Stretch)
        head.sectionResized.connect(lambda *_: self._fit.start())
        self._fit.timeout.connect(self._fit_rows)
        cell = ChoiceCell(self.model, self._modalities, self._choose, table)
        for column in (Column.MODALITY, Column.ACTION):
            table.setItemDelegateForColumn(column, cell)
        return table

    def _fit_rows(self) -> None:
        """Make rows as tall as their texts; Qt's own way takes far too long for hundreds."""
        metrics = self.table.fontMetrics()
        wrap = int(Qt.TextFlag.TextWordWrap)
        for n in range(self.model.rowCount()):
            height = SIZE
            for column in (Column.VOLUME, Column.WHY, Column.SIZE, Column.VERDICT):
                text = str(self.model.index(n, column).data() or "")
                width = self.table.columnWidth(column) - PADDING
                if metrics.horizontalAdvance(text) > width:
                    room = QRect(0, 0, width, 10_000)
                    height = max(height, metrics.boundingRect(room, wrap, text).height())
            if self.table.rowHeight(n) != height + PADDING:
                self.table.setRowHeight(n, height + PADDING)

    def _edit(self, index: QModelIndex) -> None:
        """Open a cell's list with one click; a click that extends a selection does not."""
        if index.flags() & Qt.ItemFlag.ItemIsEditable and len(self._selected()) == 1:
            self.table.edit(index)

    def _button(self, text: str, key: str, action: str) -> QPushButton:
        """Return a button for all selected rows, with a key that works in the table."""
        button = QPushButton(text)
        button.setToolTip(f"The selected rows ({key})")

        def act() -> None:
            self.importer.edit(self._selected(), action=action)

        button.clicked.connect(act)
        shortcut = QShortcut(QKeySequence(key), self.table)
        shortcut.setContext(Qt.ShortcutContext.WidgetShortcut)
        shortcut.activated.connect(act)
        return button

    def _lay_out(self) -> None:
        search = QHBoxLayout()
        search.addWidget(self.count)
        search.addWidget(self.progress, 1)
        search.addWidget(self.stop)
        foot = QHBoxLayout()
        foot.addWidget(self.files)
        foot.addWidget(self.folders)
        foot.addWidget(self.keep)
        foot.addWidget(self.skip)
        foot.addWidget(self.about, 1)
        foot.addWidget(self.buttons)
        column = QVBoxLayout(self)
        column.addLayout(search)
        column.addWidget(self.table, 1)
        column.addWidget(self.hint, 1)
        column.addLayout(foot)

    def _modalities(self) -> list[str]:
        return list(dict.fromkeys([*self._known(), *OFFERED, LABEL_MAP, OTHER]))

    def _selected(self) -> list[int]:
        return [index.row() for index in self.table.selectionModel().selectedRows()]

    def _choose(self, row: int, modality: str, action: str) -> None:
        """Change a row; with it every selected one, when it is among them."""
        places = self._selected()
        self.importer.edit(places if row in places else [row], modality=modality, action=action)

    def _refresh(self) -> None:
        self.model.refresh()
        rows, scanning = self.importer.rows, self.importer.scanning
        for widget in (self.progress, self.count, self.stop):
            widget.setVisible(scanning)
        if scanning and not self.count.text():
            self._tell(0, 0)
        if not scanning:
            self.count.clear()
        self.table.setVisible(bool(rows))
        self.hint.setVisible(not rows)
        self.hint.setText("Looking…" if scanning else HINT)
        self.about.setText(summary(rows) if rows else "")
        self.go.setEnabled(any(row.kept for row in rows) and not scanning)
        self._fit.start()
        self._show_selection()
        self.pictures.want(rows)

    def _show_selection(self) -> None:
        for button in (self.keep, self.skip):
            button.setEnabled(bool(self._selected()))

    def _tell(self, done: int, total: int) -> None:
        self.progress.setRange(0, total)
        self.progress.setValue(done)
        self.count.setText(f"{done:,} of {total:,} files" if total else "Listing files…")

    def _leave(self) -> None:
        self.done(ImportTable.DialogCode.Accepted)

    def _ask_files(self) -> None:
        found, _ = QFileDialog.getOpenFileNames(self, "Add files", self._folder)
        self._add([Path(name) for name in found])

    def _ask_folder(self) -> None:
        found = QFileDialog.getExistingDirectory(self, "Add folder", self._folder)
        self._add([Path(found)] if found else [])

    def _add(self, paths: list[Path]) -> None:
        if paths:
            self._folder = str(paths[0].parent)
            self.importer.opener.open(paths, ask=True)
