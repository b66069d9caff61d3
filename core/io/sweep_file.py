"""Reads a tracked sweep, as PLUS and SlicerIGT write it: images, and where each of them lay.

A file names transforms between frames of reference, ``ProbeToTracker`` for one; they are chained
from the pixels (``Image``) to where the volume shall lie. What leads from the pixels to the probe
is the calibration: a file of its own, where the sweep does not hold it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.io import metaimage, metaimage_header, nrrd
from core.io.raw_image import Layout, check_pieces, decode
from core.io.sweep import stack_layout
from core.volume import VolumeError, Voxels

_FIELD = re.compile(r"(?:Seq_Frame(\d+)_)?([A-Za-z0-9]+?)To([A-Z][A-Za-z0-9]*)Transform(Status)?$")
_GOALS = ("Reference", "Patient", "Ras", "World", "Tracker")
"""Where the volume is put, the first of these that the transforms lead to."""

Transforms = dict[tuple[str, str], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Sweep:
    """Images and their places.

    Attributes:
        images: (width, height, frames) float32, x to the marked side, y away from the probe.
        places: (frames, 4, 4) pixel (x, y, 0, 1) → mm of ``goal``; NaN where it is not known.
        goal: name of the frame of reference.
    """

    images: Voxels
    places: NDArray[np.float64]
    goal: str


def read_sweep(path: Path, calibration: NDArray[np.float64] | None = None, goal: str = "") -> Sweep:
    """Read a tracked sweep from MetaImage (``.mha``, ``.mhd``) or NRRD.

    Args:
        path: the file.
        calibration: (4, 4) pixel → mm of the probe, where the file does not hold it.
        goal: frame of reference the volume shall lie in; the usual one unless told otherwise.

    Raises:
        VolumeError: no sweep, damaged, or its transforms do not lead there.
    """
    with path.open("rb") as file:
        is_nrrd = file.read(4) == b"NRRD"
    fields: Mapping[str, str]
    if is_nrrd:
        fields, layout = nrrd.sweep_layout(path)
    else:
        fields, layout = _metaimage_layout(path)
    assert layout.header.grid is not None
    count = layout.header.grid.shape[2]
    each, fixed, lost = _transforms(path.name, fields, count)
    if not each:
        raise VolumeError(
            f"{path.name}: expected a tracked sweep, with a transform for every image; found none. "
            "Give a file that PLUS or SlicerIGT recorded with tracking."
        )
    if calibration is not None:
        fixed["Image", "Probe"] = calibration
    check_pieces(path.name, layout)
    images = decode(path, layout, allow_zero=True).voxels
    turned = fields.get("UltrasoundImageOrientation", "MF").strip().upper()
    images = images[::-1] if turned[:1] == "U" else images
    images = images[:, ::-1] if turned[1:2] == "N" else images
    frames = [{**fixed, **each.get(n, {})} for n in range(count)]
    first: Transforms = next((f for n, f in enumerate(frames) if n in each), {})
    reached = goal or next((g for g in _GOALS if _chain(first, g) is not None), "")
    if not reached or _chain(first, reached) is None:
        known = ", ".join(sorted(f"{a}To{b}" for a, b in first))
        raise VolumeError(
            f"{path.name}: expected transforms from the image to {goal or 'a reference'}; found "
            f"{known or 'none'}. Give the probe's calibration (ImageToProbe) with --calibration, "
            "or another frame of reference with --to."
        )
    unknown = np.full((4, 4), np.nan)
    places = np.stack(
        [
            unknown if n in lost or (place := _chain(frame, reached)) is None else place
            for n, frame in enumerate(frames)
        ]
    )
    return Sweep(np.ascontiguousarray(images), places, reached)


def _metaimage_layout(path: Path) -> tuple[Mapping[str, str], Layout]:
    text = metaimage_header.parse(path)
    sizes = metaimage_header.sizes(path.name, text.fields)
    dtype = metaimage_header.stored_type(path.name, text)
    layout = stack_layout(path, "MetaImage", sizes, dtype)
    files = metaimage.data_files(path, text, sizes[-1])
    return text.fields, metaimage.located(path, text, files, layout)


def _transforms(
    name: str, fields: Mapping[str, str], count: int
) -> tuple[dict[int, Transforms], Transforms, set[int]]:
    """Return the transforms of each image, those of all, and the images whose tracking failed."""
    each: dict[int, Transforms] = defaultdict(dict)
    fixed: Transforms = {}
    lost: set[int] = set()
    for key, text in fields.items():
        found = _FIELD.match(key)
        if found is None:
            continue
        number = None if found[1] is None else int(found[1])
        if number is not None and number >= count:
            continue
        if found[4]:
            if number is not None and text.strip().upper() != "OK":
                lost.add(number)
            continue
        try:
            matrix = np.array([float(part) for part in text.split()]).reshape(4, 4)
        except ValueError as error:
            raise VolumeError(
                f"{name}: expected 16 numbers for {key[:60]}; found “{text[:60]}”. The file is "
                "damaged; export the sweep again."
            ) from error
        if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3])) < 1e-12:
            lost |= set() if number is None else {number}
            continue
        (fixed if number is None else each[number])[found[2], found[3]] = matrix
    return dict(each), fixed, lost


def _chain(known: Transforms, goal: str) -> NDArray[np.float64] | None:
    """Return the map from the image to a frame of reference, through others; None without one."""
    reached = {"Image": np.eye(4)}
    waiting = ["Image"]
    while waiting:
        here = waiting.pop(0)
        if here == goal:
            return reached[here]
        for (start, end), matrix in known.items():
            if start == here and end not in reached:
                reached[end] = matrix @ reached[here]
                waiting.append(end)
            elif end == here and start not in reached:
                reached[start] = np.linalg.inv(matrix) @ reached[here]
                waiting.append(start)
    return None
