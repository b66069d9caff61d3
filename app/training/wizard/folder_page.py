"""First step: the folder or CSV of the cohort, or a draft to go on with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QPushButton,
    QVBoxLayout,
)

from app.shared.drops import DropTarget
from app.training.wizard.draft import Draft
from app.training.wizard.page import MessageLabel, Page, WizardContext
from core.modalities import PAPER

LAYOUTS = (
    "<p>Drop a folder or a CSV here, or choose one. It may be</p><table cellpadding='2'>"
    "<tr><td><b>flat</b></td><td><code>Case012-T2.nii.gz</code> beside "
    "<code>Case012-iUS.nii.gz</code>, and <code>Case012-fov.nii.gz</code> for a mask</td></tr>"
    "<tr><td><b>a folder per case</b>&nbsp;</td><td><code>Case012/T2.nii.gz</code>, or DICOM "
    "series in folders named by modality</td></tr>"
    "<tr><td><b>BIDS</b></td><td><code>sub-01/ses-1/anat/sub-01_T2w.nii.gz</code></td></tr>"
    "<tr><td><b>a CSV</b></td><td>columns <code>case</code>, one per modality, and "
    "<code>patient</code>, <code>fov</code> if wanted; paths relative to it</td></tr></table>"
    "<p>The volumes of a case must lie in one space; their grids may differ. Nothing is "
    "written into your files; preprocessed copies are kept in a hidden folder beside them.</p>"
)
STEPS = ("Data folder", "Scan and pair", "Check", "Split", "Preset", "Estimate", "Train")


class FolderPage(Page):
    """Chooses what to train on."""

    title_text = "What to train on"
    about = "A folder of patients with T2 MRI and intra-operative ultrasound, or a list of them."
    resume = Signal(object)
    """A draft (Draft) is to be gone on with."""

    def __init__(self, context: WizardContext) -> None:
        super().__init__(context)
        self.path = QLineEdit()
        self.path.setPlaceholderText("Folder or CSV")
        self.path.setClearButtonEnabled(True)
        self.recent = QPushButton("Recent")
        self.recent.setMenu(QMenu(self.recent))
        self.folder = QPushButton("Choose folder…")
        self.csv = QPushButton("Choose CSV…")
        self.modalities = QLineEdit(", ".join(PAPER))
        self.modalities.setToolTip("Names of the modalities the model is to know, with commas")
        self.sentence = MessageLabel()
        about = QLabel(LAYOUTS)
        about.setWordWrap(True)
        row = QHBoxLayout()
        row.addWidget(self.path, 1)
        for button in (self.folder, self.csv, self.recent):
            row.addWidget(button)
        form = QFormLayout()
        form.addRow("Cohort", row)
        form.addRow("Modalities", self.modalities)
        self.drafts = _DraftList()
        self.drafts.setToolTip("Double click or Enter goes on with a draft, Del deletes it")
        self.go_on = QPushButton("Go on")
        self.delete = QPushButton("Delete")
        buttons = QVBoxLayout()
        buttons.addWidget(self.go_on)
        buttons.addWidget(self.delete)
        buttons.addStretch(1)
        self.box = QGroupBox("Drafts")
        inside = QHBoxLayout(self.box)
        inside.addWidget(self.drafts, 1)
        inside.addLayout(buttons)
        column = QVBoxLayout(self)
        column.addLayout(form)
        column.addWidget(self.sentence)
        column.addWidget(about)
        column.addWidget(self.box, 1)
        column.addStretch(0)
        self.drops = DropTarget(self, self, self.take)
        self.drops.hint.setText("Drop a folder or a CSV")
        self.path.textChanged.connect(self._typed)
        self.modalities.textChanged.connect(self._typed)
        self.folder.clicked.connect(self._ask_folder)
        self.csv.clicked.connect(self._ask_csv)
        self.go_on.clicked.connect(self._resume)
        self.drafts.itemDoubleClicked.connect(lambda _: self._resume())
        self.drafts.wanted.connect(self._resume)
        self.drafts.unwanted.connect(self._delete)
        self.delete.clicked.connect(self._delete)

    def enter(self) -> None:
        """Show the draft, and the others."""
        for box, text in (
            (self.path, str(self.draft.source or "")),
            (self.modalities, ", ".join(self.draft.modalities)),
        ):
            box.blockSignals(True)
            box.setText(text)
            box.blockSignals(False)
        self._list_drafts()
        self._list_recent()
        self._validate()

    def isComplete(self) -> bool:
        """Tell whether there is something to scan."""
        return not self._problem()

    def validatePage(self) -> bool:
        """Keep the choice; another cohort than before begins anew."""
        source = Path(self.path.text().strip()).absolute()
        chosen = self._names()
        if (source, chosen) != (self.draft.source, self.draft.modalities):
            fresh = Draft(id=self.draft.id, source=source, modalities=chosen)
            vars(self.draft).update(vars(fresh))
        self.context.settings.add_recent_cohort(source)
        self._list_recent()
        return True

    def take(self, paths: Sequence[Path]) -> None:
        """Use what was dropped or chosen; of several files their folder."""
        first = paths[0]
        if first.is_file() and first.suffix.lower() != ".csv":
            first = first.parent
        self.path.setText(str(first))

    # ---- inside

    def _names(self) -> tuple[str, ...]:
        return tuple(filter(None, (m.strip() for m in self.modalities.text().split(","))))

    def _problem(self) -> str:
        text = self.path.text().strip()
        names = self._names()
        if not text:
            return " "
        path = Path(text)
        if not path.exists():
            return f"{path.name} is not there. Choose the folder that holds the cases, or a CSV."
        if path.is_file() and path.suffix.lower() != ".csv":
            return f"{path.name} is a file. Choose the folder it is in, or a CSV that lists cases."
        if len(names) < 2 or len(set(names)) < len(names):
            return "A model needs at least two different modalities, for example iUS, T2."
        return ""

    def _typed(self) -> None:
        self._validate()
        self.completeChanged.emit()

    def _validate(self) -> None:
        self.sentence.show_message(self._problem().strip(), bad=True)

    def _ask_folder(self) -> None:
        found = QFileDialog.getExistingDirectory(self, "Folder of cases", self.path.text())
        if found:
            self.take([Path(found)])

    def _ask_csv(self) -> None:
        found, _ = QFileDialog.getOpenFileName(
            self, "List of cases", self.path.text(), "Lists of cases (*.csv)"
        )
        if found:
            self.take([Path(found)])

    def _list_recent(self) -> None:
        menu = self.recent.menu()
        menu.clear()
        for path in self.context.settings.recent_cohorts():
            menu.addAction(f"{path.name}   ({path.parent.name})", partial(self.take, [path]))
        self.recent.setEnabled(not menu.isEmpty())

    def _list_drafts(self) -> None:
        self.drafts.clear()
        for draft in self.context.store.all():
            if draft.id == self.draft.id:
                continue
            when = datetime.fromtimestamp(draft.changed).strftime("%d %b %Y, %H:%M")
            text = f"{draft.title}: at “{STEPS[draft.page]}”, {len(draft.table.rows)} cases, {when}"
            item = QListWidgetItem(text)
            item.setData(Qt.ItemDataRole.UserRole, draft)
            item.setToolTip(str(draft.source))
            self.drafts.addItem(item)
        if self.drafts.count():
            self.drafts.setCurrentRow(0)
        self.box.setVisible(self.drafts.count() > 0)

    def _chosen(self) -> Draft | None:
        item = self.drafts.currentItem()
        return item.data(Qt.ItemDataRole.UserRole) if item else None

    def _resume(self) -> None:
        draft = self._chosen()
        if draft is not None:
            self.resume.emit(draft)

    def _delete(self) -> None:
        draft = self._chosen()
        if draft is not None:
            self.context.store.remove(draft)
            self._list_drafts()


class _DraftList(QListWidget):
    """Takes Enter and Del for the draft under the cursor; the wizard would take Enter for Next."""

    wanted = Signal()
    unwanted = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.wanted.emit()
        elif event.key() == Qt.Key.Key_Delete:
            self.unwanted.emit()
        else:
            super().keyPressEvent(event)
