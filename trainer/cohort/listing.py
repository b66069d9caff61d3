"""A cohort listed in a CSV: read whatever a spreadsheet made of it, and write one."""

from __future__ import annotations

import csv
import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.files import replacing
from core.io.modality import guess_from_text
from core.modalities import SWEPT
from trainer.cohort.case import CohortCase
from trainer.cohort.match import FOV, name_of
from trainer.cohort.names import patient_of
from trainer.errors import TrainerError

_LONGEST = 100
"""Letters of a case's id; file names made of it stay within what file systems take."""
GROUP = "group"
"""Column that a split is stratified by."""
_SEPARATORS = (",", ";", "\t", "|")


@dataclass
class Line:
    """One line: a case as :class:`trainer.cohort.scan.CohortCase` has it."""

    id: str
    patient: str
    files: dict[str, Path] = field(default_factory=dict)
    fov: Path | None = None
    expected: dict[str, Path] = field(default_factory=dict)
    group: str = ""


def is_csv(source: Path) -> bool:
    """Tell whether a source is a list of cases."""
    return source.suffix.lower() in (".csv", ".tsv") and source.is_file()


def from_csv(path: Path, modalities: tuple[str, ...]) -> list[Line]:
    """Read a list of cases; columns in any order and letter case, by comma, semicolon or tab.

    Raises:
        TrainerError: not such a list, a case twice, or an id that is no name for a file.
    """
    rows, columns = _rows(path, modalities)
    cases: dict[str, Line] = {}
    for number, row in rows:
        cells = {name: (row[n] if n < len(row) else "").strip() for name, n in columns.items()}
        name = cells["case"]
        if not any(cells.values()):
            continue
        if not name or name in cases:
            raise TrainerError(
                f"{path.name}, line {number}: every line needs its own case id; found {name!r}."
            )
        if wrong := _unfit(name):
            raise TrainerError(
                f"{path.name}, line {number}: the case id {name[:_LONGEST]!r} {wrong}. Results are "
                "named after it: give a short name of letters and digits."
            )
        files = {m: _file(path, cells[m]) for m in modalities if cells.get(m)}
        mask = cells.get(FOV, "")
        patient = cells.get("patient") or patient_of(name)
        expected = {
            m: _file(path, cells[name_of(m)]) for m in SWEPT if m in files and cells.get(name_of(m))
        }
        fov = _file(path, mask) if mask else None
        cases[name] = Line(name, patient, files, fov, expected, cells.get(GROUP, ""))
    return list(cases.values())


def _rows(
    path: Path, modalities: tuple[str, ...]
) -> tuple[list[tuple[int, list[str]]], dict[str, int]]:
    """Return (line number, cells) of each line, and name → column."""
    try:
        text = _text(path)
        lines = text.splitlines()
        skip = 1 if lines and lines[0].lower().startswith("sep=") else 0
        for separator in _SEPARATORS:
            reader = csv.reader(lines[skip:], delimiter=separator, strict=True)
            head = next(reader, [])
            columns = _columns(head, modalities)
            if "case" in columns and any(m in columns for m in modalities):
                return [(skip + reader.line_num, row) for row in reader if row], columns
    except (OSError, ValueError, csv.Error) as error:
        raise TrainerError(f"{path.name} cannot be read as a CSV: {error}.") from error
    raise TrainerError(
        f"{path.name} needs a first line with the columns case, {', '.join(modalities)} "
        "(and optionally patient, group, fov and iUS-expected)."
    )


def _text(path: Path) -> str:
    data = path.read_bytes()
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252")


def _columns(head: Sequence[str], modalities: Sequence[str]) -> dict[str, int]:
    """Return name → column, by the names in any letter case, or what the table of guesses says."""
    named = ("case", "patient", GROUP, FOV, *modalities, *map(name_of, SWEPT))
    known = {name.lower(): name for name in named}
    guessed = {guess_from_text(m, "")[0]: m for m in modalities}
    found: dict[str, int] = {}
    for n, cell in enumerate(head):
        word = cell.strip().lower()
        name = known.get(word) or guessed.get(guess_from_text(word, "")[0] or "?")
        if name is None:
            continue
        if name in found:
            raise ValueError(f"two columns are called {name}")
        found[name] = n
    return found


def _unfit(name: str) -> str:
    """Say why a case's id cannot be part of a file's name; empty when it can."""
    if set(name) & set('/\\:*?"<>|') or name in (".", ".."):
        return "leads to another folder or is no file name"
    if name.startswith((".", "-")) or name != name.strip():
        return "begins or ends with a sign that file names should not have"
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in name):
        return "holds signs that cannot be shown"
    return "is too long" if len(name.encode("utf-8", "replace")) > _LONGEST else ""


def _file(listed: Path, cell: str) -> Path:
    """Return the file that a cell names; a list from another system may have its own slashes."""
    place = listed.parent / cell
    other = listed.parent / cell.replace("\\", "/")
    return other if "\\" in cell and not place.exists() and other.exists() else place


def write_csv(cases: Sequence[CohortCase], path: Path, modalities: tuple[str, ...]) -> None:
    """Write cases as a CSV that :func:`from_csv` reads, with paths relative to it where possible.

    Raises:
        OSError: it cannot be written.
    """
    swept = [m for m in SWEPT if any(m in case.expected for case in cases)]
    names = [FOV] if any(case.fov for case in cases) else []
    grouped = any(case.group for case in cases)
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        head = ["case", "patient", *([GROUP] if grouped else [])]
        writer.writerow([*head, *modalities, *names, *map(name_of, swept)])
        for case in cases:
            files = [case.files.get(m) for m in modalities] + [case.fov for _ in names]
            files += [case.expected.get(m) for m in swept]
            places = [_from(path.parent, file) if file else "" for file in files]
            writer.writerow([case.id, case.patient, *([case.group] if grouped else []), *places])


def _from(folder: Path, file: Path) -> str:
    try:
        return Path(os.path.relpath(file, folder)).as_posix()
    except ValueError:  # on another drive
        return str(file)
