"""Second step: which file is which image of which patient, as guessed and as corrected."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QMenu,
    QPushButton,
    QVBoxLayout,
)

from app.training.wizard.case_table import CaseTable
from app.training.wizard.cases import (
    Table,
    TableProblem,
    merge,
    missing_files,
    table_of,
    table_problems,
)
from app.training.wizard.page import MessageLabel, Page, WizardContext
from trainer.cohort.scan import FOV, SUFFIXES, no_cases, survey


class ScanPage(Page):
    """Shows the table of cases and takes corrections; every one can be undone."""

    title_text = "Scan and pair"
    about = (
        "What the names tell. Correct a cell with a double click or Enter; Del takes a file out."
    )

    def __init__(self, context: WizardContext) -> None:
        super().__init__(context)
        self.gone: frozenset[Path] = frozenset()
        self._past: list[Table] = []
        self._future: list[Table] = []
        self._job = 0
        self._found: dict[str, list[TableProblem]] = {}
        self.table = CaseTable()
        self.first = self.table
        self.state = QLabel()
        self.sentence = MessageLabel()
        self.detail = MessageLabel()
        self.rescan = QPushButton("Scan again")
        self.rescan.setToolTip("Look for new and removed files; your corrections stay (F5)")
        self.undo = QPushButton("Undo")
        self.redo = QPushButton("Redo")
        self.strays = QListWidget()
        self.strays.setMaximumHeight(96)
        self.case = QComboBox()
        self.case.setEditable(True)
        self.case.setMinimumWidth(180)
        self.kind = QComboBox()
        self.assign = QPushButton("Assign")
        self.box = QGroupBox("Files without a place")
        self._lay_out()
        self.table.used.connect(lambda case, on: self._edit(self.draft.table.use(case, on)))
        self.table.patient_named.connect(
            lambda case, name: self._edit(self.draft.table.name_patient(case, name))
        )
        self.table.file_wanted.connect(self._offer)
        self.table.cleared.connect(
            lambda case, kind: self._edit(self.draft.table.clear(case, kind))
        )
        self.table.currentCellChanged.connect(lambda *_: self._detail())
        self.rescan.clicked.connect(self.scan)
        self.undo.clicked.connect(self._undo)
        self.redo.clicked.connect(self._redo)
        self.strays.currentRowChanged.connect(self._suggest)
        self.assign.clicked.connect(self._assign)
        for keys, run in (("F5", self.scan), ("Ctrl+Z", self._undo), ("Ctrl+Shift+Z", self._redo)):
            QShortcut(QKeySequence(keys), self).activated.connect(run)

    def enter(self) -> None:
        """Show the cases; look for them the first time."""
        self._past, self._future = [], []
        self._show()
        if self.draft.table.rows or self.draft.table.strays:
            self._look(self.draft.table)
        else:
            self.scan()

    def leave(self) -> None:
        """Forget a scan under way."""
        self.context.jobs.drop(self._job)

    def scan(self) -> None:
        """Look what is there now, in a thread."""
        source, modalities = self.draft.source, self.draft.modalities
        assert source is not None

        def work() -> tuple[Table, frozenset[Path]]:
            found = table_of(survey(source, modalities))
            return found, missing_files(found)

        self.context.jobs.drop(self._job)
        self.state.setText("Looking for cases…")
        self.sentence.show_message("")
        self._job = self.context.jobs.submit(
            f"Looking through {source.name}", work, self._scanned, self._failed
        )

    def isComplete(self) -> bool:
        """Tell whether there is a case to check, and none is in error."""
        found = table_problems(self.draft.table, self.draft.modalities, self.gone)
        return bool(found) and not any(t.severity == "error" for ts in found.values() for t in ts)

    # ---- inside

    def _scanned(self, result: tuple[Table, frozenset[Path]]) -> None:
        found, self.gone = result
        draft = self.draft
        old = draft.table
        draft.table = merge(draft.scanned, old, found) if old.rows else found
        draft.scanned = found
        if old.rows and old != draft.table:
            self._past.append(old)
            self._future = []
        self._show()
        if not draft.table.rows:
            assert draft.source is not None
            self.sentence.show_message(no_cases(draft.source, draft.modalities), bad=True)
        self.draft_changed()

    def _look(self, table: Table) -> None:
        def looked(gone: frozenset[Path]) -> None:
            self.gone = gone
            self._show()
            self.completeChanged.emit()

        self.context.jobs.drop(self._job)
        self._job = self.context.jobs.submit(
            "Looking for the files", lambda: missing_files(table), looked, self._failed
        )

    def _failed(self, sentence: str) -> None:
        self.state.setText("")
        self.sentence.show_message(sentence, bad=True)

    def _edit(self, table: Table) -> None:
        if table == self.draft.table:
            return
        self._past.append(self.draft.table)
        self._future = []
        self._put(table)

    def _undo(self) -> None:
        if self._past:
            self._future.append(self.draft.table)
            self._put(self._past.pop())

    def _redo(self) -> None:
        if self._future:
            self._past.append(self.draft.table)
            self._put(self._future.pop())

    def _put(self, table: Table) -> None:
        self.draft.table = table
        self._show()
        self.draft_changed()

    def _show(self) -> None:
        draft = self.draft
        found = table_problems(draft.table, draft.modalities, self.gone)
        self._found = found
        self.table.fill(draft.table, draft.modalities, found)
        used = draft.used()
        whole = sum(all(m in c.files for m in draft.modalities) for c in used)
        patients = len({c.patient for c in used})
        self.state.setText(
            f"{len(used)} cases of {patients} patients, {whole} of them complete."
            if draft.table.rows
            else ""
        )
        wrong = sum(t.severity == "error" for ts in found.values() for t in ts)
        if wrong:
            cases = "One case needs" if wrong == 1 else f"{wrong} problems need"
            self.sentence.show_message(f"{cases} a correction before the check.", bad=True)
        elif self.draft.table.rows:
            self.sentence.show_message("")
        self.undo.setEnabled(bool(self._past))
        self.redo.setEnabled(bool(self._future))
        self._detail()
        self._show_strays()

    def _detail(self) -> None:
        """Say in full what is to look at in the case under the cursor."""
        index = self.table.currentRow()
        rows = self.draft.table.rows
        told = self._found.get(rows[index].id, []) if 0 <= index < len(rows) else []
        self.detail.show_message(
            f"{rows[index].id}: {' '.join(t.text for t in told)}" if told else ""
        )

    def _show_strays(self) -> None:
        table = self.draft.table
        kept = self.strays.currentRow()
        self.strays.clear()
        for path in table.strays:
            self.strays.addItem(path.name)
            self.strays.item(self.strays.count() - 1).setToolTip(str(path))
        self.box.setVisible(bool(table.strays))
        self.case.clear()
        self.case.addItems([row.id for row in table.rows])
        self.kind.clear()
        self.kind.addItems([*self.draft.modalities, FOV])
        if table.strays:
            self.strays.setCurrentRow(min(max(kept, 0), len(table.strays) - 1))

    def _suggest(self, index: int) -> None:
        """Guess where a stray belongs: the case its name begins with, and what that lacks."""
        table = self.draft.table
        if not 0 <= index < len(table.strays):
            return
        name = table.strays[index].name
        stem = next((name[: -len(s)] for s in SUFFIXES if name.endswith(s)), name)
        near = [row for row in table.rows if name.startswith(row.id)]
        self.case.setCurrentText(near[-1].id if near else stem)
        files = near[-1].files if near else {}
        lacks = [m for m in self.draft.modalities if m not in files]
        self.kind.setCurrentText(lacks[0] if lacks else FOV)

    def _assign(self) -> None:
        index, case = self.strays.currentRow(), self.case.currentText().strip()
        if index >= 0 and case:
            file = self.draft.table.strays[index]
            self._edit(self.draft.table.assign(case, self.kind.currentText(), file))

    def _offer(self, case: str, kind: str, at: QPoint) -> None:
        """Offer what could be in a cell."""
        table = self.draft.table
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for path in table.strays:
            menu.addAction(path.name, partial(self._place, case, kind, path))
        if table.strays:
            menu.addSeparator()
        menu.addAction("Choose file…", partial(self._ask, case, kind))
        menu.addAction("Choose DICOM folder…", partial(self._ask_folder, case, kind))
        if kind in table.row(case).files:
            menu.addAction("Take this file out", lambda: self._edit(table.clear(case, kind)))
        menu.popup(at)

    def _place(self, case: str, kind: str, path: Path) -> None:
        self._edit(self.draft.table.assign(case, kind, path))

    def _ask(self, case: str, kind: str) -> None:
        wanted = " ".join(f"*{s}" for s in SUFFIXES)
        found, _ = QFileDialog.getOpenFileName(
            self, f"{kind} of {case}", str(self.draft.source), f"Volumes ({wanted});;All files (*)"
        )
        if found:
            self._place(case, kind, Path(found))

    def _ask_folder(self, case: str, kind: str) -> None:
        found = QFileDialog.getExistingDirectory(
            self, f"Folder with the DICOM series of {case}'s {kind}", str(self.draft.source)
        )
        if found:
            self._place(case, kind, Path(found))

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.addWidget(self.state, 1)
        for button in (self.undo, self.redo, self.rescan):
            top.addWidget(button)
        row = QHBoxLayout()
        row.addWidget(QLabel("Case"))
        row.addWidget(self.case)
        row.addWidget(QLabel("is its"))
        row.addWidget(self.kind)
        row.addWidget(self.assign)
        row.addStretch(1)
        inside = QVBoxLayout(self.box)
        inside.addWidget(self.strays)
        inside.addLayout(row)
        column = QVBoxLayout(self)
        column.addLayout(top)
        column.addWidget(self.table, 1)
        column.addWidget(self.detail)
        column.addWidget(self.sentence)
        column.addWidget(self.box)
