"""What the Help menu opens; every dialog is imported when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QDialog

if TYPE_CHECKING:
    from app.shell.window import MainWindow


class Help(QObject):
    """The guide, the sheet of keys, the diagnostic report and About."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.window = window
        self.guide: QDialog | None = None

    def show_guide(self) -> None:
        """Open the user guide where it was left, or bring it to the front."""
        from app.shell.guide import Guide
        from core.assets import GUIDE

        if self.guide is None:
            self.guide = Guide(GUIDE, self.window.jobs, self.window)
        self.guide.show()
        self.guide.raise_()
        self.guide.activateWindow()

    def show_keys(self) -> None:
        """Open the sheet of keys and gestures."""
        from app.shell.keys import KeySheet

        window = self.window
        dialog = KeySheet(window.commands, window.session.display.mouse, window)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.show()

    def show_report(self) -> None:
        """Show the report that helps those who help."""
        from app.shell.diagnostics import diagnostics
        from app.shell.diagnostics_dialog import Diagnostics

        dialog = Diagnostics(diagnostics(self.window), self.window)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    def show_about(self) -> None:
        """Say what this program is."""
        from app.shell.about import about

        box = about(self.window)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.open()
