"""Look into every case of a cohort and list what is wrong with it, with a way out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from core.case import Case
from core.errors import UserError
from core.image.field_of_view import field_of_view
from core.image.preprocess import measure
from core.image.resample import resample_mask
from core.io import read
from core.modalities import SWEPT, reference_of
from core.volume import Mask, Volume
from trainer.cohort.case import CohortCase
from trainer.cohort.check_copies import Copies
from trainer.cohort.expected import read_expected
from trainer.cohort.pair import SHIFT, SPACING, Fit, fit, picture
from trainer.cohort.scan import names_of
from trainer.errors import TrainerError
from trainer.plan.schema import DataPlan

COARSE = 3.0
"""mm; slices thicker than this hold little of what a 0.5 mm model should learn."""
SMALL = 0.001
"""Part of a volume; a smaller field of view is worth a look."""
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


@dataclass(frozen=True, eq=False)
class CaseCheck:
    """What was found in one case.

    Attributes:
        case: its id.
        problems: what is wrong with it.
        fits: modality → how well it fits the swept one, where that can be said.
        picture: see :func:`trainer.cohort.pair.picture`; ``None`` when nothing could be read.
        sources: modality → name of the file used.
        alike: earlier cases that look like this one's patient under another name.
    """

    case: str
    problems: tuple[Problem, ...]
    fits: Mapping[str, Fit] = field(default_factory=dict)
    picture: NDArray[np.uint8] | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    alike: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether the training will use the case."""
        return not any(p.severity == "error" for p in self.problems)


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
    for done, checked in enumerate(check_cases(cases, modalities, plan), start=1):
        problems += checked.problems
        if progress:
            progress(done, len(cases))
    return problems


def check_cases(
    cases: Sequence[CohortCase],
    modalities: tuple[str, ...],
    plan: DataPlan,
    *,
    pictures: bool = False,
) -> Iterator[CaseCheck]:
    """Check one case after the other, as :func:`check_cohort` does, and look at how it fits.

    Raises:
        Nothing for a bad case.
    """
    seen = Copies()
    for case in cases:
        problems = [
            Problem(case.id, "warning", text, "Rename the file, or take it out of the folder.")
            for text in case.doubts
        ]
        if case.problem:
            fix = "Leave one of the files in the case's folder, or list the cases in a CSV."
            problems.append(Problem(case.id, "error", case.problem, fix))
            yield CaseCheck(case.id, tuple(problems))
            continue
        volumes = {}
        for m in (m for m in modalities if m in case.files):
            try:
                volumes[m] = replace(read(case.files[m]), modality=m)
            except UserError as error:
                problems.append(
                    Problem(case.id, "error", str(error), "Replace the file, or remove the case.")
                )
        for m, volume in volumes.items():
            problems += _check_volume(case, m, volume, plan)
            problems += _check_scale(case, m, volume, plan)
        copied, alike = _check_copies(case, volumes, seen)
        problems += copied + _check_missing(case, modalities)
        fits: dict[str, Fit] = {}
        drawn = None
        if volumes:
            try:
                mask = _view(case, volumes)
            except UserError as error:
                problems.append(Problem(case.id, "error", str(error), "Replace the file."))
            else:
                problems += _check_place(case, volumes, mask)
                problems += _check_expected(case, volumes)
                fits = _fits(volumes, mask)
                problems += _check_fits(case, fits)
                drawn = picture(volumes, modalities, mask) if pictures else None
        yield CaseCheck(case.id, tuple(problems), fits, drawn, names_of(case), alike)


def _view(case: CohortCase, volumes: Mapping[str, Volume]) -> Mask:
    """Return where a case is looked at, on its reference volume's grid: as given, or found.

    Raises:
        UserError: a file cannot be read, or nothing is there to see.
    """
    own = volumes[reference_of(volumes)]
    if case.fov is None or not any(m in volumes for m in SWEPT):
        return field_of_view(own)
    given = read(case.fov)
    mask = resample_mask(given.voxels > 0.5, given.grid, own.grid)
    if not mask.any():
        raise TrainerError(
            f"{case.fov.name} marks no voxel of {own.source}; expected 1 inside the field of view. "
            "Give a mask of this case."
        )
    return mask


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
    return found


