"""MINC 1 (NetCDF) and MINC 2 (HDF5), by nibabel."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from core.io.finish import check_dtype, damaged, finish
from core.io.header import Header, make_grid, shear_warning, spatial_shape
from core.io.limits import check_memory, check_stored
from core.io.modality import guess_from_text
from core.volume import Volume, VolumeError


@contextmanager
def _open(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield (format, nibabel's MINC file) without reading voxels."""
    from nibabel import minc1, minc2
    from nibabel.externals import netcdf

    # nibabel ships types in part only.
    one: Any = minc1
    two: Any = minc2
    cdf: Any = netcdf

    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(b"\x89HDF"):
        import h5py

        with h5py.File(path, "r") as stored:
            _check_hdf5(path, stored)
            yield "MINC 2", two.Minc2File(stored)
    elif start.startswith(b"CDF"):
        # Memory-mapped: a header that declares too much fails here instead of allocating it.
        stored = cdf.netcdf_file(str(path), "r", mmap=True)
        try:
            yield "MINC 1", one.Minc1File(stored)
        finally:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it warns while our views of the map still live
                stored.close()
    else:
        raise VolumeError(
            f"{path.name}: expected plain MINC; found it compressed as a whole. Unpack it first."
        )


def _check_hdf5(path: Path, stored: Any) -> None:
    """Refuse HDF5 that leads to other files, or declares more than it stores."""
    import h5py

    name = path.name
    where = ""
    for part in ("minc-2.0", "image", "0", "image"):
        where = f"{where}/{part}"
        link = stored.get(where, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise _outside(name)
    image = stored["minc-2.0/image/0/image"]
    if image.external or image.is_virtual:
        raise _outside(name)
    if image.nbytes > 0:
        check_stored(name, image.nbytes, int(image.id.get_storage_size()), deflated=True)


def _outside(name: str) -> VolumeError:
    return VolumeError(
        f"{name}: expected the voxels inside the file; it names another file for them, which is "
        "not opened. Save the volume as one file."
    )


def _inspect(path: Path) -> Header:
    name = path.name
    with damaged(name), _open(path) as (label, minc):
        shape, dropped = spatial_shape(name, tuple(int(n) for n in minc.get_data_shape()))
        dtype = np.dtype(minc.get_data_dtype())
        check_dtype(name, dtype)
        if label == "MINC 1":
            check_stored(name, math.prod(shape) * dtype.itemsize, path.stat().st_size)
        affine = np.asarray(minc.get_affine(), dtype=np.float64)
    grid = make_grid(name, shape, affine)
    modality, reason = guess_from_text(name, "file name")
    return Header(
        path,
        label,
        grid,
        str(dtype.newbyteorder("=")),
        modality,
        reason,
        warnings=(
            *(["A trailing axis of one was dropped."] if dropped else []),
            *shear_warning(grid.affine),
        ),
    )


def probe(path: Path) -> Header:
    """Read a MINC header.

    Raises:
        VolumeError: the file cannot be used; the sentence says why.
    """
    return _inspect(path)


def read(path: Path, *, allow_zero: bool = False) -> Volume:
    """Read a MINC volume.

    Raises:
        VolumeError: the file cannot be used; the sentence says why.
    """
    header = _inspect(path)
    assert header.grid is not None
    count = math.prod(header.grid.shape)
    check_memory(path.name, count, 16 * count)  # nibabel scales in float64
    with damaged(path.name), _open(path) as (_, minc):
        raw = np.array(minc.get_scaled_data()).reshape(header.grid.shape)
    return finish(path.name, raw, header.grid, warnings=header.warnings, allow_zero=allow_zero)
