"""What was found among dropped files, and what is to become of each: no widgets, no threads."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from core.io.modality import names_labels
from core.modalities import SWEPT

if TYPE_CHECKING:
    from core.io import Header

KEEP, SKIP = "keep", "skip"
LABEL_MAP, OTHER = "label map", "other"
FEW = 4
"""So many volumes are opened without asking."""
MANY = 12
"""Of more volumes none is kept unless the user says so."""

LABEL_NAME = re.compile(r"seg|label|mask|tissue|(?<![a-z])roi", re.IGNORECASE)
"""File names of label maps, where nothing says that the file is an image."""

Key = tuple[Path, str]
"""Path and series of a volume: the same when it is found again."""


@dataclass(frozen=True)
class ImportItem:
    """One volume that was found.

    Attributes:
        header: what its files say.
        modality: ``"T2"``, …, ``LABEL_MAP``, ``OTHER``, or empty while nobody knows.
        action: ``KEEP``, ``SKIP``, or the id of the layer it replaces.
        named_by_user: whether the user named the modality.
        known: sentence saying that the case holds it already; empty otherwise.
        apart: sentence saying that its positions are not those of the others; empty otherwise.
    """

    header: Header
    modality: str = ""
    action: str = KEEP
    named_by_user: bool = False
    known: str = ""
    apart: str = ""

    @property
    def key(self) -> Key:
        """What names this volume."""
        return self.header.path, self.header.series

    @property
    def usable(self) -> bool:
        """Whether it can be opened at all."""
        return not self.header.problem

    @property
    def kept(self) -> bool:
        """Whether it will be opened."""
        return self.usable and self.action != SKIP

    @property
    def replaces(self) -> str:
        """Id of the layer it replaces; empty for none."""
        return self.action if self.kept and self.action != KEEP else ""

    @property
    def verdict(self) -> str:
        """What there is to say about it, the worst first."""
        header = self.header
        if header.problem:
            return header.problem
        said = [self.known, header.duplicate, *header.remarks, self.apart, *header.warnings]
        found = [sentence for sentence in said if sentence]
        if not found and header.members and header.grid is not None:
            found = [f"{header.grid.shape[2]} slices, evenly spaced."]
        return " ".join(found)

    @property
    def reason(self) -> str:
        """Why the modality was guessed so; empty once the user named it."""
        guessed = self.modality and not self.named_by_user
        if self.modality == LABEL_MAP and guessed:
            return "file name"
        return self.header.modality_reason if guessed else ""


def first_choices(headers: Sequence[Header], known: Mapping[Key, str]) -> list[ImportItem]:
    """Guess what the user wants of each volume.

    Args:
        headers: what was found.
        known: volumes the case holds already, and what they are called there.
    """
    originals = {h.modality for h in headers if not h.problem and not h.nature}
    rows = []
    for header in sorted(headers, key=lambda h: bool(h.problem)):
        held = known.get((header.path, header.series), "")
        aside = header.nature in ("localizer", "projection") or (
            header.nature == "derived" and header.modality in originals
        )
        modality = header.modality
        name = header.path.name
        if not header.members and (
            names_labels(name) or (not modality and LABEL_NAME.search(name))
        ):
            modality = LABEL_MAP
        skip = bool(header.problem or header.duplicate or held or aside)
        in_case = f"The case holds it already, as {held}." if held else ""
        rows.append(ImportItem(header, modality, SKIP if skip else KEEP, known=in_case))
    rows = _say_frames(rows)
    if sum(row.kept for row in rows) > MANY:
        rows = [replace(row, action=SKIP) for row in rows]
    return rows


def _say_frames(rows: Sequence[ImportItem]) -> list[ImportItem]:
    """Say of DICOM volumes whose positions are in another frame of reference than the first's."""
    framed = [row for row in rows if row.kept and row.header.frame]
    if not framed:
        return list(rows)
    first = framed[0].header
    words = (
        f"Its positions are in another frame of reference than those of {first.source}: align it."
    )
    return [
        replace(row, apart=words)
        if row.usable and row.header.frame not in ("", first.frame)
        else row
        for row in rows
    ]


def needs_decision(rows: Sequence[ImportItem]) -> bool:
    """Tell whether there is something to decide before opening."""
    usable = [row for row in rows if row.usable]
    series = [row for row in rows if row.header.members]
    doubt = any(
        row.known
        or row.header.duplicate
        or row.header.nature
        or row.header.remarks
        or not (row.modality or row.header.synthetic)
        for row in usable
    )
    problem = len(usable) < len(rows) and len(rows) > 1
    return doubt or problem or len(usable) > FEW or len(series) > 1


def summary(rows: Sequence[ImportItem]) -> str:
    """Return one line about all rows."""
    kept = sum(row.kept for row in rows)
    bad = sum(not row.usable for row in rows)
    skipped = len(rows) - kept - bad
    parts = [f"{kept} to open", f"{skipped} to skip"]
    if bad:
        parts.append(f"{bad} cannot be used")
    text = ", ".join(parts) + "."
    if not kept and len(rows) - bad > MANY:
        text += f" That is more than {MANY} volumes: say which to keep."
    return text


def size_text(header: Header) -> str:
    """Return voxels and spacing in two lines; empty without a grid."""
    if header.grid is None:
        return ""
    shape = "×".join(str(n) for n in header.grid.shape)
    return f"{shape}\n{'×'.join(f'{s:.3g}' for s in header.grid.spacing)} mm"


def rank(row: ImportItem) -> tuple[bool, bool]:
    """Order volumes for opening: anatomy, then ultrasound, then what nobody can name."""
    return row.modality in ("", LABEL_MAP, OTHER), row.modality in SWEPT
