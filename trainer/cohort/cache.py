"""Preprocess cases once: one grid, the model's spacing, [-1, 1], one array per case on disk."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.case import Case
from core.errors import UserError
from core.image.intensity import STEP
from core.image.preprocess import image_on, measure, working_grid
from core.image.resample import resample_mask
from core.io import read
from core.modalities import SWEPT, reference_of
from core.volume import Volume
from trainer.cohort.case import CohortCase
from trainer.cohort.expected import expected_on, in_range, read_expected
from trainer.cohort.likeness import Coarse, coarse, content_hash, copies
from trainer.plan.schema import DataPlan

VERSION = 7
"""Raised when the arrays' meaning changes, so that old caches are made anew."""

LOWEST = -STEP
"""The darkest value inside the mask; the background is exactly -1."""


@dataclass(frozen=True, eq=False)
class CachedCase:
    """A case ready for training.

    Attributes:
        id: pseudonym of the case.
        patient: pseudonym of the patient.
        array: (slices, M + E + 1, H, W) float16, memory-mapped: M modalities in [-1, 1],
            background exactly -1, then E expected echoes likewise, then the field of view as 0/1;
            slices run along the plane's normal, H and W as the plan's orientation says.
        present: modalities the case has; an absent one is -1 everywhere.
        coverage: (slices,) field-of-view pixels per slice.
        hashes: modality → hash of its source voxels: names data without names.
        expected: the E modalities whose expected echo the array holds, in its order.
        warnings: sentences about the images' scale and field of view, without files' names.
        coarse: modality → its coarse image, see :mod:`trainer.cohort.likeness`.
    """

    id: str
    patient: str
    array: NDArray[np.float16]
    present: tuple[str, ...]
    coverage: NDArray[np.int64]
    hashes: dict[str, str]
    expected: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    coarse: dict[str, Coarse] = field(default_factory=dict)

    def __getstate__(self) -> dict[str, Any]:
        """Send another process the array's file, not its voxels."""
        file = getattr(self.array, "filename", None)
        return self.__dict__ | ({"array": file} if file else {})

    def __setstate__(self, state: dict[str, Any]) -> None:
        if not isinstance(state["array"], np.ndarray):
            state = state | {"array": np.load(state["array"], mmap_mode="r")}
        self.__dict__.update(state)

    @property
    def paired(self) -> bool:
        """Whether one image of it can be made from another."""
        return len(self.present) > 1


def _preprocess(
    case: CohortCase, plan: DataPlan, modalities: tuple[str, ...]
) -> tuple[NDArray[np.float16], dict[str, str], dict[str, Coarse], list[str]]:
    volumes = {
        m: replace(read(case.files[m]), modality=m, source=m).canonical()
        for m in modalities
        if m in case.files
    }
    Case(case.id, volumes).check_overlap()
    # The ultrasound's grid when there is one: it is the smaller and the one a user looks at.
    first = reference_of(volumes)
    grid = working_grid(volumes[first], plan.spacing)
    channels, seen = [], {}
    warnings: list[str] = []
    for m in modalities:
        image = np.full(grid.shape, -1.0, dtype=np.float32)
        if m in volumes:
            # The scale comes from the whole volume, so that it does not depend on the other images.
            measured = measure(volumes[m], plan.percentiles, _given_field(m, volumes[m], case))
            warnings += measured.warnings
            image, seen[m] = image_on(measured, grid)
        channels.append(image)
    channels += [
        in_range(expected_on(read_expected(case.expected[m], volumes[m]), grid))
        for m in _expected(case, modalities)
    ]
    fov = seen[first]
    stacked = np.stack([*channels, fov.astype(np.float32)]).astype(np.float16)
    hashes = {m: content_hash(v) for m, v in volumes.items()}
    small = {m: coarse(v) for m, v in volumes.items()}
    return np.moveaxis(plan.slicing.slices(stacked), 1, 0), hashes, small, warnings


def _expected(case: CohortCase, modalities: tuple[str, ...]) -> tuple[str, ...]:
    """Return the modalities whose expected echo a case's array holds, in its order."""
    return tuple(m for m in modalities if m in case.files and m in case.expected)


def _given_field(modality: str, volume: Volume, case: CohortCase) -> NDArray[np.bool_] | None:
    """Return the field of view that comes with a case, on the volume's grid; None to find it."""
    if modality not in SWEPT or case.fov is None:
        return None
    given = read(case.fov).canonical()
    return resample_mask(given.voxels > 0.5, given.grid, volume.grid)


