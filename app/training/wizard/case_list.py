"""The check's list of cases: a dot and a word say how each stands."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QIcon, QPixmap
from PySide6.QtWidgets import QListWidget, QListWidgetItem

from app.training.wizard.draft import Draft

GOOD, DOUBT, OUT = "#3c9a55", "#c98a1b", "#b3261e"


class CaseList(QListWidget):
    """Lists the cases a check is about."""

    def __init__(self) -> None:
        super().__init__()
        self._items: dict[str, QListWidgetItem] = {}
        self.setMaximumWidth(210)

    def case(self) -> str:
        """Return the id of the case under the cursor; empty without one."""
        item = self.currentItem()
        return str(item.data(Qt.ItemDataRole.UserRole)) if item else ""

    def move_by(self, step: int) -> None:
        """Go to another case, if there is one."""
        row = self.currentRow() + step
        if 0 <= row < self.count():
            self.setCurrentRow(row)

    def fill(self, draft: Draft) -> None:
        """List the cases; the cursor stays where it was."""
        kept = self.case()
        self.clear()
        self._items = {}
        for case in draft.used():
            item = QListWidgetItem(case.id)
            item.setData(Qt.ItemDataRole.UserRole, case.id)
            self.addItem(item)
            self._items[case.id] = item
            self.mark(draft, case.id)
            if case.id == kept:
                self.setCurrentItem(item)
        if self.currentRow() < 0 and self.count():
            self.setCurrentRow(0)

    def mark(self, draft: Draft, case: str) -> None:
        """Show how a case stands."""
        item, facts = self._items.get(case), draft.checks.get(case)
        if item is None:
            return
        if facts is None:
            item.setText(case)
            item.setIcon(QIcon())
            return
        doubtful = any(p["severity"] != "note" for p in facts["problems"])
        colour, word = (DOUBT, "look") if doubtful else (GOOD, "")
        if not draft.accepts(case):
            colour = OUT
            word = "rejected" if draft.usable(case) else "cannot be used"
        elif facts["problems"] and not doubtful:
            word = "incomplete"
        dot = QPixmap(10, 10)
        dot.fill(QColor(colour))
        item.setIcon(QIcon(dot))
        item.setText(f"{case}   {word}" if word else case)
