"""NIfTI-1, NIfTI-2 and Analyze 7.5, attached or as .hdr/.img pair, plain or gzip, by nibabel."""

from __future__ import annotations

import gzip
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.io.finish import check_dtype, damaged, finish
from core.io.header import SYNTHETIC_MARK, Header, make_grid, shear_warning, spatial_shape
from core.io.limits import check_memory, check_stored
from core.io.modality import guess_from_text
from core.volume import Volume, VolumeError

_MAX_OFFSET = 1 << 26
"""Header extensions beyond 64 MB are not believed."""
_MAX_MAT = 1 << 16
_UNITS = {"meter": 1000.0, "micron": 0.001}


def is_nifti(start: bytes) -> bool:
    """Tell from a file's first bytes whether it is a NIfTI or Analyze header."""
    return start[:4] in (
        b"\x5c\x01\x00\x00",  # 348, little-endian
        b"\x00\x00\x01\x5c",
        b"\x1c\x02\x00\x00",  # 540: NIfTI-2
        b"\x00\x00\x02\x1c",
    )


@dataclass(frozen=True)
class _Layout:
    """What the header bytes declare, before nibabel opens the file."""

    format: str
    image_class: Any
    paired: bool
    header: Any
    shape: tuple[int, int, int]
    dropped: bool
    end: int  # bytes from the start of the data file to the end of the voxels
    count: int


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _open(path: Path) -> Any:
    return gzip.open(path, "rb") if _is_gzip(path) else path.open("rb")


def _partner(path: Path) -> tuple[Path, Path]:
    """Return (header, image) of a pair, given either."""
    name = path.name
    for a, b in ((".hdr", ".img"), (".img", ".hdr")):
        for zipped in ("", ".gz"):
            if name.lower().endswith(a + zipped):
                stem = path.name[: len(name) - len(a + zipped)]
                for suffix in (b + zipped, b.upper() + zipped, b, b + ".gz"):
                    other = path.with_name(stem + suffix)
                    if other.is_file():
                        return (path, other) if a == ".hdr" else (other, path)
                kind = "voxels" if a == ".hdr" else "header"
                raise VolumeError(
                    f"{name}: expected its {kind} in {stem}{b} beside it; there is no such file. "
                    "Copy both files together."
                )
    raise VolumeError(
        f"{name}: expected a .hdr/.img pair; found a header that keeps its voxels in another file. "
        "Rename the pair to .hdr and .img."
    )


def _layout(name: str, header_path: Path) -> _Layout:
    import nibabel

    nib: Any = nibabel  # it ships types in part only
    with damaged(name), _open(header_path) as file:
        start = file.read(540)
    if len(start) < 348 or not is_nifti(start):
        raise VolumeError(
            f"{name}: expected a NIfTI or Analyze header of at least 348 bytes; it is not there. "
            "The file is cut short or of another kind."
        )
    second = start[:4] in (b"\x1c\x02\x00\x00", b"\x00\x00\x02\x1c")
    magic = start[4:8] if second else start[344:348]
    paired = magic[:3] not in (b"n+1", b"n+2")
    if second:
        if len(start) < 540:
            raise VolumeError(f"{name}: expected a NIfTI-2 header of 540 bytes; it is cut short.")
        label, kind = "NIfTI-2", nib.Nifti2Pair if paired else nib.Nifti2Image
    elif magic[:3] in (b"n+1", b"ni1"):
        label, kind = "NIfTI-1", nib.Nifti1Pair if paired else nib.Nifti1Image
    else:
        label, kind = "Analyze", nib.spm2analyze.Spm2AnalyzeImage
    with damaged(name):
        size = kind.header_class.template_dtype.itemsize
        header = kind.header_class(start[:size], check=False)
        declared = tuple(int(n) for n in header.get_data_shape())
        dtype = header.get_data_dtype()
        offset = float(header["vox_offset"])
    shape, dropped = spatial_shape(name, declared)
    check_dtype(name, dtype)
    if not 0 <= offset <= _MAX_OFFSET:
        raise VolumeError(
            f"{name}: expected the voxels close behind the header; it places them at byte "
            f"{offset:g}. The header is damaged; export the volume again."
        )
    count = math.prod(shape)
    return _Layout(
        label, kind, paired, header, shape, dropped, int(offset) + count * dtype.itemsize, count
    )


