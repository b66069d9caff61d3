"""Asks for files and folders, beginning where the last one was."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QWidget


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

    def _remember(self, path: Path) -> Path:
        self.folder = str(path.parent)
        return path
