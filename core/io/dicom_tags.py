"""What we need to know of one DICOM file; patient identity is never even parsed."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from core.io.finish import damaged
from core.io.limits import size_text
from core.volume import VolumeError

_TAGS = [
    "SpecificCharacterSet", "ImageType", "SOPClassUID", "SOPInstanceUID", "Modality",
    "SeriesDescription", "ProtocolName", "ContrastBolusAgent", "RepetitionTime", "EchoTime",
    "InversionTime", "SpacingBetweenSlices", "SeriesInstanceUID", "SeriesNumber",
    "AcquisitionNumber", "InstanceNumber", "TemporalPositionIdentifier",
    "FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient",
    "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns",
    "PixelSpacing", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "PixelPaddingValue", "PixelPaddingRangeLimit", "RescaleSlope", "RescaleIntercept",
    "GridFrameOffsetVector", "SyntheticData",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
]  # fmt: skip
_DIRECTORY = "1.2.840.10008.1.3.10"
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_NATIVE = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"}
_META = 1 << 12
_BUFFER = 1 << 16
_UNDEFINED = 0xFFFFFFFF
_INTEGERS = 0x7FE00010
_VOXELS = frozenset((0x7FE00008, 0x7FE00009, _INTEGERS))  # the others as float, double


@dataclass(frozen=True)
class Image:
    """Tags of one DICOM image file. Lengths in mm, positions in DICOM's LPS axes, times in ms."""

    path: Path
    series: str
    uid: str  # of this one image
    number: str
    instance: int | None
    description: str
    protocol: str
    kind: str
    sop_class: str
    rows: int
    columns: int
    frames: int
    samples: int
    photometric: str
    bits: int
    bits_stored: int
    high_bit: int
    signed: bool
    floating: bool  # voxels stored as floating-point numbers
    slope: float  # from stored to real values
    intercept: float
    padding: tuple[float, float] | None  # stored values from, to, that stand for no image
    syntax: str  # how the voxels are encoded
    voxels_at: int  # offset of the voxels in the file; 0 when it holds none
    spacing: tuple[float, float] | None  # between rows, between columns
    position: tuple[float, float, float] | None
    orientation: tuple[float, ...] | None  # direction along a row, then along a column
    slice_step: float | None
    echo: float | None
    repetition: float | None
    inversion: float | None
    contrast: bool
    image_type: tuple[str, ...]
    frame: str  # FrameOfReferenceUID
    acquisition: str
    temporal: str
    offsets: tuple[float, ...]
    synthetic: bool  # made by a model
    multiframe: Any  # the dataset, kept only when several frames share one file

    @property
    def native(self) -> bool:
        """Whether the voxels are stored uncompressed."""
        return self.syntax in _NATIVE

    @property
    def big_endian(self) -> bool:
        """Whether bytes are in the order of old workstations."""
        return self.syntax == "1.2.840.10008.1.2.2"

    @property
    def dtype(self) -> np.dtype[Any]:
        """How a voxel of an uncompressed little-endian file is stored."""
        kind = "f" if self.floating else "i" if self.signed else "u"
        return np.dtype(f"<{kind}{self.bits // 8}")

    @property
    def stored(self) -> int:
        """Bytes of the voxels, uncompressed."""
        return self.rows * self.columns * self.samples * self.frames * self.bits // 8


def looks_like_dicom(start: bytes, suffix: str) -> bool:
    """Tell from a file's first bytes, or its suffix when the preamble is missing.

    Old files begin with the data set: an element of group 8, small, of a plausible type.
    """
    if start[128:132] == b"DICM" or suffix.lower() in (".dcm", ".ima"):
        return True
    explicit = start[4:6] in (b"UL", b"CS", b"UI", b"LO", b"SH")
    implicit = int.from_bytes(start[4:8], "little") <= 128
    first = len(start) >= 512 and start[:2] == b"\x08\x00" and start[2] <= 0x18 and not start[3]
    return first and (explicit or implicit)


