"""MetaImage, .mha and .mhd: header by the format's rules, voxels by SimpleITK."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from core.io.header import Header, make_grid, shear_warning, spatial_shape
from core.io.limits import check_stored, data_file
from core.io.modality import guess_from_text
from core.io.raw_image import Layout, decode
from core.volume import Volume, VolumeError

_TYPES = {
    "MET_CHAR": "int8",
    "MET_UCHAR": "uint8",
    "MET_SHORT": "int16",
    "MET_USHORT": "uint16",
    "MET_INT": "int32",
    "MET_UINT": "uint32",
    "MET_LONG": "int64",
    "MET_ULONG": "uint64",
    "MET_LONG_LONG": "int64",
    "MET_ULONG_LONG": "uint64",
    "MET_FLOAT": "float32",
    "MET_DOUBLE": "float64",
}
_MAX_HEADER = 1 << 20


def is_metaimage(start: bytes) -> bool:
    """Tell from a file's first bytes whether it is a MetaImage header."""
    return re.match(rb"\s*(ObjectType|NDims)\s*=", start) is not None


def _parse(path: Path) -> tuple[dict[str, str], list[str], int]:
    """Return the fields, the lines behind ``ElementDataFile = LIST``, and where data begin."""
    with path.open("rb") as file:
        start = file.read(_MAX_HEADER)
    found = re.search(rb"(?m)^[ \t]*ElementDataFile[ \t]*[=:][ \t]*([^\r\n]*)\r?\n?", start)
    if found is None:
        raise VolumeError(
            f"{path.name}: expected a MetaImage header that ends with ElementDataFile; it does "
            "not. The file is cut short; copy or export it again."
        )
    fields = {}
    for line in start[: found.end()].decode("utf-8", "replace").splitlines():
        key, _, value = line.partition(min("=:", key=lambda mark: f"{line}=:".index(mark)))
        if key.strip() in fields:
            raise VolumeError(
                f"{path.name}: expected every MetaImage field once; {key.strip()} is given twice. "
                "The header is damaged; export the volume again."
            )
        fields[key.strip()] = value.strip()
    listed: list[str] = []
    if fields["ElementDataFile"].upper().startswith("LIST"):
        lines = start[found.end() :].decode("utf-8", "replace").splitlines()
        listed = [line.strip() for line in lines if line.strip()]
    return fields, listed, found.end()


def _data_files(path: Path, named: str, listed: list[str], slices: int) -> list[Path]:
    if named.upper() == "LOCAL":
        return [path]
    if named.upper().startswith("LIST"):
        names = listed
    elif "%" in named:
        found = re.fullmatch(r"([^%]*)%(0?\d*)d(\S*)(?:\s+(\d+))?(?:\s+(\d+))?(?:\s+(\d+))?", named)
        if found is None:
            raise VolumeError(f"{path.name}: expected numbered data files; found “{named}”.")
        before, width, after, low, high, step = found.groups()
        first, last, by = int(low or 1), int(high or slices), max(int(step or 1), 1)
        if (last - first) // by > slices:
            raise VolumeError(
                f"{path.name}: expected one data file per slice; the header names more."
            )
        names = [f"{before}{format(n, f'{width}d')}{after}" for n in range(first, last + 1, by)]
    else:
        names = [named]
    if not 0 < len(names) <= slices:
        raise VolumeError(
            f"{path.name}: expected between one data file and one per slice; found {len(names)}."
        )
    return [data_file(path, entry) for entry in names]


def _numbers(name: str, fields: dict[str, str], keys: tuple[str, ...], default: str) -> list[float]:
    text = next((fields[key] for key in keys if key in fields), default)
    try:
        return [float(part) for part in text.split()]
    except ValueError as error:
        raise VolumeError(f"{name}: expected numbers for {keys[0]}; found “{text}”.") from error


def _inspect(path: Path) -> Layout:
    name = path.name
    fields, listed, end = _parse(path)
    sizes = tuple(int(n) for n in _numbers(name, fields, ("DimSize",), ""))
    shape, dropped = spatial_shape(name, sizes)
    dimension = len(sizes)
    if fields.get("ElementNumberOfChannels", "1") != "1" or fields.get("ElementType", "").endswith(
        "_ARRAY"
    ):
        raise VolumeError(
            f"{name}: expected one grey value per voxel; found several (colour or vectors). "
            "Save one component as a greyscale volume."
        )
    dtype = _TYPES.get(fields.get("ElementType", ""), "")
    if not dtype:
        raise VolumeError(
            f"{name}: expected numbers as voxels; found MetaImage type "
            f"“{fields.get('ElementType', 'missing')}”."
        )
    spacing = _numbers(name, fields, ("ElementSpacing", "ElementSize"), "1 1 1 1")
    origin = _numbers(name, fields, ("Offset", "Origin", "Position"), "0 0 0 0")
    default = " ".join(str(n) for n in np.eye(dimension).ravel())
    matrix = _numbers(name, fields, ("TransformMatrix", "Rotation", "Orientation"), default)
    if len(matrix) != dimension**2 or min(len(spacing), len(origin)) < dimension:
        raise VolumeError(
            f"{name}: expected {dimension} numbers each for spacing and offset and "
            f"{dimension**2} for the orientation; the MetaImage header has fewer."
        )
    # Each row of TransformMatrix is the direction of one axis, in ITK's left-posterior-superior mm.
    directions = np.reshape(matrix, (dimension, dimension))[:3, :3].T
    affine = np.eye(4)
    affine[:3, :3] = directions * np.array(spacing[:3])
    affine[:3, 3] = origin[:3]
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    grid = make_grid(name, shape, affine)
    notes = ["A trailing axis of one was dropped."] if dropped else []
    if not any(key in fields for key in ("Offset", "Origin", "Position")):
        notes.append("The header gives no position; the first voxel was put at the origin.")
    files = _data_files(path, fields["ElementDataFile"], listed, sizes[-1])
    attached = files == [path]
    need = math.prod(sizes) * np.dtype(dtype).itemsize
    deflated = fields.get("CompressedData", "False").lower() in ("true", "1")
    if fields.get("BinaryData", "True").lower() not in ("true", "1"):
        raise VolumeError(f"{name}: expected binary MetaImage data; found text. Save it as binary.")
    skip = fields.get("HeaderSize", "0")
    if skip not in ("0", "-1") or (deflated and skip != "0"):
        raise VolumeError(
            f"{name}: expected MetaImage data that begin where the file begins; it asks to skip "
            "some. Save it again as one .mha file."
        )
    held = sum(file.stat().st_size for file in files) - (end if attached else 0)
    if deflated and (len(files) > 1 or _packed(name, fields) > held):
        raise VolumeError(
            f"{name}: expected its compressed data whole, in one file; the header says otherwise. "
            "It is cut short or damaged; copy or export it again."
        )
    check_stored(name, need, held, deflated=deflated)
    modality, reason = guess_from_text(name, "file name")
    header = Header(
        path,
        "MetaImage",
        grid,
        dtype,
        modality,
        reason,
        files=1 if attached else 1 + len(files),
        synthetic="SYNTHETIC" in fields,
        warnings=(*notes, *shear_warning(grid.affine)),
    )
    start = (files[0], end if attached else 0)
    return Layout(header, need, start if deflated else None, gzip=False, reader="MetaImageIO")


def _packed(name: str, fields: dict[str, str]) -> float:
    return max(_numbers(name, fields, ("CompressedDataSize",), "0"), default=0)


def probe(path: Path) -> Header:
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
