"""The table of file formats: how a file of each begins, and the module that reads it."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from core.io.header import Header
from core.volume import VolumeError

_ARCHIVES = (b"PK\x03\x04", b"7z\xbc\xaf", b"Rar!")


@dataclass(frozen=True)
class Format:
    """A format whose volumes are single files (or a header with its data beside it).

    Attributes:
        label: what people call it.
        endings: of its files, the longest first.
        begins: whether a file that begins so is of this format.
        module: the module that reads it, imported when it is asked for; offers
            ``read_header(path)`` and ``read(path, *, allow_zero=False)``.
    """

    label: str
    endings: tuple[str, ...]
    begins: Callable[[bytes], bool]
    module: Callable[[], ModuleType]


def _is_nifti(start: bytes) -> bool:
    from core.io.nifti import is_nifti

    return is_nifti(start)


def _is_metaimage(start: bytes) -> bool:
    from core.io.metaimage_header import is_metaimage

    return is_metaimage(start)


def _nifti() -> ModuleType:
    from core.io import nifti

    return nifti


def _nrrd() -> ModuleType:
    from core.io import nrrd

    return nrrd


def _metaimage() -> ModuleType:
    from core.io import metaimage

    return metaimage


def _minc() -> ModuleType:
    from core.io import minc

    return minc


FORMATS = {
    "nrrd": Format("NRRD", (".nrrd", ".nhdr"), lambda b: b.startswith(b"NRRD000"), _nrrd),
    "nifti": Format("NIfTI", (".nii.gz", ".nii"), _is_nifti, _nifti),
    "metaimage": Format("MetaImage", (".mha", ".mhd"), _is_metaimage, _metaimage),
    "minc": Format(
        "MINC", (".mnc",), lambda b: b.startswith((b"CDF\x01", b"CDF\x02", b"\x89HDF")), _minc
    ),
}
"""Kind → format, in the order in which they are looked for; DICOM is told apart after them."""
ENDINGS = tuple(ending for one in FORMATS.values() for ending in one.endings)
WRITTEN = {
    ".nii.gz": "NIfTI, compressed",
    ".nii": "NIfTI",
    ".nrrd": "NRRD",
    ".mha": "MetaImage",
}
"""Ending → what people call the format, for every format that is written."""
KNOWN = f"{', '.join(one.label for one in FORMATS.values())}, Analyze or DICOM"
"""What a sentence about an unknown file says it could have been."""


def reader(kind: str) -> ModuleType:
    """Return the module of a single-file format."""
    return FORMATS[kind].module()


def read_file_header(path: Path, kind: str) -> Header:
    """Return the header of a single-file volume; what is wrong with it is its problem."""
    try:
        return reader(kind).read_header(path)
    except VolumeError as error:
        return Header(path, FORMATS[kind].label, problem=str(error))


def kind_of(path: Path) -> str:
    """Return a format's name, ``"dicom"`` or ``"folder"``.

    Raises:
        VolumeError: no such file, an empty one, or an unknown format.
    """
    try:
        if path.is_dir():
            return "folder"
        if path.exists() and not path.is_file():  # reading a pipe would wait for ever
            raise VolumeError(
                f"{path.name}: expected a file or folder to read; it is a pipe or a device. Save "
                "the volume into a file first."
            )
        start = first_bytes(path)
    except OSError as error:
        what = "there is no such file" if isinstance(error, FileNotFoundError) else "no access"
        raise VolumeError(
            f"{path.name}: expected a file or folder to read; {what}. Check the name and the "
            "permissions."
        ) from error
    if not start:
        raise VolumeError(f"{path.name}: expected an image; the file is empty. Copy it again.")
    kind = sniff(start, path)
    if start.startswith(_ARCHIVES):
        raise VolumeError(
            f"{path.name}: expected {KNOWN}; the file is an archive. Unpack it, and choose the "
            "folder."
        )
    if not kind:
        raise VolumeError(
            f"{path.name}: expected {KNOWN}; the file is none of these. Convert it first."
        )
    return kind


def first_bytes(path: Path) -> bytes:
    """Return the first kilobyte of a file, unpacked when it is gzip."""
    with path.open("rb") as file:
        start = file.read(1024)
    if start[:2] != b"\x1f\x8b":
        return start
    try:
        with gzip.open(path, "rb") as file:
            return file.read(1024)
    except (OSError, EOFError, zlib.error):
        return start


def sniff(start: bytes, path: Path) -> str:
    """Return the format of a file that begins so; empty when unknown."""
    from core.io.dicom_tags import looks_like_dicom

    lower = path.name.lower()
    for kind, one in FORMATS.items():
        if one.begins(start):
            return kind
    if looks_like_dicom(start, path.suffix):
        return "dicom"
    if lower.endswith((".nii", ".nii.gz", ".hdr", ".hdr.gz", ".img", ".img.gz")):
        return "nifti"
    return ""
