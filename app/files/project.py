"""The project file: a case, how it was looked at, and its results, as one small JSON file.

Volumes stay where they are; paths are relative to the project file. Results lie as files of their
own in a folder beside it. No Qt in here.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from app.files.project_alignment import pairs_of, placement_of
from app.state.record import Result, new_id
from app.state.values import COLORMAPS, DEFAULT_COLORMAPS, Kind, Label
from core.errors import UserError
from core.files import write_text
from core.grid import Grid, GridError
from core.registration.alignment import AlignError
from core.schema import rebuilt
from core.version import __version__

SCHEMA = 3
"""1: no alignments and no landmarks. 2: one result a modality, without an id; see ``older``."""
SUFFIX = ".mhvae.json"
RESULT_KINDS = (Kind.SYNTHETIC, Kind.DIFFERENCE, Kind.SIGMA)
RESULTS = "-results"
"""A project ``NAME.mhvae.json`` keeps its results in the folder ``NAME-results``."""


class ProjectError(UserError):
    """A project file that cannot be written or used."""


_ZOOM = (1e-3, 1e4)
_ANY = Grid((1, 1, 1), np.eye(4))


@dataclass(frozen=True)
class Entry:
    """One layer of the case.

    Attributes:
        path: file or folder; relative to the project file in JSON, absolute in memory.
        series: key of a DICOM series inside; empty for other files.
        kind, name, modality, visible, available, colormap, window, opacity: as in ``Layer``.
        marks: provenance of a synthetic volume; empty for a real one.
        metrics, subset: of a synthetic volume, in projects before format 3.
        alignment: how it was moved from its header's position, see :func:`described`; empty where
            it was not.
        id: names the layer inside the project.
        result: id of the result it belongs to; empty for others.
        sample: as in ``Layer``.
        outline: as in ``Layer``.
        last_given: whether it was the last of its modality that was an input.
        labels: as in ``Layer``.
    """

    path: Path
    series: str = ""
    kind: Kind = Kind.REAL
    name: str = ""
    modality: str = ""
    visible: bool = True
    available: bool = True
    colormap: str = "gray"
    window: tuple[float, float] = (0.0, 1.0)
    opacity: float = 1.0
    marks: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    subset: tuple[str, ...] = ()
    alignment: Mapping[str, Any] = field(default_factory=dict)
    id: str = ""
    result: str = ""
    sample: int = 0
    outline: bool = True
    last_given: bool = False
    labels: tuple[Label, ...] = ()


@dataclass(frozen=True)
class Project:
    """A case as saved.

    Attributes:
        name: pseudonymous id.
        entries: the layers, in the order of the Case panel.
        active: index of the active layer; -1 for none.
        cursor: RAS mm.
        zoom: of the linked views.
        pan: RAS mm.
        display: ``Display.to_dict``.
        synthesis: ``Form.to_dict``, the model by its name.
        results: ``Result.to_dict`` of every result.
        current: id of the result the viewers are about; empty for the newest.
        columns, counterpart, reference: chosen layers by their ids; empty where automatic.
        rulers: measured distances, each two RAS mm positions.
        aligning: indices of the entries that move and stay in the Align panel; -1 for none.
        landmarks: point pairs between two entries, see :func:`described_pairs`.
        program: version that wrote it.
    """

    name: str = ""
    entries: tuple[Entry, ...] = ()
    active: int = -1
    cursor: tuple[float, float, float] = (0.0, 0.0, 0.0)
    zoom: float = 1.0
    pan: tuple[float, float, float] = (0.0, 0.0, 0.0)
    display: Mapping[str, Any] = field(default_factory=dict)
    synthesis: Mapping[str, Any] = field(default_factory=dict)
    aligning: tuple[int, int] = (-1, -1)
    landmarks: tuple[Mapping[str, Any], ...] = ()
    results: tuple[Mapping[str, Any], ...] = ()
    current: str = ""
    columns: tuple[str, ...] = ()
    counterpart: str = ""
    reference: str = ""
    rulers: tuple[Any, ...] = ()
    program: str = __version__


def results_folder(path: Path) -> Path:
    """Return the folder of a project's results."""
    return path.with_name(path.name.removesuffix(SUFFIX) + RESULTS)


