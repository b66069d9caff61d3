"""Which files of a folder belong to one case, and which of them is its T2, its iUS, its mask.

One engine for every command and for the wizard. A file's place follows from names (and, for DICOM,
from its header) by the tables of :mod:`core.io.modality` and :mod:`trainer.cohort.names`; each has
a reason. Where two files could have one place the case has a problem, and nothing is chosen.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.files import shown
from core.io.modality import guess_from_text
from core.modalities import SWEPT
from trainer.cohort.names import (
    AFTER,
    BEFORE,
    DURING,
    EXPECTED,
    FIELD,
    IMAGE,
    LABEL,
    MADE,
    NameParts,
    case_key,
    parse_name,
    patient_of,
)

__all__ = ["EXPECTED", "FOV", "Found", "Group", "name_of", "pair"]

FOV = "fov"
_CONTAINER = re.compile(
    r"(?:train|training|test|testing|val|valid|validation|data|dataset|cases|patients|subjects"
    r"|rawdata|sourcedata|derivatives|images?|imagestr|imagests|nifti|raw)$",
    re.IGNORECASE,
)
"""Folders that hold cases but are none."""
_NAMED = 4
"""Files that a sentence names."""
_SESSION = re.compile(r"ses-|session|visit", re.IGNORECASE)


@dataclass(frozen=True)
class Found:
    """A volume on disk.

    Attributes:
        path: a file, or the folder of a DICOM series.
        inside: the same below the cohort's folder.
        stem: its name without the ending.
        modality: what a DICOM header says it is; empty for other files.
        reason: why.
    """

    path: Path
    inside: Path
    stem: str
    modality: str = ""
    reason: str = ""

    @property
    def shown(self) -> str:
        """What to call it; the name of a DICOM folder may tell a patient and is not given."""
        return "a DICOM series" if self.path.is_dir() else shown(self.path.name)


@dataclass
class Group:
    """The files of one case while they are being placed."""

    id: str
    patient: str
    files: dict[str, Path] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    fov: Path | None = None
    expected: dict[str, Path] = field(default_factory=dict)
    labels: list[Path] = field(default_factory=list)
    strays: list[Path] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Placed:
    found: Found
    told: NameParts
    modalities: tuple[str, ...]
    reason: str
    stage: str
    folder: str  # of the case; empty for a file of a flat folder
    patient: str


def name_of(modality: str) -> str:
    """Return what a swept modality's companion is called in file names and columns."""
    return f"{modality}-{EXPECTED}"


def pair(found: Iterable[Found], modalities: Sequence[str]) -> list[Group]:
    """Place every volume.

    Args:
        found: what lies below the cohort's folder, in a fixed order.
        modalities: the model's.

    Returns:
        The cases, sorted by id. Files of cases without any of the modalities come back as strays of
        a group without files.
    """
    placed = [_read(one, modalities) for one in found]
    groups = [_place(name, files, modalities) for name, files in _grouped(placed)]
    taken = {case_key(g.id) for g in groups if g.files or g.problems}
    return sorted((g for g in groups), key=lambda g: (case_key(g.id) not in taken, g.id))


def _read(found: Found, modalities: Sequence[str]) -> _Placed:
    """Read a file's name, then what its name leaves open from the folders above it."""
    told = parse_name(found.stem, modalities)
    folders = [shown(part) for part in found.inside.parts[:-1]]
    while len(folders) > 1 and _CONTAINER.match(folders[0]):
        folders.pop(0)
    if len(folders) == 1 and _CONTAINER.match(folders[0]):
        folders = []
    case, below = "", list(folders)
    if folders and not parse_name(folders[0], modalities).bare:
        case, below = folders[0], folders[1:]
    session = next((f for f in below if _SESSION.match(f)), "")
    kinds, reason, stage, role = told.modalities, told.reason, told.stage, told.role
    for name in reversed(below):
        above = parse_name(name, modalities)
        if not kinds and above.modalities:
            kinds = above.modalities
            reason = above.reason.replace("its name", "its folder's name")
        stage = stage or above.stage
        role = above.role if role == IMAGE else role
    if found.modality:
        if kinds and found.modality not in kinds:
            kinds = (*kinds, found.modality)
        else:
            kinds, reason = (found.modality,), found.reason
    told = NameParts(role, told.modalities, told.reason, stage, told.lead, told.tail)
    name = f"{case}_{session}" if case and session else case
    return _Placed(found, told, _as_model(kinds, modalities), reason, stage, name, case)