def _nifti_affine(name: str, header: Any) -> tuple[NDArray[np.float64], list[str]]:
    """Choose between sform and qform, the way the standard orders them, and say so."""
    from nibabel.spatialimages import HeaderDataError

    notes: list[str] = []
    sform_code, qform_code = int(header["sform_code"]), int(header["qform_code"])
    sform = np.asarray(header.get_sform(), dtype=np.float64) if sform_code > 0 else None
    qform: NDArray[np.float64] | None = None
    if qform_code > 0:
        try:
            qform = np.asarray(header.get_qform(), dtype=np.float64)
        except (ValueError, HeaderDataError) as error:
            if sform is None:
                raise VolumeError(
                    f"{name}: expected a rotation in the header's qform; its numbers describe "
                    "none. Correct the header, or export the volume again."
                ) from error
            notes.append("The header's qform is invalid; its sform is used.")
    if sform is not None:
        if qform is not None:
            corners = np.array(
                [[i, j, k, 1.0] for i in (0, 1) for j in (0, 1) for k in (0, 1)]
            ) * np.array([*(np.array(header.get_data_shape()[:3]) - 1), 1])
            gap = float(np.linalg.norm((corners @ (sform - qform).T)[:, :3], axis=1).max())
            if gap > 0.1 * float(np.linalg.norm(sform[:3, :3], axis=0).min()):
                notes.append(
                    f"The header's two position matrices differ by up to {gap:.1f} mm; the sform "
                    f"(code {sform_code}) is used, as the NIfTI standard prefers, not the qform "
                    f"(code {qform_code})."
                )
        affine = sform
    elif qform is not None:
        affine = qform
    else:
        affine = np.asarray(header.get_base_affine(), dtype=np.float64)
        notes.append(_UNPLACED)
    unit = header.get_xyzt_units()[0]
    if unit in _UNITS:
        affine = np.diag([_UNITS[unit]] * 3 + [1.0]) @ affine
        notes.append(f"The header gives lengths in {unit}s; they were converted to millimetres.")
    return affine, notes


_UNPLACED = (
    "The header says nothing about position and orientation: the volume was centred at the origin, "
    "and left and right are an assumption."
)


def _inspect(path: Path) -> tuple[_Layout, Path, Path, Header]:
    """Check everything that can be known without voxels; (layout, header file, data file, Header).

    Raises:
        VolumeError: any of the checks failed.
    """
    name = path.name
    lower = name.lower().removesuffix(".gz")
    header_path = _partner(path)[0] if lower.endswith((".img", ".hdr")) else path
    layout = _layout(name, header_path)
    image_path = _partner(path)[1] if layout.paired else header_path
    mat = image_path.with_suffix(".mat")
    if layout.format == "Analyze" and mat.is_file() and mat.stat().st_size > _MAX_MAT:
        raise VolumeError(f"{name}: expected a 4x4 matrix in {mat.name}; the file is too large.")
    check_stored(name, layout.end, image_path.stat().st_size, deflated=_is_gzip(image_path))
    with damaged(name):
        if layout.format == "Analyze":
            import nibabel as nib

            # The .mat file of SPM beside it may hold the orientation; nibabel knows where.
            image: Any = nib.load(str(header_path))
            affine = np.asarray(image.affine, dtype=np.float64)
            notes = [] if mat.is_file() else [_UNPLACED]
        else:
            affine, notes = _nifti_affine(name, layout.header)
    grid = make_grid(name, layout.shape, affine)
    if layout.dropped:
        notes.append("A trailing axis of one was dropped.")
    mark = bytes(layout.header["descrip"]).startswith(SYNTHETIC_MARK.split()[0].encode())
    modality, reason = guess_from_text(name, "file name")
    header = Header(
        path,
        layout.format,
        grid,
        str(layout.header.get_data_dtype().newbyteorder("=")),
        modality,
        reason,
        files=2 if layout.paired else 1,
        synthetic=mark,
        warnings=(*notes, *shear_warning(grid.affine)),
    )
    return layout, header_path, image_path, header


def probe(path: Path) -> Header:
    """Read a NIfTI or Analyze header.

    Raises:
        VolumeError: the file cannot be used; the sentence says why.
    """
    return _inspect(path)[3]


def read(path: Path, *, allow_zero: bool = False) -> Volume:
    """Read a NIfTI or Analyze volume.

    Raises:
        VolumeError: the file cannot be used; the sentence says why.
    """
    from nibabel.fileholders import FileHolder

    layout, header_path, image_path, header = _inspect(path)
    assert header.grid is not None
    check_memory(path.name, layout.count, layout.end)
    with damaged(path.name), _open(header_path) as head, _open(image_path) as body:
        holders = {"image": FileHolder(fileobj=body)}
        if layout.paired:
            holders["header"] = FileHolder(fileobj=head)
        if layout.format == "Analyze":
            holders["mat"] = FileHolder(filename=str(image_path.with_suffix(".mat")))
        image = layout.image_class.from_file_map(holders)
        slope, intercept = image.dataobj.slope, image.dataobj.inter
        raw = image.dataobj.get_unscaled().reshape(layout.shape, order="F")
        # Reading on to the end makes gzip compare its checksum; padding is not followed for long.
        body.read(1 << 16)
    return finish(
        path.name,
        raw,
        header.grid,
        slope=float(slope),
        intercept=float(intercept),
        synthetic=header.synthetic,
        warnings=header.warnings,
        allow_zero=allow_zero,
    )
