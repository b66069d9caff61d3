"""Saves volumes, pictures and projects; everything synthetic keeps its marks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QObject

from app.jobs import Jobs
from app.live import Result
from app.notifications import Notifications
from app.opening import Opener, Origin
from app.project import Entry, Project, ProjectError, load, results_folder, save
from app.request import Form
from app.session import Session
from app.settings import Settings
from app.state import Display, Kind, Layer, View
from app.synthesiser import Synthesiser
from core.grid import Grid
from core.volume import Volume

RESULT_KINDS = (Kind.SYNTHETIC, Kind.DIFFERENCE, Kind.SIGMA)


class Saver(QObject):
    """Writes in worker threads; the outcome is a note."""

    def __init__(
        self, session: Session, jobs: Jobs, notes: Notifications, synthesiser: Synthesiser
    ) -> None:
        super().__init__(session)
        self.session, self.jobs, self.notes = session, jobs, notes
        self.synthesiser = synthesiser

    def marks(self, layer: Layer) -> Mapping[str, Any]:
        """Return the provenance that belongs to a layer; empty for a real volume."""
        if not layer.made_by_model:
            return {}
        about = {"layer": str(layer.kind), "synthetic": True}
        for result in self.synthesiser.results.values():
            if layer.id == result.layer_id or layer.id in result.others:
                return {**result.provenance, **about}
        return {"notice": "SYNTHETIC IMAGE. Research use only.", **about}

    def save_volume(
        self, layer: Layer, path: Path, grid: Grid | None, done: Callable[[Path], None]
    ) -> None:
        """Write a layer's volume.

        Args:
            layer: whose volume.
            path: target; its ending chooses the format.
            grid: grid to write on; None keeps the volume's own.
            done: called with the path written.
        """
        volume, marks, inside = layer.volume, self.marks(layer), layer.field_of_view
        nearest = layer.kind is Kind.LABEL

        def work() -> Path:
            from core.io import write

            moved = volume if grid is None else on_grid(volume, inside, grid, nearest)
            return Path(write(moved, path, marks=marks or None))

        def saved(written: Path) -> None:
            self.notes.info(f"Saved {written.name}; read back and compared.")
            done(written)

        self.jobs.submit(f"Saving {path.name}", work, saved, self.notes.error)


class Projects(QObject):
    """Saves and opens the case as a project file."""

    def __init__(
        self, saver: Saver, opener: Opener, synthesiser: Synthesiser, settings: Settings
    ) -> None:
        super().__init__(saver)
        self.session, self.notes, self.jobs = saver.session, saver.notes, saver.jobs
        self.saver, self.opener = saver, opener
        self.synthesiser, self.settings = synthesiser, settings
        self.path: Path | None = None

    def save(self, path: Path) -> None:
        """Write results that have no file yet into the folder beside, then the project."""
        session, folder = self.session, results_folder(path)
        kept: list[tuple[Layer, Path, str]] = []
        to_write: list[tuple[Volume, Path, Mapping[str, Any]]] = []
        for layer in session.layers:
            origin = self.opener.origins.get(layer.id)
            if origin is not None:
                kept.append((layer, origin.path, origin.series))
            elif layer.kind in RESULT_KINDS and not layer.name.endswith("(running)"):
                target = folder / f"{layer.kind}-{layer.modality}.nii.gz"
                kept.append((layer, target, ""))
                to_write.append((layer.volume, target, self.saver.marks(layer)))
        project = self._describe(kept)

        def work() -> Path:
            from core.io import write

            if to_write:
                _make_folder(folder)
            for volume, target, marks in to_write:
                write(volume, target, marks=marks)
            return save(project, path)

        def saved(written: Path) -> None:
            self.path = written
            self.settings.add_recent(written)
            self.notes.info(f"Saved the project {written.name}.")

        self.jobs.submit(f"Saving {path.name}", work, saved, self.notes.error)

    def open(self, path: Path, missing: Callable[[Entry, Callable[[Path], None]], None]) -> None:
        """Replace the case by a project's.

        Args:
            path: the project file.
            missing: called for each volume that is not there any more, with what to call when the
                user has located it.
        """
        try:
            project = load(path)
        except ProjectError as error:
            self.notes.error(str(error))
            return
        self.path = path
        self.settings.add_recent(path)
        self.opener.undo.clear()
        self.session.clear()
        self.opener.origins.clear()
        self.session.name = project.name
        self.synthesiser.forget_results()
        self.synthesiser.set_form(rerun=Form.from_dict(dict(project.synthesis)).rerun)
        _Restoring(self, project, missing).begin()

    def _describe(self, kept: list[tuple[Layer, Path, str]]) -> Project:
        session = self.session
        results = {r.layer_id: r for r in self.synthesiser.results.values()}
        entries = []
        for layer, path, series in kept:
            result = results.get(layer.id)
            entries.append(
                Entry(
                    path=path.resolve(),
                    series=series,
                    kind=str(layer.kind),
                    name=layer.name,
                    modality=layer.modality,
                    visible=layer.visible,
                    available=layer.available,
                    colormap=layer.colormap,
                    window=layer.window,
                    opacity=layer.opacity,
                    marks=self.saver.marks(layer),
                    metrics=dict(result.metrics) if result else {},
                    subset=result.subset if result else (),
                )
            )
        ids = [layer.id for layer, _, _ in kept]
        active = session.active
        view = session.view_of(active.id) if active else View()
        x, y, z = (float(v) for v in session.cursor)
        return Project(
            name=session.name,
            entries=tuple(entries),
            active=ids.index(active.id) if active and active.id in ids else -1,
            cursor=(x, y, z),
            zoom=view.zoom,
            pan=view.pan,
            display=session.display.to_dict(),
            synthesis=self.synthesiser.form.to_dict(),
        )


class _Restoring:
    """Reads a project's volumes one after the other and puts everything back."""

    def __init__(
        self,
        projects: Projects,
        project: Project,
        missing: Callable[[Entry, Callable[[Path], None]], None],
    ) -> None:
        self.owner, self.project, self.missing = projects, project, missing
        self.ids: dict[int, str] = {}

    def begin(self) -> None:
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
            self.owner.notes.error(sentence)
            if not late:
                self._next(n + 1)

        self.owner.jobs.submit(f"Reading {entry.path.name}", work, done, failed)

    def _add(self, n: int, entry: Entry, origin: Origin, volume: Volume) -> None:
        session, kind = self.owner.session, Kind(entry.kind)
        made = kind in RESULT_KINDS
        volume = replace(volume, modality=entry.modality, synthetic=made)
        layer_id = self.owner.opener.add(volume, origin, kind, undoable=False)
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
            self.owner.synthesiser.adopt(
                entry.modality, Result(layer_id, how, entry.subset, entry.metrics, entry.marks)
            )

    def _finish(self) -> None:
        session, project = self.owner.session, self.project
        for n, layer_id in self.ids.items():
            if layer_id in session and not project.entries[n].available:
                session.update_layer(layer_id, available=False)
        for n, layer_id in self.ids.items():
            if layer_id in session and project.entries[n].available:
                session.update_layer(layer_id, available=True)
        if project.active in self.ids:
            session.set_active(self.ids[project.active])
        try:
            shown = Display.from_dict(project.display)
        except (ValueError, TypeError):
            shown = Display()
        session.set_display(**shown.to_dict())  # type: ignore[arg-type]
        session.set_cursor(project.cursor)
        session.set_view(View(project.zoom, project.pan))


def on_grid(
    volume: Volume, inside: np.ndarray[Any, Any] | None, grid: Grid, nearest: bool
) -> Volume:
    """Bring a volume onto another grid, in that grid's storage order."""
    from core.intensity import resample, resample_inside

    if inside is not None and not nearest:
        values, _ = resample_inside(volume.voxels, inside, volume.grid, grid)
    else:
        values = resample(volume.voxels, volume.grid, grid, order=0 if nearest else 1)
    return replace(volume, voxels=values, grid=grid)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ProjectError(
            f"{folder.name}: the folder for the results could not be made ({error.strerror}). "
            "Save the project where you may write."
        ) from error
