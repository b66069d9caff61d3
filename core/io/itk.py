"""Voxels by SimpleITK, silently; the geometry is worked out from the headers elsewhere."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

_LOCK = threading.RLock()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep SimpleITK from printing warnings inside the block, and restore its setting after.

    The setting is global to the process, so two threads must not switch it at once.
    """
    import SimpleITK

    sitk: Any = SimpleITK  # it ships types in part only
    with _LOCK:
        shown = sitk.ProcessObject.GetGlobalWarningDisplay()
        sitk.ProcessObject.GlobalWarningDisplayOff()
        try:
            yield
        finally:
            sitk.ProcessObject.SetGlobalWarningDisplay(shown)


def decoded(path: Path, shape: tuple[int, int, int]) -> NDArray[Any]:
    """Decode a DICOM file, with its rescale slope and intercept applied.

    Args:
        path: a single- or multi-frame file whose declared size has been checked before.
        shape: frames, rows, columns it must hold; checked on SimpleITK's own reading of the header
            before it allocates any.

    Returns:
        (frame, row, column) float32 array.

    Raises:
        RuntimeError: SimpleITK cannot decode it.
        ValueError: it understands the header otherwise than we do.
    """
    return _execute(path, math.prod(shape), "GDCMImageIO").reshape(shape)


def _execute(path: Path, count: int, reader_name: str) -> NDArray[Any]:
    import SimpleITK

    sitk: Any = SimpleITK  # it ships types in part only
    with quiet():
        reader = sitk.ImageFileReader()
        reader.SetImageIO(reader_name)
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        if math.prod(reader.GetSize()) * reader.GetNumberOfComponents() != count:
            raise ValueError("two readings of one header differ")
        reader.SetOutputPixelType(sitk.sitkFloat32)
        array: NDArray[Any] = sitk.GetArrayFromImage(reader.Execute())
    return array
