"""Write a volume: beside its target, read back and compared, then moved into place."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import shutil
import tempfile
import time
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.files import refusal
from core.io.limits import size_text
from core.io.reader import load
from core.io.sniff import WRITTEN
from core.marks import SYNTHETIC_MARK, WORD
from core.volume import Volume, VolumeError

SUFFIXES = tuple(WRITTEN)
_HEADER_TEXT = 200
_LEVEL = 6
_TOLERANCE = 1e-3
_SCRATCH = ".mhvae-"
"""How the hidden folders begin in which files are written."""
_STALE = 24 * 3600.0
"""Seconds after which nobody writes there any more."""


def write(volume: Volume, path: Path | str, *, marks: Mapping[str, object] | None = None) -> Path:
    """Write a volume as NIfTI (.nii, .nii.gz), NRRD (.nrrd) or MetaImage (.mha), by the suffix.

    The file is written beside the target, read back, compared voxel by voxel and corner by corner
    (1e-3 mm), and only then moved into place, so the target is never half a file. Nothing of the
    volume's source goes into it.

    Args:
        volume: what to write; float32, affine as it is.
        path: target; its folder must exist. An existing file is replaced.
        marks: provenance (JSON types). Goes whole into a JSON sidecar beside the file
            (``name.json`` for ``name.nii.gz``), and the plain values into the header as far as the
            format allows.

    Returns:
        The path written.

    Raises:
        VolumeError: unknown suffix, no such folder, no permission, disk full, or the file read
            back differs.
    """
    path = Path(path)
    suffix = next((s for s in SUFFIXES if path.name.lower().endswith(s)), "")
    if not suffix:
        raise VolumeError(
            f"{path.name}: expected a file name ending in {', '.join(SUFFIXES)}; found "
            f"“{path.suffix or 'no ending'}”. Choose one of these formats."
        )
    if not np.isfinite(volume.voxels).all():
        raise VolumeError(f"{path.name}: expected finite voxels to write; found NaN or infinity.")
    folder = path.parent
    try:
        _sweep(folder)
        with tempfile.TemporaryDirectory(dir=folder, prefix=_SCRATCH) as scratch:
            draft = Path(scratch) / path.name
            _check_space(path, volume)
            if suffix.startswith(".nii"):
                _write_nifti(volume, draft, marks)
            else:
                _write_plain(volume, draft, suffix, marks)
            _compare(volume, draft, path.name)
            beside = folder / f"{path.name[: -len(suffix)]}.json"
            if marks is None and not _describes(beside, path):
                os.replace(draft, path)
            else:
                _place(volume, draft, path, beside, marks)
    except (OSError, RuntimeError) as error:
        raise _failed(path, error) from error
    return path


def _place(
    volume: Volume, draft: Path, path: Path, beside: Path, marks: Mapping[str, object] | None
) -> None:
    """Move a file and its sidecar into place; killed at any point, no sidecar is another file's."""
    sidecar = draft.with_name("marks.json")
    if marks is not None:
        sidecar.write_text(_sidecar(volume, path, marks), encoding="utf-8")
    before = draft.with_name("before.json")
    if beside.exists():
        os.replace(beside, before)
    try:
        os.replace(draft, path)
    except OSError:
        if before.exists():
            os.replace(before, beside)
        raise
    if marks is not None:
        os.replace(sidecar, beside)


def _describes(sidecar: Path, path: Path) -> bool:
    """Tell whether a JSON file is what an earlier ``write`` said of the file at ``path``."""
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("file") == path.name and "synthetic" in content


def _sweep(folder: Path) -> None:
    """Take away what a program killed while it wrote has left, unless another may still write."""
    for left in folder.glob(f"{_SCRATCH}*"):
        with contextlib.suppress(OSError):
            if left.is_dir() and time.time() - left.stat().st_mtime > _STALE:
                shutil.rmtree(left)


def _sidecar(volume: Volume, path: Path, marks: Mapping[str, object]) -> str:
    content: dict[str, object] = {"file": path.name, "synthetic": volume.synthetic}
    if volume.synthetic:
        content["notice"] = SYNTHETIC_MARK
    content.update(marks)
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _write_nifti(volume: Volume, draft: Path, marks: Mapping[str, object] | None) -> None:
    import nibabel

    nib: Any = nibabel  # it ships types in part only
    affine = volume.grid.affine
    # NIfTI-1 keeps matrices in float32 and sizes in int16.
    far = np.abs(volume.grid.corners).max() * np.finfo(np.float32).eps > _TOLERANCE / 8
    double = far or max(volume.grid.shape) > np.iinfo(np.int16).max
    image: Any = (nib.Nifti2Image if double else nib.Nifti1Image)(
        np.asarray(volume.voxels), np.array(affine), dtype=np.float32
    )
    unit = affine[:3, :3] / volume.grid.spacing
    # A qform is a rotation; sheared axes have none, and half a truth is worse than code 0.
    rigid = bool(np.abs(unit.T @ unit - np.eye(3)).max() < 1e-5)
    image.set_sform(affine, code=1)
    image.set_qform(affine if rigid else None, code=1 if rigid else 0)
    image.header.set_xyzt_units("mm", "sec")
    if volume.synthetic:
        image.header["descrip"] = SYNTHETIC_MARK.encode()
    if marks:
        comment = json.dumps(dict(marks), ensure_ascii=False)
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", comment.encode()))
    nib.save(image, draft)


