"""Puts a project back: its volumes one after the other, where and how they were."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from app.files.opener import FileOpener, Origin
from app.files.project import RESULT_KINDS, Entry, Project, pairs_of, placement_of
from app.shared.context import Context
from app.state.results import Result
from app.state.values import Display, Kind, View
from core.volume import Volume


class ProjectRestore:
    """Reads a project's volumes one after the other and puts everything back."""

    def __init__(
        self,
        context: Context,
        opener: FileOpener,
        project: Project,
        missing: Callable[[Entry, Callable[[Path], None]], None],
    ) -> None:
        self.session, self.jobs, self.messages = context.session, context.jobs, context.messages
        self.opener, self.project, self.missing = opener, project, missing
        self.ids: dict[int, str] = {}

    def begin(self) -> None:
        """Start with the first volume."""
        self._next(0)

    def _next(self, n: int) -> None:
        if n == len(self.project.entries):
            self._finish()
            return
        entry = self.project.entries[n]
        if not entry.path.exists():
            self.missing(entry, lambda path: self._read(n, replace(entry, path=path), late=True))
            self._next(n + 1)
            return
        self._read(n, entry, late=False)

    def _read(self, n: int, entry: Entry, *, late: bool) -> None:
        origin = Origin(entry.path, entry.series)

        def work() -> Volume:
            from core.io import read

            return read(entry.path, series=entry.series or None)

        def done(volume: Volume) -> None:
            self._add(n, entry, origin, volume)
            self._finish() if late else self._next(n + 1)

        def failed(sentence: str) -> None:
            self.messages.error(sentence)
            if not late:
                self._next(n + 1)

        self.jobs.submit(f"Reading {entry.path.name}", work, done, failed)

    def _add(self, n: int, entry: Entry, origin: Origin, volume: Volume) -> None:
        session, kind = self.session, Kind(entry.kind)
        made = kind in RESULT_KINDS
        volume = replace(volume, modality=entry.modality, synthetic=made)
        placement = placement_of(entry.alignment, volume.grid)
        layer_id = self.opener.add(volume, origin, kind, undoable=False, placement=placement)
        if layer_id is None:
            return
        self.ids[n] = layer_id
        session.set_window(layer_id, *entry.window)
        session.update_layer(
            layer_id,
            name=entry.name,
            visible=entry.visible,
            colormap=entry.colormap,
            opacity=entry.opacity,
        )
        if kind is Kind.SYNTHETIC:
            # The mark of the background: outside the field of view a result is exactly 0.
            session.update_layer(layer_id, field_of_view=volume.voxels != 0)
            how = str(entry.marks.get("kind", "synthesis"))
            session.results.adopt(
                entry.modality, Result(layer_id, how, entry.subset, entry.metrics, entry.marks)
            )

    def _finish(self) -> None:
        session, project = self.session, self.project
        for n, layer_id in self.ids.items():
            if layer_id in session and not project.entries[n].available:
                session.update_layer(layer_id, available=False)
        for n, layer_id in self.ids.items():
            if layer_id in session and project.entries[n].available:
                session.update_layer(layer_id, available=True)
        self._align()
        if project.active in self.ids:
            session.set_active(self.ids[project.active])
        try:
            shown = Display.from_dict(project.display)
        except (ValueError, TypeError):
            shown = Display()
        session.set_display(**shown.to_dict())  # type: ignore[arg-type]
        session.set_cursor(project.cursor)
        session.set_view(View(project.zoom, project.pan))

    def _align(self) -> None:
        """Put back what was chosen to be aligned, and the landmarks."""
        pair, ids = self.session.pair, self.ids
        moving, fixed = (ids.get(n, "") for n in self.project.aligning)
        if moving and fixed:
            pair.choose(moving, fixed)
        for found in self.project.landmarks:
            key = (ids.get(found["moving"], ""), ids.get(found["fixed"], ""))
            if all(key):
                pair.put_landmarks(key, pairs_of(found))
