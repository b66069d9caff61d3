"""Where an NRRD's voxels lie: spaces, directions, units, as the format defines them."""

from __future__ import annotations

import math
import re

import numpy as np
from numpy.typing import NDArray

from core.volume import VolumeError

_SPACES = {
    "right-anterior-superior": (1, 1, 1),
    "ras": (1, 1, 1),
    "left-anterior-superior": (-1, 1, 1),
    "las": (-1, 1, 1),
    "left-posterior-superior": (-1, -1, 1),
    "lps": (-1, -1, 1),
}
_UNITS = {
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres", ""), 1.0),
    **dict.fromkeys(("cm", "centimeter", "centimeters"), 10.0),
    **dict.fromkeys(("m", "meter", "meters", "metre"), 1000.0),
    **dict.fromkeys(("um", "micron", "microns", "micrometer", "micrometers"), 1e-3),
    "nm": 1e-6,
}
_UNPLACED = (
    "The header does not tie the volume to the patient's axes: left, posterior and superior were "
    "assumed for its coordinates."
)


def _numbers(name: str, text: str) -> list[float]:
    try:
        return [float(part) for part in re.split(r"[,\s]+", text.strip(" ()")) if part]
    except ValueError as error:
        raise VolumeError(
            f"{name}: expected numbers in the NRRD header; found “{text[:80]}”."
        ) from error


def geometry(
    name: str, fields: dict[str, str], dimension: int
) -> tuple[list[int], NDArray[np.float64], list[str]]:
    """Work out where an NRRD's voxels lie.

    Args:
        name: file name without folders.
        fields: of the header, names in small letters without spaces.
        dimension: number of axes.

    Returns:
        The spatial axes, the (4, 4) voxel → RAS+ mm matrix, and sentences about what was assumed.

    Raises:
        VolumeError: not three spatial axes, or numbers that are none.
    """
    notes: list[str] = []
    space = fields.get("space", "").lower().removesuffix("-time")
    signs = _SPACES.get(space, (-1, -1, 1))
    affine = np.eye(4)
    if "spacedirections" in fields:
        vectors = re.findall(r"none|\([^)]*\)", fields["spacedirections"])
        axes = [n for n, vector in enumerate(vectors) if vector != "none"]
        columns = [_numbers(name, vectors[n]) for n in axes]
        if len(vectors) != dimension or len(axes) != 3 or {len(c) for c in columns} != {3}:
            raise VolumeError(
                f"{name}: expected three spatial axes in the NRRD header; found {len(axes)}. "
                "Save one 3-D volume with its positions."
            )
        affine[:3, :3] = np.array(columns).T
        origin = _origin(name, fields.get("spaceorigin", "none"))
        affine[:3, 3] = origin or 0
        if space not in _SPACES:
            notes.append(_UNPLACED)
        elif origin is None:
            notes.append("The header gives no position; the first voxel was put at the origin.")
        affine[:3] *= _scales(name, fields.get("spaceunits", ""), 3, notes)[:, None]
    else:
        axes = list(range(min(dimension, 3)))
        spacings = _numbers(name, fields.get("spacings", "").lower())
        if spacings and len(spacings) != dimension:
            raise VolumeError(
                f"{name}: expected {dimension} spacings in the NRRD header; found "
                f"{len(spacings)}. Correct the header, or export the volume again."
            )
        if not all(math.isfinite(s) for s in (spacings or [math.nan])[:3]):
            notes.append("The header does not give every voxel size; 1 mm was assumed.")
        step = [s if math.isfinite(s) else 1.0 for s in (spacings + [1.0] * 3)[:3]]
        scales = _scales(name, fields.get("units", ""), dimension, notes)
        affine[:3, :3] = np.diag(step * np.append(scales, [1.0] * 3)[:3])
        notes.append(_UNPLACED)
    return axes, np.diag([*signs, 1.0]) @ affine, notes


def _origin(name: str, text: str) -> list[float] | None:
    """Return the three numbers of the origin; None when the header says it is not known."""
    found = _numbers(name, text) if re.fullmatch(r"\([^()]*\)", text) else []
    if text.lower() == "none" or (len(found) == 3 and all(math.isnan(x) for x in found)):
        return None
    if len(found) != 3 or not all(math.isfinite(x) for x in found):
        raise VolumeError(
            f"{name}: expected three numbers for the space origin; found “{text[:80]}”. Correct "
            "the header, or export the volume again."
        )
    return found


def _scales(name: str, text: str, count: int, notes: list[str]) -> NDArray[np.float64]:
    """Return the millimetres of each axis' unit; what was converted is added to the notes."""
    units = [re.sub("[\udcb5μµ]", "u", u.strip().lower()) for u in re.findall(r'"([^"]*)"', text)]
    scales = np.ones(count)
    if not units:
        return scales
    if len(units) != count:
        raise VolumeError(
            f"{name}: expected a unit for each of {count} axes; found {len(units)}. Correct the "
            "header, or export the volume again."
        )
    unknown = sorted({u for u in units if u not in _UNITS})
    if unknown:
        notes.append(f"The header gives lengths in “{unknown[0][:20]}”; millimetres were assumed.")
        return scales
    scales = np.array([_UNITS[u] for u in units])
    if (scales != 1).any():
        named = next(u for u in units if _UNITS[u] != 1)
        notes.append(f"The header gives lengths in {named}; they were converted to millimetres.")
    return scales
