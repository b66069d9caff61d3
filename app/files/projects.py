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
    load,
    results_folder,
    save,
)
from app.files.project_alignment import described, described_pairs
from app.files.project_restore import ProjectRestore
from app.shared.context import Context
from app.state.synthesis import Form
from app.state.values import Layer, View
from core.volume import Volume


class Projects(QObject):
    """Saves and opens the case as a project file.

    Attributes:
        path: the project file the case has, or None.
        files: layer id → the file its voxels lie in, for rows of results.
        absent: entries whose files were not found; they stay in the project.
    """

    path_changed = Signal()
    """The case has another project file, or none."""
    settled = Signal()
    """The case is as its file says: it was saved, or opened."""

    def __init__(self, context: Context, opener: FileOpener) -> None:
        super().__init__(context.session)
        self.context, self.opener = context, opener
        self.session, self.settings = context.session, context.settings
        self.jobs, self.messages = context.jobs, context.messages
        self.path: Path | None = None
        self.files: dict[str, Path] = {}
        self.absent: list[tuple[Entry, Mapping[str, Any] | None]] = []
        self.restoring = False

    def set_path(self, path: Path | None) -> None:
        """Say which project file the case has; None for none."""
        self.path = path
        self.path_changed.emit()

    def forget(self) -> None:
        """Forget the project: the case was closed."""
        self.files, self.absent = {}, []
        self.set_path(None)

    def save(self, path: Path, then: Callable[[], None] = lambda: None) -> None:
        """Write results that have no file yet into the folder beside, then the project.

        Args:
            path: the project file.
            then: called when it is saved.
        """

        def saved(found: tuple[Path, dict[str, Path]]) -> None:
            written, files = found
            self.files.update(files)
            self.set_path(written)
            self.settled.emit()
            self.settings.add_recent(written)
            self.messages.info(f"Saved the project {written.name}.")
            then()

        work = self.writing(path, self.files)
        self.jobs.submit(f"Saving {path.name}", work, saved, self.messages.error)

    def writing(
        self, path: Path, known: Mapping[str, Path], *, copy: bool = False
    ) -> Callable[[], tuple[Path, dict[str, Path]]]:
        """Return what writes the case as it is now, to be run in a thread.

        It returns the file written and layer id → file of every row of a result.

        Args:
            path: the project file.
            known: rows whose voxels lie in files; those in the project's folder stay as they are.
            copy: leave those in other folders where they are, too.
        """
        folder = results_folder(path)
        kept: list[tuple[Layer, Path, str]] = []
        to_write: list[tuple[Volume, Path, Mapping[str, Any]]] = []
        files: dict[str, Path] = {}
        for layer in self.session.layers:
            origin = self.opener.origins.get(layer.id)
            if origin is not None:
                kept.append((layer, origin.path, origin.series))
            elif layer.kind in RESULT_KINDS and not layer.live:
                file = known.get(layer.id)
                if file is None or not (copy or file.parent.resolve() == folder.resolve()):
                    file = folder / _file_name(layer)
                    to_write.append((layer.volume, file, self.session.results.marks(layer)))
                files[layer.id] = file
                kept.append((layer, file, ""))
        project = self._describe(kept)

        def work() -> tuple[Path, dict[str, Path]]:
            from core.io import write

            if to_write:
                _make_folder(folder)
            for volume, target, marks in to_write:
                write(volume, target, marks=marks)
            return save(project, path), files

        return work

    def open(
        self,
        path: Path,
        missing: Callable[[Entry, Callable[[Path], None]], None],
        *,
        recovered: Callable[[], None] | None = None,
    ) -> None:
        """Replace the case by a project's.

        Args:
            path: the project file.
            missing: called for each volume that is not there any more, with what to call when the
                user has located it.
            recovered: called when everything is there, for a copy of unsaved work, which is not
                the case's project file.
        """
        try:
            project = load(path)
        except ProjectError as error:
            self.messages.error(str(error))
            return
        self.context.undo.clear()
        self.session.clear()
        self.opener.origins.clear()
        self.forget()
        if recovered is None:
            self.set_path(path)
            self.settings.add_recent(path)
        self.session.name = project.name
        self.session.synthesis.restore_form(Form.from_dict(dict(project.synthesis)))
        self.restoring = True

        def done() -> None:
            self.restoring = False
            (recovered or self.settled.emit)()

        ProjectRestore(self.context, self.opener, project, missing, self.files, self.absent).begin(
            done
        )

    def _describe(self, kept: list[tuple[Layer, Path, str]]) -> Project:
        session = self.session
        last = {x.id for x in session.case_layers().values()}
        entries = [
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
                marks=session.results.marks(layer),
                alignment=described(layer.placement),
                id=layer.id,
                result=layer.result.id if layer.result else "",
                sample=layer.sample,
                outline=layer.outline,
                last_given=layer.id in last,
                labels=layer.labels,
            )
            for layer, path, series in kept
        ]
        results = {r.id: r.to_dict() for r in session.results.all}
        for entry, result in self.absent:
            if entry.id not in session:
                entries.append(entry)
                if result is not None:
                    results.setdefault(str(result["id"]), dict(result))
        ids = [layer.id for layer, _, _ in kept]
        pair = session.pair.pair() if session.pair.chosen else None
        chosen = [x.id for x in pair or ()]
        both = len(chosen) == 2 and all(x in ids for x in chosen)
        aligning = (ids.index(chosen[0]), ids.index(chosen[1])) if both else (-1, -1)
        pairs = [
            described_pairs(ids.index(moving), ids.index(fixed), found)
            for (moving, fixed), found in session.pair.landmarks.items()
            if found and moving in ids and fixed in ids
        ]
        active, current = session.active, session.results.current
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
            synthesis=session.synthesis.described(),
            aligning=aligning,
            landmarks=tuple(pairs),
            results=tuple(results.values()),
            current=current.id if current and current.id in results else "",
            columns=tuple(c for c in session.chosen_columns if c in ids),
            counterpart=session.chosen_counterpart,
            reference=session.chosen_reference,
            rulers=tuple(r.to_list() for r in session.rulers),
        )


def _file_name(layer: Layer) -> str:
    """Return a name that belongs to one row of one result for ever."""
    result, sample = layer.result, f"-sample-{layer.sample}" if layer.sample else ""
    whose = result.id if result else layer.id
    return f"{layer.kind}-{layer.modality}{sample}-{whose}.nii.gz"


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ProjectError(
            f"{folder.name}: the folder for the results could not be made ({error.strerror}). "
            "Save the project where you may write."
        ) from error
