"""Reading of any known file: find the format, then its headers or its voxels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from core.io.dicom import Series
from core.io.header import Header
from core.io.search import FileSearch, Progress, nothing_found
from core.io.sniff import KNOWN, kind_of, read_file_header, reader
from core.volume import Volume, VolumeError


def read(path: Path | str | Header, *, series: str | None = None) -> Volume:
    """Read one volume.

    Args:
        path: a volume file, a folder that holds one volume, a folder of DICOM series, or one file
            of a DICOM series (its whole series is read); or a header, whose own files are read
            without looking through their folder again.
        series: ``Header.series`` of the wanted one when the folder offers several.

    Returns:
        Voxels (i, j, k) float32 in the file's storage order and units, affine to RAS+ mm. Repairs
        and assumptions are in ``warnings``; ``modality`` is left to whoever knows it.

    Raises:
        VolumeError: one sentence naming the file, what was expected and found, and what to do.
    """
    if isinstance(path, Header):
        return _load_header(path)
    return load(Path(path), series)


def find(path: Path | str, *, series: str | None = None) -> Header:
    """Find the one volume that :func:`read` would read there, without its voxels.

    Args:
        path: as for :func:`read`.
        series: as for :func:`read`.

    Raises:
        VolumeError: there is none, or more than one to choose from.
    """
    path = Path(path)
    kind = kind_of(path)
    if kind not in ("folder", "dicom"):
        return read_file_header(path, kind)
    found, others = _collect(path)
    volumes = [one for one in found if series in (None, one.header.series)]
    if series is not None:
        others = []
    elif len(volumes) + len(others) > 1:
        # Single images (localisers, screenshots) beside a volume are not candidates for it;
        # a series with a fault is: reading its neighbour instead would be a silent mistake.
        volumes = [one for one in volumes if one.is_stack] or volumes
    headers = [one.header for one in volumes] + others
    if len(headers) == 1 and not (others and others[0].problem):
        return headers[0]
    raise _not_one(path, headers)


def _load_header(header: Header, *, allow_zero: bool = False) -> Volume:
    from core.io import dicom

    if header.problem:
        raise VolumeError(header.problem)
    if header.members:
        return dicom.load(dicom.reopen(header), header.source, allow_zero=allow_zero)
    return reader(kind_of(header.path)).read(header.path, allow_zero=allow_zero)


def load(path: Path, series: str | None = None, *, allow_zero: bool = False) -> Volume:
    """Read as :func:`read` does; ``allow_zero`` accepts zeros only, for reading our output back."""
    kind = kind_of(path)
    if kind in ("folder", "dicom"):
        return _load_header(find(path, series=series), allow_zero=allow_zero)
    return reader(kind).read(path, allow_zero=allow_zero)


def read_headers(
    path: Path | str,
    *,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> list[Header]:
    """Say what a file or folder offers without reading voxels.

    Args:
        path: as for :func:`read`. Folders are searched with their sub-folders.
        progress: told (files looked at, files in all), every few files.
        cancelled: asked every few files; True stops.

    Returns:
        One header per volume: one per DICOM series and one per other volume file. A recognised
        volume that cannot be used has its reason in ``Header.problem``.

    Raises:
        VolumeError: nothing there is a known kind of volume.
        Cancelled: ``cancelled`` said so.
    """
    path = Path(path)
    kind = kind_of(path)
    if kind in ("folder", "dicom"):
        found, others = _collect(path, FileSearch(progress, cancelled))
        headers = [one.header for one in found] + others
        if not headers:
            raise nothing_found(path)
        return headers
    return [read_file_header(path, kind)]


def _collect(path: Path, look: FileSearch | None = None) -> tuple[list[Series], list[Header]]:
    """Return the DICOM volumes and the headers of other volume files.

    A folder is searched with its sub-folders; for one file, the series it belongs to is gathered
    from its own folder.
    """
    look = look or FileSearch()
    look.add(path)
    found, others = look.run()
    if path.is_dir():
        return found, others
    one = path.absolute()
    mine = [series for series in found if one in series.header.members]
    return mine, [header for header in others if header.path == one]


def _not_one(path: Path, offered: list[Header]) -> VolumeError:
    if not offered:
        return VolumeError(
            f"{path.name}: expected {KNOWN} volumes; found none of the kind asked for. Choose "
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
