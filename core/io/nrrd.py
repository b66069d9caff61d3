"""NRRD, attached or detached: header by the format's rules, voxels by SimpleITK."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.io.header import Header, make_grid, shear_warning, spatial_shape
from core.io.limits import check_stored, data_file
from core.io.modality import guess_from_text
from core.io.raw_image import Layout, decode
from core.volume import Volume, VolumeError

_TYPES = {
    "int8": ("signed char", "int8", "int8_t"),
    "uint8": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "int16": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "uint16": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "int32": ("int", "signed int", "int32", "int32_t"),
    "uint32": ("uint", "unsigned int", "uint32", "uint32_t"),
    "int64": ("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"),
    "uint64": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "float32": ("float",),
    "float64": ("double",),
}
_SPACES = {
    "right-anterior-superior": (1, 1, 1),
    "ras": (1, 1, 1),
    "left-anterior-superior": (-1, 1, 1),
    "las": (-1, 1, 1),
    "left-posterior-superior": (-1, -1, 1),
    "lps": (-1, -1, 1),
}
_UNITS = {"mm": 1.0, "cm": 10.0, "m": 1000.0, "um": 0.001, "µm": 0.001, "": 1.0}
_MAX_HEADER = 1 << 20
_UNPLACED = (
    "The header does not tie the volume to the patient's axes: left, posterior and superior were "
    "assumed for its coordinates."
)


@dataclass(frozen=True)
class _Text:
    fields: dict[str, str]
    keys: dict[str, str]
    listed: tuple[str, ...]  # lines behind "data file: LIST"
    end: int  # bytes up to the data of an attached file


def _parse(path: Path) -> _Text:
    name = path.name
    fields: dict[str, str] = {}
    keys: dict[str, str] = {}
    with path.open("rb") as file:
        start = file.read(_MAX_HEADER)
    stop = re.search(rb"\r?\n\r?\n", start)
    text = start[: stop.start() if stop else None].decode("utf-8", "replace")
    lines = text.splitlines()[1:]
    listed: tuple[str, ...] = ()
    for n, line in enumerate(lines):
        if line.startswith("#"):
            continue
        key, sep, value = line.partition(":=")
        if sep and ": " not in key:
            keys[key.strip()] = value.strip()
            continue
        key, _, value = line.partition(":")
        field = key.strip().lower().replace(" ", "")
        fields[field] = value.strip()
        if field == "datafile" and value.strip().upper().startswith("LIST"):
            listed = tuple(entry.strip() for entry in lines[n + 1 :] if entry.strip())
            break
    if stop is None and "datafile" not in fields:
        raise VolumeError(
            f"{name}: expected a blank line behind the NRRD header; the header is cut short. "
            "Copy or export the file again."
        )
    return _Text(fields, keys, listed, stop.end() if stop else len(start))


def _numbers(name: str, text: str) -> list[float]:
    try:
        return [float(part) for part in re.split(r"[,\s]+", text.strip(" ()")) if part]
    except ValueError as error:
        raise VolumeError(
            f"{name}: expected numbers in the NRRD header; found “{text}”."
        ) from error


def _geometry(
    name: str, fields: dict[str, str], dimension: int
) -> tuple[list[int], NDArray[np.float64], list[str]]:
    """Return the spatial axes, the (4, 4) voxel → RAS+ mm matrix, and what was assumed."""
    notes: list[str] = []
    space = fields.get("space", "").lower().removesuffix("-time")
    signs = _SPACES.get(space, (-1, -1, 1))
    affine = np.eye(4)
    if "spacedirections" in fields:
        vectors = re.findall(r"none|\([^)]*\)", fields["spacedirections"])
        axes = [n for n, vector in enumerate(vectors) if vector != "none"]
        columns = [_numbers(name, vectors[n]) for n in axes]
        origin = _numbers(name, fields.get("spaceorigin", "(0,0,0)"))
        if len(vectors) != dimension or len(axes) != 3 or {len(c) for c in columns} != {3}:
            raise VolumeError(
                f"{name}: expected three spatial axes in the NRRD header; found {len(axes)}. "
                "Save one 3-D volume with its positions."
            )
        affine[:3, :3] = np.array(columns).T
        affine[:3, 3] = origin if len(origin) == 3 else 0
        if space not in _SPACES:
            notes.append(_UNPLACED)
        elif "spaceorigin" not in fields:
            notes.append("The header gives no position; the first voxel was put at the origin.")
    else:
        axes = list(range(min(dimension, 3)))
        spacings = _numbers(name, fields.get("spacings", "1 1 1").lower())
        step = [s if math.isfinite(s) else 1.0 for s in (spacings + [1.0] * 3)[:3]]
        affine[:3, :3] = np.diag(step)
        notes.append(_UNPLACED)
    units = [u.strip() for u in re.findall(r'"([^"]*)"', fields.get("spaceunits", ""))]
    scales = {_UNITS[u] for u in units if u in _UNITS}
    if len(scales) == 1 and (scale := scales.pop()) != 1.0:
        affine[:3] *= scale
        notes.append(f"The header gives lengths in {units[0]}; they were converted to millimetres.")
    return axes, np.diag([*signs, 1.0]) @ affine, notes


def _data_files(path: Path, text: _Text, shape: tuple[int, ...]) -> list[Path]:
    """Return the files that hold the voxels; the header itself when they are attached."""
    named = text.fields.get("datafile", "")
    if not named:
        return [path]
    if named.upper().startswith("LIST"):
        names = list(text.listed)
    elif found := re.fullmatch(r"([^%]*)%(0?\d*)d(\S*)\s+(-?\d+)\s+(-?\d+)\s+(-?\d+).*", named):
        before, width, after, *numbers = found.groups()
        low, high, step = (int(n) for n in numbers)
        if step == 0 or abs((high - low) // step) > 100_000:
            raise VolumeError(f"{path.name}: expected numbered data files; found “{named}”.")
        names = [
            f"{before}{format(n, f'{width}d')}{after}"
            for n in range(low, high + (1 if step > 0 else -1), step)
        ]
    else:
        names = [named]
    if not names or len(names) > max(shape):
        raise VolumeError(
            f"{path.name}: expected between one data file and one per slice; found {len(names)}."
        )
    return [data_file(path, entry) for entry in names]


def _inspect(path: Path) -> Layout:
    name = path.name
    text = _parse(path)
    fields = text.fields
    try:
        sizes = tuple(int(n) for n in fields["sizes"].split())
        dimension = int(fields["dimension"])
        stored = fields["type"].lower()
        encoding = fields.get("encoding", "raw").lower()
    except (KeyError, ValueError) as error:
        raise VolumeError(
            f"{name}: expected type, dimension and sizes in the NRRD header; one is missing or not "
            "a number. The file is damaged; export it again."
        ) from error
    dtype = next((key for key, names in _TYPES.items() if stored in names), "")
    if not dtype:
        raise VolumeError(f"{name}: expected numbers as voxels; found NRRD type “{stored}”.")
    if len(sizes) != dimension or not sizes or min(sizes) < 1:
        raise VolumeError(
            f"{name}: expected {dimension} sizes of at least one; found {sizes}. The file is empty "
            "or damaged."
        )
    kinds = fields.get("kinds", "").lower().split()
    colour = [k for k, n in zip(kinds, sizes, strict=False) if k not in _PLAIN and n > 1]
    if colour:
        raise VolumeError(
            f"{name}: expected one grey value per voxel; found several ({colour[0]}). "
            "Save one component as a greyscale volume."
        )
    axes, affine, notes = _geometry(name, fields, dimension)
    if len(axes) == 3 and math.prod(sizes) == math.prod(sizes[n] for n in axes):
        shape = (sizes[axes[0]], sizes[axes[1]], sizes[axes[2]])
        if dimension > 3:
            notes.append("An axis of one was dropped.")
    else:
        shape, _ = spatial_shape(name, sizes)
    grid = make_grid(name, shape, affine)
    files = _data_files(path, text, sizes)
    attached = "datafile" not in fields
    need = math.prod(sizes) * np.dtype(dtype).itemsize
    zipped = encoding in ("gzip", "gz")
    if not zipped and encoding not in ("raw", "txt", "text", "ascii", "hex"):
        raise VolumeError(
            f"{name}: expected NRRD encoding raw, gzip or text; found “{encoding}”. "
            "Save it again with one of these."
        )
    skips = [fields.get(key, "0") for key in ("byteskip", "lineskip")]
    if any(skip not in ("0", "-1") for skip in skips) or (zipped and skips != ["0", "0"]):
        raise VolumeError(
            f"{name}: expected NRRD data that begin where the file begins; it asks to skip some. "
            "Save it again as one attached file."
        )
    held = sum(file.stat().st_size for file in files) - (text.end if attached else 0)
    if encoding in ("txt", "text", "ascii", "hex"):
        check_stored(name, math.prod(sizes), held)
    else:
        check_stored(name, need, held, deflated=zipped)
    modality, reason = guess_from_text(name, "file name")
    header = Header(
        path,
        "NRRD",
        grid,
        dtype,
        modality,
        reason,
        files=1 if attached else 1 + len(files),
        synthetic=any(key.upper() == "SYNTHETIC" for key in text.keys),
        warnings=(*notes, *shear_warning(grid.affine)),
    )
    if zipped and len(files) > 1:
        raise VolumeError(
            f"{name}: expected compressed NRRD data in one file; found {len(files)}. "
            "Save it again as one attached file."
        )
    stream = (files[0], text.end if attached else 0) if zipped else None
    return Layout(header, need, stream, gzip=True, reader="NrrdImageIO")


_PLAIN = ("domain", "space", "time", "list", "point", "stub", "scalar", "none", "???")


def probe(path: Path) -> Header:
    """Read an NRRD header.

    Raises:
        VolumeError: the file cannot be used; the sentence says why.
    """
    return _inspect(path).header


def read(path: Path, *, allow_zero: bool = False) -> Volume:
    """Read an NRRD volume.

    Raises:
        VolumeError: the file cannot be used; the sentence says why.
    """
    return decode(path, _inspect(path), allow_zero=allow_zero)