def read_tags(path: Path) -> Image | None:
    """Read one file's tags.

    Returns:
        ``None`` when it is DICOM, but no image (a report, a directory, a presentation state).

    Raises:
        VolumeError: the file is damaged or of another kind.
    """
    from pydicom.filereader import read_partial

    name = path.name
    size = path.stat().st_size
    voxels_at = 0
    floating = False

    def at_voxels(tag: int, _representation: str | None, length: int) -> bool:
        nonlocal voxels_at, floating
        # SimpleITK's decoder would allocate whatever length an element declares.
        if size < length != _UNDEFINED:
            raise VolumeError(
                f"{name}: a DICOM element declares {size_text(length)}; the file holds "
                f"{size_text(size)}. It is cut short or damaged; copy or export it again."
            )
        if tag not in _VOXELS:
            return False
        voxels_at = file.tell()
        floating = tag != _INTEGERS
        return True

    # Most headers fit into the buffer, so that a file costs one read.
    with (
        path.open("rb", buffering=_BUFFER) as file,
        damaged(name),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        start = file.read(_META)
        if _DEFLATED in _meta(start):
            raise VolumeError(
                f"{name}: expected plain DICOM; its whole content is deflated, and how far it "
                "would grow cannot be known. Convert it to an uncompressed transfer syntax."
            )
        file.seek(0)
        tags = read_partial(file, stop_when=at_voxels, force=True, specific_tags=_wanted())
        if _word(tags.file_meta, "MediaStorageSOPClassUID") == _DIRECTORY:
            return None
        if "SOPClassUID" not in tags and "SeriesInstanceUID" not in tags:
            raise VolumeError(
                f"{name}: expected a DICOM image; its header is not there. It is cut "
                "short or damaged; copy or export it again."
            )
        if not _whole(tags, "Rows", 0) or not _whole(tags, "Columns", 0):
            return None
        return _image(path, tags, voxels_at, floating)


@cache
def _wanted() -> list[Any]:
    from pydicom.tag import Tag

    return [Tag(keyword) for keyword in _TAGS]


def _meta(start: bytes) -> bytes:
    """Return the file meta group; it is never deflated itself."""
    length = int.from_bytes(start[140:144], "little") if start[132:138] == b"\2\0\0\0UL" else 4096
    return start[132 : 144 + length]


def _image(path: Path, tags: Any, voxels_at: int, floating: bool) -> Image:
    frames = int(_float(tags, "NumberOfFrames") or 1)
    enhanced = "PerFrameFunctionalGroupsSequence" in tags
    if enhanced:
        _flatten(tags, everything=frames == 1)
    bits = _whole(tags, "BitsAllocated", 16)
    signed = bool(_whole(tags, "PixelRepresentation", 0))
    slope = _float(tags, "RescaleSlope")
    spacing = _floats(tags, "PixelSpacing", 2)
    position = _floats(tags, "ImagePositionPatient", 3)
    return Image(
        path=path,
        series=_word(tags, "SeriesInstanceUID"),
        uid=_word(tags, "SOPInstanceUID"),
        number=_word(tags, "SeriesNumber"),
        instance=None if (number := _float(tags, "InstanceNumber")) is None else int(number),
        description=str(tags.get("SeriesDescription") or ""),
        protocol=str(tags.get("ProtocolName") or ""),
        kind=_word(tags, "Modality"),
        sop_class=_word(tags, "SOPClassUID"),
        rows=_whole(tags, "Rows", 0),
        columns=_whole(tags, "Columns", 0),
        frames=frames,
        samples=_whole(tags, "SamplesPerPixel", 1),
        photometric=_word(tags, "PhotometricInterpretation") or "MONOCHROME2",
        bits=bits,
        bits_stored=_whole(tags, "BitsStored", bits),
        high_bit=_whole(tags, "HighBit", _whole(tags, "BitsStored", bits) - 1),
        signed=signed,
        floating=floating,
        slope=1.0 if slope is None else slope,
        intercept=_float(tags, "RescaleIntercept") or 0.0,
        padding=_padding(tags, signed),
        syntax=str(getattr(tags.file_meta, "TransferSyntaxUID", "1.2.840.10008.1.2")),
        voxels_at=voxels_at,
        spacing=(spacing[0], spacing[1]) if spacing else None,
        position=(position[0], position[1], position[2]) if position else None,
        orientation=_floats(tags, "ImageOrientationPatient", 6),
        slice_step=_float(tags, "SpacingBetweenSlices"),
        echo=_float(tags, "EchoTime"),
        repetition=_float(tags, "RepetitionTime"),
        inversion=_float(tags, "InversionTime"),
        contrast=bool(tags.get("ContrastBolusAgent")),
        image_type=_words(tags, "ImageType"),
        frame=_word(tags, "FrameOfReferenceUID"),
        acquisition=_word(tags, "AcquisitionNumber"),
        temporal=_word(tags, "TemporalPositionIdentifier"),
        offsets=_floats(tags, "GridFrameOffsetVector", frames) or (),
        synthetic=_word(tags, "SyntheticData") == "YES",
        multiframe=tags if frames > 1 else None,
    )


def _padding(tags: Any, signed: bool) -> tuple[float, float] | None:
    """Return the stored values that stand for no image, lowest and highest."""
    found = [
        float(value - (1 << 16) if signed and value >= 1 << 15 else value)
        for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit")
        if (value := _whole(tags, keyword, -1)) >= 0
    ]
    return (min(found), max(found)) if found and "PixelPaddingValue" in tags else None


# Functional group, its element, and the classic element that says the same.
_GROUPS = (
    ("MREchoSequence", "EffectiveEchoTime", "EchoTime"),
    ("MRTimingAndRelatedParametersSequence", "RepetitionTime", "RepetitionTime"),
    ("PlanePositionSequence", "ImagePositionPatient", "ImagePositionPatient"),
    ("PlaneOrientationSequence", "ImageOrientationPatient", "ImageOrientationPatient"),
    ("PixelMeasuresSequence", "PixelSpacing", "PixelSpacing"),
)
_SCALING = (
    ("PixelValueTransformationSequence", "RescaleSlope", "RescaleSlope"),
    ("PixelValueTransformationSequence", "RescaleIntercept", "RescaleIntercept"),
)


def _flatten(tags: Any, *, everything: bool) -> None:
    """Copy what an enhanced file keeps in functional groups to where classic files have it.

    Geometry (``everything``) only for a file of one frame, which then is a slice like any other.
    """
    shared = (tags.get("SharedFunctionalGroupsSequence") or [{}])[0]
    first = (tags.get("PerFrameFunctionalGroupsSequence") or [{}])[0]
    for group, element, classic in (*(_GROUPS if everything else _GROUPS[:2]), *_SCALING):
        for source in (first, shared):
            items = source.get(group)
            if items and items[0].get(element) is not None and tags.get(classic) is None:
                setattr(tags, classic, items[0].get(element))


@cache
def _tag(keyword: str) -> int:
    from pydicom.datadict import tag_for_keyword

    tag = tag_for_keyword(keyword)
    assert tag is not None
    return tag


def _words(tags: Any, keyword: str) -> tuple[str, ...]:
    """Return the values of an element of plain text: numbers in digits, identifiers, codes.

    They are taken as they are stored; making pydicom's own number types of them takes longer than
    reading them from the file.
    """
    element = tags.get_item(_tag(keyword))
    value = None if element is None else element.value
    if isinstance(value, bytes):
        text = value.decode("latin-1").strip("\0 ")
        return tuple(word.strip() for word in text.split("\\")) if text else ()
    if value is None or isinstance(value, str):
        return (value,) if value else ()
    try:
        return tuple(str(word) for word in value)
    except TypeError:
        return (str(value),)


def _word(tags: Any, keyword: str) -> str:
    return "\\".join(_words(tags, keyword))


def _whole(tags: Any, keyword: str, default: int) -> int:
    """Return a whole number that is stored as two bytes."""
    element = tags.get_item(_tag(keyword))
    value = None if element is None else element.value
    if isinstance(value, bytes):
        order: Literal["little", "big"] = "little" if element.is_little_endian else "big"
        return int.from_bytes(value[:2], order) if value else default
    return default if value is None else int(value)


def _floats(tags: Any, keyword: str, count: int) -> tuple[float, ...] | None:
    try:
        numbers = tuple(float(word) for word in _words(tags, keyword))
    except ValueError:
        return None
    return numbers if len(numbers) == count else None


def _float(tags: Any, keyword: str) -> float | None:
    numbers = _floats(tags, keyword, 1)
    return None if numbers is None else numbers[0]
