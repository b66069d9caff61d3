"""Saves and opens the case as a project file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.files.opener import FileOpener
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
from app.files.project_restore import ProjectRestore
from app.shared.context import Context
from app.state.synthesis import Form
from app.state.values import Layer, View
from core.volume import Volume


class Projects(QObject):
    """Saves and opens the case as a project file."""

    path_changed = Signal()
    """The case has another project file, or none."""

    def __init__(self, context: Context, opener: FileOpener) -> None:
        super().__init__(context.session)
        self.context, self.opener = context, opener
        self.session, self.settings = context.session, context.settings
        self.jobs, self.messages = context.jobs, context.messages
        self.path: Path | None = None

    def set_path(self, path: Path | None) -> None:
        """Say which project file the case has; None for none."""
        self.path = path
        self.path_changed.emit()

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
                to_write.append((layer.volume, target, self.session.results.marks(layer)))
        project = self._describe(kept)

        def work() -> Path:
            from core.io import write

            if to_write:
                _make_folder(folder)
            for volume, target, marks in to_write:
                write(volume, target, marks=marks)
            return save(project, path)

        def saved(written: Path) -> None:
            self.set_path(written)
            self.settings.add_recent(written)
            self.messages.info(f"Saved the project {written.name}.")

        self.jobs.submit(f"Saving {path.name}", work, saved, self.messages.error)

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
            self.messages.error(str(error))
            return
        self.set_path(path)
        self.settings.add_recent(path)
        self.context.undo.clear()
        self.session.clear()
        self.opener.origins.clear()
        self.session.name = project.name
        self.session.results.forget_gone()
        asked = Form.from_dict(dict(project.synthesis))
        self.session.synthesis.set_form(rerun=asked.rerun)
        ProjectRestore(self.context, self.opener, project, missing).begin()

    def _describe(self, kept: list[tuple[Layer, Path, str]]) -> Project:
        session = self.session
        results = {r.layer_id: r for r in session.results.by_target.values()}
        entries = []
        for layer, path, series in kept:
            result = results.get(layer.id)
            entries.append(
                Entry(
                    path=path.resolve(),
                    series=series,
                    kind=layer.kind,
                    name=layer.name,
                    modality=layer.modality,
                    visible=layer.visible,
                    available=layer.available,
                    colormap=layer.colormap,
                    window=layer.window,
                    opacity=layer.opacity,
                    marks=self.session.results.marks(layer),
                    metrics=dict(result.metrics) if result else {},
                    subset=result.subset if result else (),
                    alignment=described(layer.placement),
                )
            )
        ids = [layer.id for layer, _, _ in kept]
        pair = session.pair.pair()
        chosen = [x.id for x in pair or ()]
        both = len(chosen) == 2 and all(x in ids for x in chosen)
        aligning = (ids.index(chosen[0]), ids.index(chosen[1])) if both else (-1, -1)
        pairs = [
            described_pairs(ids.index(moving), ids.index(fixed), found)
            for (moving, fixed), found in session.pair.landmarks.items()
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
            synthesis=session.synthesis.form.to_dict(),
            aligning=aligning,
            landmarks=tuple(pairs),
        )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ProjectError(
            f"{folder.name}: the folder for the results could not be made ({error.strerror}). "
            "Save the project where you may write."
        ) from error
