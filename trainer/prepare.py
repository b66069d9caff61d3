"""Preprocess cases once: one grid, the model's spacing, [-1, 1], one array per case on disk."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from core.bundle import PLANES
from core.errors import UserError
from core.grid import Grid
from core.intensity import (
    STEP,
    Normaliser,
    field_of_view,
    foreground,
    resample_inside,
    resample_mask,
)
from core.volume import Volume
from trainer.cohort import CohortCase
from trainer.errors import TrainerError
from trainer.plan import SWEPT, DataPlan

VERSION = 1
"""Raised when the arrays' meaning changes, so that old caches are made anew."""

LOWEST = -STEP
"""The darkest value inside the mask; the background is exactly -1 (METHOD 1, normalisation)."""


@dataclass(frozen=True)
class PreparedCase:
    """A case ready for training.

    Attributes:
        id: pseudonym of the case.
        patient: pseudonym of the patient.
        array: (slices, M + 1, H, W) float16, memory-mapped: M modalities in [-1, 1], background
            exactly -1, then the field of view as 0/1; slices run along the plane's normal.
        present: modalities the case has; an absent one is -1 everywhere.
        coverage: (slices,) field-of-view pixels per slice.
        fingerprint: hash of the source voxels, so that data is named without names.
    """

    id: str
    patient: str
    array: NDArray[np.float16]
    present: tuple[str, ...]
    coverage: NDArray[np.int64]
    fingerprint: str


def read(path: Path, modality: str) -> Volume:
    """Read one volume."""
    try:
        image: Any = nib.load(path)
        voxels = np.asarray(image.dataobj, dtype=np.float32)
    except Exception as error:
        raise TrainerError(f"{path.name} cannot be read: {error}.") from error
    if voxels.ndim != 3 or not np.isfinite(voxels).all():
        raise TrainerError(f"{path.name}: expected finite 3-D voxels, found {voxels.shape}.")
    return Volume(voxels, Grid(voxels.shape, image.affine), modality, path.name)


def _prepare(
    case: CohortCase, plan: DataPlan, modalities: tuple[str, ...]
) -> tuple[NDArray[np.float16], tuple[str, ...], str]:
    volumes = {m: read(case.files[m], m).canonical() for m in modalities if m in case.files}
    digest = hashlib.sha256()
    for volume in volumes.values():
        digest.update(np.ascontiguousarray(volume.voxels).tobytes())
    # The ultrasound's grid when there is one: it is the smaller and the one a user looks at.
    reference = next((volumes[m] for m in SWEPT if m in volumes), next(iter(volumes.values()))).grid
    grid = reference
    if not np.allclose(reference.spacing, plan.spacing, rtol=1e-3):
        grid = reference.with_spacing(plan.spacing)
    masks = {m: _mask(m, v, case) for m, v in volumes.items()}
    channels, seen = [], {}
    for m in modalities:
        image = np.full(grid.shape, -1.0, dtype=np.float32)
        if m in volumes:
            own = volumes[m]
            # The scale comes from the whole volume, so that it does not depend on the other images.
            scale = Normaliser.fit(own.voxels, masks[m], plan.percentiles)
            raw, seen[m] = resample_inside(own.voxels, masks[m], own.grid, grid)
            image = scale.forward(raw, seen[m])
        channels.append(image)
    swept = [seen[m] for m in SWEPT if m in seen]
    fov = swept[0] if swept else next(iter(seen.values()))
    stacked = np.stack([*channels, fov.astype(np.float32)]).astype(np.float16)
    return np.moveaxis(stacked, 1 + PLANES[plan.plane], 0), tuple(volumes), digest.hexdigest()


def _mask(modality: str, volume: Volume, case: CohortCase) -> NDArray[np.bool_]:
    """Where a modality has an image: the swept region of an ultrasound, else what is not black."""
    if modality not in SWEPT:
        return foreground(volume.voxels)
    if case.fov is None:
        return field_of_view(volume)
    given = read(case.fov, "fov").canonical()
    return resample_mask(given.voxels > 0.5, given.grid, volume.grid)


def _key(case: CohortCase, plan: DataPlan, modalities: tuple[str, ...]) -> str:
    """Name the cached array after everything that decides it."""
    sources = [*(case.files[m] for m in modalities if m in case.files)]
    sources += [case.fov] if case.fov else []
    stamps = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in sources]
    decides = [VERSION, modalities, plan.spacing, plan.plane, plan.percentiles, stamps]
    return hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:16]


def prepare_case(
    case: CohortCase, plan: DataPlan, modalities: tuple[str, ...], cache: Path
) -> PreparedCase:
    """Return the case's array, made now or found in ``cache``.

    Raises:
        TrainerError: a file cannot be read or has no voxels to use.
    """
    cache.mkdir(parents=True, exist_ok=True)
    key = _key(case, plan, modalities)
    array_path, facts_path = cache / f"{key}.npy", cache / f"{key}.json"
    if not facts_path.exists():
        array, present, fingerprint = _prepare(case, plan, modalities)
        coverage = array[:, -1].astype(np.int64).sum(axis=(1, 2))
        beside = cache / f"{key}.{os.getpid()}.part.npy"
        np.save(beside, np.ascontiguousarray(array))
        os.replace(beside, array_path)
        facts = {"present": present, "fingerprint": fingerprint, "coverage": coverage.tolist()}
        beside = cache / f"{key}.{os.getpid()}.part.json"
        beside.write_text(json.dumps(facts), encoding="utf-8")
        os.replace(beside, facts_path)
    facts = json.loads(facts_path.read_text(encoding="utf-8"))
    return PreparedCase(
        case.id,
        case.patient,
        np.load(array_path, mmap_mode="r"),
        tuple(facts["present"]),
        np.array(facts["coverage"], dtype=np.int64),
        facts["fingerprint"],
    )


def prepare_all(
    cases: Sequence[CohortCase],
    plan: DataPlan,
    modalities: tuple[str, ...],
    cache: Path,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[PreparedCase], list[str]]:
    """Prepare all cases; those that cannot be used are named in the second list, with the reason.

    Stopping in the middle loses nothing: finished cases are found again.
    """

    def one(case: CohortCase) -> PreparedCase | str:
        try:
            return prepare_case(case, plan, modalities, cache)
        except UserError as error:
            return f"{case.id}: {error}"

    prepared: list[PreparedCase] = []
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
