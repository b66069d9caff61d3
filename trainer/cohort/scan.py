"""Find the cases of a cohort and pair their modalities; nothing is read but names."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.files import replacing
from trainer.errors import TrainerError
from trainer.plan.schema import SWEPT

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".mnc")
FOV = "fov"
EXPECTED = "expected"
"""Last word of a swept modality's companion, see :mod:`trainer.cohort.expected`."""
CACHE = ".mhvae-cache"
"""Folder inside a cohort that holds preprocessed cases."""

ALIASES = {
    "ius": "iUS",
    "us": "iUS",
    "ultrasound": "iUS",
    "t2": "T2",
    "t2w": "T2",
    "t2space": "T2",
    "t1c": "ceT1",
    "t1ce": "ceT1",
    "cet1": "ceT1",
    "flair": "FLAIR",
    "fov": FOV,
    "mask": FOV,
}
"""Words of file names, in small letters → modality. A model's own names are words as well."""


LABELS = frozenset({"label", "labels", "seg", "dseg", "segmentation"})
"""Words of files that lie beside a case without being one of its images."""


@dataclass(frozen=True)
class CohortCase:
    """One case on disk.

    Attributes:
        id: pseudonym, unique in the cohort.
        patient: cases of one patient are never split between training and test.
        files: modality → file, or folder of a DICOM series.
        fov: field-of-view mask, when there is one.
        doubts: sentences about files that could not be placed.
        expected: swept modality → its expected echo, see :mod:`trainer.cohort.expected`.
    """

    id: str
    patient: str
    files: dict[str, Path] = field(default_factory=dict)
    fov: Path | None = None
    doubts: tuple[str, ...] = ()
    expected: dict[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Survey:
    """What a cohort's names tell.

    Attributes:
        cases: sorted by id.
        strays: volumes whose names tell no modality, or one their case has already.
    """

    cases: tuple[CohortCase, ...]
    strays: tuple[Path, ...] = ()


def name_of(modality: str) -> str:
    """Return what a swept modality's companion is called in file names and columns."""
    return f"{modality}-{EXPECTED}"


def scan(source: Path, modalities: tuple[str, ...]) -> list[CohortCase]:
    """List a cohort's cases, sorted by id.

    Understands a flat folder (``Case012-T2.nii.gz``), one folder per case (``Case012/T2.nii.gz``,
    DICOM series in folders), a BIDS-like tree (``sub-01/ses-1/anat/sub-01_T2w.nii.gz``) and a CSV
    with the columns ``case``, one per modality, and optionally ``patient``, ``fov`` and
    ``iUS-expected``; its paths are relative to the CSV. A case needs only one of the modalities.
    ``Case012-iUS-expected.nii.gz`` is the expected echo of the case's ultrasound, not an image.

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
    strays: list[Path] = []
    if source.is_file() and source.suffix.lower() == ".csv":
        cases = _from_csv(source, modalities)
    elif source.is_dir():
        cases = _from_folder(source, modalities, strays)
    else:
        raise TrainerError(
            f"{source.name} is neither a folder of cases nor a CSV that lists them. "
            "Choose the folder that holds the cases."
        )
    cases = [case for case in cases if case.files]
    return Survey(tuple(sorted(cases, key=lambda case: case.id)), tuple(strays))


def _from_folder(root: Path, modalities: tuple[str, ...], strays: list[Path]) -> list[CohortCase]:
    files: dict[str, dict[str, Path]] = {}
    doubts: dict[str, list[str]] = {}
    for path in _volumes(root):
        stem = next((path.name[: -len(s)] for s in SUFFIXES if path.name.endswith(s)), path.name)
        if LABELS & set(re.findall(r"[a-z0-9]+", stem.lower())):
            continue
        kind, rest = _kind(stem, modalities)
        case = _case_name(path.relative_to(root), rest)
        if not case:
            strays.append(path)
            continue
        if not kind:
            strays.append(path)
            doubts.setdefault(case, []).append(f"{path.name}: no modality in its name")
        elif kind in files.setdefault(case, {}):
            strays.append(path)
            doubts.setdefault(case, []).append(
                f"{path.name}: a second {kind}; {files[case][kind].name} is used"
            )
        else:
            files[case][kind] = path
    for stray in [name for name in doubts if not files.get(name)]:
        # A file without a case is told of beside the case whose name it begins with.
        near = [case for case, kinds in files.items() if kinds and stray.startswith(case)]
        near = near or sorted(case for case, kinds in files.items() if kinds)[:1]
        for case in near[:1]:
            doubts.setdefault(case, []).extend(doubts[stray])
    return [
        CohortCase(
            case,
            re.sub(r"_ses-[^_]*$", "", case),
            {m: p for m, p in sorted(kinds.items()) if m in modalities},
            kinds.get(FOV),
            (*doubts.get(case, ()), *_widowed(kinds, modalities)),
            {m: kinds[name_of(m)] for m in SWEPT if {m, name_of(m)} <= kinds.keys()},
        )
        for case, kinds in files.items()
    ]


def _widowed(kinds: dict[str, Path], modalities: tuple[str, ...]) -> list[str]:
    """Tell of expected echoes without the ultrasound they belong to."""
    return [
        f"{kinds[name_of(m)].name}: there is no {m} beside it"
        for m in SWEPT
        if m in modalities and m not in kinds and name_of(m) in kinds
    ]


def _volumes(root: Path) -> Iterator[Path]:
    """Yield volume files and folders of DICOM files, in order, hidden folders left out."""

    def refuse(error: OSError) -> None:
        name = Path(error.filename or root).name
        raise TrainerError(
            f"The folder {name} cannot be read ({error.strerror}). Change its permissions, or take "
            "it out of the cohort."
        ) from error

    for folder, below, names in os.walk(root, onerror=refuse):
        below[:] = sorted(name for name in below if not name.startswith("."))
        here = Path(folder)
        if any(name.lower().endswith(".dcm") for name in names) and here != root:
            below[:] = []
            yield here
            continue
        for name in sorted(names):
            if name.endswith(SUFFIXES) and not name.startswith("."):
                yield here / name


def _kind(stem: str, modalities: tuple[str, ...]) -> tuple[str, str]:
    """Find the last word of a name that names a modality; also return the name without it."""
    words = {**ALIASES, **{m.lower(): m for m in modalities}}
    companion = re.fullmatch(rf"(.*?)([A-Za-z0-9]+)[-_. ]{EXPECTED}", stem, re.IGNORECASE)
    if companion and (swept := words.get(companion[2].lower(), "")) in SWEPT:
        return name_of(swept), companion[1].strip("-_. ")
    wanted = {**{w: m for w, m in words.items() if m in modalities or m == FOV}}
    found = [m for m in re.finditer(r"[A-Za-z0-9]+", stem) if m[0].lower() in wanted]
    if not found:
        return "", stem
    last = found[-1]
    rest = (stem[: last.start()].rstrip("-_. ") + stem[last.end() :]).strip("-_. ")
    return wanted[last[0].lower()], rest


def _case_name(inside: Path, rest: str) -> str:
    if len(inside.parts) == 1:
        return rest
    session = next((p for p in inside.parts[1:-1] if p.startswith("ses-")), "")
    return f"{inside.parts[0]}_{session}" if session else inside.parts[0]


def _from_csv(path: Path, modalities: tuple[str, ...]) -> list[CohortCase]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, ValueError, csv.Error) as error:
        raise TrainerError(f"{path.name} cannot be read as a CSV: {error}.") from error
    if not rows or "case" not in rows[0] or not any(m in rows[0] for m in modalities):
        raise TrainerError(
            f"{path.name} needs a first line with the columns case, {', '.join(modalities)} "
            "(and optionally patient, fov and iUS-expected)."
        )
    cases: dict[str, CohortCase] = {}
    for number, row in enumerate(rows, start=2):
        name = (row["case"] or "").strip()
        if not name or name in cases:
            raise TrainerError(
                f"{path.name}, line {number}: every line needs its own case id; found {name!r}."
            )
        given = {k: path.parent / v.strip() for k, v in row.items() if k and (v or "").strip()}
        files = {m: given[m] for m in modalities if m in given}
        expected = {m: given[name_of(m)] for m in SWEPT if m in files and name_of(m) in given}
        patient = (row.get("patient") or "").strip() or name
        cases[name] = CohortCase(name, patient, files, given.get(FOV), expected=expected)
    return list(cases.values())


def write_csv(cases: Sequence[CohortCase], path: Path, modalities: tuple[str, ...]) -> None:
    """Write cases as a CSV that :func:`scan` reads, with paths relative to it where possible.

    Raises:
        OSError: it cannot be written.
    """
    swept = [m for m in SWEPT if any(m in case.expected for case in cases)]
    names = [FOV] if any(case.fov for case in cases) else []
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["case", "patient", *modalities, *names, *map(name_of, swept)])
        for case in cases:
            files = [case.files.get(m) for m in modalities] + [case.fov for _ in names]
            files += [case.expected.get(m) for m in swept]
            places = [_from(path.parent, file) if file else "" for file in files]
            writer.writerow([case.id, case.patient, *places])


def _from(folder: Path, file: Path) -> str:
    try:
        return Path(os.path.relpath(file, folder)).as_posix()
    except ValueError:  # on another drive
        return str(file)
