"""Looks through files and folders of any size and says which volumes they offer."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.errors import Cancelled
from core.io import dicom
from core.io.dicom import Series
from core.io.dicom_tags import Image, read_tags
from core.io.duplicates import mark_duplicates
from core.io.header import Header
from core.io.sniff import KNOWN, first_bytes, kind_of, read_file_header, sniff
from core.volume import VolumeError

Progress = Callable[[int, int], None]
"""Told (files looked at, files in all), every few files."""

_MAX_FILES = 50_000
_BATCH = 20
_DEEPEST = 60
"""Folders within folders that are looked through."""


def survey(
    paths: Sequence[Path],
    *,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> list[Header]:
    """Say which volumes files and folders offer together, without reading voxels.

    DICOM images are gathered across everything given, so that a series may be spread over folders;
    a single slice stands for its whole series. Copies are named in ``Header.duplicate``.

    Args:
        paths: files, and folders that are searched with their sub-folders.
        progress: told how far it is.
        cancelled: asked every few files; True stops.

    Returns:
        One header per volume, DICOM first. What cannot be used, files of unknown kind among
        ``paths`` included, has its reason in ``Header.problem``.

    Raises:
        Cancelled: ``cancelled`` said so.
    """
    look = FileSearch(progress, cancelled)
    faults: list[Header] = []
    for path in paths:
        try:
            look.add(path)
        except VolumeError as error:
            faults.append(Header(path, "unknown", problem=str(error)))
    series, others = look.run()
    files = {file for one in series for file in one.header.members}
    files.update(header.path for header in others)
    faulty = {header.path for header in faults}
    for path in paths:
        folder = path.absolute()
        if path.is_dir() and path not in faulty and not any(folder in f.parents for f in files):
            faults.append(Header(path, "unknown", problem=str(nothing_found(path))))
    return mark_duplicates(series, others, look.check) + faults


@dataclass
class FileSearch:
    """One search: what was asked for, then what was found.

    Attributes:
        progress: told (files looked at, files in all).
        cancelled: asked every few files.
    """

    progress: Progress | None = None
    cancelled: Callable[[], bool] | None = None
    _files: dict[Path, str] = field(default_factory=dict)  # path → kind; empty: not known yet
    _asked: set[Path] = field(default_factory=set)  # DICOM files that were named themselves

    def add(self, path: Path) -> None:
        """Take a file or a folder into the search.

        Raises:
            VolumeError: no such file, unknown kind, a folder without volumes or with too many.
            Cancelled: ``cancelled`` said so.
        """
        kind = kind_of(path)
        path = path.absolute()
        if kind == "folder":
            if not os.access(path, os.R_OK | os.X_OK):
                raise VolumeError(
                    f"{path.name}: expected a folder to look into; no access. Check the "
                    "permissions."
                )
            found: list[Path] = []
            for file in _below(path):
                found.append(file)
                if len(found) > _MAX_FILES:
                    raise VolumeError(
                        f"{path.name}: expected a folder of images; it holds more than "
                        f"{_MAX_FILES} files. Choose the folder of one patient or series."
                    )
                if len(found) % _BATCH == 0:
                    self.check()
            for file in found:
                self._files.setdefault(file, "")
            return
        self._files[path] = kind
        if kind == "dicom":
            self._asked.add(path)

    def check(self) -> None:
        """Stop here when the user said so."""
        if self.cancelled is not None and self.cancelled():
            raise Cancelled

    def run(self) -> tuple[list[Series], list[Header]]:
        """Look into every file.

        Returns:
            The DICOM volumes, and the headers of other volume files and of damaged ones.
        """
        images: list[Image] = []
        others: list[Header] = []
        empty: list[Path] = []
        for file, kind in self._each(list(self._files.items())):
            if kind == "dicom":
                self._take(file, images, others)
            elif kind == "empty":
                empty.append(file)
            elif kind:
                others.append(read_file_header(file, kind))
        remark = self._whole_series(images, others)
        names = {(image.path.parent, _pattern(image.path)) for image in images}
        for file in empty:
            # A slice lost its content; a file of another kind of name means nothing.
            if (file.parent, _pattern(file)) in names:
                why = f"{file.name}: expected a DICOM image; the file is empty. Copy it again."
                others.append(Header(file, "DICOM", problem=why))
        return [_remark(one, remark) for one in dicom.gather(images)], others

    def _each(self, files: list[tuple[Path, str]]) -> Iterator[tuple[Path, str]]:
        """Yield files with their kinds, telling progress and asking whether to go on."""
        for n, (file, kind) in enumerate(files):
            if n % _BATCH == 0:
                self.check()
                if self.progress is not None:
                    self.progress(n, len(files))
            yield file, kind or _kind_inside(file)
        if self.progress is not None:
            self.progress(len(files), len(files))

    def _take(self, file: Path, images: list[Image], others: list[Header]) -> None:
        try:
            image = read_tags(file)
        except VolumeError as error:
            others.append(Header(file, "DICOM", problem=str(error)))
            return
        except OSError:
            why = f"{file.name}: expected a file to read; no access. Check the permissions."
            others.append(Header(file, "DICOM", problem=why))
            return
        if image is not None:
            images.append(image)
        elif file in self._asked:
            why = (
                f"{file.name}: expected a DICOM image; found a DICOM file without one (a report "
                "or a directory). Choose the folder with the images."
            )
            others.append(Header(file, "DICOM", problem=why))

    def _whole_series(self, images: list[Image], others: list[Header]) -> dict[str, int]:
        """Add the rest of the series of slices that were named themselves.

        Returns:
            For each series that grew, how many of its images had been named.
        """
        named = [i for i in images if i.path in self._asked and i.multiframe is None]
        wanted = Counter(image.series for image in named)
        missing = [
            (file, "")
            for folder in sorted({image.path.parent for image in named})
            for file in sorted(folder.iterdir())
            if file not in self._files and _is_candidate(file)
        ]
        grown: dict[str, int] = {}
        for file, kind in self._each(missing):
            extra: list[Image] = []
            if kind == "dicom":
                self._take(file, extra, others)
            for image in extra:
                if image.series in wanted:
                    images.append(image)
                    grown[image.series] = wanted[image.series]
        return grown


def _remark(one: Series, grown: dict[str, int]) -> Series:
    named = grown.get(one.images[0].series)
    if named is None:
        return one
    slices = "one slice was" if named == 1 else f"{named} slices were"
    words = f"Of its {one.header.files} images {slices} chosen; the whole series is offered."
    return one.with_remark(words)


def _pattern(file: Path) -> str:
    """Return a name without its numbers, as the slices of a series share it."""
    return re.sub(r"\d+", "#", file.name.lower())


def _below(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Yield the files below a folder, in a fixed order, without hidden ones.

    Links to folders are followed, but not back to a folder they lie in.
    """
    above = (*above, folder.resolve())
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            linked = entry.is_symlink() and Path(entry.path).resolve() in above
            if not linked and len(above) < _DEEPEST:
                yield from _below(Path(entry.path), above)
        elif entry.is_file():
            file = Path(entry.path)
            # The list of a disk's contents is no image, whatever it looks like.
            if not _is_data_of_a_pair(file) and entry.name.upper() != "DICOMDIR":
                yield file


def _is_candidate(file: Path) -> bool:
    return file.is_file() and not file.name.startswith(".")


def _kind_inside(file: Path) -> str:
    try:
        start = first_bytes(file)
    except OSError:
        return ""
    if not start:
        return "empty"
    kind = sniff(start, file)
    # A document that only has the ending of an image is no damaged image.
    return "" if kind in ("dicom", "nifti") and _is_text(start) else kind


def _is_text(start: bytes) -> bool:
    head = start[:256].rstrip(b"\0")
    return len(head) > 3 and all(byte >= 32 or byte in b"\t\r\n" for byte in head)


def _is_data_of_a_pair(file: Path) -> bool:
    name = file.name.lower()
    for suffix in (".img", ".img.gz"):
        if name.endswith(suffix):
            stem = file.name[: -len(suffix)]
            return any(file.with_name(stem + other).is_file() for other in (".hdr", ".hdr.gz"))
    return False


def nothing_found(path: Path) -> VolumeError:
    """Return the sentence for a folder without volumes."""
    return VolumeError(
        f"{path.name}: expected {KNOWN} volumes; found none. Choose another file or folder."
    )
