"""DICOM: which volumes a folder or file offers, and their voxels."""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.io import dicom_frames
from core.io.dicom_geometry import FloatArray, stack
from core.io.dicom_groups import left_out, nature, scattered, volumes
from core.io.dicom_tags import Image, read_tags
from core.io.dicom_voxels import decoded
from core.io.finish import NOT_FINITE, damaged, finish
from core.io.header import Header, make_grid
from core.io.limits import check_bomb, check_memory, check_stored
from core.io.modality import guess_from_dicom
from core.volume import Volume, VolumeError

# MPEG and HEVC video, JPEG XL, high-throughput JPEG 2000.
_UNDECODABLE = tuple(f"1.2.840.10008.1.2.4.{n}" for n in ("10", "11", "20"))


@dataclass(frozen=True)
class Series:
    """One volume found among DICOM files."""

    header: Header
    images: tuple[Image, ...]  # in the order of k; one image when it is multi-frame
    order: NDArray[np.intp]  # frame at each k of a multi-frame file

    @property
    def is_stack(self) -> bool:
        """Whether it may be wanted as a volume: more than single images or a planning view."""
        if self.header.nature in ("localizer", "projection"):
            return False
        return self.images[0].frames > 1 or (len(self.images) > 1 and not scattered(self.images))

    def with_remark(self, sentence: str) -> Series:
        """Return the same with one more remark in its header."""
        header = replace(self.header, remarks=(*self.header.remarks, sentence))
        return replace(self, header=header)


def gather(images: Iterable[Image]) -> list[Series]:
    """Group DICOM images into volumes, readable or not, in the order of their series numbers.

    Args:
        images: as :func:`core.io.dicom_tags.read_tags` gives them, of any number of series.
    """
    by_series: dict[str, list[Image]] = defaultdict(list)
    for image in images:
        by_series[image.series].append(image)
    found: list[Series] = []
    for uid in sorted(by_series, key=lambda uid: (_number(by_series[uid][0]), uid)):
        groups, twice = volumes(by_series[uid])
        folder = _common_folder(by_series[uid])
        echoes = len({one[0].echo for one in groups if len(one) > 1}) > 1
        for n, group in enumerate(groups):
            single_file = group[0].multiframe is not None
            what = f"{uid}/{group[0].uid if single_file else n}"
            header = Header(
                path=group[0].path if single_file else folder,
                format="DICOM multi-frame" if single_file else "DICOM series",
                series=_digest(what),
                warnings=_incomplete(group, groups) if not single_file else (),
                remarks=_copies(twice) if n == 0 else (),
            )
            found.append(_series(group, header, echoes))
    return found


def reopen(header: Header) -> Series:
    """Find the volume of a header again, from its own files only.

    Raises:
        VolumeError: a file is gone or has changed.
    """
    images = []
    for path in header.members:
        try:
            image = read_tags(path)
        except OSError as error:
            raise VolumeError(
                f"{path.name}: expected a slice of {header.source}; the file cannot be opened. "
                "Look into the folder again."
            ) from error
        if image is None:
            raise VolumeError(f"{path.name}: expected an image; the file has changed.")
        images.append(image)
    found = _series(images, replace(header, warnings=(), remarks=()), False)
    return replace(found, header=replace(found.header, warnings=header.warnings))


def _number(image: Image) -> int:
    return int(image.number) if image.number.isdecimal() else 0


def _digest(identifier: str) -> str:
    """Return what stands for an identifier of the file, which itself is not kept."""
    return hashlib.sha256(identifier.encode()).hexdigest()[:12]


def _common_folder(images: Sequence[Image]) -> Path:
    return Path(os.path.commonpath({str(image.path.parent.absolute()) for image in images}))


def _copies(twice: int) -> tuple[str, ...]:
    if not twice:
        return ()
    were = "image was" if twice == 1 else "images were"
    return (f"{twice} {were} there more than once; one copy is used.",)


def _incomplete(images: Sequence[Image], groups: Sequence[Sequence[Image]]) -> tuple[str, ...]:
    """Say what of its series a volume may lack."""
    if len(groups) == 1:
        return _unnumbered(images)
    beside = left_out(groups, images) if len(images) > 1 else 0
    if not beside:
        return ()
    lie = "image of the series lies" if beside == 1 else "images of the series lie"
    return (
        f"{beside} {lie} in another direction, or say none, and cannot be part of the volume: it "
        "may lack a slice.",
    )


def _unnumbered(images: Sequence[Image]) -> tuple[str, ...]:
    """Say when the images' own numbering goes further than they do: an end may be missing."""
    numbers = {image.instance for image in images if image.instance is not None}
    if len(numbers) < len(images) or min(numbers) < 0:
        return ()
    lost = max(numbers) - len(numbers)
    if not 0 < lost < len(numbers):  # far larger numbers count something else
        return ()
    return (
        f"The images are numbered up to {max(numbers)}, and {len(numbers)} are here: slices may "
        "be missing at an end of the volume.",
    )


