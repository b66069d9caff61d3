"""Shows the diagnostic report before it is copied or saved; what is shown is what is saved."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtGui import QFontDatabase, QGuiApplication
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QLabel,
    QPlainTextEdit,
    QVBoxLayout,
    QWidget,
)

from core.files import write_text


class Diagnostics(QDialog):
    """The report in an editor: what the user deletes is not saved.

    Args:
        text: the report.
        parent: the window.
    """

    def __init__(self, text: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Diagnostic report")
        self.resize(760, 620)
        words = QLabel(
            "For those who help you: versions, this computer, settings, the last messages and "
            "the log. Paths, file names and names of people were removed, but only you can tell "
            "whether all were: read it, and delete what you want to keep to yourself. Nothing is "
            "sent."
        )
        words.setWordWrap(True)
        self.text = QPlainTextEdit(text)
        self.text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.problem = QLabel()
        self.problem.setWordWrap(True)
        self.problem.hide()
        kinds = QDialogButtonBox.StandardButton
        buttons = QDialogButtonBox(kinds.Save | kinds.Close)
        copy = buttons.addButton("Copy", QDialogButtonBox.ButtonRole.ActionRole)
        copy.clicked.connect(self._copy)
        buttons.accepted.connect(self._ask)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        for widget in (words, self.text, self.problem, buttons):
            column.addWidget(widget)

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.text.toPlainText())

    def _ask(self) -> None:
        found, _ = QFileDialog.getSaveFileName(
            self, "Save the report", "mhvae-studio-report.md", "Text (*.md *.txt)"
        )
        if found:
            self.save(Path(found))

    def save(self, path: Path) -> None:
        """Write what is shown, whole or not at all, and close; a failure is said and stays open."""
        try:
            write_text(path, self.text.toPlainText())
        except OSError as error:
            reason = error.strerror or type(error).__name__
            self.problem.setText(
                f"{path.name} could not be written ({reason}); the report is still here. Choose "
                "another folder."
            )
            self.problem.show()
        else:
            self.accept()
