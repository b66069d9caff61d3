"""The cases of a cohort, found in a folder or listed in a CSV; no voxels are read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.errors import UserError
from core.files import shown
from core.io import ENDINGS
from core.io.sniff import first_bytes, sniff
from trainer.cohort.case import CohortCase
from trainer.cohort.listing import from_csv, is_csv, write_csv
from trainer.cohort.match import EXPECTED, FOV, Found, Group, name_of, pair
from trainer.cohort.names import parse_name
from trainer.errors import TrainerError

__all__ = [
    "CACHE", "DERIVED", "EXPECTED", "FOV", "SUFFIXES", "CohortCase", "Survey", "name_of",
    "names_of", "no_cases", "scan", "survey", "write_csv",
]  # fmt: skip

SUFFIXES = ENDINGS
CACHE = ".mhvae-cache"
"""Folder inside a cohort that holds preprocessed cases."""
DERIVED = "mhvae-studio"
"""Folder inside ``derivatives`` of a BIDS data set that holds what was synthesised from it."""
_DICOM = (".dcm", ".ima")
_NOT_IMAGES = (
    ".json", ".txt", ".csv", ".tsv", ".md", ".pdf", ".png", ".jpg", ".jpeg", ".xml", ".html",
    ".htm", ".log", ".tfm", ".h5", ".mat", ".xfm", ".zip", ".gz", ".doc", ".docx", ".xlsx", ".exe",
    ".inf", ".ini", ".py", ".raw", ".zraw", ".bval", ".bvec", ".fcsv", ".tag", ".mrb", ".vtk",
)  # fmt: skip
_PEEK = 4
"""Files of unknown ending that are looked into before a folder is taken for no DICOM series."""
_LINK = 1024
"""A link that was copied as a text file is no longer than this."""


@dataclass(frozen=True)
class Survey:
    """What a cohort's names tell.

    Attributes:
        cases: sorted by id.
        strays: volumes whose names tell no modality, or one their case has already.
    """

    cases: tuple[CohortCase, ...]
    strays: tuple[Path, ...] = ()


def names_of(case: CohortCase) -> dict[str, str]:
    """Return modality (and ``fov``) → name of the file used, without folders, for every output."""
    files = {**case.files, **({FOV: case.fov} if case.fov else {})}
    files |= {name_of(m): path for m, path in case.expected.items()}
    return {m: _name(path) for m, path in files.items()}


def _name(path: Path) -> str:
    """Return a file's name; of a DICOM folder, whose name may tell a patient, that it is one."""
    if not path.is_dir():
        return shown(path.name)
    names = sorted(shown(entry.name) for entry in path.iterdir() if not entry.name.startswith("."))
    return f"DICOM series of {len(names)} files from {names[0]}" if names else "DICOM series"


def scan(source: Path, modalities: tuple[str, ...]) -> list[CohortCase]:
    """List a cohort's cases, sorted by id.

    Understands a flat folder (``Case012-T2.nii.gz``), one folder per case (``Case012/T2.nii.gz``,
    ReMIND's ``Case012/Preop-MR/…``, DICOM series in folders), a BIDS-like tree
    (``sub-01/ses-1/anat/sub-01_T2w.nii.gz``) and a CSV with the columns ``case``, one per modality,
    and optionally ``patient``, ``fov`` and ``iUS-expected``; its paths are relative to the CSV. A
    case needs only one of the modalities. ``Case012-iUS-expected.nii.gz`` is the expected echo of
    the case's ultrasound, not an image. Links to folders are followed. What ``synthesize --bids``
    made of the cohort is passed over.

    Raises:
        TrainerError: the source is missing, cannot be read, or holds no case.
    """
    found = survey(source, modalities)
    if not found.cases:
        raise TrainerError(no_cases(source, modalities))
    return list(found.cases)


def no_cases(source: Path, modalities: tuple[str, ...]) -> str:
    """Say that a source holds no cases, and what was expected."""
    return (
        f"{source.name} holds no cases. Expected files like Case001-{modalities[0]}.nii.gz "
        f"beside Case001-{modalities[-1]}.nii.gz, or a folder per case with files like "
        f"{modalities[0]}.nii.gz in it."
    )


def survey(source: Path, modalities: tuple[str, ...]) -> Survey:
    """List a cohort's cases as :func:`scan` does, and the volumes that found no place.

    Raises:
        TrainerError: the source is missing or cannot be read. No cases are no error here.
    """
    if is_csv(source):
        listed = [CohortCase(**vars(line)) for line in from_csv(source, modalities)]
        cases = [case for case in listed if case.files]
        return Survey(tuple(sorted(cases, key=lambda case: case.id)))
    if source.is_dir():
        return _from_folder(source, modalities)
    if not source.exists():
        raise TrainerError(
            f"{source.name}: expected a folder of cases or a CSV that lists them; there is none. "
            "Check the name; if the cases were moved, say where they are now, for a run that has "
            "begun with mhvae-studio train --resume --out RUN --set cohort=FOLDER."
        )
    raise TrainerError(
        f"{source.name} is neither a folder of cases nor a CSV that lists them. "
        "Choose the folder that holds the cases."
    )


