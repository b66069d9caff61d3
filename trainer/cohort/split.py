"""Split a cohort by patient, once: the draw is written down and kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from core.files import write_text
from trainer.cohort.case import CohortCase
from trainer.cohort.pairs import paired
from trainer.errors import TrainerError
from trainer.plan.schema import DataPlan

PARTS = ("training", "validation", "test")

Split = dict[str, list[str]]
"""Part → ids of its cases."""


def draw(
    cases: Sequence[CohortCase], plan: DataPlan, placed: Mapping[str, str] | None = None
) -> Split:
    """Deal patients to parts by a seeded hash of their name.

    The hash makes a patient's place independent of who else is in the cohort, but parts may then
    be empty by chance in a small cohort: the patients nearest to a part's range fill it. Test and
    validation take patients with a pair first, for nothing can be judged by the others, and from
    every group (scanner, site …) its share.

    Args:
        cases: to be dealt.
        plan: seed, and the shares of validation and test.
        placed: patient → part, for those that were placed by hand; they count towards the shares.
    """
    by_hand = {c.patient: placed[c.patient] for c in cases if placed and c.patient in placed}
    patients = _in_order(cases, plan.split_seed)
    tests = round(len(patients) * plan.test)
    held = round(len(patients) * plan.validation)
    if len(patients) >= 3:
        tests = max(tests, 1 if plan.test else 0)
        held = max(held, 1 if plan.validation else 0)
    tests = min(tests, len(patients) - 1)
    held = min(held, len(patients) - 1 - tests)
    tests = max(0, tests - list(by_hand.values()).count("test"))
    held = max(0, held - list(by_hand.values()).count("validation"))
    part_of = {
        p: "test" if n < tests else "validation" if n < tests + held else "training"
        for n, p in enumerate(p for p in patients if p not in by_hand)
    }
    part_of |= by_hand
    return {part: [c.id for c in cases if part_of[c.patient] == part] for part in PARTS}


def _in_order(cases: Sequence[CohortCase], seed: int) -> list[str]:
    """Return the patients in the order they are held out."""
    whole = {c.patient for c in cases if paired(c)}
    groups: dict[tuple[bool, str], list[str]] = {}
    group_of = {c.patient: c.group for c in cases}
    for patient in sorted(group_of, key=lambda p: _place(p, seed)):
        groups.setdefault((patient not in whole, group_of[patient]), []).append(patient)
    # The n-th of a group's N patients has the turn n / N, so every group goes down evenly.
    turns = [
        (kind[0], (n + 0.5) / len(members), _place(patient, seed), patient)
        for kind, members in groups.items()
        for n, patient in enumerate(members)
    ]
    return [patient for *_, patient in sorted(turns)]


def _place(patient: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}:{patient}".encode()).hexdigest()


def locked_split(path: Path, cases: Sequence[CohortCase], plan: DataPlan) -> Split:
    """Return the split written in ``path``, or draw and write one.

    Cases that came to the cohort since join the training part, unless their patient is held out
    already: then they follow their patient. Nothing ever leaves validation or test.

    Raises:
        TrainerError: the file is damaged, or a patient is in two parts.
    """
    if not path.exists():
        split = draw(cases, plan)
    else:
        split = read_split(path)
        known = {case: part for part in PARTS for case in split[part]}
        patients = {c.patient: known[c.id] for c in cases if c.id in known}
        for case in cases:
            if case.id not in known:
                split[patients.get(case.patient, "training")].append(case.id)
    check_leakage(cases, split)
    write_text(path, json.dumps(split, indent=1))
    return split


def read_split(path: Path) -> Split:
    """Read a split that was written, by a run or by hand: part → ids of its cases.

    Raises:
        TrainerError: it cannot be read, or a case is in two parts.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        split = {part: [str(case) for case in found[part]] for part in PARTS}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainerError(
            f"{path.name} is damaged or no split ({error}). Expected JSON with the lists "
            f"{', '.join(PARTS)}; restore it, or choose another file."
        ) from error
    seen: dict[str, str] = {}
    for part in PARTS:
        for case in split[part]:
            if seen.setdefault(case, part) != part:
                raise TrainerError(
                    f"{path.name} has the case {case} in both {seen[case]} and {part}; take it out "
                    "of one."
                )
    return split


def placed_by(split: Split, cases: Sequence[CohortCase]) -> dict[str, str]:
    """Return patient → part as a split has it, for the cases it names.

    Raises:
        TrainerError: a patient is in two parts, or it names none of the cases.
    """
    check_leakage(cases, split)
    part_of = {case: part for part in PARTS for case in split[part]}
    placed = {c.patient: part_of[c.id] for c in cases if c.id in part_of}
    if not placed:
        raise TrainerError(
            "The split names none of these cases. Choose the one that belongs to this cohort."
        )
    return placed


def check_leakage(cases: Sequence[CohortCase], split: Split) -> None:
    """Refuse a split with one patient in two parts.

    Raises:
        TrainerError: names the patient.
    """
    seen: dict[str, str] = {}
    part_of = {case: part for part in PARTS for case in split[part]}
    for case in cases:
        part = part_of.get(case.id)
        if part and seen.setdefault(case.patient, part) != part:
            raise TrainerError(
                f"Patient {case.patient} is in both {seen[case.patient]} and {part}. "
                "All cases of a patient must be in one part."
            )
