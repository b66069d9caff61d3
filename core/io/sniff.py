"""Which format a file has, told from its first bytes, and the module that reads it."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from types import ModuleType

from core.io.header import Header
from core.volume import VolumeError

KNOWN = "NIfTI, Analyze, NRRD, MetaImage, MINC or DICOM"
_ARCHIVES = (b"PK\x03\x04", b"7z\xbc\xaf", b"Rar!")
_LABELS = {"nifti": "NIfTI", "nrrd": "NRRD", "metaimage": "MetaImage", "minc": "MINC"}


def reader(kind: str) -> ModuleType:
    """Return the module of a single-file format; each offers ``read_header`` and ``read``."""
    from core.io import metaimage, minc, nifti, nrrd

    return {"nifti": nifti, "nrrd": nrrd, "metaimage": metaimage, "minc": minc}[kind]


def read_file_header(path: Path, kind: str) -> Header:
    """Return the header of a single-file volume; what is wrong with it is its problem."""
    try:
        return reader(kind).read_header(path)
    except VolumeError as error:
        return Header(path, _LABELS[kind], problem=str(error))


def kind_of(path: Path) -> str:
    """Return a format's name, ``"dicom"`` or ``"folder"``.

    Raises:
        VolumeError: no such file, an empty one, or an unknown format.
    """
    try:
        if path.is_dir():
            return "folder"
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
    from core.io.metaimage_header import is_metaimage
    from core.io.nifti import is_nifti

    lower = path.name.lower()
    if start.startswith(b"NRRD000"):
        return "nrrd"
    if is_nifti(start):
        return "nifti"
    if is_metaimage(start):
        return "metaimage"
    if start.startswith((b"CDF\x01", b"CDF\x02", b"\x89HDF")):
        return "minc"
    if looks_like_dicom(start, path.suffix):
        return "dicom"
    if lower.endswith((".nii", ".nii.gz", ".hdr", ".hdr.gz", ".img", ".img.gz")):
        return "nifti"
    return ""
