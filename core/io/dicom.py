"""DICOM: which volumes a folder or file offers, and their voxels."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.io import dicom_frames
from core.io.dicom_geometry import FloatArray, stack
from core.io.dicom_tags import Image, read_tags
from core.io.finish import damaged, finish
from core.io.header import Header, make_grid
from core.io.itk import decoded
from core.io.limits import check_memory, check_stored
from core.io.modality import guess_from_dicom
from core.volume import Volume, VolumeError

# What tells apart several volumes that share a series and their positions, tried in this order.
_SPLITS: tuple[Callable[[Image], object], ...] = (
    lambda image: image.echo,
    lambda image: image.image_type,
    lambda image: image.temporal,
    lambda image: image.acquisition,
)


@dataclass(frozen=True)
class Series:
    """One volume found among DICOM files."""

    header: Header
    images: tuple[Image, ...]  # in the order of k; one image when it is multi-frame
    order: NDArray[np.intp]  # frame at each k of a multi-frame file

    @property
    def is_stack(self) -> bool:
        """Whether it is more than a single image."""
        return len(self.images) > 1 or self.images[0].frames > 1


def scan(paths: Iterable[Path], root: Path) -> tuple[list[Series], list[Header]]:
    """Group DICOM files into volumes, reading tags only.

    Args:
        paths: files that look like DICOM.
        root: folder or file the user named; becomes the headers' path.

    Returns:
        The volumes, readable or not, and headers of files that are damaged.
    """
    damaged_files: list[Header] = []
    by_series: dict[str, list[Image]] = defaultdict(list)
    for path in paths:
        try:
            image = read_tags(path)
        except VolumeError as error:
            damaged_files.append(Header(path, "DICOM", problem=str(error)))
            continue
        if image is not None:
            by_series[image.series].append(image)
    found: list[Series] = []
    for uid, images in by_series.items():
        whole = [image for image in images if image.multiframe is not None]
        slices = [image for image in images if image.multiframe is None]
        groups = [[image] for image in whole]
        for group in _by_orientation(slices):
            groups += _split_volumes(group)
        for n, group in enumerate(groups):
            key = hashlib.sha256(f"{uid}/{n}".encode()).hexdigest()[:12]
            echo = group[0].echo if len({one[0].echo for one in groups}) > 1 else None
            found.append(_series(group, root, key, f"TE {echo:g} ms" if echo else ""))
    return found, damaged_files


def _by_orientation(images: Sequence[Image]) -> list[list[Image]]:
    groups: list[list[Image]] = []
    for image in images:
        for group in groups:
            a, b = group[0].orientation, image.orientation
            if (a is None and b is None) or (a and b and np.allclose(a, b, atol=5e-3)):
                group.append(image)
                break
        else:
            groups.append([image])
    return groups


def _split_volumes(images: list[Image]) -> list[list[Image]]:
    """Separate volumes that lie at the same positions (echoes, magnitude and phase, …)."""

    def doubled(group: Sequence[Image]) -> bool:
        seen = Counter(tuple(np.round(image.position or (0, 0, 0), 2)) for image in group)
        return max(seen.values()) > 1

    if not images or not doubled(images):
        return [images] if images else []
    for key in _SPLITS:
        parts: dict[object, list[Image]] = defaultdict(list)
        for image in images:
            parts[key(image)].append(image)
        if len(parts) > 1 and not any(doubled(part) for part in parts.values()):
            return list(parts.values())
    return [images]


def _series(images: list[Image], root: Path, key: str, part: str) -> Series:
    first = images[0]
    multi = first.multiframe is not None
    name = first.path.name if multi else _label(first, root)
    modality, reason = guess_from_dicom(
        first.kind,
        first.description,
        first.echo,
        first.repetition,
        first.inversion,
        first.contrast,
    )
    grid, problem, warnings = None, "", tuple[str, ...]()
    order = np.arange(len(images))
    try:
        affine, order, warnings = _geometry(name, images)
        count = first.frames if multi else len(images)
        grid = make_grid(name, (first.columns, first.rows, count), affine)
        for image in images:
            _check_image(name, image)
        if not multi:
            images = [images[n] for n in order]
    except VolumeError as error:
        problem = str(error)
    kind = ("u" if not first.signed else "") + f"int{first.bits}"
    header = Header(
        path=root,
        format="DICOM multi-frame" if multi else "DICOM series",
        grid=grid if not problem else None,
        dtype=kind,
        modality=modality,
        modality_reason=reason,
        series=key,
        description=" ".join(filter(None, (first.number, first.description, part))),
        files=len(images),
        problem=problem,
        warnings=warnings,
    )
    return Series(header, tuple(images), order)


def _label(image: Image, root: Path) -> str:
    text = " ".join(part for part in (image.number, image.description) if part)
    folder = root.name if root.is_dir() else root.parent.name
    return f"{folder}, series {text}" if text else folder


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
    if image.bits not in (8, 16, 32):
        raise VolumeError(
            f"{name}: expected 8, 16 or 32 bits per voxel; found {image.bits}. "
            "Export it as a greyscale image."
        )
    if image.native:
        declared = image.rows * image.columns * image.frames * image.bits // 8
        check_stored(image.path.name, declared, image.path.stat().st_size)


def load(series: Series, source: str, *, allow_zero: bool = False) -> Volume:
    """Decode one volume.

    Args:
        series: as found by :func:`scan`.
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
            frames = decoded(series.images[0].path, (shape[2], shape[1], shape[0]))
        if not np.array_equal(series.order, np.arange(shape[2])):
            frames = frames[series.order]
        raw = frames.transpose(2, 1, 0)
    else:
        raw = np.empty(shape, dtype=np.float32, order="F")
        for k, image in enumerate(series.images):
            with damaged(image.path.name):
                raw[:, :, k] = decoded(image.path, (1, shape[1], shape[0]))[0].T
    return finish(source, raw, header.grid, warnings=header.warnings, allow_zero=allow_zero)
