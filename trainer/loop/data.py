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
from trainer.cohort.cache import cache_cases, drop_duplicates
from trainer.cohort.case import CohortCase
from trainer.cohort.scan import CACHE, names_of, scan
from trainer.cohort.split import Split, locked_split
from trainer.errors import TrainerError
from trainer.loop.tiles import Batch, TileSampler, fixed_tiles
from trainer.plan.schema import Plan
from trainer.run.environment import usable_cores
from trainer.run.folder import RunFolder

FILES = "files.json"
"""Beside ``split.json``: the names of the files of every training and validation case."""

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
        tiles: fixed tiles for validation, of held-out cases if there are any.
        split: part → case ids.
        fingerprint: names the training images without names.
        expected: modality → training cases that have its expected echo.
    """

    sampler: TileSampler
    tiles: Batch | None
    split: Split
    fingerprint: str
    expected: dict[str, int]


def load_data(plan: Plan, folder: RunFolder, say: Callable[[str], None]) -> Data:
    """Prepare a plan's cohort; cases that came to it since the last attempt join the training.

    Raises:
        TrainerError: the cohort is missing or empty, or nothing is left to train on.
    """
    source = Path(plan.cohort)
    cases = [c for c in scan(source, plan.model.modalities) if c.id not in plan.exclude]
    split = locked_split(folder.path / "split.json", cases, plan.data)
    cache = cache_folder(source, cases)

    def tell(done: int, total: int) -> None:
        if done == total or done % 10 == 0:
            say(f"prepared {done} of {total} cases")
            folder.log("preparing", done=done, total=total)

    wanted = [c for c in cases if c.id not in split["test"]]
    workers = min(WORKERS, plan.threads or usable_cores())
    try:
        prepared, problems = cache_cases(
            wanted, plan.data, plan.model.modalities, cache, workers=workers, progress=tell
        )
    except OSError as error:
        raise TrainerError(
            f"The preprocessed cases could not be kept ({error.strerror or error}). Make room, or "
            "set MHVAE_STUDIO_CACHE to a folder with space; finished cases are not lost."
        ) from error
    problems += drop_duplicates(prepared, set(split["validation"]))
    # Not in the log, which may be shown to others: a file's name may be a patient's.
    names = {c.id: names_of(c) for c in wanted}
    write_text(folder.path / FILES, json.dumps(names, indent=1, ensure_ascii=False))
    for doubt in (f"{c.id}: {doubt}" for c in wanted for doubt in c.doubts):
        folder.log("warning", text=doubt)
        say(doubt)
    for warning in (f"{c.id}: {text}" for c in prepared for text in c.warnings):
        folder.log("warning", text=warning)
        say(warning)
    for problem in problems:
        folder.log("warning", text=problem)
        say(f"left out: {problem}")
    training = [c for c in prepared if c.id in split["training"]]
    held_out = [c for c in prepared if c.id in split["validation"]] or training
    hashes = "".join(sorted(h for c in training for h in c.hashes.values()))
    return Data(
        TileSampler(training, plan),
        fixed_tiles(held_out, plan, plan.log.validate_slices),
        split,
        hashlib.sha256(hashes.encode()).hexdigest()[:16],
        dict(Counter(m for c in training for m in c.expected)),
    )
