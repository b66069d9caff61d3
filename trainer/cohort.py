"""Find the cases of a cohort folder and pair their modalities."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from trainer.errors import TrainerError

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")


@dataclass(frozen=True)
class CohortCase:
    """One case on disk.

    Attributes:
        id: pseudonym, unique in the cohort.
        patient: cases of one patient are never split between training and test.
        files: modality → file.
        fov: field-of-view mask, when there is one.
    """

    id: str
    patient: str
    files: dict[str, Path] = field(default_factory=dict)
    fov: Path | None = None


def scan(folder: Path, modalities: tuple[str, ...]) -> list[CohortCase]:
    """List the cases of a flat folder of ``CASE-MODALITY.nii.gz`` files, sorted by id.

    ``CASE-fov.nii.gz`` is the case's field of view. Files of other names are left alone.

    Raises:
        TrainerError: the folder is missing or holds no case.
    """
    if not folder.is_dir():
        raise TrainerError(f"The cohort folder {folder.name} does not exist.")
    names = {m.lower(): m for m in (*modalities, "fov")}
    pattern = re.compile(r"(?P<case>.+)[-_](?P<kind>" + "|".join(map(re.escape, names)) + ")", re.I)
    found: dict[str, CohortCase] = {}
    for path in sorted(folder.iterdir()):
        stem = next((path.name[: -len(s)] for s in SUFFIXES if path.name.endswith(s)), None)
        match = pattern.fullmatch(stem) if stem else None
        if match is None:
            continue
        case = match["case"]
        kind = names[match["kind"].lower()]
        old = found.get(case, CohortCase(case, case))
        if kind == "fov":
            found[case] = CohortCase(case, case, old.files, path)
        else:
            found[case] = CohortCase(case, case, {**old.files, kind: path}, old.fov)
    cases = [case for case in found.values() if case.files]
    if not cases:
        raise TrainerError(
            f"{folder.name} holds no cases. Expected files like Case001-{modalities[0]}.nii.gz "
            f"beside Case001-{modalities[-1]}.nii.gz."
        )
    return cases
