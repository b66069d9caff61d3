"""Recognises a tracked sweep: a row of 2-D ultrasound images, each with its own position.

PLUS and 3D Slicer keep such sweeps in files of the volume formats; taken for a volume, its voxels
would lie somewhere, at some size. What to do with one is in :mod:`core.io.sweep_file`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from core.grid import Grid
from core.io.header import Header
from core.io.raw_image import Layout
from core.volume import VolumeError

FRAME = re.compile(r"Seq_Frame(\d+)_(\w+?)(?:Transform)$")
"""Field of one frame's transform: its number, and from where to where it leads."""
_ANY = re.compile(r"Seq_Frame\d+_")
_FRAMES = 100_000
_ULTRASOUND = re.compile(r"Ultrasound(?:Image(?:Orientation|Type))?$")


def is_sweep(fields: Mapping[str, str], kinds: Sequence[str] = ()) -> bool:
    """Tell whether a header describes a sequence of images, not one volume.

    Args:
        fields: of the header.
        kinds: of an NRRD's axes.
    """
    # In PLUS files frames lie along the last axis; 3D Slicer calls that axis a list.
    return any(_ANY.match(key) for key in fields) or (len(kinds) == 3 and "list" in kinds)


def refuse(name: str, fields: Mapping[str, str], kinds: Sequence[str] = ()) -> None:
    """Refuse a sweep where a volume is expected.

    Raises:
        VolumeError: it is one; the sentence says how a volume is made of it.
    """
    if not is_sweep(fields, kinds):
        return
    moves = {m.group(2) for key in fields if (m := FRAME.match(key))}
    what = "with a transform for each" if moves else "without positions"
    raise VolumeError(
        f"{name}: expected a volume; found a tracked sweep of 2-D images ({what}), whose images do "
        "not lie side by side. Make a volume of it first with mhvae-studio reconstruct, "
        "or with the Volume Reconstructor of SlicerIGT."
    )


def stack_layout(
    path: Path, form: str, sizes: tuple[int, ...], dtype: np.dtype[np.generic]
) -> Layout:
    """Return the layout of a stack of images that lie nowhere yet.

    Raises:
        VolumeError: not a stack of 2-D images.
    """
    width, height, *between, count = (*sizes, 0, 0, 0)[: max(3, len(sizes))]
    if any(n != 1 for n in between) or not 0 < count <= _FRAMES or min(width, height) < 2:
        raise VolumeError(
            f"{path.name}: expected a sweep of 2-D images, the images along the last axis; found "
            f"sizes {' '.join(map(str, sizes))}. Save it with PLUS as .igs.mha."
        )
    grid = Grid((width, height, count), np.eye(4))
    return Layout(Header(path, form, grid, str(dtype), "", ""), dtype, "raw", ())