def _write_plain(
    volume: Volume, draft: Path, suffix: str, marks: Mapping[str, object] | None
) -> None:
    """Write NRRD or MetaImage by the format's own rules, in a file of any name."""
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.grid.affine
    sizes = " ".join(str(n) for n in volume.grid.shape)
    keys = {WORD: SYNTHETIC_MARK} if volume.synthetic else {}
    for key, value in (marks or {}).items():
        if isinstance(value, str | int | float | bool):
            text = " ".join(str(value).split())[:_HEADER_TEXT]
            keys[f"MHVAE_{key}"] = text.replace("\\", "/")
    if suffix == ".nrrd":
        window = 31
        axes = " ".join(_vector(column) for column in lps[:3, :3].T)
        lines = [
            "NRRD0004",
            "type: float",
            "dimension: 3",
            "space: left-posterior-superior",
            f"sizes: {sizes}",
            f"space directions: {axes}",
            "kinds: domain domain domain",
            "endian: little",
            "encoding: gzip",
            f"space origin: {_vector(lps[:3, 3])}",
            *(f"{key}:={value}" for key, value in keys.items()),
            "\n",
        ]
    else:
        window = 15
        turn = (lps[:3, :3] / volume.grid.spacing).T.ravel()
        lines = [
            "ObjectType = Image",
            "NDims = 3",
            "BinaryData = True",
            "BinaryDataByteOrderMSB = False",
            "CompressedData = True",
            "CompressedDataSize = {size}",
            f"TransformMatrix = {_numbers(turn)}",
            f"Offset = {_numbers(lps[:3, 3])}",
            "CenterOfRotation = 0 0 0",
            f"ElementSpacing = {_numbers(volume.grid.spacing)}",
            f"DimSize = {sizes}",
            *(f"{key} = {value}" for key, value in keys.items()),
            "ElementType = MET_FLOAT",
            "ElementDataFile = LOCAL\n",
        ]
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, window)
    packed = [
        packer.compress(volume.voxels[:, :, k].astype("<f4").tobytes(order="F"))
        for k in range(volume.grid.shape[2])
    ]
    packed.append(packer.flush())
    size = sum(len(piece) for piece in packed)
    head = "\n".join(lines).replace("= {size}", f"= {size}", 1)
    with draft.open("wb") as file:
        file.write(head.encode("utf-8", "replace"))
        file.writelines(packed)


def _numbers(values: Iterable[float]) -> str:
    return " ".join(repr(float(value)) for value in values)


def _vector(values: Iterable[float]) -> str:
    return f"({','.join(repr(float(value)) for value in values)})"


def _compare(volume: Volume, draft: Path, name: str) -> None:
    again = load(draft, allow_zero=True)
    if (
        not again.grid.same_as(volume.grid, _TOLERANCE)
        or not np.array_equal(again.voxels, volume.voxels)
        or again.synthetic != volume.synthetic
    ):
        raise VolumeError(
            f"{name}: expected to read back what was written; the file differs. It was not kept; "
            "try another format or disk."
        )


def _check_space(path: Path, volume: Volume) -> None:
    free = shutil.disk_usage(path.parent).free
    # Compressed float images rarely shrink below a fifth; less than that cannot be enough.
    need = 4 * math.prod(volume.grid.shape) // (1 if path.suffix.lower() == ".nii" else 5)
    if need > free:
        raise OSError(errno.ENOSPC, "not enough space")


def _failed(path: Path, error: Exception) -> VolumeError:
    number = error.errno if isinstance(error, OSError) else None
    why = refusal(error) if isinstance(error, OSError) else ""
    if number in (errno.ENOENT, errno.ENOTDIR):
        why = "there is no such folder. Create it"
    try:
        free = size_text(shutil.disk_usage(path.parent).free)
    except OSError:
        free = "nothing"
    found = why or f"writing failed ({free} free on the disk). Choose another folder or format"
    if number == errno.ENOSPC:
        found = f"the disk is full ({free} free). Free some space"
    return VolumeError(f"{path.name}: expected to write the volume; {found}, then save again.")
