"""The main window: puts the parts together, takes drops, and is painted before anything is loaded.

This process never imports torch; synthesis lives in the engine process.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QEvent, QObject, QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent, QGuiApplication, QUndoStack
from PySide6.QtWidgets import QApplication, QMainWindow, QStackedWidget, QVBoxLayout, QWidget

from app.alignment.commands import alignment_commands
from app.alignment.controller import AlignmentController
from app.alignment.panel import AlignPanel
from app.files.controller import FilesController
from app.processes.client import EngineClient
from app.processes.jobs import Jobs, engine_command
from app.shared import style
from app.shared.commands import Command, Commands
from app.shared.context import Context
from app.shared.drops import DropTarget
from app.shell import window_state
from app.shell.case_panel import CasePanel
from app.shell.commands import appearance_commands, edit_commands, help_commands
from app.shell.docks import Panels, build_docks
from app.shell.empty_state import EmptyState
from app.shell.file_events import FileEvents
from app.shell.help import Help
from app.shell.layer_menu import layer_menu
from app.shell.log import LOGGER, start_log, stop_log
from app.shell.messages import MessageBar, MessageList
from app.shell.recent import RecentMenu, RecentPictures
from app.shell.status_bar import StatusBar
from app.shell.toolbars import build_toolbars
from app.shell.unexpected import UnexpectedErrors
from app.state.messages import Messages
from app.state.session import Session
from app.state.settings import Settings
from app.synthesis.controller import SynthesisController
from app.synthesis.experts_panel import ExpertsPanel
from app.synthesis.panel import SynthesisPanel
from app.synthesis.results_panel import ResultsPanel
from app.synthesis.sweep.commands import sweep_commands
from app.synthesis.sweep.controller import SweepController
from app.synthesis.sweep.panel import SweepPanel
from app.training.controller import TrainingController
from app.viewer.area import ViewerArea
from app.viewer.commands import mouse_commands, viewer_commands
from app.viewer.window_level import WindowLevel

TITLE = "MHVAE Studio"


class MainWindow(QMainWindow):
    """One case, its viewers and panels: makes the rooms and connects them.

    Args:
        settings: what is remembered between starts.
        engine: command that starts the engine process; tests pass another.

    Attributes:
        context: what every room is handed.
        viewers, files, alignment, synthesis, sweep, training: the rooms.
    """

    painted = Signal()
    """The window is on screen for the first time."""

    def __init__(
        self,
        settings: Settings | None = None,
        engine: Callable[[], Sequence[str]] = engine_command,
    ) -> None:
        super().__init__()
        settings = settings or Settings()
        style.set_scheme(settings.appearance)
        jobs = Jobs(self)
        self.context = Context(
            Session(self),
            jobs,
            Messages(self),
            settings,
            QUndoStack(self),
            EngineClient(jobs, engine, self),
        )
        window_state.restore_display(self.context)
        self.viewers = ViewerArea(self.context.session)
        self.files = FilesController(self.context, self, self.viewers.render_image)
        self.synthesis = SynthesisController(self.context)
        self.alignment = AlignmentController(self.context, self.files, self.viewers)
        self.sweep = SweepController(self.context, self.files, self.synthesis, self.viewers)
        self.training = TrainingController(self.context, self)
        self._to_open: list[Path] = []
        self._leaving = False
        self._build()
        self._connect()
        self._show_title()
        window_state.restore_window(self, self.context)
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
        """Ask for unsaved work, then remember the window and end every job."""
        if not self._leaving and not self.files.may_leave(self._leave_now):
            event.ignore()
            return
        context = self.context
        window_state.save_window(self, context)
        context.undo.clear()
        self.training.close()
        self.files.close()
        self.sweep.close()
        self.synthesis.close()
        context.jobs.close()
        self.files.recovery.close()  # after the threads that may write it
        self.alignment.close()
        context.engine.close()
        super().closeEvent(event)

    def _leave_now(self) -> None:
        self._leaving = True
        self.close()

    def _begin(self) -> None:
        self.painted.emit()
        self.synthesis.find_models()
        if self._to_open:
            self.files.opener.open(self._to_open)
        self.training.report_runs()
        self.files.offer_unsaved()
        self._start_engine_when_idle()

    def _start_engine_when_idle(self) -> None:
        """Reading what the user wants to see goes before starting the engine."""
        jobs, engine = self.context.jobs, self.context.engine

        def check(_: str = "") -> None:
            QTimer.singleShot(0, self, start)

        def start() -> None:
            if not jobs.busy and engine.state == "off":
                jobs.busy_changed.disconnect(check)
                engine.start()

        jobs.busy_changed.connect(check)

    # ---- building

    def _build(self) -> None:
        context = self.context
        self.setWindowIcon(style.app_icon())
        self.setDockNestingEnabled(True)
        self.pictures = RecentPictures(context, self.files)
        self.empty = EmptyState(self.pictures.listed)
        self.stack = QStackedWidget()
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self.viewers)
        self.message_bar = MessageBar(context.messages)
        self.centre = centre = QWidget()
        column = QVBoxLayout(centre)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.stack, 1)
        column.addWidget(self.message_bar)
        self.setCentralWidget(centre)
        self.drops = DropTarget(self, centre, self.files.opener.open)
        self.panels = Panels(
            case=CasePanel(context, self.files.opener),
            levels=WindowLevel(context.session),
            synthesis=SynthesisPanel(self.synthesis),
            results=ResultsPanel(context, self.files.ask_save),
            experts=ExpertsPanel(self.synthesis),
            align=AlignPanel(self.alignment),
            sweep=SweepPanel(self.sweep),
            messages=MessageList(context.messages),
        )
        self.docks = build_docks(self, self.panels)
        self.setStatusBar(StatusBar(context.session, context.jobs, context.engine))
        self.commands = Commands(self)
        self.help = Help(context, self.commands, self.files.names, self)
        self._add_commands()
        self.recent = RecentMenu(context.settings, self.files.opener.open, self)
        self.bar = build_toolbars(self, self.commands, self.recent, self.docks.all, context.session)
        self._wheel = style.WheelGuard(self)

    def _add_commands(self) -> None:
        """Ask every room for its commands, in the order of the menus."""
        leave = Command("quit", "Quit", "File", "File", self.leave, ("Ctrl+Q",), separated=True)
        self.commands.add(
            [
                *self.files.commands(),
                leave,
                *edit_commands(self.context),
                *viewer_commands(self.viewers),
                *alignment_commands(self.alignment),
                *mouse_commands(self.context.session),
                *appearance_commands(self.context, self._look),
                *self.synthesis.commands(),
                *sweep_commands(self.sweep),
                *self.training.commands(),
                *help_commands(self.help),
            ]
        )
        self.panels.align.use(self.commands.actions)
        self.panels.sweep.use(self.commands.actions)

    def _connect(self) -> None:
        session, files = self.context.session, self.files
        self.empty.open_wanted.connect(files.ask_files)
        self.empty.demo_wanted.connect(files.open_demo)
        self.empty.recent_wanted.connect(lambda path: files.opener.open([path]))
        self.panels.case.pictured.connect(self.pictures.note)
        self.viewers.help_requested.connect(self.help.show_keys)
        self.message_bar.history_wanted.connect(self.docks.messages.show)
        self.alignment.panel_wanted.connect(self.docks.align.show)
        self.alignment.panel_wanted.connect(self.docks.align.raise_)
        self.sweep.panel_wanted.connect(self.docks.sweep.show)
        self.sweep.panel_wanted.connect(self.docks.sweep.raise_)
        self.panels.case.menu_wanted.connect(self._show_layer_menu)
        self.panels.results.card_wanted.connect(self.training.show_card)
        self.training.wizard.case_wanted.connect(self._open_to_align)
        files.case_closing.connect(self.synthesis.cancel)
        files.opener.model_found.connect(self.synthesis.open_model)
        files.opener.opened.connect(lambda _: self.viewers.setFocus())
        files.work.changed.connect(self._show_title)
        session.layers_changed.connect(self._show_centre)
        QGuiApplication.styleHints().colorSchemeChanged.connect(self._follow_system)
        for changed in (
            session.display_changed,
            session.layers_changed,
            session.active_changed,
            session.synthesis.form_changed,
            self.synthesis.running_changed,
            self.alignment.changed,
            self.sweep.placement.changed,
            self.sweep.exporter.stage_changed,
            self.context.undo.indexChanged,
        ):
            changed.connect(lambda *_: self.commands.refresh())
        self.commands.refresh()

    # ---- what happened

    def _open_to_align(self, case: str, paths: Sequence[Path]) -> None:
        """Close the case, unless that is cancelled, and open another beside the alignment tools."""
        jobs = self.context.jobs

        def opened(_: str = "") -> None:
            if not jobs.busy:  # all is read, and said what there is to say about it
                jobs.busy_changed.disconnect(opened)
                self.training.wizard.offer_return(case)

        def go_on() -> None:
            jobs.busy_changed.connect(opened)
            self.files.opener.open(paths)
            self.docks.align.show()
            self.docks.align.raise_()

        self.raise_()
        self.activateWindow()
        self.files.close_case(go_on)

    def _show_title(self) -> None:
        """Name the project in the title, and say when something changed since it was saved."""
        path, modified = self.files.projects.path, self.files.work.modified
        name = path.name if path else "unsaved case" if modified else ""
        self.setWindowTitle(f"{TITLE} – {name}[*]" if name else f"{TITLE}[*]")
        self.setWindowModified(modified and bool(self.context.session.layers))

    def _show_centre(self) -> None:
        some = bool(self.context.session.layers)
        self.stack.setCurrentWidget(self.viewers if some else self.empty)

    def _follow_system(self, _: Qt.ColorScheme) -> None:
        self._look(self.context.settings.appearance)

    def _look(self, scheme: str) -> None:
        """Turn light or dark; the docks, which a new style sheet widens, keep their width."""
        docks = [d for d in self.docks.all if d.isVisible()]
        widths = [d.width() for d in docks]
        style.set_scheme(scheme)
        QApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest)
        self.resizeDocks(docks, widths, Qt.Orientation.Horizontal)

    def changeEvent(self, event: QEvent) -> None:
        """Draw icons anew when the palette turned light or dark."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "panels"):
            self.panels.levels.draw()

    def _show_layer_menu(self, layer_id: str, at: QPoint) -> None:
        layer_menu(self.context, self.files, layer_id, self).popup(at)


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
    start_log()
    window = MainWindow(settings)
    unexpected = UnexpectedErrors(window.context.messages, window)
    window.context.engine.state_changed.connect(lambda state: LOGGER.info("engine %s", state))
    FileEvents(app, window.files.opener.open, window)
    window.open_when_shown([Path(f).absolute() for f in files])
    window.show()
    status = int(app.exec())
    unexpected.close()
    LOGGER.info("end, status %d", status)
    stop_log()
    return status