def _key(case: CohortCase, plan: DataPlan, modalities: tuple[str, ...]) -> str:
    """Name the cached array after everything that decides it."""
    sources = [*(case.files[m] for m in modalities if m in case.files)]
    sources += [case.fov] if case.fov else []
    sources += [case.expected[m] for m in _expected(case, modalities)]
    stamps = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in sources]
    decides = [VERSION, modalities, plan.spacing, plan.plane, plan.percentiles, stamps]
    decides += [] if plan.slicing.usual else [plan.slicing.orientation]
    return hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:16]


def is_cached(case: CohortCase, plan: DataPlan, modalities: tuple[str, ...], cache: Path) -> bool:
    """Tell whether a case's array lies in ``cache`` already."""
    try:
        return (cache / f"{_key(case, plan, modalities)}.json").exists()
    except OSError:  # a file of the case is not there
        return False


def cache_case(
    case: CohortCase, plan: DataPlan, modalities: tuple[str, ...], cache: Path
) -> CachedCase:
    """Return the case's array, made now or found in ``cache``.

    Raises:
        TrainerError: nobody can say which files are meant, or there are no voxels to use.
    """
    case.refuse()
    cache.mkdir(parents=True, exist_ok=True)
    key = _key(case, plan, modalities)
    array_path, facts_path = cache / f"{key}.npy", cache / f"{key}.json"
    if not facts_path.exists():
        array, hashes, small, warnings = _preprocess(case, plan, modalities)
        coverage = array[:, -1].astype(np.int64).sum(axis=(1, 2))
        beside = cache / f"{key}.{os.getpid()}.part.npy"
        try:
            np.save(beside, np.ascontiguousarray(array))
            os.replace(beside, array_path)
        finally:
            beside.unlink(missing_ok=True)
        expected = _expected(case, modalities)
        facts = {
            "hashes": hashes,
            "coverage": coverage.tolist(),
            "expected": expected,
            "warnings": warnings,
            "corners": {m: one.corner for m, one in small.items()},
        }
        beside = cache / f"{key}.{os.getpid()}.part.npz"
        voxels: dict[str, Any] = {m: one.voxels for m, one in small.items()}
        np.savez_compressed(beside, **voxels)
        os.replace(beside, cache / f"{key}.npz")
        beside = cache / f"{key}.{os.getpid()}.part.json"
        beside.write_text(json.dumps(facts), encoding="utf-8")
        os.replace(beside, facts_path)
    facts = json.loads(facts_path.read_text(encoding="utf-8"))
    with np.load(cache / f"{key}.npz") as kept:
        small = {m: Coarse(kept[m], tuple(corner)) for m, corner in facts["corners"].items()}
    return CachedCase(
        case.id,
        case.patient,
        np.load(array_path, mmap_mode="r"),
        tuple(facts["hashes"]),
        np.array(facts["coverage"], dtype=np.int64),
        facts["hashes"],
        tuple(facts["expected"]),
        tuple(facts.get("warnings", ())),  # caches of before have none
        small,
    )


def cache_cases(
    cases: Sequence[CohortCase],
    plan: DataPlan,
    modalities: tuple[str, ...],
    cache: Path,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[CachedCase], list[str]]:
    """Prepare all cases; those that cannot be used are named in the second list, with the reason.

    Stopping in the middle loses nothing: finished cases are found again.
    """

    def one(case: CohortCase) -> CachedCase | str:
        try:
            return cache_case(case, plan, modalities, cache)
        except UserError as error:
            return f"{case.id}: {error}"

    prepared: list[CachedCase] = []
    problems: list[str] = []
    with ThreadPoolExecutor(max(1, workers)) as pool:
        for done, result in enumerate(pool.map(one, cases), start=1):
            if isinstance(result, str):
                problems.append(result)
            else:
                prepared.append(result)
            if progress:
                progress(done, len(cases))
    return prepared, problems


def drop_duplicates(cases: list[CachedCase], held_out: set[str]) -> list[str]:
    """Take out cases that hold an image another case holds; held-out cases are kept first.

    Returns:
        one sentence per case taken out.
    """
    found = copies(cases, frozenset(held_out))
    cases[:] = [case for case in cases if case.id not in found]
    return [f"{case}: holds the same images as {', '.join(twins)}" for case, twins in found.items()]
