"""NRRD, attached or detached, by the format's own rules."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from core.io import sweep
from core.io.header import Header, grid_warnings, make_grid, spatial_shape
from core.io.limits import data_file
from core.io.modality import guess_from_text
from core.io.nrrd_geometry import geometry
from core.io.raw_image import Layout, check_pieces, decode
from core.marks import WORD
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
_MAX_HEADER = 1 << 26
_STEP = 1 << 18
_NUMBERED = re.compile(r"([^%]*)%(0?\d{0,3})d(\S*)\s+(-?\d{1,9})\s+(-?\d{1,9})\s+(-?\d{1,9}).*")
"""``slice%03d.raw 1 40 1``: first, last, step."""
_BLANK = re.compile(rb"\r?\n\r?\n")
_MAX_DIMS = 16
_MAX_LINES = 1000
_ENCODINGS = {
    "raw": "raw",
    "gzip": "gzip",
    "gz": "gzip",
    "bzip2": "bzip2",
    "bz2": "bzip2",
    "txt": "text",
    "text": "text",
    "ascii": "text",
    "hex": "hex",
}


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
    start = b""
    stop = None
    with path.open("rb") as file:
        while stop is None and len(start) < _MAX_HEADER and (piece := file.read(_STEP)):
            at = max(0, len(start) - 4)
            start += piece
            stop = _BLANK.search(start, at)
    text = start[: stop.start() if stop else None].decode("utf-8", "surrogateescape")
    lines = text.replace("\r\n", "\n").split("\n")[1:]
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
        if field and field in fields:
            raise VolumeError(
                f"{name}: expected every NRRD field once; {key.strip()[:40]} is given twice. The "
                "header is damaged; export the volume again."
            )
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


def _data_files(path: Path, text: _Text, shape: tuple[int, ...]) -> list[Path]:
    """Return the files that hold the voxels; the header itself when they are attached."""
    named = text.fields.get("datafile", "")
    if not named:
        return [path]
    if named.upper().startswith("LIST"):
        names = list(text.listed)
    elif found := re.fullmatch(
        r"([^%]*)%(0?\d{0,3})d(\S*)\s+(-?\d{1,9})\s+(-?\d{1,9})\s+(-?\d{1,9}).*", named
    ):
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
    kinds = fields.get("kinds", "").lower().split()
    sweep.refuse(name, {**fields, **text.keys}, kinds)
    sizes = _sizes(name, fields, kinds)
    dtype = _dtype(name, fields)
    axes, affine, notes = geometry(name, fields, len(sizes))
    if len(axes) == 3 and math.prod(sizes) == math.prod(sizes[n] for n in axes):
        shape = (sizes[axes[0]], sizes[axes[1]], sizes[axes[2]])
        if len(sizes) > 3:
            notes.append("An axis of one was dropped.")
    else:
        shape, _ = spatial_shape(name, sizes)
    grid = make_grid(name, shape, affine)
    files = _data_files(path, text, sizes)
    attached = "datafile" not in fields
    modality, reason = guess_from_text(name, "file name")
    if "endian" not in fields and dtype.itemsize > 1:
        notes.append("The header does not say how its bytes are ordered; little-endian was taken.")
    header = Header(
        path,
        "NRRD",
        grid,
        str(dtype.newbyteorder("=")),
        modality,
        reason,
        files=1 if attached else 1 + len(files),
        synthetic=any(key.upper() == WORD for key in text.keys),
    )
    encoding = _ENCODINGS.get(fields.get("encoding", "raw").lower())
    if encoding is None:
        raise VolumeError(
            f"{name}: expected NRRD encoding raw, gzip, bzip2 or text; found "
            f"“{fields['encoding'][:40]}”. Save it again with one of these."
        )
    layout = Layout(header, dtype, encoding, ())
    pieces = _pieces(name, fields, files, text.end if attached else 0, layout)
    layout = replace(layout, pieces=pieces)
    notes += [*check_pieces(name, layout), *grid_warnings(grid)]
    return replace(layout, header=replace(header, warnings=tuple(notes)))


def sweep_layout(path: Path) -> tuple[dict[str, str], Layout]:
    """Return a tracked sweep's fields, and where its images lie in the file.

    Raises:
        VolumeError: not a stack of 2-D images, or damaged.
    """
    name, text = path.name, _parse(path)
    fields = text.fields
    sizes = _sizes(name, fields, ())
    layout = sweep.stack_layout(path, "NRRD", sizes, _dtype(name, fields))
    encoding = _ENCODINGS.get(fields.get("encoding", "raw").lower(), "")
    if not encoding:
        raise VolumeError(f"{name}: expected NRRD encoding raw, gzip, bzip2 or text.")
    layout = replace(layout, encoding=encoding)
    attached = "datafile" not in fields
    files = _data_files(path, text, sizes)
    pieces = _pieces(name, fields, files, text.end if attached else 0, layout)
    return dict(text.keys), replace(layout, pieces=pieces)


def _sizes(name: str, fields: dict[str, str], kinds: Sequence[str]) -> tuple[int, ...]:
    try:
        sizes = tuple(int(n) for n in fields["sizes"].split())
        dimension = int(fields["dimension"])
    except (KeyError, ValueError) as error:
        raise VolumeError(
            f"{name}: expected type, dimension and sizes in the NRRD header; one is missing or not "
            "a number. The file is damaged; export it again."
        ) from error
    if len(sizes) != dimension or not 0 < len(sizes) <= _MAX_DIMS or min(sizes) < 1:
        raise VolumeError(
            f"{name}: expected {dimension} sizes of at least one; found "
            f"{fields['sizes'][:80]}. The file is empty or damaged."
        )
    colour = [k for k, n in zip(kinds, sizes, strict=False) if k not in _PLAIN and n > 1]
    if colour:
        raise VolumeError(
            f"{name}: expected one grey value per voxel; found several ({colour[0][:40]}). "
            "Save one component as a greyscale volume."
        )
    return sizes


def _dtype(name: str, fields: dict[str, str]) -> np.dtype[Any]:
    stored = fields.get("type", "").lower()
    kind = next((key for key, names in _TYPES.items() if stored in names), "")
    if not kind:
        raise VolumeError(
            f"{name}: expected numbers as voxels; found NRRD type “{stored[:40] or 'missing'}”."
        )
    big = fields.get("endian", "little").lower() == "big"
    return np.dtype(kind).newbyteorder(">" if big else "<")


def _pieces(
    name: str, fields: dict[str, str], files: list[Path], start: int, layout: Layout
) -> tuple[tuple[Path, int], ...]:
    """Return file and byte where voxels begin, for each data file."""
    try:
        skip, lines = (int(fields.get(key, "0")) for key in ("byteskip", "lineskip"))
    except ValueError:
        skip, lines = -2, 0
    if skip < -1 or lines < 0 or ((skip or lines) and layout.encoding != "raw"):
        raise VolumeError(
            f"{name}: expected NRRD data that begin where the file begins; it asks to skip some. "
            "Save it again as one attached file."
        )
    share = layout.count * layout.dtype.itemsize // len(files)
    found = []
    for file in files:
        at = start
        if skip == -1:
            at = max(at, file.stat().st_size - share)
        elif skip or lines:
            with file.open("rb") as stream:
                stream.seek(start)
                for _ in range(min(lines, _MAX_LINES)):
                    stream.readline(_STEP)
                at = stream.tell() + skip
        found.append((file, at))
    return tuple(found)


_PLAIN = ("domain", "space", "time", "list", "point", "stub", "scalar", "none", "???")


def read_keys(path: Path) -> dict[str, str]:
    """Return the key/value pairs of a header (``key:=value``).

    Raises:
        VolumeError: the header is damaged.
        OSError: it cannot be read.
    """
    return _parse(path).keys


def read_header(path: Path) -> Header:
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