def _from_folder(root: Path, modalities: tuple[str, ...]) -> Survey:
    remarks: list[str] = []
    groups = pair(_volumes(root, remarks), modalities)
    if len(groups) == 1 and not groups[0].id:  # T2.nii.gz, iUS.nii.gz: the folder is the case
        groups[0].id = groups[0].patient = root.resolve().name or "case"
    usable = [g for g in groups if g.id and (g.files or g.problems)]
    rest = [g for g in groups if g not in usable]
    for stray in (g for g in rest if g.doubts and usable):
        # A file without a case is told of beside the case whose name it begins with.
        near = [g for g in usable if stray.id and stray.id.startswith(g.id)]
        (near or usable)[0].doubts += stray.doubts
    if usable:
        usable[0].doubts += remarks
    strays = [path for g in groups for path in g.strays]
    strays += [path for g in rest for path in g.files.values()]
    return Survey(tuple(_case(group) for group in usable), tuple(strays))


def _case(group: Group) -> CohortCase:
    problem = ""
    if group.problems:
        problem = (
            f"{group.id}: {'; '.join(group.problems)}. Nothing was chosen: leave one, or list the "
            "files in a CSV."
        )
    return CohortCase(
        group.id,
        group.patient,
        dict(sorted(group.files.items())),
        group.fov,
        tuple(group.doubts),
        group.expected,
        problem,
        tuple(group.labels),
        dict(sorted(group.reasons.items())),
    )


def _volumes(root: Path, remarks: list[str]) -> Iterator[Found]:
    """Yield volume files and folders of DICOM files, in order, hidden folders left out.

    Args:
        root: the cohort.
        remarks: sentences about what was passed over are added here.
    """
    yield from _below(root, Path(), {root.resolve()}, remarks)


def _below(folder: Path, inside: Path, seen: set[Path], remarks: list[str]) -> Iterator[Found]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(Path(entry.path) for entry in found)
    except OSError as error:
        raise TrainerError(
            f"The folder {folder.name} cannot be read ({error.strerror}). Change its permissions, "
            "or take it out of the cohort."
        ) from error
    entries = [entry for entry in entries if not entry.name.startswith(".")]
    files = [entry for entry in entries if not entry.is_dir()]
    slices = _dicom(files)
    if slices and inside.parts and not _own_volumes(slices):
        modality, reason = _told_by_header(slices[0], folder.name)
        yield Found(folder, inside, shown(folder.name), modality, reason)
        return
    for file in files:
        ending = next((s for s in SUFFIXES if file.name.lower().endswith(s)), "")
        if ending and file.exists():
            yield Found(file, inside / file.name, shown(file.name[: -len(ending)]))
        elif ending:
            remarks.append(f"{shown(file.name)} is a link to a file that is not there")
        elif file in slices and parse_name(file.stem, ()).modalities:
            modality, reason = _told_by_header(file, file.stem)
            yield Found(file, inside / file.name, shown(file.stem), modality, reason)
        elif _written_link(file):
            remarks.append(
                f"{shown(file.name)} is a link to a folder that was copied as text; copy the "
                "folder itself"
            )
    for below in (entry for entry in entries if entry.is_dir()):
        if below.name == DERIVED and folder.name == "derivatives":
            continue
        real = below.resolve()
        if real in seen or any(real == r or real in r.parents for r in seen):
            remarks.append(
                f"{shown(below.name)} is a link to a folder that is in the cohort already"
            )
            continue
        seen.add(real)
        yield from _below(below, inside / below.name, seen, remarks)


def _dicom(files: list[Path]) -> list[Path]:
    """Return the files that are DICOM images by their names, or, without an ending, inside."""
    named = [file for file in files if file.name.lower().endswith(_DICOM)]
    if named:
        return named
    left = [
        file
        for file in files
        if not file.name.lower().endswith((*SUFFIXES, *_NOT_IMAGES))
        and file.name.upper() != "DICOMDIR"
    ]
    return left if any(_is_dicom(file) for file in left[:_PEEK]) else []


def _is_dicom(file: Path) -> bool:
    try:
        return file.is_file() and sniff(first_bytes(file), file) == "dicom"
    except OSError:
        return False


def _own_volumes(files: list[Path]) -> bool:
    """Tell whether some files are volumes of their own (several frames each), not slices."""
    from core.io.dicom_tags import read_tags

    if not 1 < len(files) <= 2 * _PEEK:
        return False
    try:
        images = [read_tags(file) for file in files]
    except (OSError, UserError):
        return False
    return all(image is not None and image.frames > 1 for image in images)


def _told_by_header(file: Path, place: str) -> tuple[str, str]:
    """Return what one image's header says about its modality; nothing when it is damaged."""
    from core.io.dicom_tags import read_tags
    from core.io.modality import guess_from_dicom

    try:
        image = read_tags(file)
    except (OSError, UserError):
        return "", ""
    return guess_from_dicom(image, place) if image else ("", "")


def _written_link(file: Path) -> bool:
    """Tell whether a small text file names a folder, as a link copied without its nature does."""
    try:
        if not file.is_file() or not 0 < file.stat().st_size <= _LINK:
            return False
        text = file.read_text(encoding="utf-8")
        target = file.parent / text.strip()
        one_line = len(text.splitlines()) == 1 and os.sep in text
        return one_line and target.is_dir()
    except (OSError, ValueError):
        return False
