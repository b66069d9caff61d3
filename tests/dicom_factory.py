"""Tiny DICOM files on the fly, so that hostile DICOM is tested without real data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

MR = "1.2.840.10008.5.1.4.1.1.4"
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
US_MULTI = "1.2.840.10008.5.1.4.1.1.3.1"
ENHANCED_US = "1.2.840.10008.5.1.4.1.1.6.2"

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
OBLIQUE = (0.96, 0.28, 0.0, -0.224, 0.768, -0.6)


def base(sop_class: str, pixels: np.ndarray, series: str, **tags: Any) -> Dataset:
    """Return a data set with the pixels of one file, (rows, columns) or (frames, rows, columns)."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = UID(sop_class)
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = generate_uid()
    ds.SeriesInstanceUID = series
    ds.StudyInstanceUID = generate_uid(entropy_srcs=[series])
    ds.PatientName = "Secret^Person"
    ds.PatientID = "SECRET-ID"
    ds.Modality = "MR"
    ds.SeriesNumber = 3
    ds.Rows, ds.Columns = pixels.shape[-2:]
    if pixels.ndim == 3:
        ds.NumberOfFrames = len(pixels)
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    bits = pixels.dtype.itemsize * 8
    ds.BitsAllocated = ds.BitsStored = bits
    ds.HighBit = bits - 1
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    ds.PixelData = np.ascontiguousarray(pixels).tobytes()
    ds["PixelData"].VR = "OB" if bits == 8 else "OW"
    for key, value in tags.items():
        setattr(ds, key, value)
    return ds


def save(ds: Dataset, path: Path) -> Path:
    """Write the data set; the folder is made when needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path


def write_series(
    folder: Path,
    *,
    count: int = 6,
    orientation: Sequence[float] = AXIAL,
    origin: Sequence[float] = (-20.0, -30.0, 40.0),
    step: Sequence[float] | None = None,
    positions: np.ndarray | None = None,
    spacing: Sequence[float] = (0.8, 0.5),
    shape: tuple[int, int] = (5, 4),
    drop: Sequence[int] = (),
    series: str = "",
    name: str = "slice",
    each: Mapping[int, Mapping[str, Any]] | None = None,
    **tags: Any,
) -> tuple[np.ndarray, np.ndarray]:
    """Write one file per slice.

    Args:
        folder: where to.
        count: slices before ``drop``.
        orientation: row and column cosines.
        origin: position of slice 0, LPS mm.
        step: from slice to slice, LPS mm; by default 2 mm across the slices.
        positions: (count, 3) positions instead of origin and step.
        spacing: between rows, between columns.
        shape: rows, columns.
        drop: slices left out.
        series: SeriesInstanceUID.
        name: files are ``name-###.dcm``, numbered against the slice order.
        each: slice → tags of that slice only (``pixels`` replaces its array).
        tags: tags of all slices.

    Returns:
        (column, row, slice) voxels and the (4, 4) voxel → RAS+ mm matrix, without ``drop``.
    """
    row, column = np.reshape(orientation, (2, 3))
    if positions is None:
        move = 2.0 * np.cross(row, column) if step is None else np.array(step)
        positions = np.array(origin) + np.arange(count)[:, None] * move
    voxels = np.arange(count * shape[0] * shape[1], dtype=np.int16).reshape(count, *shape)
    uid = series or generate_uid()
    for n in range(count):
        if n in drop:
            continue
        own = dict((each or {}).get(n, {}))
        ds = base(MR, own.pop("pixels", voxels[n]), uid)
        ds.ImageOrientationPatient = [f"{x:.10g}" for x in orientation]
        ds.ImagePositionPatient = [f"{x:.10g}" for x in positions[n]]
        ds.PixelSpacing = list(spacing)
        ds.InstanceNumber = count - n
        for key, value in {**tags, **own}.items():
            setattr(ds, key, value)
        save(ds, folder / f"{name}-{count - n:03d}.dcm")
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = row * spacing[1], column * spacing[0]
    affine[:3, 2] = (positions[-1] - positions[0]) / (count - 1)
    affine[:3, 3] = positions[0]
    return voxels.transpose(2, 1, 0), np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def enhanced(
    positions: np.ndarray,
    *,
    orientation: Sequence[float] = AXIAL,
    spacing: Sequence[float] = (0.8, 0.5),
    shape: tuple[int, int] = (5, 4),
    slopes: Sequence[float] = (),
    volume_frame: bool = False,
) -> tuple[Dataset, np.ndarray]:
    """Return an enhanced multi-frame data set and its (frame, row, column) stored values."""
    count = len(positions) * shape[0] * shape[1]
    frames = np.arange(count, dtype=np.uint8).reshape(len(positions), *shape)
    ds = base(ENHANCED_US if volume_frame else ENHANCED_MR, frames, generate_uid())
    if volume_frame:
        ds.Modality = "US"
    kind, frame_of = ("Volume", "Volume") if volume_frame else ("", "Patient")
    shared, measures, turn = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = list(spacing)
    setattr(turn, f"ImageOrientation{frame_of}", list(orientation))
    shared.PixelMeasuresSequence = [measures]
    setattr(shared, f"PlaneOrientation{kind}Sequence", [turn])
    ds.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for n, position in enumerate(positions):
        group, plane = Dataset(), Dataset()
        setattr(plane, f"ImagePosition{frame_of}", [float(x) for x in position])
        setattr(group, f"PlanePosition{kind}Sequence", [plane])
        if slopes:
            scale = Dataset()
            scale.RescaleSlope, scale.RescaleIntercept = str(slopes[n]), "0"
            scale.RescaleType = "US"
            group.PixelValueTransformationSequence = [scale]
        groups.append(group)
    ds.PerFrameFunctionalGroupsSequence = groups
    return ds, frames
