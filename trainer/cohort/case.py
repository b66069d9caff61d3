"""One case of a cohort: which files on disk belong to one patient's pair."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from trainer.errors import TrainerError


@dataclass(frozen=True)
class CohortCase:
    """One case on disk.

    Attributes:
        id: pseudonym, unique in the cohort; fit for a file's name.
        patient: cases of one patient are never split between training and test.
        files: modality → file, or folder of a DICOM series.
        fov: field-of-view mask, when there is one.
        doubts: sentences about files that could not be placed.
        expected: swept modality → its expected echo, see :mod:`trainer.cohort.expected`.
        problem: sentence saying why the case cannot be used as it lies there; empty when it can.
        labels: maps of labels that lie with the case.
        reasons: modality → what its file was chosen by.
        group: what a split should take its share of in every part (scanner, site …); may be empty.
    """

    id: str
    patient: str
    files: dict[str, Path] = field(default_factory=dict)
    fov: Path | None = None
    doubts: tuple[str, ...] = ()
    expected: dict[str, Path] = field(default_factory=dict)
    problem: str = ""
    labels: tuple[Path, ...] = ()
    reasons: dict[str, str] = field(default_factory=dict, compare=False)
    group: str = ""

    def refuse(self) -> None:
        """Do not let the case be used while nobody can say which of its files are meant.

        Raises:
            TrainerError: it has a problem.
        """
        if self.problem:
            raise TrainerError(self.problem)
