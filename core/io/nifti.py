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
from core.io.header import Header, grid_warnings, make_grid, spatial_shape
from core.io.limits import check_bomb, check_memory, check_stored
from core.io.modality import guess_from_text
from core.io.nifti_geometry import UNPLACED, affine_of
from core.marks import WORD
from core.volume import Volume, VolumeError

_MAX_OFFSET = 1 << 26
"""Header extensions beyond 64 MB are not believed."""
_MAX_MAT = 1 << 16


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
    paired: bool
    header: Any
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    offset: int  # of the voxels in their file
    slope: float  # from stored to real values
    intercept: float
    notes: tuple[str, ...]

    @property
    def count(self) -> int:
        """Number of voxels."""
        return math.prod(self.shape)

    @property
    def end(self) -> int:
        """Bytes from the start of the data file to the end of the voxels."""
        return self.offset + self.count * self.dtype.itemsize


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
    notes: list[str] = []
    if len(declared) > 3 and not any(declared[3:]):
        declared = declared[:3]
        notes.append("The header's fourth size is 0; it was taken for one volume.")
    shape, dropped = spatial_shape(name, declared)
    check_dtype(name, dtype)
    if dtype.itemsize > 8:
        raise VolumeError(
            f"{name}: expected numbers of at most 8 bytes; found {dtype.itemsize}. Save the volume "
            "as 32-bit floating point."
        )
    if not 0 <= offset <= _MAX_OFFSET:
        raise VolumeError(
            f"{name}: expected the voxels close behind the header; it places them at byte "
            f"{offset:g}. The header is damaged; export the volume again."
        )
    first = 0 if paired else size + 4
    if offset < first:
        notes.append(
            f"The header places the voxels at byte {offset:g}, in itself; they were read from byte "
            f"{first}, right behind it."
        )
        offset = first
    slope, intercept = _scaling(name, label, header, notes)
    if dropped:
        notes.append("A trailing axis of one was dropped.")
    return _Layout(label, paired, header, shape, dtype, int(offset), slope, intercept, tuple(notes))


def _scaling(name: str, label: str, header: Any, notes: list[str]) -> tuple[float, float]:
    """Return the factor and the offset from stored to real values.

    Raises:
        VolumeError: a factor without a usable offset.
    """
    if label == "Analyze":  # SPM writes a factor into an unused field
        found = float(header["scl_slope"])
        return (found, 0.0) if math.isfinite(found) and found else (1.0, 0.0)
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if not math.isfinite(slope) or not slope:
        if not math.isfinite(slope) or intercept:
            notes.append("The header's scaling of values is not usable; values are as stored.")
        return 1.0, 0.0
    if not math.isfinite(intercept):
        raise VolumeError(
            f"{name}: expected a finite offset for its values; the header's scl_inter is "
            f"{intercept:g}. Correct the header, or export the volume again."
        )
    return slope, intercept


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
    held, zipped = image_path.stat().st_size, _is_gzip(image_path)
    check_stored(name, layout.end, held, deflated=zipped)
    if zipped:
        check_bomb(name, layout.count, layout.end, held)
    with damaged(name):
        if layout.format == "Analyze":
            import nibabel as nib

            # The .mat file of SPM beside it may hold the orientation; nibabel knows where.
            image: Any = nib.load(str(header_path))
            affine = np.asarray(image.affine, dtype=np.float64)
            notes = [] if mat.is_file() else [UNPLACED]
        else:
            affine, notes = affine_of(name, layout.header, layout.shape)
    grid = make_grid(name, layout.shape, affine)
    notes = [*layout.notes, *notes]
    mark = bytes(layout.header["descrip"]).startswith(WORD.encode())
    modality, reason = guess_from_text(name, "file name")
    header = Header(
        path,
        layout.format,
        grid,
        str(layout.dtype.newbyteorder("=")),
        modality,
        reason,
        files=2 if layout.paired else 1,
        synthetic=mark,
        warnings=(*notes, *grid_warnings(grid)),
    )
    return layout, header_path, image_path, header


def read_header(path: Path) -> Header:
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
    layout, _, image_path, header = _inspect(path)
    name = path.name
    assert header.grid is not None
    check_memory(name, layout.count, layout.count * layout.dtype.itemsize)
    warnings = header.warnings
    with damaged(name), _open(image_path) as body:
        body.seek(layout.offset)
        raw = np.empty(layout.count, layout.dtype)
        if _fill(body, raw.view(np.uint8)) != raw.nbytes:
            raise VolumeError(
                f"{name}: expected {raw.nbytes} bytes of voxels; the file ends before. It is "
                "damaged or cut short; copy or export it again."
            )
        # Reading on to the end makes gzip compare its checksum; padding is not followed for long.
        if len(body.read(1 << 16)) >= raw.nbytes // max(layout.shape):
            warnings = (
                *warnings,
                "The file holds more voxels than its header declares; the first ones were taken.",
            )
    return finish(
        name,
        raw.reshape(layout.shape, order="F"),
        header.grid,
        slope=layout.slope,
        intercept=layout.intercept,
        synthetic=header.synthetic,
        warnings=warnings,
        allow_zero=allow_zero,
    )


def _fill(body: Any, out: NDArray[np.uint8]) -> int:
    """Read into an array as far as a file goes; return the bytes read."""
    done = 0
    while done < out.size and (taken := body.readinto(out[done:].data)):
        done += int(taken)
    return done
