"""Writes a tracked sweep as PLUS and SlicerIGT read it: ``.igs.mha``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.files import refusal, replacing
from core.marks import SYNTHETIC_MARK, WORD
from core.volume import VolumeError

ENDING = ".igs.mha"
RATE = 10.0
"""Frames a second that the time stamps speak of."""


def write_sweep(
    path: Path,
    images: NDArray[np.uint8],
    calibration: NDArray[np.float64],
    poses: NDArray[np.float64],
    *,
    synthetic: bool,
    marks: Mapping[str, str] | None = None,
) -> Path:
    """Write images and their places; the frame of reference is RAS mm.

    Args:
        path: target, ending in ``.igs.mha``.
        images: (width, height, frames) uint8, x to the marked side, y away from the probe.
        calibration: (4, 4) pixel → mm of the probe.
        poses: (frames, 4, 4) mm of the probe → RAS mm.
        synthetic: whether a model made the images.
        marks: further fields of the header, letters and digits, to text.

    Raises:
        VolumeError: it cannot be written.
    """
    width, height, count = images.shape
    lines = [
        "ObjectType = Image",
        "NDims = 3",
        "AnatomicalOrientation = RAI",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        "CenterOfRotation = 0 0 0",
        "CompressedData = False",
        f"DimSize = {width} {height} {count}",
        "ElementSpacing = 1 1 1",
        "Offset = 0 0 0",
        "TransformMatrix = 1 0 0 0 1 0 0 0 1",
        "Kinds = domain domain list",
        "UltrasoundImageOrientation = MFA",
        "UltrasoundImageType = BRIGHTNESS",
        f"ImageToProbeTransform = {_numbers(calibration)}",
    ]
    if synthetic:
        lines.append(f"{WORD} = {SYNTHETIC_MARK}")
    lines += [f"MHVAE_{key} = {' '.join(text.split())}" for key, text in (marks or {}).items()]
    for n, pose in enumerate(poses):
        frame = f"Seq_Frame{n:04d}"
        lines += [
            f"{frame}_ProbeToReferenceTransform = {_numbers(pose)}",
            f"{frame}_ProbeToReferenceTransformStatus = OK",
            f"{frame}_ImageToReferenceTransform = {_numbers(pose @ calibration)}",
            f"{frame}_ImageToReferenceTransformStatus = OK",
            f"{frame}_Timestamp = {n / RATE:.3f}",
            f"{frame}_ImageStatus = OK",
        ]
    lines += ["ElementType = MET_UCHAR", "ElementDataFile = LOCAL\n"]
    try:
        with replacing(path) as part, part.open("wb") as file:
            file.write("\n".join(lines).encode())
            file.write(images.tobytes(order="F"))
    except OSError as error:
        why = refusal(error) or str(error)
        raise VolumeError(f"{path.name}: the sweep could not be written; {why}.") from error
    return path


def _numbers(matrix: NDArray[np.float64]) -> str:
    return " ".join(repr(float(x)) for x in matrix.ravel())
