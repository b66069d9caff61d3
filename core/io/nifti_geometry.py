"""Where a NIfTI's voxels lie: its two position matrices, voxel sizes and units, as nifti1.h has it.

Programs leave parts of these fields empty or slightly wrong, and other readers live with it. What
was chosen or repaired is always said.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.io.header import far_corner
from core.volume import VolumeError

FloatArray = NDArray[np.float64]

UNPLACED = (
    "The header says nothing about position and orientation: the volume was centred at the origin, "
    "and left and right are an assumption."
)
_NEGATIVE = ["The header's voxel sizes are negative (pixdim); they were taken as sizes."]
_UNITS = {1: ("meter", 1000.0), 3: ("micron", 0.001)}
_CODES = 5
"""The largest code of a position matrix that the standard knows."""
_ROUNDED = 1e-3
"""How far the parts of a rotation may exceed 1 by rounding."""
_SMALLEST, _LARGEST = 5.0, 2000.0
"""mm; the longest side of a volume of a patient lies between these."""


def affine_of(name: str, header: Any, shape: tuple[int, int, int]) -> tuple[FloatArray, list[str]]:
    """Choose between sform and qform, the way the standard orders them, and say so.

    Args:
        name: file name without folders.
        header: nibabel's header.
        shape: voxels along (i, j, k).

    Returns:
        (4, 4) voxel → RAS+ mm, and sentences about what was chosen or repaired.

    Raises:
        VolumeError: neither matrix can be used.
    """
    notes: list[str] = []
    steps = np.array(header["pixdim"][1:4], dtype=np.float64)
    codes = {"sform": int(header["sform_code"]), "qform": int(header["qform_code"])}
    found: dict[str, FloatArray] = {}
    wrong: dict[str, str] = {}
    if codes["sform"] > 0:
        sform = np.eye(4)
        sform[:3] = [np.asarray(header[f"srow_{axis}"], dtype=np.float64) for axis in "xyz"]
        found["sform"] = sform
        wrong["sform"] = _useless(sform)
    if codes["qform"] > 0:
        found["qform"], said = _qform(header, steps)
        wrong["qform"] = said or _useless(found["qform"])
    usable = [kind for kind in found if not wrong[kind]]
    if usable:
        chosen = usable[0]
        affine = found[chosen]
        for kind in found:
            if wrong[kind]:
                notes.append(f"The header's {kind} {wrong[kind]}; its {chosen} is used.")
        if codes[chosen] > _CODES:
            notes.append(
                f"The header's {chosen} has the code {codes[chosen]}, which the standard does not "
                "know; its matrix is used. Check where the volume lies."
            )
        notes += _differ(found, usable, codes, shape)
        if chosen == "qform":
            notes += _repaired(header, steps)
        notes += _contradicted(affine, steps, shape)
    elif found:
        kind = next(iter(found))
        raise VolumeError(
            f"{name}: expected a usable position matrix; the header's {kind} {wrong[kind]}, and "
            "there is no other. Correct the header, or export the volume again."
        )
    else:
        if not np.isfinite(steps).all() or not steps.all():
            raise VolumeError(
                f"{name}: expected voxel sizes above zero; the header's pixdim is "
                f"{' '.join(f'{s:g}' for s in steps)}. Correct the header, or export it again."
            )
        # As nibabel has it for files that say nothing: the first axis runs to the left.
        affine = np.diag([-abs(steps[0]), *np.abs(steps[1:]), 1.0])
        affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
        notes.append(UNPLACED)
        if (steps < 0).any():
            notes.append(
                "The header's voxel sizes are negative (pixdim); they were taken as sizes."
            )
    return _in_millimetres(header, affine, shape, notes)


def _useless(affine: FloatArray) -> str:
    """Say what is wrong with a matrix; nothing when it can be used."""
    if not np.isfinite(affine).all():
        return "holds numbers that are not finite"
    if not affine[:3, :3].any():
        return "is empty (all zero)"
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    if steps.min() <= 0 or abs(np.linalg.det(affine[:3, :3] / steps)) < 1e-6:
        return "is singular"
    return ""


def _qform(header: Any, steps: FloatArray) -> tuple[FloatArray, str]:
    """Return the matrix of quaternion, offset and voxel sizes, and what is wrong with it."""
    b, c, d = (float(header[f"quatern_{axis}"]) for axis in "bcd")
    offset = [float(header[f"qoffset_{axis}"]) for axis in "xyz"]
    length = b * b + c * c + d * d
    if not np.isfinite([length, *offset, *steps]).all():
        return np.eye(4), "holds numbers that are not finite"
    if length > 1 + _ROUNDED * 2:
        return np.eye(4), "is no rotation"
    if length > 1:
        b, c, d = (x / np.sqrt(length) for x in (b, c, d))
    a = np.sqrt(max(0.0, 1 - b * b - c * c - d * d))
    turn = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    # pixdim[0] is the handedness; 0 stands for 1.
    handed = -1.0 if float(header["pixdim"][0]) < 0 else 1.0
    affine = np.eye(4)
    affine[:3, :3] = turn * np.abs(steps) * [1.0, 1.0, handed]
    affine[:3, 3] = offset
    return affine, ""


def _repaired(header: Any, steps: FloatArray) -> list[str]:
    notes: list[str] = []
    notes += _NEGATIVE if (steps < 0).any() else []
    if float(header["pixdim"][0]) not in (-1.0, 1.0):
        notes.append(
            f"The header's handedness (pixdim[0]) is {float(header['pixdim'][0]):g}; the standard "
            "takes it for 1."
        )
    return notes


def _differ(
    found: dict[str, FloatArray],
    usable: list[str],
    codes: dict[str, int],
    shape: tuple[int, int, int],
) -> list[str]:
    if len(usable) < 2:
        return []
    gap = far_corner(found["sform"], found["qform"], shape)
    if gap <= 0.1 * float(np.linalg.norm(found["sform"][:3, :3], axis=0).min()):
        return []
    return [
        f"The header's two position matrices differ by up to {gap:.1f} mm; the sform "
        f"(code {codes['sform']}) is used, as the NIfTI standard prefers, not the qform "
        f"(code {codes['qform']})."
    ]


def _contradicted(affine: FloatArray, steps: FloatArray, shape: tuple[int, int, int]) -> list[str]:
    """Say when the voxel sizes of the header are not those of its matrix."""
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(steps).all():
        return ["The header's voxel sizes (pixdim) are not finite; its matrix is used."]
    other = affine.copy()
    other[:3, :3] *= np.abs(steps) / sizes
    gap = far_corner(affine, other, shape)
    if gap <= 0.1 * float(sizes.min()):
        return []
    return [
        "The header's voxel sizes (pixdim "
        f"{'×'.join(f'{abs(s):.4g}' for s in steps)} mm) contradict its position matrix "
        f"({'×'.join(f'{s:.4g}' for s in sizes)} mm) by up to {gap:.1f} mm; the matrix is used."
    ]


def _in_millimetres(
    header: Any, affine: FloatArray, shape: tuple[int, int, int], notes: list[str]
) -> tuple[FloatArray, list[str]]:
    unit, scale = _UNITS.get(int(header["xyzt_units"]) & 7, ("", 1.0))
    sides = np.linalg.norm(affine[:3, :3], axis=0) * shape
    longest = float(sides.max())
    if unit and not _SMALLEST <= longest * scale <= _LARGEST and _SMALLEST <= longest <= _LARGEST:
        # People's programs write numbers in millimetres and leave another unit beside them.
        return affine, [
            *notes,
            f"The header gives lengths in {unit}s, which would make the volume "
            f"{longest * scale:.3g} mm wide; its numbers were taken for millimetres.",
        ]
    if unit:
        notes.append(f"The header gives lengths in {unit}s; they were converted to millimetres.")
    return np.diag([scale] * 3 + [1.0]) @ affine, notes
