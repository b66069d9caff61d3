"""The window of training runs: their list on the left, the selected run's page on the right."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from html import escape
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QCloseEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app.processes.jobs import Jobs
from app.shared.style import say, warning_colour
from app.training.runs.actions import RunActions
from app.training.runs.compare import ComparePage
from app.training.runs.fine_tune import FineTune
from app.training.runs.list_panel import RunList
from app.training.runs.page import RunPage
from app.training.runs.watcher import RunWatcher
from trainer.run.folder import is_run
from trainer.run.registry import add_folder, added_folders, forget_folder, known_runs
from trainer.run.state import find_runs

EMPTY = (
    "<h3>No training run yet</h3><p>A run started with <b>Training, Train a model…</b> or with "
    "<code>mhvae-studio train</code> appears here, whoever started it.</p>"
    "<p>Runs that lie in another folder: <b>Add folder…</b></p>"
)


class RunsWindow(QWidget):
    """A top-level window; closing it leaves every run going.

    Args:
        use_model: puts a run's model into the model list and chooses it.
        parent: the main window, which takes this one down with it.
    """

    closed = Signal()

    def __init__(
        self, use_model: Callable[[Path], None] | None = None, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent, Qt.WindowType.Window)
        self.setWindowTitle("Training runs")
        QShortcut(QKeySequence.StandardKey.Close, self, self.close)
        self.resize(1280, 860)
        self.jobs = Jobs(self)
        self.use_model = use_model or (lambda _: None)
        self.watcher = RunWatcher(self.jobs, self)
        self.actions_ = RunActions(self.jobs, self)
        self.list = RunList()
        self.empty = QLabel(EMPTY)
        self.empty.setWordWrap(True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.stack = QStackedWidget()
        self.stack.addWidget(self.empty)
        self.page: RunPage | None = None
        self.compared: ComparePage | None = None
        self.message = QLabel()
        self.message.setWordWrap(True)
        self._lay_out()
        self.list.chosen.connect(self._chosen)
        self.watcher.changed.connect(self._listed)
        self.actions_.reported.connect(self.message.setText)
        self.actions_.failed.connect(self._failed)
        self.actions_.changed.connect(self.watcher.look)

    def show_run(self, path: Path) -> None:
        """Show a run's page, also of a folder that is not in the list yet."""
        path = path.resolve()
        if not is_run(path):
            self._failed(f"{path.name} is no training run (any more).")
            return
        if path not in known_runs():
            add_folder(path)
            self._list_folders()
        self.list.select(path)
        self._show_page(path)
        self.watcher.look()

    def look(self) -> None:
        """Begin to look at the runs."""
        self.watcher.look()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Stop looking; the runs go on."""
        self.stop()
        super().closeEvent(event)
        self.closed.emit()

    def stop(self) -> None:
        """End timers and threads."""
        self.watcher.stop()
        self._drop_page()
        self.jobs.close()

    # ---- inside

    def _lay_out(self) -> None:
        add = QPushButton("Add folder…")
        add.setToolTip("A folder of runs, or one run, that lies elsewhere on this computer")
        add.clicked.connect(self._add_folder)
        self.forget = QPushButton("Forget folder")
        self.forget.setToolTip("Take a folder that was added out of this list; its files stay")
        self.forget.setMenu(QMenu(self.forget))
        self._list_folders()
        hint = QLabel("Select several runs to compare them.")
        hint.setWordWrap(True)
        say(hint, "hint", True)
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(8, 8, 0, 8)
        column.addWidget(self.list, 1)
        column.addWidget(hint)
        folders = QHBoxLayout()
        folders.addWidget(add)
        folders.addWidget(self.forget)
        column.addLayout(folders)
        parts = QSplitter()
        parts.addWidget(left)
        parts.addWidget(self.stack)
        parts.setStretchFactor(1, 1)
        parts.setSizes([250, 1030])
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(parts, 1)
        row = QHBoxLayout()
        row.setContentsMargins(10, 0, 10, 6)
        row.addWidget(self.message, 1)
        whole.addLayout(row)

    def _listed(self) -> None:
        self.list.show_runs(self.watcher.runs)
        if self.page is not None:
            self.list.select(self.page.path)
        elif self.compared is None and self.watcher.runs:
            self.list.select(self.watcher.runs[0].path)

    def _chosen(self, paths: list[Path]) -> None:
        if len(paths) == 1:
            self._show_page(paths[0])
        elif len(paths) > 1:
            self._drop_page()
            self.compared = ComparePage(paths)
            self.stack.addWidget(self.compared)
            self.stack.setCurrentWidget(self.compared)
            self.compared.start()

    def _show_page(self, path: Path) -> None:
        if self.page is not None and self.page.path == path:
            return
        self._drop_page()
        page = RunPage(path, self.actions_, self.use_model)
        page.fine_tune_wanted.connect(self._fine_tune)
        page.gone.connect(self._page_gone)
        page.reported.connect(self.message.setText)
        self.page = page
        self.stack.addWidget(page)
        self.stack.setCurrentWidget(page)
        page.start()

    def _drop_page(self) -> None:
        for page in (self.page, self.compared):
            if page is not None:
                page.stop()
                self.stack.removeWidget(page)
                page.deleteLater()
        self.page = self.compared = None

    def _page_gone(self) -> None:
        gone = self.page.path if self.page else None
        self._drop_page()
        self.message.setText(f"{gone.name if gone else 'The run'} was discarded.")
        # The list may know already, or learn only now.
        rest = [info.path for info in self.watcher.runs if info.path != gone]
        if rest:
            self.list.select(rest[0])
            self._show_page(rest[0])
        else:
            self.stack.setCurrentWidget(self.empty)
        self.watcher.look()

    def _fine_tune(self, model: Path) -> None:
        dialog = FineTune(model, self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.started.connect(self.show_run)
        dialog.open()

    def _add_folder(self) -> None:
        found = QFileDialog.getExistingDirectory(self, "A folder of runs, or one run")
        if found:
            runs = find_runs([Path(found)])
            if runs:
                add_folder(Path(found))
                self._list_folders()
                self.watcher.look()
            else:
                self._failed(f"{Path(found).name} holds no training run; nothing was added.")

    def _list_folders(self) -> None:
        menu = self.forget.menu()
        menu.clear()
        for folder in added_folders():
            menu.addAction(str(folder), partial(self._forget_folder, folder))
        self.forget.setEnabled(not menu.isEmpty())

    def _forget_folder(self, folder: Path) -> None:
        forget_folder(folder)
        # An open page would put its run back into the list.
        if self.page is not None and self.page.path not in known_runs():
            self._drop_page()
            self.stack.setCurrentWidget(self.empty)
        self.message.setText(f"{folder.name} is forgotten; its files stay where they are.")
        self._list_folders()
        self.watcher.look()

    def _failed(self, sentence: str) -> None:
        colour = warning_colour(self.palette())
        self.message.setText(f"<span style='color:{colour}'>{escape(sentence)}</span>")