def save(project: Project, path: Path) -> Path:
    """Write beside the target and move into place.

    Raises:
        ProjectError: the folder cannot be written to.
    """
    if not path.name.endswith(SUFFIX):
        path = path.with_name(path.name.removesuffix(".json") + SUFFIX)
    values = asdict(project)
    for entry in values["entries"]:
        entry["path"] = _relative(entry["path"], path.parent)
    text = json.dumps({"schema": SCHEMA, **values}, indent=1, sort_keys=True)
    try:
        write_text(path, text)
    except OSError as error:
        raise ProjectError(
            f"{path.name}: the project could not be written ({error.strerror}). Choose a folder "
            "you may write to, with free space."
        ) from error
    return path


def load(path: Path) -> Project:
    """Read a project; entries' paths come back absolute, whether or not the files exist.

    Raises:
        ProjectError: missing, not a project, damaged, or written by a newer program.
    """
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise ProjectError(f"{path.name}: expected a project file; it is a folder, pipe or device.")
    try:
        values = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
        schema = values.pop("schema")
    except OSError as error:
        raise ProjectError(
            f"{path.name}: the project could not be read ({error.strerror}). Check the path."
        ) from error
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise ProjectError(
            f"{path.name}: expected an MHVAE Studio project, found another or a damaged file "
            f"({error}). Open the volumes one by one instead."
        ) from error
    if not isinstance(schema, int) or not 1 <= schema <= SCHEMA:
        raise ProjectError(
            f"{path.name}: the project has format version {schema}; this program reads up to "
            f"version {SCHEMA}. Update MHVAE Studio to open it."
        )
    try:
        entries = [_found(e, path.parent) for e in values["entries"]]
        project = _usable(rebuilt(Project, {**values, "entries": entries}))
        if schema < SCHEMA:
            project = older(project)
        for entry in project.entries:
            placement_of(entry.alignment, _ANY)
        for result in project.results:
            Result.from_dict(result)
        for found in project.landmarks:
            pairs_of(found)
            int(found["moving"]) + int(found["fixed"])
        return project
    except (
        TypeError, ValueError, KeyError, AttributeError, OverflowError, AlignError, GridError,
    ) as error:  # fmt: skip
        raise ProjectError(
            f"{path.name}: the project is damaged ({error}). Open the volumes one by one instead."
        ) from error


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number")


def _usable(project: Project) -> Project:
    """Return a project that can be shown.

    Raises:
        ValueError: a number by which nothing can be drawn.
    """
    shown = [*project.cursor, *project.pan, *(n for e in project.entries for n in e.window)]
    shown += [e.opacity for e in project.entries]
    if not all(math.isfinite(n) for n in shown):
        raise ValueError("a number is too large")
    if not _ZOOM[0] <= project.zoom <= _ZOOM[1]:
        raise ValueError(f"zoom: expected {_ZOOM[0]:g} to {_ZOOM[1]:g}, got {project.zoom:g}")
    # A map of a later version is no reason to lose the case.
    entries = tuple(
        e if e.colormap in COLORMAPS else replace(e, colormap=DEFAULT_COLORMAPS.get(e.kind, "gray"))
        for e in project.entries
    )
    return replace(project, entries=entries)


def older(project: Project) -> Project:
    """Give the results of a project before format 3 ids and records, as far as they are known."""
    results: dict[str, Result] = {}
    for entry in project.entries:
        if entry.kind == Kind.SYNTHETIC:
            marks = entry.marks
            results[entry.modality] = Result(
                id=new_id(),
                number=len(results) + 1,
                target=entry.modality,
                kind=str(marks.get("kind", "synthesis")),
                subset=tuple(str(m) for m in entry.subset),
                metrics=entry.metrics,
                provenance=marks,
                model=str(dict(marks.get("model", {})).get("name", "")),
                temperature=float(marks.get("temperature", 0.0)),
                seed=int(marks.get("seed", 0)),
                samples=int(marks.get("samples", 1)),
            )
    entries = []
    for entry in project.entries:
        result = results.get(entry.modality) if entry.kind in RESULT_KINDS else None
        if result is not None:
            entry = replace(entry, id=result.row(entry.kind), result=result.id)
        entries.append(entry)
    ids = [e.id for e in entries]
    entries = [replace(e, id="") if e.id in ids[:n] else e for n, e in enumerate(entries)]
    described = tuple(r.to_dict() for r in results.values())
    return replace(project, entries=tuple(entries), results=described)


def _found(values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return an entry's values with its path made absolute."""
    return {**values, "path": os.path.normpath(folder.resolve() / str(values["path"]))}


def _relative(path: Path, folder: Path) -> str:
    """Return a path relative to a folder with forward slashes (absolute across Windows drives)."""
    try:
        return Path(os.path.relpath(path, folder.resolve())).as_posix()
    except ValueError:
        return path.as_posix()