def _as_model(kinds: Sequence[str], modalities: Sequence[str]) -> tuple[str, ...]:
    """Call kinds as the model calls them (``us`` for ``iUS``)."""
    own = {guess_from_text(m, "")[0] or m: m for m in reversed(modalities)}
    return tuple(dict.fromkeys(own.get(kind, kind) for kind in kinds))


def _grouped(placed: Sequence[_Placed]) -> list[tuple[tuple[str, str], list[_Placed]]]:
    """Return (case, patient) → its files."""
    flat: list[_Placed] = []
    folders: dict[str, list[_Placed]] = defaultdict(list)
    for one in placed:
        if one.folder:
            folders[one.folder].append(one)
        else:
            flat.append(one)
    groups = _flat(flat)
    for name, files in folders.items():
        parts = _split_folder(files)
        if parts:
            groups += parts
        else:
            groups.append(((name, patient_of(files[0].patient or name)), files))
    return groups


def _flat(placed: Sequence[_Placed]) -> list[tuple[tuple[str, str], list[_Placed]]]:
    """Group files that lie side by side, by what their names say besides the image."""
    leads: dict[str, list[_Placed]] = defaultdict(list)
    for one in placed:
        name = one.told.lead or one.told.tail
        leads[case_key(name)].append(one)
    groups: dict[str, tuple[str, list[_Placed]]] = {}
    for files in leads.values():
        # What follows the image's name belongs to the case's name only where it tells cases apart.
        tails = {case_key(one.told.tail) for one in files if one.told.lead}
        numbered = len(tails) > 1 and "" not in tails and any(c.isdigit() for t in tails for c in t)
        for one in files:
            lead, tail = one.told.lead, one.told.tail
            name = f"{lead}-{tail}" if numbered and lead and tail else lead or tail
            groups.setdefault(case_key(name), (name, []))[1].append(one)
    return [((name, patient_of(name)), files) for name, files in groups.values()]


def _split_folder(files: list[_Placed]) -> list[tuple[tuple[str, str], list[_Placed]]]:
    """Split a folder that holds several cases, when their names leave no doubt; else nothing."""
    if not _doubled(files):
        return []
    # A folder of one case each below it.
    below = [[shown(part) for part in one.found.inside.parts] for one in files]
    at = next(n for n, part in enumerate(below[0]) if files[0].patient == part)
    if all(len(parts) > at + 2 for parts in below):
        inner: dict[str, list[_Placed]] = defaultdict(list)
        for one, parts in zip(files, below, strict=True):
            inner[parts[at + 1]].append(one)
        named = [parse_name(name, ()) for name in inner]
        if len(inner) > 1 and all(any(c.isdigit() for c in t.lead) for t in named):
            return [
                ((f"{files[0].patient}_{name}", patient_of(f"{files[0].patient}_{name}")), part)
                for name, part in inner.items()
            ]
    # Many cases side by side in it.
    if all(len(parts) == at + 2 for parts in below) and all(
        any(c.isdigit() for c in one.told.lead) for one in files
    ):
        parts_ = _flat(files)
        return parts_ if len(parts_) > 1 else []
    return []


def _doubled(files: Sequence[_Placed]) -> bool:
    seen: set[tuple[str, str]] = set()
    for one in files:
        if one.told.role == IMAGE and len(one.modalities) == 1:
            key = (one.modalities[0], one.stage)
            if key in seen:
                return True
            seen.add(key)
    return False


