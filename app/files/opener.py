"""Opens whatever is dropped: volumes, folders, DICOM series, model bundles, projects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QMetaMethod, QObject, Signal

from app.files.import_rules import LABEL_MAP, LABEL_NAME, OTHER, ImportItem, rank
from app.files.sweep import Sweep, find_sweep, look_at
from app.shared.context import Context
from app.state.levels import labels_of
from app.state.messages import Action
from app.state.undo import AddLayers, ImportLayers, RemoveLayers, layer_name
from app.state.values import Kind, Label, Placement
from core.case import Case, CaseError
from core.io import label_names
from core.io.modality import names_labels
from core.modalities import SWEPT
from core.registration.alignment import moved
from core.volume import Volume

if TYPE_CHECKING:
    from core.io import Header

PROJECT_SUFFIX = ".mhvae.json"
MODEL_SUFFIX = ".safetensors"
TRANSFORM_SUFFIXES = (".tfm", ".h5", ".txt", ".mat", ".xfm")


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


class FileOpener(QObject):
    """Reads in worker threads and adds layers; every failure is one sentence."""

    opened = Signal(str)
    """Id of a layer that was added."""
    volumes_found = Signal(object, bool)
    """(paths, whether to ask in any case): files and folders to look through for volumes."""
    instead_wanted = Signal(object)
    """Path of a volume to open in place of the case."""
    project_found = Signal(object)
    """Path of a project file to open."""
    model_found = Signal(object)
    """Path of a model bundle to choose."""
    transform_found = Signal(object)
    """Path of a transform to align volumes by."""

    def __init__(self, context: Context) -> None:
        super().__init__(context.session)
        self.session, self.jobs = context.session, context.jobs
        self.messages, self.settings = context.messages, context.settings
        self.undo = context.undo
        self.origins: dict[str, Origin] = {}
        self.offers: Offer = lambda *_: ()
        self._under_way: list[ImportLayers] = []

    def open(self, paths: Sequence[Path], *, ask: bool = False) -> None:
        """Open files and folders of any kind the program knows.

        Args:
            paths: what was dropped or chosen.
            ask: show the import table even when there is nothing to decide.
        """
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
            self.volumes_found.emit(volumes, ask)

    def take(self, rows: Sequence[ImportItem]) -> None:
        """Read volumes one after the other and add them, as one step that can be undone."""
        wanted = sorted((row for row in rows if row.kept), key=rank)
        if wanted:
            what = wanted[0].header.source if len(wanted) == 1 else f"{len(wanted)} volumes"
            step = ImportLayers(self.session, f"Open {what}")
            self._under_way.append(step)
            self._read_next(wanted, step, pushed=False)

    def stop(self) -> None:
        """Add no more of the volumes that are being read."""
        self._under_way.clear()

    def add(
        self,
        volume: Volume,
        origin: Origin,
        kind: Kind | None = None,
        *,
        undoable: bool = True,
        placement: Placement | None = None,
        step: ImportLayers | None = None,
        replaces: str = "",
        layer_id: str = "",
        labels: Sequence[Label] | None = None,
    ) -> str | None:
        """Add a volume to the case, moved from its header's position if there is a placement.

        Args:
            volume: what to add.
            origin: where it came from.
            kind: what its voxels are; default: guessed.
            undoable: make it a step of its own.
            placement: where it lies instead of where its header says.
            step: the step it is a part of.
            replaces: id of a layer that gives way to it (with ``step``).
            layer_id: the id it gets; default a new one.
            labels: what a label map holds, counted in a thread; default: counted here.

        Returns:
            The layer's id; None when the volume does not belong there (a note says why, with what
            ``offers`` can do about it).
        """
        try:
            matrix = None if placement is None else placement.alignment.matrix
            self._check_place(volume if matrix is None else moved(volume, matrix), replaces)
        except CaseError as error:
            instead = Action(
                "Close this case and open it", lambda: self.instead_wanted.emit(origin.path)
            )
            self.messages.error(str(error), [*self.offers(volume, origin, kind), instead])
            return None
        kind = kind or kind_of(volume, origin)
        if kind is Kind.LABEL:
            volume = replace(volume, modality="")
        name = "" if volume.synthetic else layer_name(volume.modality, volume.source)
        if step is not None and replaces in self.session:
            step.replace(replaces)
        if kind is Kind.LABEL and labels is None:
            labels = labels_of(volume.voxels, label_names(origin.path))
        layer_id = self.session.add_layer(volume, kind, name=name, layer_id=layer_id, labels=labels)
        self.origins[layer_id] = origin
        if placement is not None:
            self.session.place(layer_id, placement)
        if step is not None:
            step.added(layer_id)
        elif undoable:
            self.undo.push(AddLayers(self.session, [layer_id], f"Open {volume.source}"))
        for warning in volume.warnings:
            self.messages.warning(f"{volume.source}: {warning}")
        self.opened.emit(layer_id)
        return layer_id

    def change_kind(self, layer_id: str, kind: Kind) -> None:
        """Show a volume as an image, or as a label map: out and in again, as one step."""
        layer, origin = self.session.layer(layer_id), self.origins.get(layer_id)
        self.undo.beginMacro(f"Show {layer.volume.source or layer.name} as {kind}")
        self.undo.push(RemoveLayers(self.session, [layer_id], "Remove"))
        volume = replace(layer.volume, modality="") if kind is Kind.LABEL else layer.volume
        named = label_names(origin.path) if origin and kind is Kind.LABEL else {}
        labels = labels_of(volume.voxels, named) if kind is Kind.LABEL else None
        made = self.session.add_layer(volume, kind, labels=labels)
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
        self.messages.error(
            f"{path.name}: expected a volume, a folder, a model or a project; found a transform. "
            "Apply it in the program that made it and open the moved volume."
        )

    def _read_next(self, rows: list[ImportItem], step: ImportLayers, *, pushed: bool) -> None:
        """Read one after the other, so that the same folder always looks the same."""
        row, *rest = rows
        header = row.header
        origin = Origin(header.path, header.series, row.reason)

        def read() -> tuple[Volume, Sweep | None, Sequence[Label] | None]:
            volume = _read(header)
            modality = "" if row.modality in (LABEL_MAP, OTHER) else row.modality
            if not row.modality and not row.named_by_user:
                modality = volume.modality
            volume = replace(volume, modality=modality)
            labels = None
            if (_said_kind(row, volume) or kind_of(volume, origin)) is Kind.LABEL:
                labels = labels_of(volume.voxels, label_names(origin.path))
            return volume, find_sweep(volume) if volume.modality in SWEPT else None, labels

        def named(found: tuple[Volume, Sweep | None, Sequence[Label] | None]) -> None:
            if step.undone and step in self._under_way:
                self._under_way.remove(step)
            if step not in self._under_way:
                return
            volume, sweep, labels = found
            kind = _said_kind(row, volume)
            layer_id = self.add(
                volume, origin, kind, step=step, replaces=row.replaces, labels=labels
            )
            if layer_id and sweep is not None and not volume.synthetic:
                look_at(self.session, sweep)
            if several and layer_id and self.session.layer(layer_id).kind is Kind.LABEL:
                # Label maps that come with images would cover them: one click shows them.
                self.session.update_layer(layer_id, visible=False)
            if layer_id and not pushed:
                self.undo.push(step)
            go_on(pushed or layer_id is not None)

        def failed(sentence: str) -> None:
            self.messages.error(sentence)
            go_on(pushed)

        def go_on(pushed: bool) -> None:
            if rest and step in self._under_way:
                self._read_next(rest, step, pushed=pushed)
            elif step in self._under_way:
                self._under_way.remove(step)

        several = bool(rest) or pushed
        self.jobs.submit(f"Reading {header.source}", read, named, failed)

    def _check_place(self, volume: Volume, replaces: str = "") -> None:
        for layer in self.session.layers:
            if layer.kind is Kind.REAL and layer.id != replaces:
                ours = layer.modality or "The volume in the case"
                theirs = volume.modality or "the new volume"
                if ours == theirs:
                    theirs = f"another {theirs}"
                Case("", {ours: layer.volume, theirs: volume}).check_overlap()


def kind_of(volume: Volume, origin: Origin) -> Kind:
    """Guess what a file's voxels are: a label map by name and by holding few whole numbers."""
    if volume.synthetic:
        return Kind.SYNTHETIC
    name = origin.path.name
    if (names_labels(name) or LABEL_NAME.search(name)) and not volume.modality:
        sample = volume.voxels.ravel()[:: max(1, volume.voxels.size // 200_000)]
        if (sample == np.rint(sample)).all() and np.unique(sample).size <= 256:
            return Kind.LABEL
    return Kind.REAL


def _said_kind(row: ImportItem, volume: Volume) -> Kind | None:
    """Return what the user said the voxels are; None leaves it to :func:`kind_of`."""
    if not row.named_by_user or volume.synthetic:
        return None
    return Kind.LABEL if row.modality == LABEL_MAP else Kind.REAL


def _read(header: Header) -> Volume:
    from core.io import read

    return read(header)
