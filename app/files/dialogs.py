"""Asks for files and folders, beginning where the last one was."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QMessageBox, QWidget


class Keep(Enum):
    """What to do with unsaved work."""

    SAVE = "save"
    DISCARD = "discard"
    CANCEL = "cancel"


class FileDialogs:
    """The system's dialogs over one window.

    Args:
        parent: the window they belong to.
    """

    def __init__(self, parent: QWidget) -> None:
        self.parent = parent
        self.folder = ""

    def files(self, title: str, pattern: str) -> list[Path]:
        """Ask for files to open; none when the user changed their mind."""
        found, _ = QFileDialog.getOpenFileNames(self.parent, title, self.folder, pattern)
        return [self._remember(Path(name)) for name in found]

    def file(self, title: str, pattern: str) -> Path | None:
        """Ask for a file to open."""
        found, _ = QFileDialog.getOpenFileName(self.parent, title, self.folder, pattern)
        return self._remember(Path(found)) if found else None

    def directory(self, title: str) -> Path | None:
        """Ask for a folder."""
        found = QFileDialog.getExistingDirectory(self.parent, title, self.folder)
        return self._remember(Path(found)) if found else None

    def target(self, title: str, name: str, pattern: str, suffix: str = "") -> Path | None:
        """Ask where to save.

        Args:
            title: of the dialog.
            name: offered.
            pattern: what is shown.
            suffix: ending the file gets when it has none of its own.
        """
        first = str(Path(self.folder) / name)
        found, _ = QFileDialog.getSaveFileName(self.parent, title, first, pattern)
        if not found:
            return None
        path = Path(found)
        return self._remember(path if path.suffix else path.with_suffix(suffix))

    def keep(self, what: Sequence[str]) -> Keep:
        """Ask once what to do with unsaved work.

        Args:
            what: would be lost, each in a few words.
        """
        button = QMessageBox.StandardButton
        box = QMessageBox(self.parent)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle("Save your work?")
        box.setText("Save the case before it is closed?")
        box.setInformativeText(f"Otherwise this is lost: {'; '.join(what)}.")
        box.setStandardButtons(button.Save | button.Discard | button.Cancel)
        box.setDefaultButton(button.Save)
        answers = {button.Save: Keep.SAVE, button.Discard: Keep.DISCARD}
        return answers.get(button(box.exec()), Keep.CANCEL)

    def _remember(self, path: Path) -> Path:
        self.folder = str(path.parent)
        return path
