"""What the Help menu opens; every dialog is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QDialog, QWidget

from app.shared.commands import Commands
from app.shared.context import Context


class Help(QObject):
    """The guide, the sheet of keys, the diagnostic report and About.

    Args:
        context: what the report is about.
        commands: what the sheet of keys lists.
        file_names: returns the names of files that must not stand in a report.
        parent: the main window.
    """

    def __init__(
        self,
        context: Context,
        commands: Commands,
        file_names: Callable[[], list[str]],
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self.context, self.commands = context, commands
        self._file_names, self._parent = file_names, parent
        self.guide: QDialog | None = None

    def show_guide(self) -> None:
        """Open the user guide where it was left, or bring it to the front."""
        from app.shell.guide import Guide
        from core.assets import GUIDE

        if self.guide is None:
            self.guide = Guide(GUIDE, self.context.jobs, self._parent)
        self.guide.show()
        self.guide.raise_()
        self.guide.activateWindow()

    def show_keys(self) -> None:
        """Open the sheet of keys and gestures."""
        from app.shell.shortcuts import ShortcutsDialog

        mouse = self.context.session.display.mouse
        dialog = ShortcutsDialog(self.commands, mouse, self._parent)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.show()

    def show_report(self) -> None:
        """Show the report that helps those who help."""
        from app.shell.diagnostics import diagnostics
        from app.shell.diagnostics_dialog import Diagnostics

        report = diagnostics(self.context, self._file_names())
        dialog = Diagnostics(report, self._parent)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    def show_about(self) -> None:
        """Say what this program is."""
        from app.shell.about import about

        box = about(self._parent)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.open()
