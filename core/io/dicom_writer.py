"""Write a volume as a derived DICOM series: back to the viewers and archives of a hospital."""

from __future__ import annotations

import datetime
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.files import refusal
from core.io.reader import load
from core.marks import RESEARCH_USE, SYNTHETIC_MARK
from core.version import __version__
from core.volume import Volume, VolumeError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
STEPS = 65535
"""Largest stored value."""
_RIGHT = 1e-4
"""How far from right angles the axes of a slice may be; the standard allows no more."""
_TOLERANCE = 1e-3
_PATIENT = (
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientAge",
    "PatientSize", "PatientWeight", "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID",
    "StudyDescription", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
"""Of the patient and the study, as they stand in a series that the volume was made from."""


def _new_uid() -> str:
    from pydicom.uid import generate_uid

    return str(generate_uid())


@dataclass(frozen=True)
class DicomSource:
    """What series that belong together are made from; give the same one to each of them.

    Attributes:
        members: files of the DICOM series that the volumes were made from, in slice order.
        keep_patient: whether the results belong to its patient and study. Else, and where nothing
            was DICOM, they get a patient without a name, and a study and a frame of reference of
            their own.
        study: identifier of that new study.
        frame: identifier of that new frame of reference.
    """

    members: tuple[Path, ...] = ()
    keep_patient: bool = True
    study: str = field(default_factory=_new_uid)
    frame: str = field(default_factory=_new_uid)

    @property
    def kept(self) -> bool:
        """Whether there is a patient to keep, and it is to be kept."""
        return self.keep_patient and bool(self.members)


def write_dicom(
    volume: Volume,
    folder: Path | str,
    *,
    marks: Mapping[str, Any] | None = None,
    source: DicomSource | None = None,
    description: str = "",
) -> Path:
    """Write a volume as a series of classic MR images, one file a slice.

    Values are stored in steps of (largest - smallest) / 65535, so that they come back to half a
    step. Every file says that it is derived and, where a model made it, that its data are synthetic
    (0008,001C) and for research. The files are written beside the target, read back, compared
    (corners to 1e-3 mm, values to half a step) and only then moved into place.

    Args:
        volume: what to write.
        folder: target, which must not hold anything yet; the folder above must exist.
        marks: provenance; its notice and model go into the derivation's description.
        source: the series the volume was made from, and whose patient and study it belongs to.
        description: of the series; its modality unless told otherwise.

    Returns:
        The folder.

    Raises:
        VolumeError: no right angles between the axes, a folder that holds something, no
            permission, disk full, or the files read back differ.
    """
    folder = Path(folder)
    _check(volume, folder)
    source = source or DicomSource()
    templates = _read_templates(source.members) if source.kept else []
    try:
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".mhvae-") as scratch:
            draft = Path(scratch) / folder.name
            draft.mkdir()
            step = _write_files(volume, draft, marks or {}, source, templates, description)
            _compare(volume, draft, step, folder.name)
            if folder.exists():
                folder.rmdir()
            os.replace(draft, folder)
    except OSError as error:
        why = refusal(error) or str(error)
        raise VolumeError(
            f"{folder.name}: the series could not be written; {why}, then try again."
        ) from error
    return folder


def _check(volume: Volume, folder: Path) -> None:
    name = folder.name
    unit = volume.grid.affine[:3, :3] / volume.grid.spacing
    if np.abs(unit.T @ unit - np.eye(3)).max() > _RIGHT:
        raise VolumeError(
            f"{name}: expected axes at right angles, which DICOM slices have; these are sheared. "
            "Save the volume on the model's grid, or in another format."
        )
    if not np.isfinite(volume.voxels).all():
        raise VolumeError(f"{name}: expected finite voxels to write; found NaN or infinity.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise VolumeError(
            f"{name}: expected a new or empty folder for the series; it holds something. Choose "
            "another name."
        )


def _read_templates(members: Sequence[Path]) -> list[Dataset]:
    from pydicom import dcmread

    return [dcmread(path, stop_before_pixels=True, force=True) for path in members]


