"""What MetaImage and NRRD share once their headers are understood: checks, then decoding.

The voxels are decoded here and not by a native library: every byte that a header declares is
counted before it is believed, a path may be any bytes, and a damaged file can only raise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.io.finish import damaged, finish
from core.io.header import Header
from core.io.limits import check_bomb, check_memory, check_stored, unpacked
from core.volume import Volume, VolumeError

PACKED = {"zlib": 15, "gzip": 31, "bzip2": 0}
"""Compressed encodings; for zlib the window that tells a bare stream from a gzip file."""
_TEXT = ("text", "hex")


@dataclass(frozen=True)
class Layout:
    """Where a volume's voxels lie.

    Attributes:
        header: geometry and type, already checked.
        dtype: of a stored voxel, with its byte order.
        encoding: ``"raw"``, ``"text"``, ``"hex"``, or one of :data:`PACKED`.
        pieces: file and byte where voxels begin, in order; each holds an equal share.
    """

    header: Header
    dtype: np.dtype[Any]
    encoding: str
    pieces: tuple[tuple[Path, int], ...]

    @property
    def count(self) -> int:
        """Number of voxels."""
        assert self.header.grid is not None
        return math.prod(self.header.grid.shape)


def check_pieces(name: str, layout: Layout) -> tuple[str, ...]:
    """Refuse files that cannot hold what their header declares.

    Args:
        name: file name without folders.
        layout: where the voxels lie; sizes of files are looked up, nothing is read.

    Returns:
        Warnings: a file that is longer than its voxels.

    Raises:
        VolumeError: a file is too short, or would grow beyond all measure.
    """
    need = layout.count * layout.dtype.itemsize
    held = [file.stat().st_size - start for file, start in layout.pieces]
    if layout.encoding in _TEXT:
        check_stored(name, layout.count * (2 if layout.encoding == "hex" else 1), sum(held))
        return ()
    if layout.encoding in PACKED:
        if len(layout.pieces) > 1:
            raise VolumeError(
                f"{name}: expected compressed voxels in one file; found {len(layout.pieces)}. "
                "Save the volume again as one file."
            )
        if layout.encoding != "bzip2":  # which has no such limit
            check_stored(name, need, held[0], deflated=True)
        check_bomb(name, layout.count, need, held[0])
        return ()
    share = need // len(layout.pieces)
    if len(layout.pieces) > 1 and min(held) < share:
        raise VolumeError(
            f"{name}: expected {share} bytes in each of its {len(held)} data files; found one of "
            f"{min(held)}. It is cut short; copy all files again."
        )
    check_stored(name, need, sum(held))
    slice_bytes = need // max(layout.header.grid.shape) if layout.header.grid else need
    if sum(held) - need >= max(1, slice_bytes):
        return (
            f"The file holds {sum(held)} bytes of voxels, {sum(held) - need} more than its header "
            "declares; the first ones were taken.",
        )
    return ()


def decode(path: Path, layout: Layout, *, allow_zero: bool) -> Volume:
    """Decode the voxels of a checked layout.

    Raises:
        VolumeError: too large for the memory, damaged, or not usable as a volume.
    """
    grid = layout.header.grid
    assert grid is not None
    name, count = path.name, layout.count
    need = count * layout.dtype.itemsize
    check_memory(name, count, 2 * need if layout.encoding in _TEXT else need)
    with damaged(name):
        if layout.encoding in PACKED:
            source, start = layout.pieces[0]
            with source.open("rb") as stream:
                stream.seek(start)
                data = unpacked(name, stream, need, PACKED[layout.encoding])
            flat = data.view(layout.dtype)
        elif layout.encoding in _TEXT:
            flat = _written(name, layout, need)
        else:
            flat = np.empty(count, layout.dtype)
            share = count // len(layout.pieces)
            for n, (source, start) in enumerate(layout.pieces):
                part = flat[n * share : (n + 1) * share].view(np.uint8)
                with source.open("rb") as stream:
                    stream.seek(start)
                    if stream.readinto(part.data) != part.size:
                        raise VolumeError(
                            f"{name}: expected its voxels whole; {source.name} ended before. Copy "
                            "it again."
                        )
        raw = flat.reshape(grid.shape, order="F")
    return finish(
        name,
        raw,
        grid,
        synthetic=layout.header.synthetic,
        warnings=layout.header.warnings,
        allow_zero=allow_zero,
    )


def _written(name: str, layout: Layout, need: int) -> NDArray[Any]:
    """Read numbers that are written as text."""
    text = b"".join(_rest(source, start) for source, start in layout.pieces)
    if layout.encoding == "hex":
        flat = np.frombuffer(bytes.fromhex(text.decode("ascii")), layout.dtype)
        words = flat.size
    else:
        found = text.replace(b",", b" ").split()
        words = len(found)
        flat = np.array(found[: layout.count]).astype(layout.dtype)
    if words != layout.count:
        raise VolumeError(
            f"{name}: the header declares {layout.count} voxels; the text holds {words}. The file "
            "is cut short or damaged; copy or export it again."
        )
    return flat


def _rest(source: Path, start: int) -> bytes:
    with source.open("rb") as stream:
        stream.seek(start)
        return stream.read()
