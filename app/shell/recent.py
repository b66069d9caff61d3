"""What was opened before: the menu, and small pictures; the user can turn the list off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QObject
from PySide6.QtGui import QPixmap
from PySide6.QtWidgets import QMenu, QWidget

from app.files.controller import FilesController
from app.shared.context import Context
from app.state.settings import Settings
from app.state.values import Kind


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


class RecentPictures(QObject):
    """Keeps the first thumbnail of a case with what it was opened from.

    Args:
        context: the case and the settings.
        files: knows where volumes came from.
    """

    def __init__(self, context: Context, files: FilesController) -> None:
        super().__init__(context.session)
        self._session, self._settings, self._files = context.session, context.settings, files
        self._drawn: dict[str, QPixmap] = {}
        files.projects.settled.connect(self._keep)

    def note(self, layer_id: str, picture: QPixmap) -> None:
        """Take a thumbnail that was drawn for a layer."""
        self._drawn[layer_id] = picture
        self._keep()

    def listed(self) -> list[tuple[Path, QPixmap]]:
        """Return what was opened before with its picture, newest first."""
        found = []
        for path in self._settings.recent():
            picture = QPixmap()
            picture.loadFromData(self._settings.recent_picture(path))
            found.append((path, picture))
        return found

    def _keep(self) -> None:
        self._drawn = {i: p for i, p in self._drawn.items() if i in self._session}
        first = next(
            (x for x in self._session.layers if x.kind is Kind.REAL and x.id in self._drawn), None
        )
        if first is None:
            return
        origin = self._files.opener.origins.get(first.id)
        came_from = {self._files.projects.path}
        if origin is not None:
            came_from |= {origin.path, *origin.path.parents}
        for path in self._settings.recent():
            if path in came_from:
                self._settings.keep_recent_picture(path, _png(self._drawn[first.id]))


def _png(picture: QPixmap) -> bytes:
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    picture.save(buffer, "PNG")
    return bytes(data.data())
