"""MetaImage, .mha and .mhd, by the format's own rules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.io import sweep
from core.io.header import Header, grid_warnings, make_grid, spatial_shape
from core.io.limits import data_file
from core.io.metaimage_header import Text, numbers, parse, sizes, stored_type
from core.io.modality import guess_from_text
from core.io.raw_image import Layout, check_pieces, decode
from core.marks import WORD
from core.volume import Volume, VolumeError

_POSITION = ("Offset", "Origin", "Position")
_DIRECTION = ("TransformMatrix", "Rotation", "Orientation")


def data_files(path: Path, text: Text, slices: int) -> list[Path]:
    """Return the files that hold the voxels; the header itself when they are attached.

    Raises:
        VolumeError: a file is missing, outside the folder, or there are too many.
    """
    named = text.fields["ElementDataFile"]
    if named.upper() == "LOCAL":
        return [path]
    if named.upper().startswith("LIST"):
        names = list(text.listed)
    elif "%" in named:
        found = re.fullmatch(
            r"([^%]*)%(0?\d{0,3})d(\S*)(?:\s+(\d{1,9}))?(?:\s+(\d{1,9}))?(?:\s+(\d{1,9}))?", named
        )
        if found is None:
            raise VolumeError(f"{path.name}: expected numbered data files; found “{named[:80]}”.")
        before, width, after, low, high, step = found.groups()
        first, last, by = int(low or 1), int(high or slices), max(int(step or 1), 1)
        if (last - first) // by > slices:
            raise VolumeError(
                f"{path.name}: expected one data file per slice; the header names more."
            )
        names = [f"{before}{format(n, f'{width}d')}{after}" for n in range(first, last + 1, by)]
    else:
        names = [named]
    if not 0 < len(names) <= slices or slices % len(names):
        raise VolumeError(
            f"{path.name}: expected between one data file and one per slice; found {len(names)}."
        )
    return [data_file(path, entry) for entry in names]


def _affine(
    name: str, fields: Mapping[str, str], dimension: int
) -> tuple[NDArray[np.float64], list[str]]:
    """Return the (4, 4) voxel → RAS+ mm matrix, and what had to be assumed."""
    spacing = numbers(name, fields, ("ElementSpacing",)) or numbers(name, fields, ("ElementSize",))
    origin = numbers(name, fields, _POSITION)
    matrix = numbers(name, fields, _DIRECTION)
    notes = []
    for what, found, count in (
        ("spacing", spacing, dimension),
        ("offset", origin, dimension),
        ("orientation", matrix, dimension**2),
    ):
        if found and len(found) != count:
            raise VolumeError(
                f"{name}: expected {count} numbers for the {what}; the MetaImage header has "
                f"{len(found)}. Correct the header, or export the volume again."
            )
    if not spacing:
        notes.append("The header gives no voxel size; 1 mm was assumed.")
    if not origin:
        notes.append("The header gives no position; the first voxel was put at the origin.")
    if not matrix:
        notes.append(
            "The header gives no orientation: left, posterior and superior were assumed for the "
            "axes."
        )
    # Each row of TransformMatrix is the direction of one axis, in ITK's left-posterior-superior mm.
    turn = np.reshape(matrix, (dimension, dimension)) if matrix else np.eye(dimension)
    affine = np.eye(4)
    affine[:3, :3] = turn[:3, :3].T * np.array((spacing or [1.0] * 3)[:3])
    affine[:3, 3] = (origin or [0.0] * 3)[:3]
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine, notes


def _inspect(path: Path) -> Layout:
    name = path.name
    text = parse(path)
    fields = text.fields
    sweep.refuse(name, fields, fields.get("Kinds", "").lower().split())
    counts = sizes(name, fields)
    dtype = stored_type(name, text)
    shape, dropped = spatial_shape(name, counts)
    affine, notes = _affine(name, fields, len(counts))
    grid = make_grid(name, shape, affine)
    if dropped:
        notes.append("A trailing axis of one was dropped.")
    files = data_files(path, text, counts[-1])
    modality, reason = guess_from_text(name, "file name")
    header = Header(
        path,
        "MetaImage",
        grid,
        str(dtype.newbyteorder("=")),
        modality,
        reason,
        files=1 if files == [path] else 1 + len(files),
        synthetic=WORD in fields,
    )
    layout = located(path, text, files, Layout(header, dtype, "raw", ()))
    notes += [*check_pieces(name, layout), *grid_warnings(grid)]
    return replace(layout, header=replace(header, warnings=tuple(notes)))


def located(path: Path, text: Text, files: list[Path], layout: Layout) -> Layout:
    """Complete a layout with where the voxels begin and how they are encoded.

    The size that a header gives for compressed data is not used: programs leave it out or leave an
    old one, and the stream itself says where it ends.

    Raises:
        VolumeError: data of another kind than we can find.
    """
    name = path.name
    attached = files == [path]
    if not text.yes("BinaryData", default="True"):
        encoding = "text"
    else:
        encoding = "zlib" if text.yes("CompressedData") else "raw"
    skip = numbers(name, text.fields, ("HeaderSize",)) or [0.0]
    if len(skip) != 1 or skip[0] != int(skip[0]) or (skip[0] and (attached or encoding != "raw")):
        raise VolumeError(
            f"{name}: expected MetaImage data that begin where the file begins; it asks to skip "
            "some. Save it again as one .mha file."
        )
    dtype = layout.dtype
    if text.fields.get("ElementType") in ("MET_LONG", "MET_ULONG") and encoding == "raw":
        # Some programs write what their compiler calls long.
        held = sum(f.stat().st_size for f in files) - (text.end if attached else 0)
        if held == layout.count * 8:
            dtype = np.dtype(dtype.str.replace("4", "8"))
    share = layout.count * dtype.itemsize // len(files)
    starts = [
        text.end if attached else f.stat().st_size - share if skip[0] == -1 else int(skip[0])
        for f in files
    ]
    if min(starts) < 0:
        starts = [0] * len(files)
    pieces = tuple(zip(files, starts, strict=True))
    return replace(layout, dtype=dtype, encoding=encoding, pieces=pieces)


def read_header(path: Path) -> Header:
    """Read a MetaImage header.

    Raises:
        VolumeError: the file cannot be used; the sentence says why.
    """
    return _inspect(path).header


def read(path: Path, *, allow_zero: bool = False) -> Volume:
    """Read a MetaImage volume.

    Raises:
        VolumeError: the file cannot be used; the sentence says why.
    """
    return decode(path, _inspect(path), allow_zero=allow_zero)
