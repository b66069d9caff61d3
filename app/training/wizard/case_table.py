"""The widget of the scan's table: a row per case, a cell per image, problems named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QBrush, QColor, QGuiApplication, QKeyEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from app.shared.style import warning_colour
from app.training.wizard.cases import Row, Table, TableProblem
from trainer.cohort.scan import FOV

CASE, PATIENT, FIRST = 0, 1, 2


class CaseTable(QTableWidget):
    """Shows a :class:`Table`; what the user wants changed comes as signals."""

    used = Signal(str, bool)
    patient_named = Signal(str, str)
    file_wanted = Signal(str, str, QPoint)
    """Case, modality or ``"fov"``, and where to show what could be there."""
    cleared = Signal(str, str)

    def __init__(self) -> None:
        super().__init__()
        self._kinds: list[str] = []
        self._shown: list[tuple[Row, list[TableProblem], list[str]]] = []
        self._filling = False
        self.verticalHeader().setVisible(False)
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().lineSpacing() + 9)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(
            QAbstractItemView.EditTrigger.DoubleClicked
            | QAbstractItemView.EditTrigger.EditKeyPressed
        )
        self.setAlternatingRowColors(True)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.horizontalHeader().setResizeContentsPrecision(50)
        self.itemChanged.connect(self._changed)
        self.cellDoubleClicked.connect(self._offer)

    def fill(
        self, table: Table, modalities: Sequence[str], found: Mapping[str, list[TableProblem]]
    ) -> None:
        """Show the cases and what is wrong with them."""
        self._filling = True
        header = self.horizontalHeader()
        # Columns are measured once, at the end: with every item it would take seconds.
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        self.setUpdatesEnabled(False)
        place = self.currentRow(), self.currentColumn()
        self._kinds = [*modalities, FOV]
        heads = ["Case", "Patient", *modalities, "Mask", "To look at"]
        self.setColumnCount(len(heads))
        self.setHorizontalHeaderLabels(heads)
        self.setRowCount(len(table.rows))
        bad = QColor(warning_colour(QGuiApplication.palette()))
        known, self._shown = self._shown, []
        for n, row in enumerate(table.rows):
            told = found.get(row.id, [])
            self._shown.append((row, told, heads))
            if n < len(known) and known[n] == self._shown[n]:
                continue
            case = _item(row.id, "Part of the cohort: Space takes the case in or out")
            case.setFlags(case.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            case.setCheckState(Qt.CheckState.Checked if row.used else Qt.CheckState.Unchecked)
            patient = _item(row.patient, "Cases of one patient stay together; F2 names another")
            patient.setFlags(patient.flags() | Qt.ItemFlag.ItemIsEditable)
            cells = [case, patient]
            for kind in self._kinds:
                path = row.files.get(kind)
                cell = _item(path.name if path else "–", str(path) if path else "Enter assigns")
                if path is None and kind != FOV:
                    cell.setForeground(QBrush(bad))
                cells.append(cell)
            text = " ".join(t.text for t in told) if row.used else "left out"
            what = _item(text, "\n".join(t.text for t in told) or text)
            if any(t.severity == "error" for t in told):
                what.setForeground(QBrush(bad))
            cells.append(what)
            for column, cell in enumerate(cells):
                if not row.used and column != CASE:
                    cell.setFlags(cell.flags() & ~Qt.ItemFlag.ItemIsEnabled)
                self.setItem(n, column, cell)
        self.resizeColumnsToContents()
        header.setSectionResizeMode(len(heads) - 1, QHeaderView.ResizeMode.Stretch)
        self.setUpdatesEnabled(True)
        if 0 <= place[0] < self.rowCount():
            self.setCurrentCell(*place)
        elif self.rowCount():
            self.setCurrentCell(0, CASE)
        self._filling = False

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter assigns a file, Del takes it out; the wizard must not take Enter for Next."""
        row, column = self.currentRow(), self.currentColumn()
        kind = self._kind(column)
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_F2) and row >= 0:
            if column == PATIENT:
                self.edit(self.model().index(row, column))
            elif kind:
                self._offer(row, column)
            event.accept()
        elif event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace) and kind and row >= 0:
            self.cleared.emit(self._case(row), kind)
        else:
            super().keyPressEvent(event)

    # ---- inside

    def _case(self, row: int) -> str:
        return str(self.model().index(row, CASE).data())

    def _kind(self, column: int) -> str:
        return self._kinds[column - FIRST] if 0 <= column - FIRST < len(self._kinds) else ""

    def _offer(self, row: int, column: int) -> None:
        kind, index = self._kind(column), self.model().index(row, column)
        if kind and index.flags() & Qt.ItemFlag.ItemIsEnabled:
            below = self.visualRect(index).bottomLeft()
            self.file_wanted.emit(self._case(row), kind, self.viewport().mapToGlobal(below))

    def _changed(self, item: QTableWidgetItem) -> None:
        if self._filling:
            return
        case = self._case(item.row())
        if item.column() == CASE:
            self.used.emit(case, item.checkState() == Qt.CheckState.Checked)
        elif item.column() == PATIENT:
            self.patient_named.emit(case, item.text())


def _item(text: str, tip: str) -> QTableWidgetItem:
    item = QTableWidgetItem(text)
    item.setToolTip(tip)
    item.setFlags(Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEnabled)
    return item
