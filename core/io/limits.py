"""Checks of declared sizes and names that run before anything is allocated or opened."""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from core.volume import VolumeError

MAX_DEFLATE_RATIO = 1032
"""No deflate stream can grow by more than this factor (258 bytes from 2 bits)."""
_CHUNK = 1 << 20
_SLACK = 1 << 16
_GZIP = 31
_BOMB = 250
"""No image of a patient becomes so many times smaller, however empty its background is."""
_LARGE = 1 << 29
"""Volumes of less memory than this may: a map of labels is nearly empty."""


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


def check_bomb(name: str, voxels: int, declared: int, found: int) -> None:
    """Refuse a large volume from a file far smaller than any image of that size.

    Args:
        name: file name without folders.
        voxels: number of voxels; each becomes a float32.
        declared: bytes of the voxels, uncompressed.
        found: bytes of the compressed file.

    Raises:
        VolumeError: a small file would become a large volume.
    """
    if 4 * voxels > _LARGE and declared > _BOMB * max(found, 1):
        raise VolumeError(
            f"{name}: {size_text(found)} would grow into {size_text(declared)} of voxels, "
            f"{declared / max(found, 1):.0f} times as much; no image does. It was not unpacked: "
            "check the header, or export the volume again."
        )


def unpacked(name: str, stream: BinaryIO, declared: int, window: int) -> NDArray[np.uint8]:
    """Unpack a compressed stream that must hold exactly so many bytes.

    Stops as soon as the stream is longer than declared; never holds more than that.

    Args:
        name: file name without folders.
        stream: positioned at the first compressed byte.
        declared: bytes expected; the memory for them has been checked.
        window: zlib's number for a bare stream (15) or a gzip file (31); 0 for bzip2.

    Returns:
        (declared,) bytes.

    Raises:
        VolumeError: the stream is damaged, too short or too long.
    """
    out = np.empty(declared, np.uint8)
    length, whole = 0, False
    try:
        for piece in _pieces(stream, window):
            if piece is None:
                whole = True
                continue
            whole = False
            taken = min(len(piece), declared - length)
            out[length : length + taken] = np.frombuffer(piece, np.uint8, taken)
            length += len(piece)
            if length > declared:
                break
    except (zlib.error, OSError) as error:
        raise VolumeError(
            f"{name}: expected a compressed data stream; it is damaged. Copy or export it again."
        ) from error
    if length != declared or not whole:
        found = f"more than {size_text(declared)}" if length > declared else size_text(length)
        raise VolumeError(
            f"{name}: the header declares {size_text(declared)} of voxels; the compressed data "
            f"hold {found}. The file is cut short or damaged; copy or export it again."
        )
    return out


def _pieces(stream: BinaryIO, window: int) -> Iterator[bytes | None]:
    """Yield unpacked pieces, and None where a stream ended as it should.

    gzip files may hold several members, one after the other; the others one.
    """
    while True:
        if window:
            inflater = zlib.decompressobj(window)
            while not inflater.eof:
                piece = inflater.unconsumed_tail or stream.read(_SLACK)
                found = inflater.decompress(piece, _CHUNK)
                if not piece and not found:
                    break
                yield found
            rest, eof = inflater.unused_data, inflater.eof
        else:
            unzipper = bz2.BZ2Decompressor()
            while not unzipper.eof:
                piece = stream.read(_SLACK) if unzipper.needs_input else b""
                if unzipper.needs_input and not piece:
                    break
                yield unzipper.decompress(piece, _CHUNK)
            rest, eof = unzipper.unused_data, unzipper.eof
        if not eof:
            return
        yield None
        rest += stream.read(2 - len(rest)) if len(rest) < 2 else b""
        if window != _GZIP or rest[:2] != b"\x1f\x8b":
            return
        stream.seek(-len(rest), 1)


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
