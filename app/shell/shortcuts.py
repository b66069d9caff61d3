"""The sheet of all keys and mouse gestures, made from the commands and the viewers' tables."""

from __future__ import annotations

from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QTextBrowser, QVBoxLayout, QWidget

from app.shared.commands import Commands
from app.state.values import MousePreset
from app.viewer.key_bindings import DRAGS
from core.pages import render


class ShortcutsDialog(QDialog):
    """Lists what every key and gesture does."""

    def __init__(
        self, commands: Commands, preset: MousePreset, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keys and mouse")
        self.resize(820, 780)
        self.text = QTextBrowser()
        self.text.setHtml(shortcuts_html(commands, preset))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.addWidget(self.text)
        column.addWidget(buttons)


def shortcuts_html(commands: Commands, preset: MousePreset) -> str:
    """Return the sheet as HTML: two columns of tables, one per group."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for command in commands.all:
        if command.keys:
            native = QKeySequence.SequenceFormat.NativeText
            shown = " or ".join(QKeySequence(key).toString(native) for key in command.keys)
            groups.setdefault(command.group, []).append((shown, command.text.rstrip("…")))
    drags = {**DRAGS[preset], "Double click": "maximise a pane, or go back"}
    groups[f"Mouse, preset {preset}"] = [(how, str(what)) for how, what in drags.items()]
    tables = list(groups.items())
    half = _balance([len(rows) + 3 for rows in groups.values()])
    return render("keys.html", columns=[tables[:half], tables[half:]])


def _balance(heights: list[int]) -> int:
    """Return where to cut so that both columns are about equally tall."""
    total, best = sum(heights), len(heights)
    cuts = range(1, len(heights))
    return min(cuts, key=lambda n: abs(2 * sum(heights[:n]) - total), default=best)
