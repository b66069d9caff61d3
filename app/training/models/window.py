"""The window of models: their list on the left, the chosen one's card on the right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import TypeVar

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QCloseEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QInputDialog,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QMessageBox,
    QPushButton,
    QSplitter,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)

from app.processes.jobs import Jobs
from app.shared.style import warning_colour
from app.training.models import store
from app.training.models.card import card_html
from app.training.models.import_dialog import ImportDialog
from core.models.bundle import SUFFIX, Bundle, available

ROLE = Qt.ItemDataRole.UserRole
T = TypeVar("T")


class ModelsWindow(QWidget):
    """A top-level window over the models that can be chosen.

    Args:
        chosen: path of the model in use, as text.
        use: makes a model the one in use.
        opened: models from elsewhere that the main window offers, which have cards too.
        parent: the main window, which takes this one down with it.
    """

    models_changed = Signal(list)
    """The models there are now (bundles)."""

    def __init__(
        self,
        chosen: Callable[[], str],
        use: Callable[[Bundle], None],
        opened: Callable[[], Sequence[Bundle]] = tuple,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent, Qt.WindowType.Window)
        self.setWindowTitle("Models")
        QShortcut(QKeySequence.StandardKey.Close, self, self.close)
        self.resize(940, 620)
        self.jobs = Jobs(self)
        self.chosen, self._use_model, self._opened = chosen, use, opened
        self.list = QListWidget()
        self.list.setAccessibleName("Models")
        self.card = QTextBrowser()
        self.use = _button("Use this model", "Synthesise with it from now on")
        self.rename = _button("Rename…", "The name is in the file: its hash changes, its weights "
                              "do not")  # fmt: skip
        self.export = _button("Export…", "Copy the model file")
        self.remove = _button("Remove…", "Delete it from your models")
        self.add = _button("Add a model file…", f"Copy a {SUFFIX} model into your models")
        self.published = _button("Import a published checkpoint…", "Weights the paper's authors "
                                 "publish (.pth)")  # fmt: skip
        self.message = QLabel()
        self.message.setWordWrap(True)
        self._hashes: dict[str, str] = {}
        self._dialog: ImportDialog | None = None
        self._lay_out()
        self.list.currentItemChanged.connect(lambda *_: self._show_card())
        self.list.itemActivated.connect(lambda _: self._use())
        self.use.clicked.connect(self._use)
        self.rename.clicked.connect(self._rename)
        self.export.clicked.connect(self._export)
        self.remove.clicked.connect(self._remove)
        self.add.clicked.connect(self._add)
        self.published.clicked.connect(self._import)
        self._show_card()

    @property
    def bundle(self) -> Bundle | None:
        """The selected model."""
        item = self.list.currentItem()
        return item.data(ROLE) if item else None

    def look(self, select: Path | None = None) -> None:
        """Look which models there are; select one."""
        wanted = str(select or (self.bundle.path if self.bundle else self.chosen()))
        self._work("Looking for models", available, lambda found: self._show(found, wanted))

    def closeEvent(self, event: QCloseEvent) -> None:
        """End threads and an import under way."""
        self.stop()
        super().closeEvent(event)

    def stop(self) -> None:
        """End threads and an import under way."""
        if self._dialog is not None:
            self._dialog.reject()
        self.jobs.close()

    # ---- inside

    def _lay_out(self) -> None:
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(8, 8, 0, 4)
        column.addWidget(self.list, 1)
        column.addWidget(self.add)
        column.addWidget(self.published)
        right = QWidget()
        column = QVBoxLayout(right)
        column.setContentsMargins(0, 8, 8, 4)
        column.addWidget(self.card, 1)
        row = QHBoxLayout()
        for button in (self.use, self.rename, self.export, self.remove):
            row.addWidget(button)
        row.addStretch(1)
        column.addLayout(row)
        parts = QSplitter()
        parts.addWidget(left)
        parts.addWidget(right)
        parts.setStretchFactor(1, 1)
        parts.setSizes([270, 670])
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 6)
        whole.addWidget(parts, 1)
        self.message.setContentsMargins(10, 0, 10, 0)
        whole.addWidget(self.message)

    def _show(self, found: Sequence[Bundle], wanted: str) -> None:
        self.list.clear()
        known = {str(b.path) for b in found}
        elsewhere = [
            b for b in self._opened() if str(b.path) not in known and not store.is_user_model(b)
        ]
        for bundle in (*found, *elsewhere):
            used = "   (in use)" if str(bundle.path) == self.chosen() else ""
            item = QListWidgetItem(f"{bundle.name}{used}\n{store.kind_of(bundle)}")
            item.setData(ROLE, bundle)
            self.list.addItem(item)
            if str(bundle.path) == wanted:
                self.list.setCurrentItem(item)
        if self.list.currentItem() is None:
            self.list.setCurrentRow(0)
        self.models_changed.emit([*found, *elsewhere])

    def _show_card(self) -> None:
        bundle = self.bundle
        for button in (self.use, self.export):
            button.setEnabled(bundle is not None)
        for button in (self.rename, self.remove):
            button.setEnabled(bundle is not None and store.is_user_model(bundle))
        if bundle is None:
            self.card.setHtml("<p>No model is selected.</p>")
            return
        path = str(bundle.path)
        self.card.setHtml(card_html(bundle, self._hashes.get(path, "")))
        if path not in self._hashes:
            self._work(f"Reading {bundle.name}", lambda: bundle.sha256, self._hashed(path))

    def _hashed(self, path: str) -> Callable[[str], None]:
        def done(sha256: str) -> None:
            self._hashes[path] = sha256
            if self.bundle is not None and str(self.bundle.path) == path:
                self._show_card()

        return done

    def _use(self) -> None:
        if self.bundle is not None:
            self._use_model(self.bundle)
            self._say(f"{self.bundle.name} is in use. {self.bundle.intended_use}")
            self.look()

    def _rename(self) -> None:
        bundle = self.bundle
        if bundle is None:
            return
        name, given = QInputDialog.getText(self, "Rename the model", "Name:", text=bundle.name)
        if given and name != bundle.name:

            def done(new: Bundle) -> None:
                self._hashes.pop(str(new.path), None)
                self._say(
                    f"Renamed to {new.name}. The file has a new hash; its card keeps the old."
                )
                self.look(new.path)

            self._work("Renaming", lambda: store.rename(bundle, name), done)

    def _export(self) -> None:
        bundle = self.bundle
        if bundle is None or bundle.path is None:
            return
        chosen, _ = QFileDialog.getSaveFileName(
            self, "Export the model", bundle.path.name, f"Model (*{SUFFIX})"
        )
        if chosen:
            place = Path(chosen)
            place = place if place.suffix == SUFFIX else place.with_name(place.name + SUFFIX)
            self._work(
                f"Exporting {bundle.name}",
                lambda: store.export(bundle, place),
                lambda written: self._say(f"Exported {written.name}."),
            )

    def _remove(self) -> None:
        bundle = self.bundle
        if bundle is None:
            return
        answer = QMessageBox.question(
            self,
            "Remove the model",
            f"Delete {bundle.name} from your models? If it is nowhere else, export it first.",
            QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.No,
            QMessageBox.StandardButton.No,
        )
        if answer == QMessageBox.StandardButton.Yes:

            def done(_: None) -> None:
                self._say(f"{bundle.name} was removed.")
                self.look()

            self._work("Removing", lambda: store.remove(bundle), done)

    def _add(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "Add a model", "", f"Model (*{SUFFIX})")
        if chosen:
            self._work("Adding a model", lambda: store.put(Path(chosen)), self._added)

    def _added(self, bundle: Bundle) -> None:
        self._say(f"Added {bundle.name}.")
        self.look(bundle.path)

    def _import(self) -> None:
        if self._dialog is None:
            self._dialog = ImportDialog(self)
            self._dialog.imported.connect(self._added)
        self._dialog.show()
        self._dialog.raise_()

    def _work(self, title: str, work: Callable[[], T], done: Callable[[T], None]) -> None:
        self.jobs.submit(title, work, done, self._failed)

    def _say(self, sentence: str) -> None:
        self.message.setText(escape(sentence))

    def _failed(self, sentence: str) -> None:
        colour = warning_colour(self.palette())
        self.message.setText(f"<span style='color:{colour}'>{escape(sentence)}</span>")


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    return button
