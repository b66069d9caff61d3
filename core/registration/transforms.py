"""ITK transform files (.tfm, .txt, .mat, .h5) as matrices, and back.

An ITK transform sends a point of the fixed image's space to the moving image's space, in LPS+ mm:
it tells a resampler where to look. A matrix of ours goes the other way, in RAS+ mm.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from core.registration.alignment import AlignError, Alignment, Matrix, inverted

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
    import SimpleITK

    from core.io.itk import quiet

    sitk: Any = SimpleITK  # it ships types in part only
    path = Path(path)
    if not path.is_file():
        raise AlignError(f"{path.name}: there is no such transform file. Check the name.")
    if path.suffix.lower() not in SUFFIXES:
        raise AlignError(
            f"{path.name}: expected an ITK transform ({', '.join(SUFFIXES)}). Export it in one of "
            "these formats."
        )
    try:
        with quiet():
            transform = sitk.ReadTransform(str(path))
    except RuntimeError as error:
        raise AlignError(
            f"{path.name}: expected an ITK transform; the file is damaged or of another kind. "
            "Export the transform again, for example from 3D Slicer as .tfm or .h5."
        ) from error
    if transform.GetDimension() != 3:
        raise AlignError(
            f"{path.name}: expected a transform of 3-D space; found {transform.GetDimension()}-D."
        )
    if not transform.IsLinear():
        raise AlignError(
            f"{path.name}: expected a rigid or affine transform; found a deformable one "
            f"({_kinds(transform, sitk)}). Apply it where it was made and bring the resampled "
            "volume, or export its affine part."
        )
    # Any chain of affine maps is known by where it sends the origin and the axes.
    lps = np.eye(4)
    lps[:3, 3] = transform.TransformPoint((0.0, 0.0, 0.0))
    for axis in range(3):
        point = [0.0, 0.0, 0.0]
        point[axis] = 1.0
        lps[:3, axis] = np.array(transform.TransformPoint(point)) - lps[:3, 3]
    fixed_to_moving = Alignment(_LPS @ lps @ _LPS, "file", path.name).matrix
    matrix = fixed_to_moving if inverse else inverted(fixed_to_moving)
    return Alignment(matrix, "file", path.name)


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
    import SimpleITK

    sitk: Any = SimpleITK  # it ships types in part only
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise AlignError(
            f"{path.name}: expected a transform file ending in {', '.join(SUFFIXES)}. Choose one "
            "of these."
        )
    lps = _LPS @ inverted(alignment.matrix) @ _LPS
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(lps[:3, :3].ravel().tolist())
    transform.SetTranslation(lps[:3, 3].tolist())
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".mhvae-") as scratch:
            draft = Path(scratch) / path.name
            sitk.WriteTransform(transform, str(draft))
            _compare(alignment.matrix, draft)
            os.replace(draft, path)
    except (OSError, RuntimeError) as error:
        raise AlignError(
            f"{path.name}: the transform could not be written. Choose a folder you may write to, "
            "with enough free space."
        ) from error
    return path


def _compare(matrix: Matrix, draft: Path) -> None:
    again = read_transform(draft).matrix
    if np.abs(again - matrix).max() > 1e-6 * max(1.0, float(np.abs(matrix).max())):
        raise OSError("the transform read back differs")


def _kinds(transform: Any, sitk: Any) -> str:
    """Name the parts of a transform that are not affine."""
    if transform.GetTransformEnum() == sitk.sitkComposite:
        whole = sitk.CompositeTransform(transform)
        parts = [whole.GetNthTransform(n) for n in range(whole.GetNumberOfTransforms())]
    else:
        parts = [transform]
    return ", ".join(p.GetName() for p in parts if not p.IsLinear())
