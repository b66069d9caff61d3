"""MINC 1 (NetCDF) and MINC 2 (HDF5): read in the decoder process, finished here."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from core.io import native
from core.io.finish import damaged, finish
from core.io.header import Header, grid_warnings, make_grid
from core.io.limits import check_memory
from core.io.modality import guess_from_text
from core.volume import Volume


def read_header(path: Path) -> Header:
    """Read a MINC header.

    Raises:
        VolumeError: the file cannot be used; the sentence says why.
    """
    name = path.name
    with damaged(name):
        told, _ = native.call("minc header", path, name=name)
    shape = tuple(int(n) for n in told["shape"])
    grid = make_grid(name, shape, np.reshape(told["affine"], (4, 4)))
    modality, reason = guess_from_text(name, "file name")
    return Header(
        path,
        str(told["format"]),
        grid,
        str(told["dtype"]),
        modality,
        reason,
        warnings=(
            *(["A trailing axis of one was dropped."] if told["dropped"] else []),
            *grid_warnings(grid),
        ),
    )


def read(path: Path, *, allow_zero: bool = False) -> Volume:
    """Read a MINC volume.

    Raises:
        VolumeError: the file cannot be used; the sentence says why.
    """
    header = read_header(path)
    assert header.grid is not None
    count = math.prod(header.grid.shape)
    check_memory(path.name, count, 16 * count)  # nibabel scales in float64
    with damaged(path.name):
        _, raw = native.call(
            "minc voxels", path, shape=header.grid.shape, dtype="float64", name=path.name
        )
        assert raw is not None
    return finish(path.name, raw, header.grid, warnings=header.warnings, allow_zero=allow_zero)
