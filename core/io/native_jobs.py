"""What the decoder process can do; imported nowhere else, so that ITK is loaded nowhere else."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Answer = dict[str, Any]
Job = Callable[[Path, Mapping[str, Any], memoryview | None], Answer]


def fill(buffer: memoryview | None, values: Any, request: Mapping[str, Any]) -> None:
    """Write an array into the asker's memory.

    Raises:
        ValueError: it is not of the size that was asked for.
    """
    shape = tuple(int(n) for n in request["shape"])
    assert buffer is not None
    if values.size != int(np.prod(shape, dtype=np.int64)):
        raise ValueError("two readings of one header differ")
    out = np.frombuffer(buffer, request["dtype"], values.size).reshape(shape)
    out[...] = values.reshape(shape)


def _itk() -> Any:
    import SimpleITK

    sitk: Any = SimpleITK  # it ships types in part only
    sitk.ProcessObject.GlobalWarningDisplayOff()
    return sitk


def dicom(path: Path, request: Mapping[str, Any], buffer: memoryview | None) -> Answer:
    """Decode one DICOM file, (frame, row, column), stored numbers scaled to real ones."""
    sitk = _itk()
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    if math.prod(reader.GetSize()) * reader.GetNumberOfComponents() != math.prod(request["shape"]):
        raise ValueError("two readings of one header differ")
    reader.SetOutputPixelType(sitk.sitkFloat32)
    image = reader.Execute()  # a view of its voxels does not keep it
    fill(buffer, sitk.GetArrayViewFromImage(image), request)
    return {}


def transform(path: Path, _request: Mapping[str, Any], _buffer: memoryview | None) -> Answer:
    """Read an ITK transform: its dimension, kinds, and for an affine chain the LPS map."""
    if path.suffix.lower() in (".h5", ".hdf5"):
        _check_hdf5(path)
    sitk = _itk()
    found = sitk.ReadTransform(str(path))
    if found.GetTransformEnum() == sitk.sitkComposite:
        whole = sitk.CompositeTransform(found)
        parts = [whole.GetNthTransform(n) for n in range(whole.GetNumberOfTransforms())]
    else:
        parts = [found]
    answer: Answer = {
        "dimension": found.GetDimension(),
        "parts": [
            {
                "count": part.GetNumberOfParameters(),
                "parameters": _few(part.GetParameters()),
                "fixed": _few(part.GetFixedParameters()),
            }
            for part in parts
        ],
        "bent": [part.GetName() for part in parts if not part.IsLinear()],
    }
    if answer["dimension"] == 3 and not answer["bent"]:
        # Any chain of affine maps is known by where it sends the origin and the axes.
        lps = np.eye(4)
        lps[:3, 3] = found.TransformPoint((0.0, 0.0, 0.0))
        for axis in range(3):
            point = [0.0, 0.0, 0.0]
            point[axis] = 1.0
            lps[:3, axis] = np.array(found.TransformPoint(point)) - lps[:3, 3]
        answer["lps"] = lps.ravel().tolist()
    return answer


def _few(numbers: Sequence[float]) -> list[float]:
    """Return the numbers of an affine map; of a field only that there are many."""
    return [float(n) for n in numbers[:100]]


def _check_hdf5(path: Path) -> None:
    """See that every transform of a chain has its numbers; ITK takes what lacks them for identity.

    Raises:
        ValueError: one has none.
    """
    import h5py

    with h5py.File(path, "r") as file:
        for group in file["TransformGroup"].values():
            kind = group["TransformType"][0]
            if kind.startswith(b"CompositeTransform"):
                continue
            for names in (
                ("TransformParameters", "TranformParameters"),  # the second is ITK's own slip
                ("TransformFixedParameters", "TranformFixedParameters"),
            ):
                if not any(name in group for name in names):
                    raise ValueError("a transform without its numbers")


def write_transform(path: Path, request: Mapping[str, Any], _buffer: memoryview | None) -> Answer:
    """Write an affine map, (4, 4) LPS row by row, in the format of the file's ending."""
    sitk = _itk()
    lps = np.reshape(request["lps"], (4, 4))
    made = sitk.AffineTransform(3)
    made.SetMatrix(lps[:3, :3].ravel().tolist())
    made.SetTranslation(lps[:3, 3].tolist())
    sitk.WriteTransform(made, str(path))
    return {}


def minc_header(path: Path, request: Mapping[str, Any], _buffer: memoryview | None) -> Answer:
    """Read a MINC header."""
    from core.io.minc_file import header

    return header(path, str(request["name"]))


def minc_voxels(path: Path, request: Mapping[str, Any], buffer: memoryview | None) -> Answer:
    """Read a MINC file's voxels, scaled to real values."""
    from core.io.minc_file import voxels

    fill(buffer, voxels(path, str(request["name"])), request)
    return {}


JOBS: dict[str, Job] = {
    "dicom": dicom,
    "transform": transform,
    "write transform": write_transform,
    "minc header": minc_header,
    "minc voxels": minc_voxels,
}
