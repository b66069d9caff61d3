"""One case on its way into a prepared cohort: aligned, on one grid, in [-1, 1], with pictures."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from core.case import Case
from core.errors import UserError, disk_sentence
from core.files import replacing, write_text
from core.grid import Grid
from core.image.preprocess import STORED, image_on, measure, working_grid
from core.image.resample import resample_mask
from core.io import read
from core.io.modality import guess_from_text
from core.modalities import PAPER, SWEPT, reference_of
from core.registration.alignment import AlignError, moved
from core.registration.alignment_choice import AlignmentChoice, align, record
from core.registration.methods import DEFAULT_METHOD
from core.volume import Mask, Volume, Voxels
from trainer.cohort.case import CohortCase
from trainer.cohort.expected import expected_on, read_expected
from trainer.cohort.scan import FOV, name_of, names_of
from trainer.errors import TrainerError

VERSION = 5
"""Raised when the files' meaning changes, so that finished cases are made anew."""
MARGIN_MM = 10.0
"""How much is kept around the field of view."""
PICTURES = ".qc"
"""Folder of the cases' pictures inside a prepared cohort."""


@dataclass(frozen=True)
class PrepareOptions:
    """What is done to every case.

    Attributes:
        modalities: which to take; the first swept one (iUS) is the fixed volume.
        spacing: mm of the new grid.
        percentiles: inside the mask, mapped to -255/256 and 1.
        kind: ``"none"``, ``"rigid"`` or ``"affine"``: what to search for.
        method: of the search.
        transforms: folder to look for the cases' transform files in; beside the cases without it.
        inverse: whether the transform files were made for the other direction.
        seed: of the search.
    """

    modalities: tuple[str, ...] = PAPER
    spacing: tuple[float, float, float] = (0.5, 0.5, 0.5)
    percentiles: tuple[float, float] = (0.0, 99.95)
    kind: str = "none"
    method: str = DEFAULT_METHOD
    transforms: Path | None = None
    inverse: bool = False
    seed: int = 0


def prepare_files(case: CohortCase, how: PrepareOptions, out: Path) -> dict[str, Any]:
    """Prepare one case and write it as ``out/ID-T2.nii.gz``, ``-iUS``, ``-fov`` and ``ID.json``.

    An expected echo of the ultrasound stays one, ``ID-iUS-expected.nii.gz``.

    The JSON comes last and says the case is whole; a case whose JSON fits its files and ``how`` is
    left as it is.

    Returns:
        The outcome: one line of the table. A case that cannot be used is an outcome as well.
    """
    began = time.perf_counter()
    path = out / f"{case.id}.json"
    try:
        case.refuse()
        key = _key(case, how)
        kept = _kept(path, key)
        if kept is not None:
            return kept
        outcome = {"case": case.id, "patient": case.patient, "key": key, **_prepare(case, how, out)}
        outcome["seconds"] = round(time.perf_counter() - began, 1)
        write_text(path, json.dumps(outcome, indent=1))
    except (UserError, OSError) as error:
        reason = disk_sentence(error) if isinstance(error, OSError) else str(error)
        outcome = {"case": case.id, "patient": case.patient, "outcome": "failed", "reason": reason}
        outcome["seconds"] = round(time.perf_counter() - began, 1)
    return outcome


def transform_of(case: CohortCase, moving: str, folder: Path | None) -> Path | None:
    """Find the transform file of a case: ``ID*.tfm`` (.h5, .txt) beside its images, or in a folder.

    Args:
        case: the case.
        moving: modality that would be moved; a name that ends in ``-to-`` another image's name
            leads elsewhere and is refused.
        folder: searched with its sub-folders instead of the case's own folder.

    Raises:
        TrainerError: several files fit.
        AlignError: the only ones lead to another image.
    """
    own = next(iter(case.files.values())).parent
    places = folder.rglob("*") if folder else own.glob("*")
    alone = folder is None and own.name == case.id
    found = sorted(
        p
        for p in places
        if p.suffix.lower() in (".tfm", ".h5", ".txt")
        and (alone or _belongs(p.name, case.id))
        and (p.suffix.lower() != ".txt" or _is_transform(p))
    )
    leads = {p: guess_from_text(p.stem.rpartition("-to-")[2], "")[0] for p in found}
    fit = [p for p in found if "-to-" not in p.stem or leads[p] in ("", moving, *SWEPT)]
    if len(fit) > 1:
        raise TrainerError(
            f"{case.id}: expected one transform; found {', '.join(p.name for p in fit)}. Keep one."
        )
    if found and not fit:
        raise AlignError(
            f"{case.id}: {found[0].name} leads to {leads[found[0]]}, not to {moving}. Register the "
            "case instead, or give the transform of its own image."
        )
    return fit[0] if fit else None


def _belongs(name: str, case: str) -> bool:
    rest = name.removeprefix(case)
    return rest != name and not rest[:1].isalnum()


