"""What MetaImage and NRRD share once their headers are understood: checks, then decoding."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from core.io.finish import damaged, finish
from core.io.header import Header
from core.io.itk import stored_voxels
from core.io.limits import check_deflated, check_memory
from core.volume import Volume


@dataclass(frozen=True)
class Layout:
    """Where a volume's voxels lie.

    Attributes:
        header: geometry and type, already checked.
        stored_bytes: size of the voxels once decompressed.
        deflated_at: file and offset of a compressed stream; ``None`` for plain voxels.
        gzip: whether that stream is gzip, not zlib.
        reader: SimpleITK's reader for the format.
    """

    header: Header
    stored_bytes: int
    deflated_at: tuple[Path, int] | None
    gzip: bool
    reader: str


def decode(path: Path, layout: Layout, *, allow_zero: bool) -> Volume:
    """Decode the voxels of a checked layout.

    Raises:
        VolumeError: too large for the memory, damaged, or not usable as a volume.
    """
    grid = layout.header.grid
    assert grid is not None
    count = math.prod(grid.shape)
    check_memory(path.name, count, 2 * layout.stored_bytes)
    if layout.deflated_at:
        source, offset = layout.deflated_at
        with source.open("rb") as stream:
            stream.seek(offset)
            check_deflated(path.name, stream, layout.stored_bytes, gzip=layout.gzip)
    with damaged(path.name):
        # An axis of one may be missing or last in ITK's view; the order in memory is the file's.
        flat = stored_voxels(path, count, layout.reader).reshape(-1)
        raw = flat.reshape(grid.shape, order="F")
    return finish(
        path.name,
        raw,
        grid,
        synthetic=layout.header.synthetic,
        warnings=layout.header.warnings,
        allow_zero=allow_zero,
    )
