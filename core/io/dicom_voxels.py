"""Voxels of one DICOM file: plain ones are read here, compressed ones by the decoder process."""

from __future__ import annotations

import math
import struct

import numpy as np
from numpy.typing import NDArray

from core.io import native
from core.io.dicom_tags import Image
from core.io.limits import check_bomb
from core.volume import VolumeError

_FRAGMENT = 1 << 16
_JPEG_2000 = tuple(f"1.2.840.10008.1.2.4.{n}" for n in (90, 91, 92, 93, 201, 202, 203))
_JPEG = tuple(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70, 80, 81))
_SOF = frozenset((*range(0xC0, 0xD0), 0xF7)) - {0xC4, 0xC8, 0xCC}
"""JPEG markers that begin a frame's own header; F7 is JPEG-LS."""


def decoded(image: Image) -> NDArray[np.float32]:
    """Decode a file's frames, with its rescale slope and intercept applied.

    Args:
        image: its tags; what they declare has been checked against the file's size.

    Returns:
        (frame, row, column) float32; NaN where the header says that there is no image (padding).

    Raises:
        VolumeError: the voxels are not what the header declares, or cannot be decoded.
        DecoderError: the library that knows the compression refuses the file.
    """
    shape = (image.frames, image.rows, image.columns)
    if image.native and not image.big_endian:
        return _plain(image, shape)
    check_codestream(image)
    check_bomb(image.path.name, math.prod(shape), image.stored, image.path.stat().st_size)
    _, frames = native.call("dicom", image.path, shape=shape)
    assert frames is not None
    if padded := _padding(image):
        low, high = sorted(np.float32(p * image.slope + image.intercept) for p in padded)
        frames[(frames >= low) & (frames <= high)] = np.nan
    return frames


def _padding(image: Image) -> tuple[float, float] | None:
    """Return the stored values of padding; padding by zero is a background like any other."""
    return None if image.padding == (0.0, 0.0) else image.padding


def _plain(image: Image, shape: tuple[int, int, int]) -> NDArray[np.float32]:
    with image.path.open("rb") as file:
        file.seek(image.voxels_at)
        raw = np.fromfile(file, image.dtype, math.prod(shape))
    if raw.size != math.prod(shape):
        raise VolumeError(
            f"{image.path.name}: the header declares {math.prod(shape)} voxels; the file holds "
            f"{raw.size}. It is cut short; copy or export it again."
        )
    unused = image.bits - image.bits_stored
    if raw.dtype.kind in "iu" and unused > 0:
        # Whatever lies in the bits that are not the voxel's (old overlays) is shifted out.
        below = max(0, image.high_bit + 1 - image.bits_stored)
        above = max(0, unused - below)
        raw = np.right_shift(np.left_shift(raw, above), above + below)
    padded = _padding(image)
    nothing = (raw >= padded[0]) & (raw <= padded[1]) if padded else None
    frames = raw.astype(np.float32)
    if image.slope != 1.0 or image.intercept != 0.0:
        frames = (raw * np.float64(image.slope) + image.intercept).astype(np.float32)
    if nothing is not None:
        frames[nothing] = np.nan
    return frames.reshape(shape)


def check_codestream(image: Image) -> None:
    """Refuse compressed voxels whose own header declares another image than the file's tags.

    A decoder would take memory for what the compressed stream says.

    Raises:
        VolumeError: they differ, or the stream has no such header.
    """
    known = (_JPEG_2000, _JPEG)
    kind = next((k for k in known if image.syntax in k), ())
    if not kind:
        return
    with image.path.open("rb") as file:
        file.seek(image.voxels_at)
        start = _first_fragment(file.read(_FRAGMENT))
    found = _jpeg_2000(start) if kind is _JPEG_2000 else _jpeg(start)
    if found != (image.columns, image.rows, image.samples):
        says = "nothing" if found is None else "×".join(str(n) for n in found)
        raise VolumeError(
            f"{image.path.name}: the header declares {image.columns}×{image.rows}×{image.samples} "
            f"voxels; the compressed image in it says {says}. It is damaged, or made to do harm; "
            "export it again."
        )


def _first_fragment(data: bytes) -> bytes:
    """Return the beginning of the first frame: behind the table of offsets."""
    at = 0
    for n in range(2):
        if data[at : at + 4] != b"\xfe\xff\x00\xe0":
            return b""
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        if n == 1:
            return data[at + 8 : at + 8 + length]
        at += 8 + length
    return b""


def _jpeg_2000(data: bytes) -> tuple[int, int, int] | None:
    """Return columns, rows and components of a JPEG 2000 stream, in a JP2 box or bare."""
    at = data.find(b"\xff\x4f\xff\x51")
    if at < 0 or len(data) < at + 44:
        return None
    right, bottom, left, top = struct.unpack(">4I", data[at + 8 : at + 24])
    (parts,) = struct.unpack(">H", data[at + 40 : at + 42])
    return right - left, bottom - top, parts


def _jpeg(data: bytes) -> tuple[int, int, int] | None:
    """Return columns, rows and components of a JPEG or JPEG-LS stream."""
    at = 2
    while data[:2] == b"\xff\xd8" and at + 10 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _SOF:
            rows, columns = struct.unpack(">HH", data[at + 5 : at + 9])
            return columns, rows, data[at + 9]
        if marker == 0xFF:
            at += 1
            continue
        at += 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
    return None
