"""The menu of recent files; the user can turn the list off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from PySide6.QtWidgets import QMenu, QWidget

from app.state.settings import Settings


class RecentMenu(QMenu):
    """Filled anew each time it opens."""

    def __init__(
        self,
        settings: Settings,
        open_paths: Callable[[Sequence[Path]], None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__("Open recent", parent)
        self.settings, self.open_paths = settings, open_paths
        self.setToolTipsVisible(True)
        self.aboutToShow.connect(self.fill)

    def fill(self) -> None:
        """List what was opened, then the switch."""
        self.clear()
        for path in self.settings.recent():
            shown = f"{path.name}   ({path.parent.name})" if path.parent.name else path.name
            action = self.addAction(shown, partial(self.open_paths, [path]))
            action.setToolTip(str(path))
        self.addSeparator()
        keep = self.addAction("Keep a list of recent files")
        keep.setCheckable(True)
        keep.setChecked(self.settings.keeps_recent)
        keep.toggled.connect(self._keep)
        empty = self.addAction("Empty the list", self.settings.clear_recent)
        empty.setEnabled(bool(self.settings.recent()))

    def _keep(self, keep: bool) -> None:
        self.settings.keeps_recent = keep
