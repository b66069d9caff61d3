"""Look into every case of a cohort and list what is wrong with it, with a way out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from core.case import Case
from core.errors import UserError
from core.intensity import field_of_view, resample
from core.io import read
from core.volume import Volume
from trainer.cohort import CohortCase
from trainer.plan import SWEPT, DataPlan

COARSE = 3.0
"""mm; slices thicker than this hold little of what a 0.5 mm model should learn."""
LITTLE_OVERLAP = 0.5
"""Part of the swept region another modality should cover."""


@dataclass(frozen=True)
class Problem:
    """One line of the table of problems.

    Attributes:
        case: id of the case.
        severity: ``"error"`` (the case is left out), ``"warning"`` or ``"note"``.
        text: what is wrong.
        fix: what to do about it.
    """

    case: str
    severity: str
    text: str
    fix: str


def check_cohort(
    cases: Sequence[CohortCase],
    modalities: tuple[str, ...],
    plan: DataPlan,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> list[Problem]:
    """Read every volume once and report what would spoil the training.

    Raises:
        Nothing for a bad case: that is a line in the table.
    """
    problems: list[Problem] = []
    seen: dict[str, tuple[CohortCase, str]] = {}
    for done, case in enumerate(cases, start=1):
        problems += [
            Problem(case.id, "warning", text, "Rename the file, or take it out of the folder.")
            for text in case.doubts
        ]
        volumes = {}
        for m in (m for m in modalities if m in case.files):
            try:
                volumes[m] = read(case.files[m])
            except UserError as error:
                problems.append(
                    Problem(case.id, "error", str(error), "Replace the file, or remove the case.")
                )
        for m, volume in volumes.items():
            problems += _check_volume(case, m, volume, plan)
            problems += _check_duplicate(case, m, volume, seen)
        problems += _check_pair(case, volumes, modalities)
        if progress:
            progress(done, len(cases))
    return problems


def _check_volume(case: CohortCase, m: str, volume: Volume, plan: DataPlan) -> list[Problem]:
    found = [
        Problem(case.id, "warning", f"{m}: {text}", "Check the file.") for text in volume.warnings
    ]
    thickest = float(volume.grid.spacing.max())
    if thickest > max(COARSE, 2 * max(plan.spacing)):
        found.append(
            Problem(
                case.id,
                "warning",
                f"{m}: voxels of {thickest:.1f} mm, the model works at {max(plan.spacing):g} mm.",
                "Use a finer acquisition if there is one.",
            )
        )
    if m in SWEPT and case.fov is None:
        try:
            part = float(field_of_view(volume).mean())
        except UserError as error:
            return [*found, Problem(case.id, "error", str(error), "Replace the file.")]
        if part < 0.001:
            found.append(
                Problem(
                    case.id,
                    "warning",
                    f"{m}: the field of view is {part:.2%} of the volume.",
                    f"Check the file, or give a mask as {case.id}-fov.nii.gz.",
                )
            )
    return found


def _check_duplicate(
    case: CohortCase, m: str, volume: Volume, seen: dict[str, tuple[CohortCase, str]]
) -> list[Problem]:
    digest = content_hash(volume)
    first, other = seen.setdefault(digest, (case, m))
    if (first.id, other) == (case.id, m):
        return []
    return [
        Problem(
            case.id,
            "error",
            f"{m} has exactly the voxels of {first.id}'s {other}.",
            "Remove one of them: a patient in both training and test makes every score wrong.",
        )
    ]


def content_hash(volume: Volume) -> str:
    """Name a volume by its voxels, in canonical order, so that a renamed copy is recognised."""
    voxels = np.ascontiguousarray(volume.canonical().voxels)
    return hashlib.sha256(repr(voxels.shape).encode() + voxels.tobytes()).hexdigest()


def _check_pair(
    case: CohortCase, volumes: dict[str, Volume], modalities: tuple[str, ...]
) -> list[Problem]:
    missing = [m for m in modalities if m not in case.files]
    found = [
        Problem(
            case.id,
            "note",
            f"no {', '.join(missing)}; the case teaches only what it has",
            f"Add {case.id}-{missing[0]}.nii.gz if there is one.",
        )
        for _ in missing[:1]
    ]
    try:
        Case(case.id, volumes).check_overlap()
    except UserError as error:
        fix = "Register the volumes, or check that they are of one patient."
        return [*found, Problem(case.id, "error", str(error), fix)]
    swept = next((m for m in SWEPT if m in volumes), None)
    for m, volume in volumes.items():
        if swept is None or m == swept:
            continue
        try:
            part = _covered(volumes[swept], volume)
        except UserError:
            continue  # already told by the check of the volume itself
        if part < LITTLE_OVERLAP:
            found.append(
                Problem(
                    case.id,
                    "warning",
                    f"{m} covers {part:.0%} of the {swept}'s field of view.",
                    "Check the registration of this case.",
                )
            )
    return found


def _covered(swept: Volume, other: Volume) -> float:
    """Return the part of the swept region that lies inside another volume's box, at 2 mm."""
    grid = swept.grid.canonical().with_spacing(2.0)
    fov = resample(field_of_view(swept).astype(np.float32), swept.grid, grid) > 0.5
    inside = other.grid.contains(grid.to_world(np.argwhere(fov)))
    return float(inside.mean()) if len(inside) else 0.0