def _is_transform(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(23) == b"#Insight Transform File"


def _prepare(case: CohortCase, how: PrepareOptions, out: Path) -> dict[str, Any]:
    volumes = {
        m: replace(read(case.files[m]), modality=m) for m in how.modalities if m in case.files
    }
    first = reference_of(volumes)
    aligned, notes = _align(case, how, volumes, first, out)
    Case(case.id, aligned).check_overlap()
    own = {m: v.canonical() for m, v in aligned.items()}
    given = _given_field(case, own[first]) if first in SWEPT else None
    measured = {
        m: measure(v, how.percentiles, given if m == first else None) for m, v in own.items()
    }
    grid = _cropped(working_grid(own[first], how.spacing), measured[first].field, own[first].grid)
    seen: dict[str, Mask] = {}
    for m, one in measured.items():
        image, seen[m] = image_on(one, grid)
        _save(image, grid, out / f"{case.id}-{m}.nii.gz", STORED)
    _save(seen[first].astype(np.float32), grid, out / f"{case.id}-{FOV}.nii.gz", 1.0)
    expected = {name_of(m): case.expected[m] for m in (first,) if m in case.expected}
    for name, path in expected.items():
        echo = expected_on(read_expected(path, own[first]), grid)
        _save(echo, grid, out / f"{case.id}-{name}.nii.gz", 1.0)
    field = seen[first]
    covered = {
        m: round(float((mask & field).sum() / max(1, field.sum())), 4)
        for m, mask in seen.items()
        if m != first
    }
    doubts = [f"{m}: {note['reason']}" for m, note in notes.items() if note["doubtful"]]
    doubts += [
        f"{m} covers {part:.0%} of the {first}'s field of view."
        for m, part in covered.items()
        if part < 0.5
    ]
    missing = [m for m in how.modalities if m not in own]
    notices = [f"There is no {m}; the case teaches only what it has." for m in missing]
    notices += [f"{doubt}." for doubt in case.doubts]
    notices += [text for one in measured.values() for text in one.warnings]
    return {
        "outcome": "doubtful" if doubts else "done",
        "reason": " ".join(doubts + notices),
        "modalities": list(own),
        "sources": {m: name for m, name in names_of(case).items() if m in (*own, FOV)},
        "alignment": notes,
        "shape": list(grid.shape),
        "field_of_view_ml": round(float(field.sum() * np.prod(grid.spacing)) / 1000, 1),
        "covered": covered,
        "files": {m: f"{case.id}-{m}.nii.gz" for m in (*own, *expected)},
    }


def _align(
    case: CohortCase, how: PrepareOptions, volumes: Mapping[str, Volume], first: str, out: Path
) -> tuple[dict[str, Volume], dict[str, dict[str, Any]]]:
    """Move everything onto the fixed volume; draw every pair before and after."""
    from core.registration.picture import checkerboards

    aligned, notes = {first: volumes[first]}, {}
    for m, volume in volumes.items():
        if m == first:
            continue
        transform = transform_of(case, m, how.transforms)
        choice = AlignmentChoice(how.kind, how.method, transform, how.inverse, seed=how.seed)
        result = align(choice, volumes[first], volume)
        aligned[m] = moved(volume, result.alignment.matrix)
        notes[m] = record(result)
        picture = out / PICTURES / f"{case.id}-{m}.jpg"
        picture.parent.mkdir(parents=True, exist_ok=True)
        sheet = checkerboards(volumes[first], volume, np.eye(4), result.alignment.matrix)
        sheet.save(picture, format="JPEG", quality=80)
    return aligned, notes


def _given_field(case: CohortCase, volume: Volume) -> Mask | None:
    if case.fov is None:
        return None
    given = read(case.fov).canonical()
    return resample_mask(given.voxels > 0.5, given.grid, volume.grid)


def _cropped(grid: Grid, field: Mask, source: Grid) -> Grid:
    """Cut a grid down to the box of a field of view, and some millimetres around it."""
    box = np.argwhere(field)
    ends = np.stack([box.min(0) - 0.5, box.max(0) + 0.5])
    corners = source.to_world(np.array(np.meshgrid(*ends.T)).reshape(3, -1).T)
    voxels = grid.to_voxel(corners)
    margin = MARGIN_MM / grid.spacing
    low = np.maximum(np.floor(voxels.min(0) - margin), 0).astype(int)
    high = np.minimum(np.ceil(voxels.max(0) + margin), np.array(grid.shape) - 1).astype(int)
    shape = high - low + 1
    return grid.crop(low, (int(shape[0]), int(shape[1]), int(shape[2])))


def _save(image: Voxels, grid: Grid, path: Path, slope: float) -> None:
    """Write steps of ``slope`` as whole numbers, beside and then into place."""
    import nibabel

    nib: Any = nibabel  # it ships types in part only
    stored = np.rint(image / np.float32(slope)).astype(np.int16 if slope < 1 else np.uint8)
    file: Any = nib.Nifti1Image(stored, grid.affine)
    file.header.set_slope_inter(slope, 0.0)
    file.header.set_xyzt_units("mm")
    file.header["descrip"] = b"Prepared for training, research use only"
    unit = grid.affine[:3, :3] / grid.spacing
    rigid = bool(np.abs(unit.T @ unit - np.eye(3)).max() < 1e-5)
    file.set_sform(grid.affine, 1)
    file.set_qform(grid.affine if rigid else None, 1 if rigid else 0)
    with replacing(path) as part:
        nib.save(file, part)


def _key(case: CohortCase, how: PrepareOptions) -> str:
    """Name a finished case after everything that decides it."""
    sources = [*(case.files[m] for m in how.modalities if m in case.files)]
    sources += [case.fov] if case.fov else []
    sources += [case.expected[m] for m in how.modalities if m in case.expected]
    first = reference_of(case.files)
    for m in case.files:
        if m != first and m in how.modalities:
            transform = transform_of(case, m, how.transforms)
            sources += [transform] if transform else []
    stamps = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in sources if p.exists()]
    settings = {k: v for k, v in asdict(how).items() if k != "transforms"}
    return hashlib.sha256(json.dumps([VERSION, settings, stamps]).encode()).hexdigest()[:16]


def _kept(path: Path, key: str) -> dict[str, Any] | None:
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        whole = all((path.parent / name).is_file() for name in values["files"].values())
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None
    return {**values, "kept": True} if whole and values.get("key") == key else None
