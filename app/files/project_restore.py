"""Puts a project back: its volumes one after the other, where and how they were."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.files.opener import FileOpener, Origin
from app.files.project import RESULT_KINDS, Entry, Project
from app.files.project_alignment import pairs_of, placement_of
from app.shared.context import Context
from app.state.record import Given, Result
from app.state.results import OUTDATED
from app.state.values import Display, Kind, Ruler, View
from core.volume import Volume


class ProjectRestore:
    """Reads a project's volumes one after the other and puts everything back.

    Args:
        context: where to put it.
        opener: adds what is no result.
        project: what to put back.
        missing: called for each volume that is not there any more.
        files: receives layer id → file of every row of a result.
        absent: receives the entries that are not there, with the record of their result.
    """

    def __init__(
        self,
        context: Context,
        opener: FileOpener,
        project: Project,
        missing: Callable[[Entry, Callable[[Path], None]], None],
        files: dict[str, Path],
        absent: list[tuple[Entry, Mapping[str, Any] | None]],
    ) -> None:
        self.session, self.jobs, self.messages = context.session, context.jobs, context.messages
        self.opener, self.project, self.missing = opener, project, missing
        self.files, self.absent = files, absent
        self.results = {str(r["id"]): Result.from_dict(r) for r in project.results}
        self.ids: dict[int, str] = {}

    def begin(self, done: Callable[[], None]) -> None:
        """Start with the first volume; ``done`` is called after the last."""
        self._done = done
        self._next(0)

    def _next(self, n: int) -> None:
        if n == len(self.project.entries):
            self._finish()
            self._done()
            return
        entry = self.project.entries[n]
        if not entry.path.exists():
            record = self.results.get(entry.result)
            self.absent.append((entry, record.to_dict() if record else None))
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
        made, result = kind in RESULT_KINDS, self.results.get(entry.result)
        volume = replace(volume, modality=entry.modality, synthetic=made)
        if made and result is not None:
            layer_id: str | None = session.add_layer(
                volume, kind, layer_id=entry.id, result=result, sample=entry.sample,
                visible=entry.visible,
            )  # fmt: skip
            assert layer_id is not None
            self.files[layer_id] = origin.path
        else:
            placement = placement_of(entry.alignment, volume.grid)
            layer_id = self.opener.add(
                volume, origin, kind, undoable=False, placement=placement, layer_id=entry.id,
                labels=entry.labels or None,
            )  # fmt: skip
        if layer_id is None:
            return
        self.ids[n] = layer_id
        session.restore_window(layer_id, entry.window)
        session.update_layer(
            layer_id,
            name=entry.name,
            visible=entry.visible,
            colormap=entry.colormap,
            opacity=entry.opacity,
            outline=entry.outline,
        )
        if kind is Kind.SYNTHETIC:
            # The mark of the background: outside the field of view a result is exactly 0.
            session.update_layer(layer_id, field_of_view=volume.voxels != 0)

    def _finish(self) -> None:
        session, project = self.session, self.project
        here = {n: i for n, i in self.ids.items() if i in session}
        for n, layer_id in here.items():
            if not project.entries[n].available:
                # By way of available, so that the last one that was an input is known again.
                if project.entries[n].last_given:
                    session.update_layer(layer_id, available=True)
                session.update_layer(layer_id, available=False)
        for n, layer_id in here.items():
            if project.entries[n].available:
                session.update_layer(layer_id, available=True)
        self._know_inputs()
        self._align()
        session.set_columns(project.columns)
        session.set_secondary(project.counterpart)
        if project.reference:
            session.set_reference(project.reference)
        if project.active in self.ids:
            session.set_active(self.ids[project.active])
        session.results.choose(project.current)
        try:
            shown = Display.from_dict(project.display)
        except (ValueError, TypeError):
            shown = Display()
        session.set_display(**shown.to_dict())  # type: ignore[arg-type]
        session.set_cursor(project.cursor)
        session.set_view(View(project.zoom, project.pan))
        session.set_rulers([Ruler.of(r) for r in project.rulers])

    def _know_inputs(self) -> None:
        """Say of results from before format 3 that they were made from what is there now."""
        session = self.session
        layers = session.case_layers()
        given = {m: Given(x.id, x.name, x.volume.grid) for m, x in layers.items()}
        for result in session.results.all:
            rows = session.results.rows(result)
            if not result.given and not any(OUTDATED in x.name for x in rows):
                for row in rows:
                    session.update_layer(row.id, result=replace(result, given=given))

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