def _series(images: list[Image], about: Header, echoes: bool) -> Series:
    """Complete a header with what the images of its volume say."""
    first = images[0]
    multi = first.multiframe is not None
    text = " ".join(part for part in (first.number, first.description) if part)
    name = about.path.name if multi or not text else f"{about.path.name}, series {text}"
    modality, reason = guess_from_dicom(first, about.path.name)
    nature_, why = nature(first)
    grid, problem, warnings = None, "", tuple[str, ...]()
    order = np.arange(len(images))
    try:
        affine, order, warnings = _geometry(name, images)
        count = first.frames if multi else len(images)
        grid = make_grid(name, (first.columns, first.rows, count), affine)
        for image in images:
            _check_image(name, image)
        if not first.native:
            # Each file alone may be small enough; they become one volume.
            held = sum(image.path.stat().st_size for image in images)
            stored = sum(image.stored for image in images)
            check_bomb(name, math.prod(grid.shape), stored, held)
        if not multi:
            images = [images[n] for n in order]
    except VolumeError as error:
        problem = str(error)
    echo = f"TE {first.echo:g} ms" if echoes and first.echo else ""
    header = replace(
        about,
        grid=grid if not problem else None,
        dtype=str(first.dtype.newbyteorder("=")) if first.bits in (8, 16, 32, 64) else "",
        modality=modality,
        modality_reason=reason,
        description=about.description or " ".join(filter(None, (text, echo))),
        files=len(images),
        problem=problem,
        warnings=() if problem else warnings + about.warnings,
        nature=nature_,
        remarks=(*filter(None, (why,)), *about.remarks),
        frame=_digest(first.frame) if first.frame else "",
        members=tuple(image.path for image in images),
        synthetic=first.synthetic,
    )
    return Series(header, tuple(images), order)


def _geometry(
    name: str, images: Sequence[Image]
) -> tuple[FloatArray, NDArray[np.intp], tuple[str, ...]]:
    first = images[0]
    if first.multiframe is not None and first.frames > 1:
        with damaged(name):
            return dicom_frames.geometry(name, first)
    sizes = Counter((image.columns, image.rows) for image in images)
    if len(sizes) > 1:
        listed = ", ".join(f"{n} of {c}×{r}" for (c, r), n in sizes.most_common())
        raise VolumeError(
            f"{name}: expected slices of one size; found {listed}. Export the series again, "
            "without the images that do not belong to it."
        )
    if scattered(images):
        raise VolumeError(
            f"{name}: expected a series of slices; found {len(images)} single images in different "
            "directions. Choose a series that was acquired as a volume."
        )
    if len(images) < 2:
        raise VolumeError(
            f"{name}: expected a series of slices; found a single image. Choose the folder that "
            "holds the whole series."
        )
    placed = [image for image in images if image.position and image.orientation and image.spacing]
    if len(placed) < len(images):
        raise VolumeError(
            f"{name}: expected position, orientation and pixel spacing in every slice; "
            f"{len(images) - len(placed)} of {len(images)} lack them. Export the original series."
        )
    spacings = np.array([image.spacing for image in images])
    if np.abs(spacings - spacings[0]).max() > 1e-3 * float(spacings[0].min()):
        raise VolumeError(
            f"{name}: expected one pixel spacing; it changes from slice to slice between "
            f"{spacings.min():.4g} and {spacings.max():.4g} mm. Export the original series."
        )
    assert first.orientation
    assert first.spacing
    positions = np.array([image.position for image in images], dtype=np.float64)
    return stack(name, positions, first.orientation, first.spacing)


def _check_image(name: str, image: Image) -> None:
    if image.samples != 1 or image.photometric not in ("MONOCHROME2",):
        raise VolumeError(
            f"{name}: expected one grey value per voxel (MONOCHROME2); found "
            f"{image.photometric.strip()}. Export it as greyscale."
        )
    widths = (32, 64) if image.floating else (8, 16, 32)
    stored = range(1, image.bits + 1)
    if image.bits not in widths or image.bits_stored not in stored:
        raise VolumeError(
            f"{name}: expected 8, 16 or 32 bits per voxel; found {image.bits_stored} of "
            f"{image.bits}. Export it as a greyscale image."
        )
    if image.high_bit not in range(image.bits_stored - 1, image.bits):
        raise VolumeError(
            f"{name}: expected the highest bit of a voxel within its {image.bits}; found "
            f"{image.high_bit}. The header is damaged; export it again."
        )
    if not (math.isfinite(image.slope) and math.isfinite(image.intercept)) or not image.slope:
        raise VolumeError(
            f"{name}: expected a finite rescale slope and intercept; found {image.slope:g} and "
            f"{image.intercept:g}. Export it again."
        )
    if image.syntax.startswith(_UNDECODABLE):
        raise VolumeError(
            f"{name}: expected images this program can decode; found a video or a newer "
            "compression. Export it uncompressed."
        )
    if not image.voxels_at:
        raise VolumeError(
            f"{image.path.name}: expected an image; the file ends before its voxels. It is cut "
            "short; copy or export it again."
        )
    if image.native:
        declared = image.voxels_at + image.stored
        check_stored(image.path.name, declared, image.path.stat().st_size)


def load(series: Series, source: str, *, allow_zero: bool = False) -> Volume:
    """Decode one volume.

    Args:
        series: as found by :func:`gather`.
        source: what to call the volume.
        allow_zero: accept a volume of zeros only.

    Raises:
        VolumeError: the series has a problem, does not fit into memory, or cannot be decoded.
    """
    header = series.header
    if header.problem or header.grid is None:
        raise VolumeError(header.problem)
    shape = header.grid.shape
    check_memory(source, math.prod(shape), 4 * math.prod(shape))
    if series.images[0].multiframe is not None and series.images[0].frames > 1:
        with damaged(series.images[0].path.name):
            frames = decoded(series.images[0])
        if not np.array_equal(series.order, np.arange(shape[2])):
            frames = frames[series.order]
        raw = frames.transpose(2, 1, 0)
    else:
        raw = np.empty(shape, dtype=np.float32, order="F")
        for k, image in enumerate(series.images):
            with damaged(image.path.name):
                raw[:, :, k] = decoded(image)[0].T
    padding = next((one.padding for one in series.images if one.padding), None)
    blank = f"hold the padding value {padding[0]:g} of the header" if padding else NOT_FINITE
    return finish(
        source,
        raw,
        header.grid,
        synthetic=header.synthetic,
        warnings=header.warnings,
        allow_zero=allow_zero,
        blank=blank,
    )
