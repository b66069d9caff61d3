"""The one door for files that come in: find the format, then probe or read."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from core.io.dicom import Series
from core.io.header import Header
from core.volume import Volume, VolumeError

_MAX_FILES = 50_000
_KNOWN = "NIfTI, Analyze, NRRD, MetaImage, MINC or DICOM"


def read(path: Path | str, *, series: str | None = None) -> Volume:
    """Read one volume.

    Args:
        path: a volume file, a folder that holds one volume, a folder of DICOM series, or one file
            of a DICOM series (its whole series is read).
        series: ``Header.series`` of the wanted one when the folder offers several.

    Returns:
        Voxels (i, j, k) float32 in the file's storage order and units, affine to RAS+ mm. Repairs
        and assumptions are in ``warnings``; ``modality`` is left to whoever knows it.

    Raises:
        VolumeError: one sentence naming the file, what was expected and found, and what to do.
    """
    return load(Path(path), series)


def load(path: Path, series: str | None = None, *, allow_zero: bool = False) -> Volume:
    """Read as :func:`read` does; ``allow_zero`` accepts zeros only, for reading our output back."""
    from core.io import dicom

    kind = _kind(path)
    if kind in ("folder", "dicom"):
        found, others = _collect(path)
        volumes = [one for one in found if series in (None, one.header.series)]
        if series is not None:
            others = []
        elif len(volumes) + len(others) > 1:
            # Single images (localisers, screenshots) beside a volume are not candidates for it;
            # a series with a fault is: reading its neighbour instead would be a silent mistake.
            volumes = [one for one in volumes if not one.header.problem or one.is_stack]
        if len(volumes) == 1 and not others:
            chosen = volumes[0]
            single = chosen.header.format == "DICOM multi-frame"
            source = chosen.images[0].path.name if single else _folder(path).name
            return dicom.load(chosen, source, allow_zero=allow_zero)
        if len(others) == 1 and not volumes and not others[0].problem:
            return load(others[0].path, allow_zero=allow_zero)
        raise _not_one(path, [one.header for one in volumes] + others)
    return _reader(kind).read(path, allow_zero=allow_zero)


def probe(path: Path | str) -> list[Header]:
    """Say what a file or folder offers without reading voxels.

    Args:
        path: as for :func:`read`. Folders are searched with their sub-folders.

    Returns:
        One header per volume: one per DICOM series and one per other volume file. A recognised
        volume that cannot be used has its reason in ``Header.problem``.

    Raises:
        VolumeError: nothing there is a known kind of volume.
    """
    path = Path(path)
    kind = _kind(path)
    if kind in ("folder", "dicom"):
        found, others = _collect(path)
        headers = [one.header for one in found] + others
        if not headers:
            raise VolumeError(
                f"{path.name}: expected {_KNOWN} volumes; found none. Choose another file or "
                "folder."
            )
        return headers
    return [_probe_file(path, kind)]


def _probe_file(path: Path, kind: str) -> Header:
    try:
        return _reader(kind).probe(path)
    except VolumeError as error:
        return Header(path, _LABELS[kind], problem=str(error))


_LABELS = {"nifti": "NIfTI", "nrrd": "NRRD", "metaimage": "MetaImage", "minc": "MINC"}


def _reader(kind: str) -> ModuleType:
    """Return the module of a single-file format; each offers ``probe`` and ``read``."""
    from core.io import metaimage, minc, nifti, nrrd

    return {"nifti": nifti, "nrrd": nrrd, "metaimage": metaimage, "minc": minc}[kind]


def _kind(path: Path) -> str:
    """Return the format's name.

    Raises:
        VolumeError: no such file, an empty one, or an unknown format.
    """
    try:
        if path.is_dir():
            return "folder"
        start = _start(path)
    except OSError as error:
        what = "there is no such file" if isinstance(error, FileNotFoundError) else "no access"
        raise VolumeError(
            f"{path.name}: expected a file or folder to read; {what}. Check the name and the "
            "permissions."
        ) from error
    if not start:
        raise VolumeError(f"{path.name}: expected an image; the file is empty. Copy it again.")
    kind = _sniff(start, path)
    if not kind:
        raise VolumeError(
            f"{path.name}: expected {_KNOWN}; the file is none of these. Convert it first."
        )
    return kind


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        start = file.read(1024)
    if start[:2] != b"\x1f\x8b":
        return start
    try:
        with gzip.open(path, "rb") as file:
            return file.read(1024)
    except (OSError, EOFError, zlib.error):
        return start


def _sniff(start: bytes, path: Path) -> str:
    from core.io.dicom_tags import looks_like_dicom
    from core.io.metaimage import is_metaimage
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


def _folder(path: Path) -> Path:
    return (path if path.is_dir() else path.parent).resolve()


def _collect(path: Path) -> tuple[list[Series], list[Header]]:
    """Return the DICOM volumes and the headers of other volume files.

    A folder is searched with its sub-folders; for one file, the series it belongs to is gathered
    from its own folder.
    """
    from core.io import dicom
    from core.io.dicom_tags import read_tags

    if path.is_file():
        image = read_tags(path)
        if image is None:
            raise VolumeError(
                f"{path.name}: expected a DICOM image; found a DICOM file without one (a report or "
                "a directory). Choose the folder with the images."
            )
        if image.multiframe is not None:
            return dicom.scan([path], path)
        beside = [p for p, kind in _files(path.parent, deep=False) if kind == "dicom"]
        found, _ = dicom.scan(beside, path)
        return [one for one in found if any(i.path == path for i in one.images)], []
    images: list[Path] = []
    others: list[Header] = []
    for file, kind in _files(path, deep=True):
        if kind == "dicom":
            images.append(file)
        elif kind:
            others.append(_probe_file(file, kind))
    found, broken = dicom.scan(images, path)
    return found, others + broken


def _files(folder: Path, *, deep: bool) -> Iterator[tuple[Path, str]]:
    """Yield the files of a folder, sorted, with their format (empty when unknown).

    Raises:
        VolumeError: more files than a folder of images would hold.
    """
    for count, file in enumerate(sorted(folder.rglob("*") if deep else folder.iterdir())):
        if count > _MAX_FILES:
            raise VolumeError(
                f"{folder.name}: expected a folder of images; it holds more than {_MAX_FILES} "
                "files. Choose the folder of one patient or series."
            )
        if not file.is_file() or file.name.startswith(".") or _is_data_of_a_pair(file):
            continue
        try:
            yield file, _sniff(_start(file), file)
        except OSError:
            continue


def _is_data_of_a_pair(file: Path) -> bool:
    name = file.name.lower()
    for suffix in (".img", ".img.gz"):
        if name.endswith(suffix):
            stem = file.name[: -len(suffix)]
            return any(file.with_name(stem + other).is_file() for other in (".hdr", ".hdr.gz"))
    return False


def _not_one(path: Path, offered: list[Header]) -> VolumeError:
    if not offered:
        return VolumeError(
            f"{path.name}: expected {_KNOWN} volumes; found none of the kind asked for. Choose "
            "another file, folder or series."
        )
    if len(offered) == 1:
        return VolumeError(offered[0].problem)
    names = "; ".join(
        f"{one.description or one.path.name} ({one.files} files, "
        f"{'cannot be used' if one.problem else one.series or one.format})"
        for one in offered[:8]
    )
    faults = " ".join(one.problem for one in offered if one.problem)[:600]
    more = f" and {len(offered) - 8} more" if len(offered) > 8 else ""
    return VolumeError(
        f"{path.name}: expected one volume; it offers {len(offered)}: {names}{more}. Choose one "
        f"file, or say which series you want. {faults}".rstrip()
    )
