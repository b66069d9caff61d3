"""MINC 1 (NetCDF) and MINC 2 (HDF5), by nibabel; used in the decoder process."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.io.finish import check_dtype, damaged
from core.io.header import spatial_shape
from core.io.limits import check_bomb, check_stored
from core.volume import VolumeError


@contextmanager
def _open(path: Path, name: str) -> Iterator[tuple[str, Any]]:
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
            _check_hdf5(name, stored)
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
            f"{name}: expected plain MINC; found it compressed as a whole. Unpack it first."
        )


def _check_hdf5(name: str, stored: Any) -> None:
    """Refuse HDF5 that leads to other files, or declares more than it stores."""
    import h5py

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
        held = int(image.id.get_storage_size())
        check_stored(name, image.nbytes, held, deflated=True)
        check_bomb(name, int(image.size), image.nbytes, held)


def _outside(name: str) -> VolumeError:
    return VolumeError(
        f"{name}: expected the voxels inside the file; it names another file for them, which is "
        "not opened. Save the volume as one file."
    )


def header(path: Path, name: str) -> dict[str, Any]:
    """Read a header, as plain values.

    Args:
        path: the file.
        name: what to call it.

    Returns:
        ``format``, ``shape`` (i, j, k), ``dropped`` (whether an axis was), ``dtype``, ``affine``
        (voxel → RAS+ mm, row by row).

    Raises:
        VolumeError: the file cannot be used; the sentence says why.
    """
    with damaged(name), _open(path, name) as (label, minc):
        shape, dropped = spatial_shape(name, tuple(int(n) for n in minc.get_data_shape()))
        dtype = np.dtype(minc.get_data_dtype())
        check_dtype(name, dtype)
        if label == "MINC 1":
            check_stored(name, math.prod(shape) * dtype.itemsize, path.stat().st_size)
        affine = np.asarray(minc.get_affine(), dtype=np.float64)
    return {
        "format": label,
        "shape": shape,
        "dropped": dropped,
        "dtype": str(dtype.newbyteorder("=")),
        "affine": affine.ravel().tolist(),
    }


def voxels(path: Path, name: str) -> NDArray[Any]:
    """Read the voxels, scaled to real values; the header has been checked before.

    Raises:
        VolumeError: the file is damaged.
    """
    with damaged(name), _open(path, name) as (_, minc):
        return np.array(minc.get_scaled_data())
