"""Recognises a tracked sweep: a row of 2-D ultrasound images, each with its own position.

PLUS and 3D Slicer keep such sweeps in files of the volume formats; taken for a volume, its voxels
would lie somewhere, at some size. What to do with one is in :mod:`core.io.sweep_file`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from core.volume import VolumeError

FRAME = re.compile(r"Seq_Frame(\d+)_(\w+?)(?:Transform)$")
"""Field of one frame's transform: its number, and from where to where it leads."""
_ANY = re.compile(r"Seq_Frame\d+_")
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
        "not lie side by side. Reconstruct a volume of it first, for example with the Volume "
        "Reconstructor of SlicerIGT or with PLUS."
    )