def _write_files(
    volume: Volume,
    draft: Path,
    marks: Mapping[str, Any],
    source: DicomSource,
    templates: list[Dataset],
    description: str,
) -> float:
    """Write every slice and return the width of a stored step."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    slope, intercept, stored = _stored(volume)
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.grid.affine
    spacing = volume.grid.spacing
    shared = _shared(volume, marks, source, templates, description)
    shared.ImageOrientationPatient = [_text(x) for x in (lps[:3, :2] / spacing[:2]).T.ravel()]
    shared.PixelSpacing = [_text(spacing[1]), _text(spacing[0])]
    shared.SliceThickness = shared.SpacingBetweenSlices = _text(spacing[2])
    shared.RescaleSlope, shared.RescaleIntercept = slope, intercept
    shared.RescaleType = "US"
    shared.Columns, shared.Rows = volume.grid.shape[:2]
    window = (float(volume.voxels.min()), float(volume.voxels.max()))
    shared.WindowCenter = _text(sum(window) / 2)
    shared.WindowWidth = _text(max(window[1] - window[0], 1e-6))
    places = [_place(one) for one in templates]
    for k in range(volume.grid.shape[2]):
        image = shared.copy()
        at = lps[:3, 3] + k * lps[:3, 2]
        image.SOPInstanceUID = generate_uid()
        image.InstanceNumber = k + 1
        image.ImagePositionPatient = [_text(x) for x in at]
        normal = np.cross(lps[:3, 0], lps[:3, 1])
        image.SliceLocation = _text(float(at @ normal / np.linalg.norm(normal)))
        image.PixelData = stored[:, :, k].T.astype("<u2").tobytes()
        if places:
            nearest = int(np.argmin([np.linalg.norm(place - at) for place in places]))
            image.SourceImageSequence = [_reference(templates[nearest])]
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.file_meta.MediaStorageSOPClassUID = shared.SOPClassUID
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        image.save_as(draft / f"IM{k + 1:05d}.dcm", enforce_file_format=True)
    return float(slope)


def _shared(
    volume: Volume,
    marks: Mapping[str, Any],
    source: DicomSource,
    templates: list[Dataset],
    description: str,
) -> Dataset:
    """Return what all slices of the series say."""
    from pydicom.dataset import Dataset
    from pydicom.uid import UID, generate_uid

    out = Dataset()
    now = datetime.datetime.now()
    out.SpecificCharacterSet = "ISO_IR 192"
    out.PatientName = out.PatientID = f"MHVAE-{source.study[-8:]}"
    out.PatientBirthDate = out.PatientSex = out.StudyID = out.AccessionNumber = ""
    out.ReferringPhysicianName = ""
    out.StudyDate, out.StudyTime = f"{now:%Y%m%d}", f"{now:%H%M%S}"
    out.StudyInstanceUID = UID(source.study)
    out.FrameOfReferenceUID = UID(source.frame)
    if templates:
        for name in _PATIENT:
            if name in templates[0]:
                setattr(out, name, templates[0].get(name))
        if frame := templates[0].get("FrameOfReferenceUID"):
            out.FrameOfReferenceUID = frame
    out.SOPClassUID, out.Modality = UID(MR_IMAGE), "MR"
    out.SeriesInstanceUID = generate_uid()
    out.SeriesNumber = 9000
    out.SeriesDate = out.ContentDate = f"{now:%Y%m%d}"
    out.SeriesTime = out.ContentTime = f"{now:%H%M%S}"
    mark = SYNTHETIC_MARK if volume.synthetic else RESEARCH_USE.capitalize()
    name = description or volume.modality or "Volume"
    out.SeriesDescription = f"{name} {mark}"[:64]
    out.Manufacturer, out.ManufacturerModelName = "MHVAE Studio", "MHVAE Studio"
    out.SoftwareVersions = __version__
    out.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    model = marks.get("model")
    told = [str(marks.get("notice", mark))]
    if isinstance(model, Mapping) and "name" in model:
        told.append(f"Model: {model['name']}.")
    if inputs := marks.get("inputs"):
        told.append(f"Made from: {', '.join(inputs)}.")
    out.DerivationDescription = " ".join(told)[:1024]
    out.ImageComments = mark
    if volume.synthetic:
        out.SyntheticData = "YES"
    out.ContentQualification = "RESEARCH"
    out.BurnedInAnnotation = "NO"
    out.LossyImageCompression = "00"
    out.PositionReferenceIndicator = out.PatientPosition = ""
    out.BodyPartExamined = "BRAIN"
    # Of an acquisition there is nothing to say: research mode, no variant, times not known.
    out.ScanningSequence, out.SequenceVariant, out.ScanOptions = "RM", "NONE", ""
    out.MRAcquisitionType = "3D"
    out.RepetitionTime = out.EchoTime = out.EchoTrainLength = None
    out.SamplesPerPixel, out.PhotometricInterpretation = 1, "MONOCHROME2"
    out.BitsAllocated = out.BitsStored = 16
    out.HighBit, out.PixelRepresentation = 15, 0
    return out


def _stored(volume: Volume) -> tuple[str, str, NDArray[np.uint16]]:
    """Return slope and intercept as DICOM writes them, and the stored values."""
    low, high = float(volume.voxels.min()), float(volume.voxels.max())
    intercept = _text(low)
    # The written intercept may lie a little above the lowest value.
    slope = _text(max((high - min(low, float(intercept))) / (STEPS - 1), 1e-30))
    steps = (volume.voxels.astype(np.float64) - float(intercept)) / float(slope)
    return slope, intercept, np.clip(np.rint(steps), 0, STEPS).astype(np.uint16)


def _text(value: float) -> str:
    """Return a number as DICOM's decimal string, which has room for 16 characters."""
    from pydicom.valuerep import format_number_as_ds

    return format_number_as_ds(float(value))


def _place(template: Dataset) -> NDArray[np.float64]:
    """Return where a slice of the source begins, mm LPS; far away where it does not say."""
    at = template.get("ImagePositionPatient")
    return np.array(at, np.float64) if at is not None and len(at) == 3 else np.full(3, np.inf)


def _reference(template: Dataset) -> Dataset:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.ReferencedSOPClassUID = template.get("SOPClassUID", MR_IMAGE)
    item.ReferencedSOPInstanceUID = template.get("SOPInstanceUID", "")
    return item


def _compare(volume: Volume, draft: Path, step: float, name: str) -> None:
    again = load(draft, allow_zero=True).canonical()
    ours = volume.canonical()
    # Half a step, and the rounding of float32 on the way back.
    rounding = 4 * float(np.finfo(np.float32).eps) * float(np.abs(ours.voxels).max())
    if (
        not again.grid.same_as(ours.grid, _TOLERANCE)
        or np.abs(again.voxels - ours.voxels).max() > 0.5 * step + rounding
        or again.synthetic != volume.synthetic
    ):
        raise VolumeError(
            f"{name}: expected to read back what was written; the series differs. It was not kept; "
            "choose another format or disk."
        )
