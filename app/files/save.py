"""Saves volumes, pictures and projects; everything synthetic keeps its marks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QObject

from app.alignment.landmarks import Landmarks
from app.files.open import Opener
from app.files.project import (
    RESULT_KINDS,
    Entry,
    Project,
    ProjectError,
    described,
    described_pairs,
    load,
    results_folder,
    save,
)
from app.files.restore import Restoring
from app.processes.jobs import Jobs
from app.state.messages import Notifications
from app.state.session import Session
from app.state.settings import Settings
from app.state.values import Kind, Layer, View
from app.synthesis.controller import Synthesiser
from app.synthesis.request import Form
from core.grid import Grid
from core.volume import Volume

REGISTERED = "Registered volume. Research use only."


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
        volume, inside = layer.volume, layer.field_of_view
        marks = {**self.marks(layer), **_moved(layer)}
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
        self,
        saver: Saver,
        opener: Opener,
        synthesiser: Synthesiser,
        settings: Settings,
        landmarks: Landmarks,
    ) -> None:
        super().__init__(saver)
        self.session, self.notes, self.jobs = saver.session, saver.notes, saver.jobs
        self.saver, self.opener = saver, opener
        self.synthesiser, self.settings = synthesiser, settings
        self.landmarks = landmarks
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
        Restoring(self, project, missing).begin()

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
                    alignment=described(layer.placement),
                )
            )
        ids = [layer.id for layer, _, _ in kept]
        pair = self.landmarks.aligner.pair()
        chosen = [x.id for x in pair or ()]
        both = len(chosen) == 2 and all(x in ids for x in chosen)
        aligning = (ids.index(chosen[0]), ids.index(chosen[1])) if both else (-1, -1)
        pairs = [
            described_pairs(ids.index(moving), ids.index(fixed), found)
            for (moving, fixed), found in self.landmarks.kept.items()
            if found and moving in ids and fixed in ids
        ]
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
            aligning=aligning,
            landmarks=tuple(pairs),
        )


def _moved(layer: Layer) -> Mapping[str, Any]:
    """Return how a volume was moved from its file's position; empty where it was not."""
    if layer.placement is None:
        return {}
    told = {"registration": described(layer.placement)}
    return told if layer.made_by_model else {**told, "notice": REGISTERED}


def on_grid(
    volume: Volume, inside: np.ndarray[Any, Any] | None, grid: Grid, nearest: bool
) -> Volume:
    """Bring a volume onto another grid, in that grid's storage order."""
    from core.image.intensity import resample, resample_inside

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