def _place(name: tuple[str, str], files: Sequence[_Placed], modalities: Sequence[str]) -> Group:
    """Give the files of one case their places."""
    group = Group(*name)
    candidates: dict[str, list[_Placed]] = defaultdict(list)
    fields: list[_Placed] = []
    echoes: list[_Placed] = []
    for one in files:
        path, called = one.found.path, one.found.shown
        if one.told.role == LABEL:
            group.labels.append(path)
        elif one.told.role == MADE:
            group.doubts.append(f"{called}: its name says that a model made it; it was left aside")
        elif one.told.role == FIELD:
            fields.append(one)
        elif one.told.role == EXPECTED and set(one.modalities) & set(SWEPT):
            echoes.append(one)
        elif not one.modalities:
            group.strays.append(path)
            group.doubts.append(f"{called}: no modality in its name")
        elif len(one.modalities) > 1:
            group.strays.append(path)
            if set(one.modalities) & set(modalities):
                group.problems.append(
                    f"{called} may be {' or '.join(one.modalities)}: its names say both"
                )
        else:
            candidates[one.modalities[0]].append(one)
    if len(fields) > 1:
        group.problems.append(f"{len(fields)} files may be its field of view: {_listed(fields)}")
        group.strays += [f.found.path for f in fields]
    elif fields:
        group.fov = fields[0].found.path
    for modality in modalities:
        if modality in candidates:
            _choose(group, modality, candidates[modality])
    _accompany(group, echoes, modalities)
    others = [m for m in candidates if m not in modalities]
    missing = [m for m in modalities if m not in group.files and m not in candidates]
    if missing and (group.files or others):
        group.doubts += [
            f"{one.found.shown} is {m} ({one.reason}), no {missing[0]}; it was left aside"
            for m in others
            for one in candidates[m]
            if m in _ALIKE.get(missing[0], ())
        ]
    return group


def _accompany(group: Group, echoes: Sequence[_Placed], modalities: Sequence[str]) -> None:
    """Put the expected echo beside the ultrasound it belongs to."""
    for modality in SWEPT:
        own = [one for one in echoes if one.modalities == (modality,)]
        if len(own) > 1:
            group.problems.append(
                f"{len(own)} files may be the expected echo of its {modality}: {_listed(own)}"
            )
        elif own and modality in group.files:
            group.expected[modality] = own[0].found.path
        elif own and modality in modalities:
            group.doubts.append(f"{own[0].found.shown}: there is no {modality} beside it")


_ALIKE = {"T2": ("FLAIR", "T2star", "T2map"), "T1": ("ceT1",), "ceT1": ("T1",)}
"""What is taken for one another by mistake, and worth a word when the one is missing."""


def _choose(group: Group, modality: str, files: Sequence[_Placed]) -> None:
    """Take the one file of a modality; of several, the only one from before the opening."""
    chosen = files[0] if len(files) == 1 else None
    if chosen is None:
        early = [one for one in files if one.stage == BEFORE]
        if len(early) == 1 and all(o.stage in (DURING, AFTER) for o in files if o is not early[0]):
            chosen = early[0]
    if chosen is None:
        group.problems.append(f"{len(files)} files may be its {modality}: {_listed(files)}")
        group.strays += [one.found.path for one in files]
        return
    group.files[modality] = chosen.found.path
    group.reasons[modality] = chosen.reason
    for one in files:
        if one is not chosen:
            group.strays.append(one.found.path)
            group.doubts.append(
                f"{one.found.shown}: a second {modality}, taken {_WHEN[one.stage]}; "
                f"{chosen.found.shown} is used, taken before it"
            )
    if chosen.stage in (DURING, AFTER):
        group.doubts.append(
            f"{chosen.found.shown}: the {modality} was taken {_WHEN[chosen.stage]}, by its "
            "name; the brain may have moved since the other images"
        )


def _listed(files: Sequence[_Placed]) -> str:
    names = [one.found.shown for one in files[:_NAMED]]
    more = f" and {len(files) - _NAMED} more" if len(files) > _NAMED else ""
    return ", ".join(names) + more


_WHEN = {DURING: "during the operation", AFTER: "after the dura was opened or tissue removed"}