def _check_scale(case: CohortCase, m: str, volume: Volume, plan: DataPlan) -> list[Problem]:
    """Look whether a volume's field of view and scale are what they seem."""
    if m in SWEPT and case.fov is not None:
        return []
    try:
        told = measure(volume, plan.percentiles).warnings
    except UserError as error:
        return [Problem(case.id, "error", str(error), "Replace the file.")]
    return [Problem(case.id, "warning", f"{m}: {text}", "Check the file.") for text in told]


def _check_copies(
    case: CohortCase, volumes: Mapping[str, Volume], seen: Copies
) -> tuple[list[Problem], tuple[str, ...]]:
    """Look whether the patient was seen before; return the cases that look alike as well."""
    fix = "Remove one of them: a patient in both training and test makes every score wrong."
    found = [Problem(case.id, "error", text, fix) for text in seen.same(case, volumes)]
    like = [] if found else seen.like()
    fix = (
        "They are kept in one part of the split. If it is one patient, leave one out; if not, "
        "train with data.join_alike=false."
    )
    found += [Problem(case.id, "warning", one.sentence, fix) for one in like]
    return found, tuple(one.first for one in like)


def _check_missing(case: CohortCase, modalities: tuple[str, ...]) -> list[Problem]:
    missing = [m for m in modalities if m not in case.files]
    return [
        Problem(
            case.id,
            "note",
            f"no {', '.join(missing)}; the case teaches only what it has",
            f"Add {case.id}-{missing[0]}.nii.gz if there is one.",
        )
        for _ in missing[:1]
    ]


def _check_place(case: CohortCase, volumes: Mapping[str, Volume], mask: Mask) -> list[Problem]:
    """Look whether the images of a case lie in one place."""
    try:
        Case(case.id, volumes).check_overlap()
    except UserError as error:
        fix = "Align them in the main window and save the result, or leave the case out."
        return [Problem(case.id, "error", str(error), fix)]
    swept = next((m for m in SWEPT if m in volumes), None)
    if swept is None:
        return []
    found = []
    part = float(mask.mean())
    if part < SMALL:
        found.append(
            Problem(
                case.id,
                "warning",
                f"{swept}: the field of view is {part:.2%} of the volume.",
                f"Check the file, or give a mask as {case.id}-fov.nii.gz.",
            )
        )
    for m, volume in volumes.items():
        part = 1.0 if m == swept else _covered(volumes[swept], mask, volume)
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


def _check_expected(case: CohortCase, volumes: Mapping[str, Volume]) -> list[Problem]:
    """Look whether the expected echoes can be what they are to be."""
    found = []
    for m, path in case.expected.items():
        try:
            if m in volumes:
                read_expected(path, volumes[m].canonical())
        except UserError as error:
            found.append(Problem(case.id, "error", str(error), "Write it anew, or remove it."))
    return found


def _covered(swept: Volume, mask: Mask, other: Volume) -> float:
    """Return the part of the swept region that lies inside another volume's box."""
    voxels = np.argwhere(mask)
    voxels = voxels[:: max(1, len(voxels) // 20_000)]
    return float(other.grid.contains(swept.grid.to_world(voxels)).mean())


def _fits(volumes: Mapping[str, Volume], mask: Mask) -> dict[str, Fit]:
    swept = next((m for m in SWEPT if m in volumes), None)
    if swept is None:
        return {}
    found = {m: fit(volumes[swept], v, mask) for m, v in volumes.items() if m != swept}
    return {m: one for m, one in found.items() if one is not None}


def _check_fits(case: CohortCase, fits: Mapping[str, Fit]) -> list[Problem]:
    return [
        Problem(
            case.id,
            "warning",
            f"{m} explains {one.similarity:.0%} of the ultrasound where it lies, and "
            f"{one.moved:.0%} when moved by {SHIFT * SPACING:g} mm.",
            "Look at the overlay: register the volumes again, or reject the case.",
        )
        for m, one in fits.items()
        if not one.best
    ]
