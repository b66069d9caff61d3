"""Small volume files of every format, made by the tests that read them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import SimpleITK as sitk
from scipy.io import netcdf_file

from core.io import read, read_headers

VOXELS = np.random.default_rng(0).integers(-500, 500, (9, 8, 7)).astype(np.int16)
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def to_itk(voxels: np.ndarray, affine: np.ndarray) -> sitk.Image:
    """Make SimpleITK's image of (i, j, k) voxels on a voxel → RAS+ mm matrix."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(voxels.T))
    lps = LPS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    return image


def minc1(path: Path) -> None:
    with netcdf_file(path, "w") as file:
        for axis, count in zip("zyx", VOXELS.shape, strict=True):
            file.createDimension(f"{axis}space", count)
            variable = file.createVariable(f"{axis}space", "i", ())
            for key, value in _minc_axis(axis).items():
                setattr(variable, key, value)
        image = file.createVariable("image", "h", ("zspace", "yspace", "xspace"))
        image[:] = VOXELS
        image.valid_range = np.array([-32768.0, 32767.0])
        image.signtype = b"signed__"
        for name, value in (("image-max", 32767.0), ("image-min", -32768.0)):
            file.createVariable(name, "d", ("zspace",))[:] = value


def minc2(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for axis, count in zip("zyx", VOXELS.shape, strict=True):
            variable = file.create_dataset(f"minc-2.0/dimensions/{axis}space", data=0)
            variable.attrs.update(_minc_axis(axis), length=count, spacing=np.bytes_("regular__"))
        folder = file.create_group("minc-2.0/image/0")
        image = folder.create_dataset("image", data=VOXELS, compression="gzip")
        image.attrs["dimorder"] = np.bytes_("zspace,yspace,xspace")
        image.attrs["valid_range"] = np.array([-32768.0, 32767.0])
        for name, value in (("image-max", 32767.0), ("image-min", -32768.0)):
            folder.create_dataset(name, data=value).attrs["dimorder"] = np.bytes_("")


def _minc_axis(axis: str) -> dict[str, object]:
    n = "xyz".index(axis)
    return {
        "start": (-30.0, -20.0, -10.0)[n],
        "step": (1.0, 2.0, 3.0)[n],
        "direction_cosines": np.eye(3)[n],
        "spacing": b"regular__",
    }


def check(path: Path, voxels: np.ndarray, affine: np.ndarray, tolerance: float = 1e-4) -> None:
    header = read_headers(path)[0]
    volume = read(path)
    assert header.problem == ""
    assert header.grid is not None
    assert header.grid.same_as(volume.grid, 0)
    np.testing.assert_array_equal(volume.voxels, voxels.astype(np.float32))
    np.testing.assert_allclose(volume.grid.affine, affine, atol=tolerance)
    assert volume.modality == ""
