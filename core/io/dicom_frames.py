"""Geometry of a multi-frame DICOM file: enhanced MR/CT, ultrasound volumes, plain frame stacks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.io.dicom_geometry import FloatArray, normal, stack
from core.io.dicom_tags import Image
from core.volume import VolumeError

_OWN_FRAME = (
    "Positions are in the ultrasound volume's own frame, not the patient's: register the volume "
    "before use; R/L, A/P and S/I may be wrong until then."
)


def geometry(name: str, image: Image) -> tuple[FloatArray, NDArray[np.intp], tuple[str, ...]]:
    """Find the affine of one multi-frame file.

    Args:
        name: file name without folders.
        image: its tags, with the dataset in ``multiframe``.

    Returns:
        As :func:`core.io.dicom_geometry.stack`: affine to RAS+ mm, frame at each k, warnings.

    Raises:
        VolumeError: the frames' positions are missing or describe no single volume.
    """
    per_frame = image.multiframe.get("PerFrameFunctionalGroupsSequence")
    if per_frame:
        return _enhanced(name, image, per_frame)
    return _plain(name, image)


def _enhanced(
    name: str, image: Image, per_frame: Any
) -> tuple[FloatArray, NDArray[np.intp], tuple[str, ...]]:
    """Positions from the functional groups, one item per frame, falling back on the shared one."""
    shared = (image.multiframe.get("SharedFunctionalGroupsSequence") or [None])[0]
    if len(per_frame) != image.frames:
        raise VolumeError(
            f"{name}: expected geometry for each of {image.frames} frames; found it for "
            f"{len(per_frame)}. The file is damaged; export it again."
        )

    def values(frame: Any, group: str, field: str) -> list[float] | None:
        for source in (frame, shared):
            items = source.get(group) if source is not None else None
            if items and items[0].get(field) is not None:
                value = items[0].get(field)
                return [float(n) for n in np.atleast_1d(np.asarray(value, dtype=np.float64))]
        return None

    placed = values(per_frame[0], "PlanePositionSequence", "ImagePositionPatient")
    own_frame = not placed and values(
        per_frame[0], "PlanePositionVolumeSequence", "ImagePositionVolume"
    )
    kind = ("Volume", "Volume") if own_frame else ("", "Patient")
    positions, orientations, spacings, scales = [], [], [], []
    for frame in per_frame:
        position = values(frame, f"PlanePosition{kind[0]}Sequence", f"ImagePosition{kind[1]}")
        turn = values(frame, f"PlaneOrientation{kind[0]}Sequence", f"ImageOrientation{kind[1]}")
        spacing = values(frame, "PixelMeasuresSequence", "PixelSpacing")
        if not position or not turn or not spacing:
            raise VolumeError(
                f"{name}: expected position, orientation and pixel spacing for every frame; "
                "some are missing. Export the volume with its geometry, for example as NIfTI."
            )
        positions.append(position)
        orientations.append(turn)
        spacings.append(spacing)
        scales.append(
            (values(frame, "PixelValueTransformationSequence", "RescaleSlope") or [1.0])
            + (values(frame, "PixelValueTransformationSequence", "RescaleIntercept") or [0.0])
        )
    for what, rows, tolerance in (
        ("orientation", orientations, 1e-3),
        ("pixel spacing", spacings, 1e-4),
        ("intensity scaling", scales, 1e-9),
    ):
        table = np.asarray(rows)
        if np.abs(table - table[0]).max() > tolerance * max(1.0, float(np.abs(table[0]).max())):
            raise VolumeError(
                f"{name}: expected one {what} for all frames; it changes from frame to frame. "
                "Export the wanted frames as a volume of their own."
            )
    affine, order, notes = stack(name, positions, orientations[0], (spacings[0][0], spacings[0][1]))
    return affine, order, (*notes, _OWN_FRAME) if own_frame else notes


def _plain(name: str, image: Image) -> tuple[FloatArray, NDArray[np.intp], tuple[str, ...]]:
    """Frames stacked from one position: needs everything stated, guesses nothing but the side."""
    step = image.slice_step
    missing = [
        label
        for label, value in (
            ("position", image.position),
            ("orientation", image.orientation),
            ("pixel spacing", image.spacing),
            ("spacing between frames", image.offsets or step),
        )
        if not value
    ]
    if missing:
        raise VolumeError(
            f"{name}: expected a volume; found {image.frames} frames without "
            f"{', '.join(missing)} in the DICOM header (a cine loop, or a volume whose geometry "
            "was lost). Export the volume with its geometry, for example as NIfTI or NRRD."
        )
    assert image.orientation
    assert image.spacing
    assert image.position
    across = normal(name, image.orientation)[2]
    notes: tuple[str, ...] = ()
    if image.offsets:
        depth = np.array(image.offsets, dtype=np.float64) - image.offsets[0]
    else:
        assert step is not None
        depth = step * np.arange(image.frames, dtype=np.float64)
        notes = (
            "The header gives the position of the first frame and the spacing only; the frames "
            "were stacked along the direction across them. Check the volume against another one.",
        )
    positions = np.asarray(image.position) + depth[:, None] * across
    affine, order, more = stack(name, positions, image.orientation, image.spacing)
    return affine, order, notes + more
