"""ITK transform files (.tfm, .txt, .mat, .h5) as matrices, and back.

An ITK transform sends a point of the fixed image's space to the moving image's space, in LPS+ mm:
it tells a resampler where to look. A matrix of ours goes the other way, in RAS+ mm.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import UserError
from core.io import native
from core.registration.alignment import AlignError, Alignment, Matrix, inverted
from core.registration.transform_file import Part, parts_of
from core.volume import VolumeError

SUFFIXES = (".tfm", ".txt", ".mat", ".h5", ".hdf5")
"""``.xfm`` is not among them: MINC means RAS by it, ITK reads it as LPS."""
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_transform(path: Path | str, inverse: bool = False) -> Alignment:
    """Read an ITK transform that is affine, or a chain of such.

    Args:
        path: ``.tfm``, ``.txt``, ``.mat`` (as ANTs writes it), ``.h5`` or ``.hdf5``.
        inverse: the file was written for the other direction: it takes points of the *moving*
            volume to the fixed one, as when it was made to resample the fixed volume onto the
            moving one. The published ReMIND transforms ("US-to-MR") need this when the iUS is the
            fixed volume.

    Returns:
        moving → fixed, RAS+ mm; ``kind`` is ``"file"``, ``source`` the file's name.

    Raises:
        AlignError: missing, not an ITK transform, not 3-D, or not affine.
    """
    path = Path(path)
    if not path.is_file():
        raise AlignError(f"{path.name}: there is no such transform file. Check the name.")
    if path.suffix.lower() not in SUFFIXES:
        raise AlignError(
            f"{path.name}: expected an ITK transform ({', '.join(SUFFIXES)}). Export it in one of "
            "these formats."
        )
    found = _decoded(path)
    if found["dimension"] != 3:
        raise AlignError(
            f"{path.name}: expected a transform of 3-D space; found {found['dimension']}-D."
        )
    if found["bent"]:
        raise AlignError(
            f"{path.name}: expected a rigid or affine transform; found a deformable one "
            f"({', '.join(found['bent'])}). Apply it where it was made and bring the resampled "
            "volume, or export its affine part."
        )
    lps = np.reshape(found["lps"], (4, 4))
    fixed_to_moving = Alignment(_LPS @ lps @ _LPS, "file", path.name).matrix
    matrix = fixed_to_moving if inverse else inverted(fixed_to_moving)
    return Alignment(matrix, "file", path.name)


def _decoded(path: Path) -> dict[str, Any]:
    """Let ITK read a transform in the decoder process, and compare its numbers with the file's.

    Raises:
        AlignError: damaged, of another kind, or understood otherwise than it is written.
    """
    why = "the file is damaged or of another kind"
    try:
        written = parts_of(path)
        found, _ = native.call("transform", path)
    except (native.DecoderError, OSError, UserError) as error:
        if isinstance(error, VolumeError):  # the decoder was lost; the sentence says so
            raise AlignError(str(error)) from error
        if isinstance(error, UserError):
            why = str(error)
    else:
        if written is None or _same(written, found["parts"]):
            return found
        why = "its numbers are not as many as its kind of transform has"
    raise AlignError(
        f"{path.name}: expected an ITK transform; {why}. Export the transform again, for example "
        "from 3D Slicer as .tfm or .h5."
    )


def _same(written: Sequence[Part], read: Sequence[dict[str, Any]]) -> bool:
    """Tell whether ITK took a chain's numbers as they are written, no more and no fewer."""
    counts = [len(one.parameters) for one in written]
    return counts == [other["count"] for other in read] and all(
        len(a) == len(b) and np.allclose(a, b, rtol=1e-6, atol=1e-9)
        for one, other in zip(written, read, strict=True)
        for a, b in (
            (one.parameters, other["parameters"]),
            (one.fixed[: len(other["fixed"])], other["fixed"]),
        )
    )


def write_transform(path: Path | str, alignment: Alignment) -> Path:
    """Write an ITK affine transform that resamples the moving volume onto the fixed one.

    3D Slicer and SimpleITK read it; :func:`read_transform` gives the same matrix back. The file is
    written beside its target and moved into place.

    Args:
        path: ``.tfm``, ``.txt`` or ``.h5``; its folder must exist.
        alignment: what to write.

    Raises:
        AlignError: another suffix, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise AlignError(
            f"{path.name}: expected a transform file ending in {', '.join(SUFFIXES)}. Choose one "
            "of these."
        )
    lps = _LPS @ inverted(alignment.matrix) @ _LPS
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".mhvae-") as scratch:
            draft = Path(scratch) / path.name
            native.call("write transform", draft, lps=lps.ravel().tolist())
            _compare(alignment.matrix, draft)
            os.replace(draft, path)
    except (OSError, native.DecoderError, VolumeError) as error:
        raise AlignError(
            f"{path.name}: the transform could not be written. Choose a folder you may write to, "
            "with enough free space."
        ) from error
    return path


def _compare(matrix: Matrix, draft: Path) -> None:
    again = read_transform(draft).matrix
    if np.abs(again - matrix).max() > 1e-6 * max(1.0, float(np.abs(matrix).max())):
        raise OSError("the transform read back differs")
