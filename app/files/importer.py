"""Looks through what was dropped in the background, and opens it or asks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from app.files.import_rules import KEEP, SKIP, ImportItem, Key, first_choices, needs_decision
from app.files.opener import FileOpener
from app.processes.jobs import Jobs
from app.state.values import Kind

if TYPE_CHECKING:
    from core.io import Header

PATIENCE_MS = 500
"""A search that takes longer shows its progress."""
_TELL_S = 0.1


class Importer(QObject):
    """One search at a time; what it found waits here until it is opened or dismissed."""

    progressed = Signal(int, int)
    """(files looked at, files in all)."""
    changed = Signal()
    """A search began or ended, or the rows changed."""
    table_wanted = Signal()
    """There is something to show or to decide."""
    settled = Signal()
    """Nothing is waiting any more."""

    def __init__(self, opener: FileOpener, jobs: Jobs) -> None:
        super().__init__(opener)
        self.opener, self.jobs = opener, jobs
        self.rows: list[ImportItem] = []
        self._paths: list[Path] = []
        self._ask = False
        self._stop: Event | None = None
        self._slow = QTimer(self, singleShot=True, interval=PATIENCE_MS)
        self._slow.timeout.connect(self._show_progress)
        opener.volumes_found.connect(self.look)

    @property
    def scanning(self) -> bool:
        """Whether a search is under way."""
        return self._stop is not None

    def look(self, paths: Sequence[Path], ask: bool = False) -> None:
        """Look through files and folders, together with what is waiting already.

        Args:
            paths: files and folders.
            ask: show the table even when there is nothing to decide.
        """
        self._ask = self._ask or ask or bool(self.rows)
        self._paths = list(dict.fromkeys([*self._paths, *paths]))
        if self._stop is not None:
            self._stop.set()
        stop = self._stop = Event()
        wanted = list(self._paths)
        what = wanted[0].name if len(wanted) == 1 else f"{len(wanted)} files"
        self._slow.start()
        self.jobs.submit(
            f"Looking into {what}",
            lambda: _survey(wanted, stop, self.progressed.emit),
            lambda found: self._found(found, stop),
            lambda sentence: self._failed(sentence, stop),
        )
        self.changed.emit()

    def begin(self) -> None:
        """Show the table before anything was chosen."""
        self._ask = True
        self.table_wanted.emit()

    def cancel(self) -> None:
        """Stop the search; what was found before stays."""
        if self._stop is not None:
            self._stop.set()
            self._stop = None
            self._slow.stop()
            files = {row.header.path for row in self.rows}
            self._paths = [p for p in self._paths if any(p == f or p in f.parents for f in files)]
            self.changed.emit()

    def dismiss(self) -> None:
        """Forget everything that waits."""
        self.cancel()
        self.rows, self._paths, self._ask = [], [], False
        self.settled.emit()

    def accept(self) -> None:
        """Open what is to be kept."""
        rows, paths = self.rows, self._paths
        self.dismiss()
        for row in rows:
            if row.kept:
                above = [p for p in paths if p == row.header.path or p in row.header.path.parents]
                self.opener.settings.add_recent((above or [row.header.path])[0])
        self.opener.take(rows)

    def edit(self, places: Sequence[int], *, modality: str = "", action: str = "") -> None:
        """Change rows: what they show, or what becomes of them; unusable ones stay as they are."""
        for n in places:
            row = self.rows[n]
            if row.usable and modality:
                row = replace(row, modality=modality, named_by_user=True)
                if row.replaces and row.replaces not in dict(self.replaceable(row)):
                    row = replace(row, action=KEEP)
            if row.usable and (action in (KEEP, SKIP) or action in dict(self.replaceable(row))):
                row = replace(row, action=action)
            self.rows[n] = row
        self.changed.emit()

    def reject(self, key: Key, sentence: str) -> None:
        """Mark a volume as one that cannot be used: its voxels turned out unreadable."""
        for n, row in enumerate(self.rows):
            if row.key == key and row.usable:
                header = replace(row.header, problem=sentence)
                self.rows[n] = replace(row, header=header, action=SKIP)
        self.changed.emit()

    def replaceable(self, row: ImportItem) -> list[tuple[str, str]]:
        """Return (id, name) of the layers a volume may replace: those of its modality."""
        return [
            (layer.id, layer.name)
            for layer in self.opener.session.layers
            if layer.kind is Kind.REAL and row.modality and layer.modality == row.modality
        ]

    # ---- inside

    def _show_progress(self) -> None:
        if self.scanning:
            self.table_wanted.emit()

    def _found(self, headers: list[Header], stop: Event) -> None:
        if stop is not self._stop:
            return
        self._stop = None
        self._slow.stop()
        before = {row.key: row for row in self.rows}
        rows = first_choices(headers, self._known())
        self.rows = [_as_before(row, before.get(row.key)) for row in rows]
        if self._ask or needs_decision(self.rows):
            self.changed.emit()
            self.table_wanted.emit()
            return
        for row in self.rows:
            if row.header.problem:
                self.opener.messages.error(row.header.problem)
        self.accept()

    def _failed(self, sentence: str, stop: Event) -> None:
        self.opener.messages.error(sentence)
        if stop is self._stop:
            self.dismiss()

    def _known(self) -> dict[Key, str]:
        """Return the volumes that the case holds, by where they came from."""
        session, origins = self.opener.session, self.opener.origins
        return {
            (origins[x.id].path, origins[x.id].series): x.name
            for x in session.layers
            if x.id in origins
        }


def _as_before(row: ImportItem, old: ImportItem | None) -> ImportItem:
    """Keep what the user said about a volume that is found again."""
    if old is None or not row.usable:
        return row
    modality = old.modality if old.named_by_user else row.modality
    return replace(row, modality=modality, named_by_user=old.named_by_user, action=old.action)


def _survey(paths: Sequence[Path], stop: Event, tell: Callable[[int, int], None]) -> list[Header]:
    """Search in a worker thread; tell how far it is ten times a second."""
    from core.io import survey

    told = 0.0

    def progress(done: int, total: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= _TELL_S or done == total:
            told = now
            tell(done, total)

    return survey(paths, progress=progress, cancelled=stop.is_set)
