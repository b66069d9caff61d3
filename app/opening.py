"""Opens whatever is dropped: volumes, folders, DICOM series, model bundles, projects."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QMetaMethod, QObject, Signal
from PySide6.QtGui import QUndoStack

from app.jobs import Jobs
from app.notifications import Action, Notifications
from app.session import Session
from app.settings import Settings
from app.state import Kind, Placement
from app.sweep import Sweep, find_sweep, look_at
from app.undo import AddLayers, RemoveLayers, layer_name
from core.align import moved
from core.case import Case, CaseError
from core.errors import UserError
from core.volume import Volume

if TYPE_CHECKING:
    from core.io import Header

PROJECT_SUFFIX = ".mhvae.json"
MODEL_SUFFIX = ".safetensors"
TRANSFORM_SUFFIXES = (".tfm", ".h5", ".txt", ".mat", ".xfm")
MANY = 12
"""More volumes in one folder are not opened all at once."""

_LABEL_NAME = re.compile(r"seg|label|mask|tissue|(?<![a-z])roi", re.IGNORECASE)


@dataclass(frozen=True)
class Origin:
    """Where a layer came from, for the project file and the Case panel.

    Attributes:
        path: file or folder.
        series: key of a DICOM series inside; empty for other files.
        reason: why the modality was guessed so.
    """

    path: Path
    series: str = ""
    reason: str = ""


Offer = Callable[[Volume, Origin, Kind | None], Sequence[Action]]
"""What can be done with a volume that was refused for lying elsewhere."""


class Opener(QObject):
    """Reads in worker threads and adds layers; every failure is one sentence."""

    opened = Signal(str)
    """Id of a layer that was added."""
    project_found = Signal(object)
    """Path of a project file to open."""
    model_found = Signal(object)
    """Path of a model bundle to choose."""
    transform_found = Signal(object)
    """Path of a transform to align volumes by."""

    def __init__(
        self,
        session: Session,
        jobs: Jobs,
        notes: Notifications,
        settings: Settings,
        undo: QUndoStack,
    ) -> None:
        super().__init__(session)
        self.session, self.jobs, self.notes = session, jobs, notes
        self.settings, self.undo = settings, undo
        self.origins: dict[str, Origin] = {}
        self.offers: Offer = lambda *_: ()

    def open(self, paths: Sequence[Path]) -> None:
        """Open files and folders of any kind the program knows."""
        volumes = []
        for path in paths:
            name = path.name.lower()
            if name.endswith(PROJECT_SUFFIX):
                self.project_found.emit(path)
            elif name.endswith(MODEL_SUFFIX):
                self.model_found.emit(path)
            elif name.endswith(TRANSFORM_SUFFIXES) and path.is_file():
                self._transform(path)
            else:
                volumes.append(path)
        if volumes:
            self._probe(volumes)

    def add(
        self,
        volume: Volume,
        origin: Origin,
        kind: Kind | None = None,
        *,
        undoable: bool = True,
        placement: Placement | None = None,
    ) -> str | None:
        """Add a volume to the case, moved from its header's position if there is a placement.

        Returns:
            The layer's id; None when the volume does not belong there (a note says why, with what
            ``offers`` can do about it).
        """
        try:
            matrix = None if placement is None else placement.alignment.matrix
            self._check_place(volume if matrix is None else moved(volume, matrix))
        except CaseError as error:
            self.notes.error(str(error), self.offers(volume, origin, kind))
            return None
        kind = kind or kind_of(volume, origin)
        if kind is Kind.LABEL:
            volume = replace(volume, modality="")
        name = "" if volume.synthetic else layer_name(volume.modality, volume.source)
        layer_id = self.session.add_layer(volume, kind, name=name)
        self.origins[layer_id] = origin
        if placement is not None:
            self.session.place(layer_id, placement)
        if undoable:
            self.undo.push(AddLayers(self.session, [layer_id], f"Open {volume.source}"))
        for warning in volume.warnings:
            self.notes.warning(f"{volume.source}: {warning}")
        self.opened.emit(layer_id)
        return layer_id

    def change_kind(self, layer_id: str, kind: Kind) -> None:
        """Show a volume as an image, or as a label map: out and in again, as one step."""
        layer, origin = self.session.layer(layer_id), self.origins.get(layer_id)
        self.undo.beginMacro(f"Show {layer.volume.source or layer.name} as {kind}")
        self.undo.push(RemoveLayers(self.session, [layer_id], "Remove"))
        volume = replace(layer.volume, modality="") if kind is Kind.LABEL else layer.volume
        made = self.session.add_layer(volume, kind)
        if origin is not None:
            self.origins[made] = origin
        if layer.placement is not None:
            self.session.place(made, layer.placement)
        self.undo.push(AddLayers(self.session, [made], "Add"))
        self.undo.endMacro()

    # ---- inside

    def _transform(self, path: Path) -> None:
        if self.isSignalConnected(QMetaMethod.fromSignal(self.transform_found)):
            self.transform_found.emit(path)
            return
        self.notes.error(
            f"{path.name}: expected a volume, a folder, a model or a project; found a transform. "
            "Apply it in the program that made it and open the moved volume."
        )

    def _probe(self, paths: list[Path]) -> None:
        what = paths[0].name if len(paths) == 1 else f"{len(paths)} files"
        self.jobs.submit(
            f"Looking into {what}",
            lambda: [_headers(path) for path in paths],
            lambda found: self._read_all(dict(zip(paths, found, strict=True))),
            self.notes.error,
        )

    def _read_all(self, found: dict[Path, list[Header] | UserError]) -> None:
        usable: list[Header] = []
        for path, headers in found.items():
            if isinstance(headers, UserError):
                self.notes.error(str(headers))
                continue
            for header in headers:
                if header.problem:
                    self.notes.error(header.problem)
            good = [h for h in headers if not h.problem]
            if len(good) > MANY:
                self.notes.error(
                    f"{path.name}: expected the volumes of one patient; found {len(good)}. "
                    "Drop the few you want, or the folder of one patient."
                )
            elif good:
                self.settings.add_recent(path)
                usable += good
        if usable:
            self._read_next(sorted(usable, key=_rank), many=len(usable) > 1)

    def _read_next(self, headers: list[Header], many: bool) -> None:
        """Read one after the other, so that the same folder always looks the same."""
        header, *rest = headers
        origin = Origin(header.path, header.series, header.modality_reason)

        def read() -> tuple[Volume, Sweep | None]:
            volume = _read(origin)
            volume = replace(volume, modality=volume.modality or header.modality)
            return volume, find_sweep(volume) if volume.modality == "iUS" else None

        def named(found: tuple[Volume, Sweep | None]) -> None:
            volume, sweep = found
            layer_id = self.add(volume, origin)
            if layer_id and sweep is not None and not volume.synthetic:
                look_at(self.session, sweep)
            if many and layer_id and self.session.layer(layer_id).kind is Kind.LABEL:
                # Label maps that come with images would cover them: one click shows them.
                self.session.update_layer(layer_id, visible=False)
            go_on()

        def failed(sentence: str) -> None:
            self.notes.error(sentence)
            go_on()

        def go_on() -> None:
            if rest:
                self._read_next(rest, many)

        self.jobs.submit(f"Reading {origin.path.name}", read, named, failed)

    def _check_place(self, volume: Volume) -> None:
        for layer in self.session.layers:
            if layer.kind is Kind.REAL:
                ours = layer.modality or "The volume in the case"
                theirs = volume.modality or "the new volume"
                if ours == theirs:
                    theirs = f"another {theirs}"
                Case("", {ours: layer.volume, theirs: volume}).check_overlap()


def kind_of(volume: Volume, origin: Origin) -> Kind:
    """Guess what a file's voxels are: a label map by name and by holding few whole numbers."""
    if volume.synthetic:
        return Kind.SYNTHETIC
    if _LABEL_NAME.search(origin.path.name) and not volume.modality:
        sample = volume.voxels.ravel()[:: max(1, volume.voxels.size // 200_000)]
        if (sample == np.rint(sample)).all() and np.unique(sample).size <= 256:
            return Kind.LABEL
    return Kind.REAL


def _rank(header: Header) -> tuple[bool, bool]:
    """Order volumes: anatomy, then ultrasound, then what nobody can name (label maps)."""
    return not header.modality, header.modality == "iUS"


def _headers(path: Path) -> list[Header] | UserError:
    """Probe; an error is an answer too, so that the other paths are still looked into."""
    from core.io import probe

    try:
        return list(probe(path))
    except UserError as error:
        return error


def _read(origin: Origin) -> Volume:
    from core.io import read

    return read(origin.path, series=origin.series or None)
