"""From a plan to the tiles of a run: scan, split, preprocess, sample."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.files import write_text
from trainer.cohort.cache import CachedCase, cache_cases, drop_duplicates
from trainer.cohort.case import CohortCase
from trainer.cohort.likeness import alike, joined
from trainer.cohort.pairs import doubts as pair_doubts
from trainer.cohort.pairs import no_pairs, pairs_in
from trainer.cohort.scan import CACHE, names_of, scan
from trainer.cohort.split import PARTS, Split, locked_split, read_split
from trainer.errors import TrainerError
from trainer.loop.tiles import Batch, TileSampler, fixed_tiles
from trainer.plan.schema import Plan
from trainer.run.environment import usable_cores
from trainer.run.folder import RunFolder

FILES = "files.json"
"""Beside ``split.json``: the names of the files of every case."""

SEEN = 8
"""Training slices that are scored beside the held-out ones."""
WORKERS = 4
"""Threads that preprocess cases."""


def cache_folder(source: Path, cases: Sequence[CohortCase] = ()) -> Path:
    """Return where a cohort's preprocessed cases are kept.

    ``$MHVAE_STUDIO_CACHE``; else a hidden folder in the cohort that was named; else the user's
    cache folder. For a CSV the cohort is the folder that holds the files of its ``cases``, wherever
    the CSV lies, so that several lists of one folder share a cache. Nobody named that folder, so a
    cache is used there, but never begun.
    """
    given = os.environ.get("MHVAE_STUDIO_CACHE")
    if given:
        return Path(given)
    beside = source if source.is_dir() else _common(cases) or source.parent
    if (source.is_dir() or (beside / CACHE).is_dir()) and os.access(beside, os.W_OK):
        return beside / CACHE
    from platformdirs import user_cache_path

    name = hashlib.sha256(str(beside.resolve()).encode()).hexdigest()[:16]
    return user_cache_path("mhvae-studio", appauthor=False) / "cohorts" / name


def _common(cases: Sequence[CohortCase]) -> Path | None:
    """Return the folder that holds all files of some cases, unless that is a whole disk."""
    files = [os.path.abspath(file) for case in cases for file in case.files.values()]
    try:
        folder = Path(os.path.commonpath(files)) if files else None
    except ValueError:  # on several drives
        return None
    if folder is not None and not folder.is_dir():
        folder = folder.parent
    return None if folder is None or folder == Path(folder.anchor) else folder


@dataclass(frozen=True)
class Data:
    """What a run trains and validates on.

    Attributes:
        sampler: training tiles.
        tiles: fixed tiles for validation; of training cases when nobody is held out.
        held_out: whether ``tiles`` are of held-out cases.
        seen: as many fixed tiles of training cases, to tell learning from learning by heart.
        split: part → case ids.
        pairs: part → cases with a pair.
        fingerprint: names the training images without names.
        images: the same image by image, so that a copy among test cases is recognised.
        expected: modality → training cases that have its expected echo.
    """

    sampler: TileSampler
    tiles: Batch | None
    held_out: bool
    seen: Batch | None
    split: Split
    pairs: dict[str, int]
    fingerprint: str
    images: tuple[str, ...]
    expected: dict[str, int]


def load_data(plan: Plan, folder: RunFolder, say: Callable[[str], None]) -> Data:
    """Prepare a plan's cohort; cases that came to it since the last attempt join the training.

    Every case is read before any is dealt to a part, test cases too: a copy of a patient under
    another name is found by its images, and what cannot be read or paired judges nothing.

    Raises:
        TrainerError: the cohort is missing or empty, has no pair, or nothing is left to train on.
    """
    source = Path(plan.cohort)
    cases = [c for c in scan(source, plan.model.modalities) if c.id not in plan.exclude]
    place = folder.path / "split.json"
    lost = _lost(place, cases, source)
    prepared, problems = _prepare(cases, plan, folder, say)
    problems += lost
    held = _held_out(place)
    problems += drop_duplicates(prepared, held)
    there = {c.id for c in prepared}
    usable = [c for c in cases if c.id in there]
    if plan.data.join_alike:
        usable, doubts = _keep_together(usable, prepared, held, begun=place.exists())
        there = {c.id for c in usable}
        prepared = [c for c in prepared if c.id in there]
    else:
        doubts = []
    if usable and not pairs_in(usable):
        raise TrainerError(no_pairs(plan.model.modalities, len(usable)))
    split = locked_split(place, usable, plan.data)
    pairs = {part: pairs_in(usable, split[part]) for part in PARTS}
    if usable and not pairs["training"]:
        raise TrainerError(
            "No case with a pair is left to train on: all are held out. Lower data.validation or "
            "data.test, or place the cases by hand."
        )
    # Not in the log, which may be shown to others: a file's name may be a patient's.
    names = {c.id: names_of(c) for c in cases}
    write_text(folder.path / FILES, json.dumps(names, indent=1, ensure_ascii=False))
    doubts += [f"{c.id}: {doubt}" for c in cases for doubt in c.doubts]
    doubts += pair_doubts(pairs, len(plan.model.modalities))
    for doubt in doubts:
        folder.log("warning", text=doubt)
        say(doubt)
    for warning in (f"{c.id}: {text}" for c in prepared for text in c.warnings):
        folder.log("warning", text=warning)
        say(warning)
    for problem in problems:
        folder.log("warning", text=problem)
        say(f"left out: {problem}")
    training = [c for c in prepared if c.id in split["training"]]
    watched = [c for c in prepared if c.id in split["validation"]]
    shown = [c for c in watched if c.paired] or [c for c in training if c.paired]
    hashes = "".join(sorted(h for c in training for h in c.hashes.values()))
    return Data(
        TileSampler(training, plan),
        fixed_tiles(shown, plan, plan.log.validate_slices),
        any(c.paired for c in watched),
        fixed_tiles([c for c in training if c.paired], plan, min(SEEN, plan.log.validate_slices)),
        split,
        pairs,
        hashlib.sha256(hashes.encode()).hexdigest()[:16],
        tuple(sorted(h[:16] for c in training + watched for h in c.hashes.values())),
        dict(Counter(m for c in training for m in c.expected)),
    )


def _prepare(
    cases: Sequence[CohortCase], plan: Plan, folder: RunFolder, say: Callable[[str], None]
) -> tuple[list[CachedCase], list[str]]:
    """Return the cases that can be used, and a sentence for each of the others."""

    def tell(done: int, total: int) -> None:
        if done == total or done % 10 == 0:
            say(f"prepared {done} of {total} cases")
            folder.log("preparing", done=done, total=total)

    cache = cache_folder(Path(plan.cohort), cases)
    workers = min(WORKERS, plan.threads or usable_cores())
    try:
        return cache_cases(
            cases, plan.data, plan.model.modalities, cache, workers=workers, progress=tell
        )
    except OSError as error:
        raise TrainerError(
            f"The preprocessed cases could not be kept ({error.strerror or error}). Make room, or "
            "set MHVAE_STUDIO_CACHE to a folder with space; finished cases are not lost."
        ) from error


def _held_out(split: Path) -> set[str]:
    """Return the cases that a split which was written already holds out."""
    try:
        found = json.loads(split.read_text(encoding="utf-8"))
        return {*found["validation"], *found["test"]}
    except (OSError, ValueError, KeyError, TypeError):
        return set()  # none yet; a damaged one is told of when it is used


def _lost(place: Path, cases: Sequence[CohortCase], source: Path) -> list[str]:
    """Say which cases of a written split are not there any more.

    Raises:
        TrainerError: none is: it is another cohort, which would train and judge something else.
    """
    if not place.exists():
        return []
    split = read_split(place)
    known = sorted(case for part in PARTS for case in split[part])
    there = {c.id for c in cases}
    gone = [case for case in known if case not in there]
    if known and len(gone) == len(known):
        raise TrainerError(
            f"{source.name}: expected the cases of this run ({known[0]} and {len(known) - 1} "
            "others); found none of them. Choose the folder that holds them."
        )
    return [f"{case}: is not in the cohort any more" for case in gone]


def _keep_together(
    cases: list[CohortCase], prepared: Sequence[CachedCase], held: set[str], *, begun: bool
) -> tuple[list[CohortCase], list[str]]:
    """Let no split part cases that look like one patient's; return the cases and what was done.

    A split that was written already stays as it is: what looks like a held-out case is not trained
    on then.
    """
    patients = {c.id: c.patient for c in cases}
    found = [one for one in alike(prepared) if patients[one.first] != patients[one.second]]
    if not begun:
        told = [f"{one.second}: {one.sentence}; both go to one part of the split" for one in found]
        return joined(cases, [(one.first, one.second) for one in found]), told
    out, told = set(), []
    for one in found:
        apart = {one.first, one.second} - held
        if len(apart) == 1:
            out |= apart
            told.append(f"{one.second}: {one.sentence}; {apart.pop()} is not trained on")
    return [c for c in cases if c.id not in out], told
