"""The text in front of a MetaImage's voxels: fields, sizes, type."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.volume import VolumeError

# The format's LONG has four bytes, whatever a compiler thinks of it.
_TYPES = {
    "MET_CHAR": "i1",
    "MET_ASCII_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_MAX_HEADER = 1 << 26
_STEP = 1 << 18
_MAX_DIMS = 10
_END = re.compile(rb"(?m)^[ \t]*ElementDataFile[ \t]*[=:][ \t]*([^\r\n]*)(?:\r?\n|\Z)")


def is_metaimage(start: bytes) -> bool:
    """Tell from a file's first bytes whether it is a MetaImage header: its keys have no order."""
    first = re.match(rb"\s*[A-Za-z]\w*[ \t]*[=:]", start)
    return first is not None and bool(
        re.search(rb"(?m)^\s*(?:ObjectType|NDims|DimSize|ElementType)[ \t]*[=:]", start)
    )


@dataclass(frozen=True)
class Text:
    """A header's fields, the lines behind ``ElementDataFile = LIST``, and where data begin."""

    fields: Mapping[str, str]
    listed: tuple[str, ...]
    end: int

    def yes(self, *keys: str, default: str = "False") -> bool:
        """Tell whether the first of some fields that is given says yes."""
        value = next((self.fields[key] for key in keys if key in self.fields), default)
        return value.lower() in ("true", "1", "t", "yes")


def parse(path: Path) -> Text:
    """Read a header's text.

    Raises:
        VolumeError: it has no end, or says something twice.
    """
    start = b""
    found = None
    with path.open("rb") as file:
        while len(start) < _MAX_HEADER and (piece := file.read(_STEP)):
            at = max(0, len(start) - 200)
            start += piece
            found = _END.search(start, start.rfind(b"\n", 0, at) + 1)
            if found and found.end() < len(start):
                break
    if found is None:
        raise VolumeError(
            f"{path.name}: expected a MetaImage header that ends with ElementDataFile; it does "
            "not. The file is cut short; copy or export it again."
        )
    fields: dict[str, str] = {}
    for line in start[: found.end()].decode("utf-8", "surrogateescape").split("\n"):
        key, mark, value = line.partition(min("=:", key=lambda mark: f"{line}=:".index(mark)))
        key = key.strip()
        if key and not mark:  # what follows such a line other programs take for its value
            raise VolumeError(
                f"{path.name}: expected lines of NAME = VALUE in the MetaImage header; found "
                f"“{key[:40]}”. The header is damaged; export the volume again."
            )
        if key and key in fields:
            raise VolumeError(
                f"{path.name}: expected every MetaImage field once; {key[:40]} is given twice. "
                "The header is damaged; export the volume again."
            )
        fields[key] = value.strip()
    centre = fields.get("CenterOfRotation", "")
    if centre and len(centre.split()) != len(fields.get("DimSize", "").split()):
        raise VolumeError(  # other programs read on into the next line
            f"{path.name}: expected a number for each axis as CenterOfRotation; found "
            f"“{centre[:40]}”. The header is damaged; export the volume again."
        )
    listed: tuple[str, ...] = ()
    if fields["ElementDataFile"].upper().startswith("LIST"):
        with path.open("rb") as file:
            file.seek(found.end())
            lines = file.read(_MAX_HEADER).decode("utf-8", "surrogateescape").splitlines()
        listed = tuple(line.strip() for line in lines if line.strip())
    return Text(fields, listed, found.end())


def numbers(name: str, fields: Mapping[str, str], keys: tuple[str, ...]) -> list[float]:
    """Return the numbers of a field; none when it is not given, under any of its names.

    Raises:
        VolumeError: not numbers, or two of its names with different ones.
    """
    given = [(key, fields[key]) for key in keys if key in fields]
    values = []
    for key, text in given:
        try:
            values.append([float(part) for part in text.split()])
        except ValueError as error:
            raise VolumeError(
                f"{name}: expected numbers for {key}; found “{text[:80]}”. The header is damaged; "
                "export the volume again."
            ) from error
    if any(one != values[0] for one in values[1:]):
        raise VolumeError(
            f"{name}: expected one answer for {' and '.join(key for key, _ in given)}; they "
            "differ. Correct the header, or export the volume again."
        )
    return values[0] if values else []


def sizes(name: str, fields: Mapping[str, str]) -> tuple[int, ...]:
    """Return the number of voxels along each axis, once every count in the header agrees.

    Raises:
        VolumeError: no whole numbers, or not as many as the header's dimension says.
    """
    counts = numbers(name, fields, ("DimSize",))
    dimension = numbers(name, fields, ("NDims",)) or [float(len(counts))]
    if (
        len(dimension) != 1
        or dimension[0] != len(counts)
        or not 0 < len(counts) <= _MAX_DIMS
        or any(not math.isfinite(n) or n != int(n) for n in counts)
    ):
        raise VolumeError(
            f"{name}: expected as many whole sizes as axes; found NDims "
            f"“{fields.get('NDims', 'missing')[:40]}” and DimSize "
            f"“{fields.get('DimSize', 'missing')[:80]}”. The header is damaged; export the volume "
            "again."
        )
    return tuple(int(n) for n in counts)


def stored_type(name: str, text: Text) -> np.dtype[np.generic]:
    """Return how a voxel is stored.

    Raises:
        VolumeError: several values per voxel, or an unknown type.
    """
    fields = text.fields
    kind = fields.get("ElementType", "")
    channels = numbers(name, fields, ("ElementNumberOfChannels",)) or [1.0]
    if channels != [1.0] or kind.endswith("_ARRAY"):
        raise VolumeError(
            f"{name}: expected one grey value per voxel; found several (colour or vectors). "
            "Save one component as a greyscale volume."
        )
    if kind not in _TYPES:
        raise VolumeError(
            f"{name}: expected numbers as voxels; found MetaImage type “{kind[:40] or 'missing'}”."
        )
    big = text.yes("BinaryDataByteOrderMSB", "ElementByteOrderMSB")
    return np.dtype((">" if big else "<") + _TYPES[kind])
