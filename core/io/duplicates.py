"""Finds volumes that hold the same content under different names."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from core.io.dicom import Series
from core.io.header import Header

_CHUNK = 1 << 20
_SAMPLE = 1 << 16


@dataclass(frozen=True)
class _Extent:
    """A part of a file that is compared."""

    path: Path
    start: int
    length: int


def mark_duplicates(
    series: Sequence[Series], others: Sequence[Header], check: Callable[[], None]
) -> list[Header]:
    """Name, in each header whose content an earlier one has too, that earlier one.

    Only volumes on one grid are compared: DICOM images by their voxels, so that a copy under new
    identifiers is found; other files byte by byte.

    Args:
        series: DICOM volumes.
        others: headers of other files.
        check: called between files; may raise to stop.

    Returns:
        The headers of both, in the order given.
    """
    found = [one.header for one in series] + list(others)
    parts = [_voxels(one) if one.header.grid is not None else [] for one in series]
    parts += [_file(header) if header.grid is not None else [] for header in others]
    alike: dict[object, list[int]] = defaultdict(list)
    for n, header in enumerate(found):
        if header.grid is not None and parts[n]:
            place = tuple(header.grid.affine.round(3).ravel())
            lengths = tuple(part.length for part in parts[n])
            alike[header.format, header.grid.shape, place, header.dtype, lengths].append(n)
    for group in _shared(alike.values(), lambda n: _sample(parts[n], check)):
        for copies in _shared([group], lambda n: _whole(parts[n], check)):
            first = found[copies[0]]
            for n in copies[1:]:
                folder = _folder(first)
                where = "" if folder == _folder(found[n]) else f" in {folder.name}"
                kind = "series " if len(first.members) > 1 and first.description else ""
                same = f"Its content is that of {kind}{first.source}{where}."
                found[n] = replace(found[n], duplicate=same)
    return found


def _shared(groups: Iterable[list[int]], content: Callable[[int], bytes]) -> list[list[int]]:
    """Split groups by content, and keep the parts of more than one."""
    found: list[list[int]] = []
    for group in groups:
        if len(group) > 1:
            parts: dict[bytes, list[int]] = defaultdict(list)
            for n in group:
                parts[content(n)].append(n)
            found += [part for part in parts.values() if len(part) > 1]
    return found


def _folder(header: Header) -> Path:
    return header.members[0].parent if header.members else header.path.parent


def _voxels(one: Series) -> list[_Extent]:
    return [
        _Extent(
            image.path,
            image.voxels_at,
            image.stored if image.native else image.path.stat().st_size - image.voxels_at,
        )
        for image in one.images
    ]


def _file(header: Header) -> list[_Extent]:
    return [_Extent(header.path, 0, header.path.stat().st_size)]


def _sample(parts: Sequence[_Extent], check: Callable[[], None]) -> bytes:
    """Return some bytes from the middle; two volumes of one patient differ there already."""
    middle = parts[len(parts) // 2]
    start = middle.start + max(0, middle.length - _SAMPLE) // 2
    return _digest([_Extent(middle.path, start, min(_SAMPLE, middle.length))], check)


def _whole(parts: Sequence[_Extent], check: Callable[[], None]) -> bytes:
    return _digest(parts, check)


def _digest(parts: Sequence[_Extent], check: Callable[[], None]) -> bytes:
    """Return a digest of parts of files; a different one for each that cannot be read."""
    digest = hashlib.blake2b()
    try:
        for part in parts:
            check()
            left = part.length
            with part.path.open("rb") as file:
                file.seek(part.start)
                while left > 0 and (piece := file.read(min(_CHUNK, left))):
                    digest.update(piece)
                    left -= len(piece)
    except OSError:
        digest.update(str(parts[0].path).encode())
    return digest.digest()
