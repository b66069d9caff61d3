"""Checks of declared sizes and names that run before anything is allocated or opened."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import BinaryIO

from core.volume import VolumeError

MAX_DEFLATE_RATIO = 1032
"""No deflate stream can grow by more than this factor (258 bytes from 2 bits)."""
_CHUNK = 1 << 20
_SLACK = 1 << 16


def size_text(count: float) -> str:
    """Return a byte count for people: ``"3.2 GB"``."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def check_memory(name: str, voxels: int, stored_bytes: int) -> None:
    """Refuse a volume that does not fit into the memory now free.

    Args:
        name: file name without folders.
        voxels: number of voxels; each becomes a float32.
        stored_bytes: size of the undecoded data, held at the same time.

    Raises:
        VolumeError: the sentence gives both sizes.
    """
    import psutil

    need = stored_bytes + 4 * voxels
    available = int(psutil.virtual_memory().available)
    if need > 0.9 * available:
        raise VolumeError(
            f"{name}: the header declares {voxels} voxels, which need {size_text(need)} of memory; "
            f"{size_text(available)} are free. Check the header, close other programs, or crop the "
            "volume."
        )


def check_stored(name: str, declared: int, found: int, *, deflated: bool = False) -> None:
    """Refuse a header that declares more bytes than its file can hold.

    Args:
        name: file name without folders.
        declared: bytes up to the end of the voxels, uncompressed.
        found: bytes of the file.
        deflated: the file is compressed with deflate (gzip, zlib).

    Raises:
        VolumeError: the file is too short.
    """
    holds = found * MAX_DEFLATE_RATIO if deflated else found
    if declared > holds:
        at_most = " at most, once unpacked" if deflated else ""
        wanted, there = size_text(declared), size_text(holds)
        if wanted == there:
            wanted, there = f"{declared} bytes", f"{holds} bytes"
        raise VolumeError(
            f"{name}: the header declares {wanted}; the file holds {there}{at_most}. It is cut "
            "short or damaged; copy or export it again."
        )


def check_deflated(name: str, stream: BinaryIO, declared: int, *, gzip: bool) -> None:
    """Unpack a deflate stream piece by piece, keeping nothing, and check its length.

    Stops as soon as the stream is longer than declared, so a bomb costs no memory and little time.

    Args:
        name: file name without folders.
        stream: positioned at the first compressed byte.
        declared: bytes expected.
        gzip: gzip container (``True``) or bare zlib stream.

    Raises:
        VolumeError: the stream is damaged, too short or too long.
    """
    wbits = 31 if gzip else 15
    inflater = zlib.decompressobj(wbits)
    length = 0
    try:
        while piece := stream.read(_SLACK):
            while piece and length <= declared:
                length += len(inflater.decompress(piece, _CHUNK))
                piece = inflater.unconsumed_tail
                if inflater.eof:
                    # gzip files may hold several members, one after the other.
                    rest = inflater.unused_data + stream.read(2)
                    if not (gzip and rest[:2] == b"\x1f\x8b"):
                        piece = b""
                        break
                    inflater, piece = zlib.decompressobj(wbits), rest
            if length > declared or (inflater.eof and not piece):
                break
    except zlib.error as error:
        raise VolumeError(
            f"{name}: expected a compressed data stream; it is damaged. Copy or export it again."
        ) from error
    if length != declared or not inflater.eof:
        found = f"more than {size_text(declared)}" if length > declared else size_text(length)
        raise VolumeError(
            f"{name}: the header declares {size_text(declared)} of voxels; the compressed data "
            f"hold {found}. The file is cut short or damaged; copy or export it again."
        )


def data_file(header: Path, named: str) -> Path:
    """Return the data file that a detached header names.

    Args:
        header: path of the header.
        named: the name as the header gives it.

    Raises:
        VolumeError: the name leads outside the header's folder (absolute, ``..``, symbolic link),
            or there is no such file.
    """
    folder = header.resolve().parent
    target = Path(named)
    inside = not target.is_absolute() and not set(named) & set("\\:\0")
    resolved = (folder / target).resolve() if inside else target
    if not inside or not resolved.is_relative_to(folder):
        raise VolumeError(
            f"{header.name}: expected voxel data in the header's own folder; the header names a "
            "file outside it, which is not opened. Put both files into one folder and name the "
            "data file without a path."
        )
    if not resolved.is_file():
        raise VolumeError(
            f"{header.name}: expected its voxel data in {target.name}; there is no such file in "
            "the folder. Copy both files together."
        )
    return resolved
