"""The main window: puts the parts together, takes drops, and is painted before anything is loaded.

This process never imports torch; synthesis lives in the engine process.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, QPoint, Qt, QTimer, Signal
from PySide6.QtGui import (
    QCloseEvent,
    QGuiApplication,
    QUndoStack,
)
from PySide6.QtWidgets import (
    QApplication,
    QMainWindow,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app.alignment.controller import AlignDesk
from app.alignment.panel import AlignPanel
from app.files.controller import Files
from app.files.importing import Importer
from app.files.open import Opener
from app.files.save import Projects, Saver
from app.processes.client import EngineClient
from app.processes.jobs import Jobs, engine_command
from app.shell import remembered
from app.shell.case_panel import CasePanel
from app.shell.commands import window_commands
from app.shell.docks import build_docks
from app.shell.empty import EmptyState
from app.shell.file_events import FileEvents
from app.shell.help import Help
from app.shell.layer_menu import layer_menu
from app.shell.messages import MessageBar
from app.shell.recent import RecentMenu
from app.shell.status import StatusStrip
from app.shell.toolbars import build_bars
from app.state.messages import Action, Notifications
from app.state.session import Session
from app.state.settings import Settings
from app.state.undo import EditAvailable, RemoveLayers
from app.synthesis.controller import Synthesiser
from app.synthesis.experts_panel import ExpertsPanel
from app.synthesis.panel import SynthesisPanel
from app.synthesis.results_panel import ResultsPanel
from app.training.controller import TrainingDesk
from app.training.wizard.controller import WizardDoor
from app.viewer.area import ViewerArea
from app.widgets import style as theme
from app.widgets.commands import Commands
from app.widgets.drops import DropTarget

if TYPE_CHECKING:
    from core.models.bundle import Bundle

TITLE = "MHVAE Studio"


class MainWindow(QMainWindow):
    """One case, its viewers and panels.

    Args:
        settings: what is remembered between starts.
        engine: command that starts the engine process; tests pass another.
    """

    painted = Signal()
    """The window is on screen for the first time."""

    def __init__(
        self,
        settings: Settings | None = None,
        engine: Callable[[], Sequence[str]] = engine_command,
    ) -> None:
        super().__init__()
        self.settings = settings or Settings()
        self.undo = QUndoStack(self)
        self.session = Session(self)
        self.notes = Notifications(self)
        self.jobs = Jobs(self)
        self.client = EngineClient(self.jobs, engine, self)
        self.opener = Opener(self.session, self.jobs, self.notes, self.settings, self.undo)
        self.importer = Importer(self.opener, self.jobs)
        self.synthesiser = Synthesiser(self.session, self.client, self.notes, self.settings)
        self.saver = Saver(self.session, self.jobs, self.notes, self.synthesiser)
        self.align = AlignDesk(self)
        self.projects = Projects(
            self.saver, self.opener, self.synthesiser, self.settings, self.align.landmarks
        )
        self.training = TrainingDesk(self)
        self.door = WizardDoor(self)
        self._to_open: list[Path] = []
        remembered.restore_display(self)
        self._build()
        self._connect()
        self.show_title()
        remembered.restore_window(self)
        self.centre.installEventFilter(self)

    # ---- begin and end

    def open_when_shown(self, paths: Sequence[Path]) -> None:
        """Open files after the window is on screen."""
        self._to_open = list(paths)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Notice the first paint; only then load anything."""
        if event.type() == QEvent.Type.Paint:
            self.centre.removeEventFilter(self)
            QTimer.singleShot(0, self, self._begin)
        return super().eventFilter(watched, event)

    def leave(self) -> None:
        """Close the window and with it the program."""
        self.close()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Remember the window and end every job."""
        remembered.keep(self)
        self.undo.clear()
        self.door.close()
        self.training.close()
        self.importer.dismiss()
        self.synthesiser.close()
        self.jobs.close()
        self.align.close()
        self.client.close()
        super().closeEvent(event)

    def _begin(self) -> None:
        self.painted.emit()
        self.jobs.submit("Looking for models", _models, self._models_found, self.notes.error)
        if self._to_open:
            self.opener.open(self._to_open)
        self.training.greet()
        self._start_engine_when_idle()

    def _start_engine_when_idle(self) -> None:
        """Reading what the user wants to see goes before starting the engine."""

        def check(_: str = "") -> None:
            QTimer.singleShot(0, self, start)

        def start() -> None:
            if not self.jobs.busy and self.client.state == "off":
                self.jobs.busy_changed.disconnect(check)
                self.client.start()

        self.jobs.busy_changed.connect(check)

    def _models_found(self, models: list[Bundle]) -> None:
        known = {str(b.path) for b in models}
        mine = [b for b in self.synthesiser.models if str(b.path) not in known]
        self.synthesiser.set_models([*models, *mine])

    # ---- what commands ask for

    def remove_layer(self, layer_id: str) -> None:
        """Take a volume out of the case."""
        name = self.session.layer(layer_id).name
        self.undo.push(RemoveLayers(self.session, [layer_id], f"Remove {name}"))

    def toggle_available(self, layer_id: str) -> None:
        """Hold a volume back from the model, or give it again."""
        layer = self.session.layer(layer_id)
        self.undo.push(EditAvailable(self.session, layer_id, not layer.available))

    def set_appearance(self, name: str) -> None:
        """Choose ``"light"``, ``"dark"`` or ``"system"``."""
        self.settings.appearance = name
        theme.set_scheme(name)

    def show_title(self) -> None:
        """Name the project in the title."""
        path = self.projects.path
        self.setWindowTitle(f"{TITLE} – {path.name}" if path else TITLE)

    # ---- building

    def _build(self) -> None:
        self.setWindowIcon(theme.app_icon())
        self.setDockNestingEnabled(True)
        self.area = ViewerArea(self.session)
        self.empty = EmptyState()
        self.stack = QStackedWidget()
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self.area)
        self.messages = MessageBar(self.notes)
        self.centre = centre = QWidget()
        column = QVBoxLayout(centre)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.stack, 1)
        column.addWidget(self.messages)
        self.setCentralWidget(centre)
        self.drops = DropTarget(self, centre, self.opener.open)
        self.align_panel = AlignPanel(self.align)
        self.case = CasePanel(self.session, self.opener, self.synthesiser, self.undo)
        self.synthesis = SynthesisPanel(self.synthesiser)
        self.results = ResultsPanel(self.synthesiser)
        self.experts = ExpertsPanel(self.synthesiser)
        docks = build_docks(self)
        self.history, self.experts_dock = docks.messages, docks.experts
        self.align_dock = docks.align
        self.setStatusBar(StatusStrip(self.session, self.jobs, self.client))
        self.files = Files(self)
        self.help = Help(self)
        self.commands = Commands(self)
        self.commands.add(window_commands(self))
        self.align.furnish()
        self.recent = RecentMenu(self.settings, self.opener.open, self)
        build_bars(self, docks.all)

    def _connect(self) -> None:
        self.empty.open_wanted.connect(self.files.ask_files)
        self.empty.demo_wanted.connect(self.files.open_demo)
        self.area.help_requested.connect(self.help.show_keys)
        self.messages.history_wanted.connect(self.history.show)
        self.opener.project_found.connect(self._open_project)
        self.opener.model_found.connect(self._open_model)
        self.importer.table_wanted.connect(self.files.show_import)
        self.opener.opened.connect(lambda _: self.area.setFocus())
        self.client.engine_lost.connect(self._engine_lost)
        self.case.menu_wanted.connect(self._layer_menu)
        self.session.layers_changed.connect(self._show_centre)
        self.session.display_changed.connect(lambda _: self.commands.refresh())
        self.session.layers_changed.connect(self.commands.refresh)
        self.session.active_changed.connect(self.commands.refresh)
        self.synthesiser.form_changed.connect(self.commands.refresh)
        self.synthesiser.running_changed.connect(lambda _: self.commands.refresh())
        self.undo.indexChanged.connect(lambda _: self.commands.refresh())
        self.commands.refresh()

    # ---- what happened

    def _show_centre(self) -> None:
        self.stack.setCurrentWidget(self.area if self.session.layers else self.empty)

    def _open_project(self, path: Path) -> None:
        self.files.open_project(path)
        self.show_title()

    def _open_model(self, path: Path) -> None:
        def work() -> Bundle:
            from core.models.bundle import header

            return header(path)

        def chosen(bundle: Bundle) -> None:
            self.synthesiser.add_model(bundle)
            self.notes.info(f"Using the model {bundle.name}. {bundle.intended_use}")

        self.jobs.submit(f"Reading {path.name}", work, chosen, self.notes.error)

    def _engine_lost(self, sentence: str) -> None:
        if not self.synthesiser.running and self.client.state == "off":
            again = [Action("Start it again", self.client.start)]
            self.notes.error(f"{sentence} Viewing goes on; synthesis needs it.", again)

    def _layer_menu(self, layer_id: str, at: QPoint) -> None:
        layer_menu(self, layer_id).popup(at)


def _models() -> list[Bundle]:
    from core.models.bundle import available

    return available()


def main(files: Sequence[str] = ()) -> int:
    """Open the window with files, run it, and return the exit code."""
    QGuiApplication.setHighDpiScaleFactorRoundingPolicy(
        Qt.HighDpiScaleFactorRoundingPolicy.PassThrough
    )
    app = QApplication.instance() or QApplication(sys.argv[:1])
    QGuiApplication.setApplicationName("mhvae-studio")
    QGuiApplication.setDesktopFileName("mhvae-studio")
    # Ctrl+C in the terminal ends the program at once, as people expect.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    settings = Settings()
    if settings.appearance != "system":
        theme.set_scheme(settings.appearance)
    window = MainWindow(settings)
    FileEvents(app, window.opener.open, window)
    window.open_when_shown([Path(f).absolute() for f in files])
    window.show()
    return int(app.exec())
