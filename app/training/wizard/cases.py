"""The table of cases as the user corrects it: assign, exclude, name patients, scan again; no Qt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from trainer.cohort.case import CohortCase
from trainer.cohort.scan import FOV, Survey


@dataclass(frozen=True)
class Row:
    """One case of the table.

    Attributes:
        id: pseudonym, unique.
        patient: cases of one patient stay in one part of the split.
        files: modality, or ``"fov"`` for a mask → file or DICOM folder.
        used: whether it is part of the cohort.
        group: what the split takes its share of in every part, from a CSV.
    """

    id: str
    patient: str
    files: dict[str, Path] = field(default_factory=dict)
    used: bool = True
    group: str = ""

    def case(self) -> CohortCase:
        """Return the row as the trainer knows it."""
        images = {m: p for m, p in self.files.items() if m != FOV}
        return CohortCase(self.id, self.patient, images, self.files.get(FOV), group=self.group)


@dataclass(frozen=True)
class Table:
    """All cases, and the files that belong to none."""

    rows: tuple[Row, ...] = ()
    strays: tuple[Path, ...] = ()

    def row(self, case: str) -> Row:
        """Return a case by its id."""
        return next(row for row in self.rows if row.id == case)

    def _with(self, changed: Row) -> Table:
        known = [changed if row.id == changed.id else row for row in self.rows]
        return replace(self, rows=tuple(known))

    def use(self, case: str, used: bool) -> Table:
        """Take a case into the cohort or out of it."""
        return self._with(replace(self.row(case), used=used))

    def name_patient(self, case: str, patient: str) -> Table:
        """Say whose case it is; without a name it is its own patient."""
        return self._with(replace(self.row(case), patient=patient.strip() or case))

    def assign(self, case: str, kind: str, file: Path) -> Table:
        """Give a file a place; what was there becomes a stray, and the file leaves its old place.

        A case that is not in the table yet is added.
        """
        rows = [
            replace(row, files={k: p for k, p in row.files.items() if p != file})
            for row in self.rows
        ]
        if case not in {row.id for row in rows}:
            rows = sorted([*rows, Row(case, case)], key=lambda row: row.id)
        old = next(row for row in rows if row.id == case).files.get(kind)
        rows = [
            replace(row, files={**row.files, kind: file}) if row.id == case else row for row in rows
        ]
        strays = [p for p in self.strays if p != file] + ([old] if old else [])
        return Table(tuple(row for row in rows if row.files), tuple(strays))

    def clear(self, case: str, kind: str) -> Table:
        """Take a file out of its place; it becomes a stray."""
        row = self.row(case)
        if kind not in row.files:
            return self
        files = {k: p for k, p in row.files.items() if k != kind}
        table = self._with(replace(row, files=files))
        return replace(table, strays=(*self.strays, row.files[kind]))


@dataclass(frozen=True)
class TableProblem:
    """One problem of a case, seen from names alone.

    Attributes:
        severity: ``"error"``, ``"warning"`` or ``"note"``.
        text: what is wrong, and what to do, in one sentence.
    """

    severity: str
    text: str


def table_of(survey: Survey) -> Table:
    """Return what a scan found."""
    rows = [
        Row(c.id, c.patient, {**c.files, **({FOV: c.fov} if c.fov else {})}, group=c.group)
        for c in survey.cases
    ]
    return Table(tuple(rows), survey.strays)


def merge(scanned: Table, mine: Table, found: Table) -> Table:
    """Return a new scan with the user's corrections kept.

    Args:
        scanned: what the scan before found.
        mine: the same with the user's corrections.
        found: what is there now.
    """
    before = {row.id: row for row in scanned.rows}
    kept = {row.id: row for row in mine.rows if before.get(row.id) != row}
    rows = {row.id: row for row in found.rows}
    # A corrected case stays as corrected, with what has come to it since.
    for case, row in kept.items():
        now = rows.get(case)
        new = {
            k: p
            for k, p in (now.files if now else {}).items()
            if k not in row.files and p not in before.get(case, Row(case, case)).files.values()
        }
        rows[case] = replace(row, files={**row.files, **new})
    taken = {p for row in kept.values() for p in row.files.values()}
    for case, row in rows.items():
        if case not in kept:
            rows[case] = replace(row, files={k: p for k, p in row.files.items() if p not in taken})
    placed = {p for row in rows.values() for p in row.files.values()}
    strays = dict.fromkeys(p for p in (*found.strays, *mine.strays) if p not in placed)
    ordered = sorted((row for row in rows.values() if row.files), key=lambda row: row.id)
    return Table(tuple(ordered), tuple(strays))


def missing_files(table: Table) -> frozenset[Path]:
    """Return the files of a table that are not there; slow on a network."""
    return frozenset(p for row in table.rows for p in row.files.values() if not p.exists())


def table_problems(
    table: Table, modalities: Sequence[str], gone: frozenset[Path] = frozenset()
) -> dict[str, list[TableProblem]]:
    """Return case → what its names alone tell to be wrong.

    Args:
        table: the cases.
        modalities: what the model is to know.
        gone: files that are not there; see :func:`missing_files`.
    """
    owners: dict[Path, list[str]] = {}
    for row in table.rows:
        for path in row.files.values() if row.used else ():
            owners.setdefault(path, []).append(row.id)
    return {
        row.id: _row_problems(row, table.strays, owners, modalities, gone)
        for row in table.rows
        if row.used
    }


def _row_problems(
    row: Row,
    strays: Sequence[Path],
    owners: Mapping[Path, list[str]],
    modalities: Sequence[str],
    gone: frozenset[Path],
) -> list[TableProblem]:
    found = []
    if not any(m in row.files for m in modalities):
        found.append(TableProblem("error", "No image at all; assign a file, or take the case out."))
        return found
    for kind, path in row.files.items():
        if path in gone:
            found.append(
                TableProblem("error", f"{path.name} ({kind}) is not there; choose another file.")
            )
    others = [case for path in row.files.values() for case in owners[path] if case != row.id]
    if others:
        found.append(
            TableProblem(
                "error", f"Shares a file with {others[0]}; give each its own, or take one out."
            )
        )
    missing = [m for m in modalities if m not in row.files]
    if missing:
        near = [p.name for p in strays if p.name.startswith(row.id)]
        hint = f" {near[0]} may be it: assign it." if near else " Assign one if there is one."
        found.append(
            TableProblem(
                "warning", f"No {' and no '.join(missing)}; it teaches only what it has.{hint}"
            )
        )
    return found
