"""Damaged files of every kind: each is read or refused in a sentence, soon and in little memory.

``python benchmarks/fuzz.py --count 20000 --seed 1`` takes sound small files, damages them in ways
that are drawn from the seed, and gives them to the reader. What is counted: read, refused (an error
of ours, whose sentence names the file), and found (any other exception, slower than 20 s, or more
memory than 1.5 GB). ``--keep DIR`` keeps what was found.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import json
import logging
import multiprocessing
import os
import random
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from core.errors import UserError
from core.grid import Grid
from core.volume import Volume

SLOW = 20.0
"""Seconds."""
HEAVY = 1500
"""MB that the process may grow by."""
NUMBERS = (
    "0", "-1", "1", "2", "3", "7", "100", "2147483647", "2147483648", "-32768", "1e30", "1e999",
    "nan", "inf", "-inf", "0.0", "1e-30", "", "x", "1 2", "99999999999999999999",
)  # fmt: skip
WORDS = ("", "None", "null", "true", "[]", "{}", "../x", "é", "\0", "x" * 2000, "LIST", "(0,0,0)")


@dataclass
class Outcome:
    """What became of one kind's mutants."""

    read: int = 0
    refused: int = 0
    found: list[str] = field(default_factory=list)
    slowest: float = 0.0


@dataclass(frozen=True)
class Kind:
    """One kind of file: its sound bytes, its name, and who reads it."""

    name: str
    sound: bytes
    read: Callable[[Path], object]


def kinds(folder: Path) -> dict[str, Kind]:
    """Return every kind, its sound file made in ``folder``."""
    from app.files.project import Entry, Project, load, save
    from core.io import read, write
    from core.models import bundle
    from core.registration.alignment import Alignment
    from core.registration.transforms import read_transform, write_transform
    from trainer.cohort.listing import from_csv
    from trainer.plan.presets import preset
    from trainer.plan.schema import load_plan

    rng = np.random.default_rng(0)
    affine = np.array([[0.9, 0.1, 0, -9], [-0.1, 0.9, 0, 4], [0, 0, 2, 7], [0, 0, 0, 1.0]])
    volume = Volume(
        rng.normal(100, 30, (9, 8, 7)).astype(np.float32), Grid((9, 8, 7), affine), "T2"
    )
    found = {}
    for ending in ("nii", "nii.gz", "nrrd", "mha"):
        path = write(volume, folder / f"a.{ending}")
        reader = _as_nibabel if ending.startswith("nii") else _as_simpleitk
        found[ending] = Kind(path.name, path.read_bytes(), reader)
    found["dcm"] = Kind("a.dcm", _dicom(rng), read)
    tfm = write_transform(folder / "a.tfm", Alignment(np.eye(4), "file"))
    found["tfm"] = Kind("a.tfm", tfm.read_bytes(), read_transform)
    config = {"tile": [8, 8], "base_features": 4, "max_features": 8, "pools": 2, "final_blocks": 1}
    header = {
        "schema": 1, "name": "a", "config": config, "preprocessing": {"spacing": [1, 1, 1]},
        "card": {"summary": "s"}, "intended_use": "none", "program": "0",
    }  # fmt: skip
    text = json.dumps(header)
    found["bundle"] = Kind("a.json", text.encode(), _bundle(bundle.Bundle.from_json))
    plan = preset("smoke", "cohort")
    plan.save(folder / "plan.json")
    found["plan"] = Kind("plan.json", (folder / "plan.json").read_bytes(), load_plan)
    project = Project(name="a", entries=(Entry(folder / "T2.nii.gz", modality="T2"),))
    place = save(project, folder / "a.mhvae.json")
    found["project"] = Kind(place.name, place.read_bytes(), load)
    lines = b"case,patient,T2,iUS,fov\nA,P,a.nii,b.nii,\nB,Q,c.nii,,m.nii\n"
    found["list"] = Kind("a.csv", lines, lambda path: from_csv(path, ("iUS", "T2")))
    return found


def _as_nibabel(path: Path) -> object:
    """Read a NIfTI; without a warning it must lie where nibabel has it."""
    import nibabel

    from core.io import read

    volume = read(path)
    if not volume.warnings:
        try:
            other = nibabel.load(path).affine  # type: ignore[attr-defined]
        except nibabel.filebasedimages.ImageFileError:  # it knows a file by other signs
            return volume
        if not np.allclose(other, volume.grid.affine, rtol=1e-3, atol=1e-3):
            raise AssertionError(f"lies elsewhere than for nibabel: {volume.grid.affine} {other}")
    return volume


class _Peer:
    """SimpleITK in a process of its own, which a damaged file may end."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    def affine(self, path: Path) -> NDArray[np.float64] | None:
        """Return where SimpleITK has a volume, voxel to RAS; ``None`` when it does not read it."""
        if self._pool is None:
            self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        try:
            return self._pool.submit(_simpleitk_affine, str(path)).result(SLOW)
        except (BrokenProcessPool, TimeoutError):
            self.close()
            return None

    def close(self) -> None:
        """End the process."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None


PEER = _Peer()


def _simpleitk_affine(path: str) -> NDArray[np.float64] | None:
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    reader = sitk.ImageFileReader()
    reader.SetFileName(path)
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return None
    if reader.GetDimension() != 3:
        return None
    affine = np.eye(4)
    turn = np.array(reader.GetDirection()).reshape(3, 3)
    affine[:3, :3] = turn @ np.diag(reader.GetSpacing())
    affine[:3, 3] = reader.GetOrigin()
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def _as_simpleitk(path: Path) -> object:
    """Read an NRRD or a MetaImage; without a warning it must lie where SimpleITK has it."""
    from core.io import read

    volume = read(path)
    if not volume.warnings:
        other = PEER.affine(path)
        if other is not None and not np.allclose(other, volume.grid.affine, rtol=1e-3, atol=1e-3):
            raise AssertionError(f"lies elsewhere than for SimpleITK: {volume.grid.affine} {other}")
    return volume


def _bundle(parse: Callable[[str, Path], object]) -> Callable[[Path], object]:
    return lambda path: parse(path.read_text("utf-8", "replace"), path)


def _dicom(rng: np.random.Generator) -> bytes:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = UID("1.2.840.10008.5.1.4.1.1.6.2")
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = generate_uid(entropy_srcs=["a"])
    ds.SeriesInstanceUID = generate_uid(entropy_srcs=["b"])
    ds.Modality, ds.Rows, ds.Columns, ds.NumberOfFrames = "US", 8, 9, 7
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    measures, plane = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [0.5, 0.5], 1.0
    plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared = Dataset()
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [plane]
    ds.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for n in range(7):
        frame, position = Dataset(), Dataset()
        position.ImagePositionPatient = [0, 0, float(n)]
        frame.PlanePositionSequence = [position]
        frames.append(frame)
    ds.PerFrameFunctionalGroupsSequence = frames
    ds.PixelData = rng.integers(1, 255, (7, 8, 9), dtype=np.uint8).tobytes()
    ds["PixelData"].VR = "OB"
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def damaged(sound: bytes, draw: random.Random, packed: bool) -> bytes:
    """Return a damaged copy: bits, cuts, doubled parts, other numbers and words, several times."""
    data = bytearray(gzip.decompress(sound) if packed else sound)
    head = min(len(data), draw.choice((360, 360, 1600)))
    for _ in range(draw.choice((1, 1, 1, 2, 3, 6))):
        at = draw.randrange(max(1, min(head, len(data))))
        match draw.randrange(8):
            case 0:
                data[at : at + 1] = bytes([draw.randrange(256)])
            case 1:
                data[at : at + 4] = draw.randbytes(4)
            case 2:
                data = data[: draw.randrange(len(data) + 1)]
            case 3:
                data[at:at] = data[at : at + draw.randrange(1, 400)]
            case 4:
                del data[at : at + draw.randrange(1, 60)]
            case 5 | 6:
                _swap(data, draw, rb"-?\d[\d.e+-]*", NUMBERS, head)
            case _:
                _swap(data, draw, rb"[A-Za-z]\w+", WORDS, head)
    out = bytes(data)
    if packed and draw.random() < 0.9:
        out = gzip.compress(out, 1)
    return out


def _swap(
    data: bytearray, draw: random.Random, pattern: bytes, values: tuple[str, ...], head: int
) -> None:
    import re

    places = [m.span() for m in re.finditer(pattern, bytes(data[:head]))]
    if places:
        start, end = draw.choice(places)
        data[start:end] = draw.choice(values).encode()


def fuzz(names: list[str], count: int, seed: int, keep: Path | None = None) -> dict[str, Outcome]:
    """Damage and read ``count`` files, evenly among the kinds; returns kind → outcome."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)  # of nibabel, about what it repairs
    outcomes: dict[str, Outcome] = {}
    process = psutil.Process()
    with tempfile.TemporaryDirectory() as scratch:
        base = Path(scratch) / "sound"
        base.mkdir()
        every = kinds(base)
        for name in names or list(every):
            kind, told = every[name], Outcome()
            for number in range(max(1, count // len(names or every))):
                draw = random.Random(f"{seed}-{name}-{number}")
                folder = Path(scratch) / "one"
                folder.mkdir(exist_ok=True)
                path = folder / kind.name
                path.write_bytes(damaged(kind.sound, draw, name == "nii.gz"))
                before, began = process.memory_info().rss, time.perf_counter()
                fault = ""
                try:
                    with contextlib.redirect_stderr(io.StringIO()):
                        kind.read(path)
                    told.read += 1
                except UserError as error:
                    told.refused += 1
                    if "Traceback" in str(error) or not str(error):
                        fault = f"no sentence: {error}"
                except Exception as error:
                    last = traceback.extract_tb(error.__traceback__)[-1]
                    fault = f"{type(error).__name__} in {Path(last.filename).name}: {error}"
                took = time.perf_counter() - began
                grown = (process.memory_info().rss - before) / 1e6
                told.slowest = max(told.slowest, took)
                if took > SLOW or grown > HEAVY:
                    fault = fault or f"{took:.0f} s, {grown:.0f} MB"
                if fault:
                    told.found.append(f"{name} {number}: {fault[:200]}")
                    if keep:
                        keep.mkdir(parents=True, exist_ok=True)
                        (keep / f"{name.replace('.', '-')}-{number}-{kind.name}").write_bytes(
                            path.read_bytes()
                        )
                path.unlink()
            outcomes[name] = told
    PEER.close()
    logging.disable(logging.NOTSET)
    return outcomes


def table(outcomes: dict[str, Outcome]) -> str:
    """Return the outcomes as a table of Markdown."""
    lines = ["| kind | read | refused | found | slowest, s |", "|---|---|---|---|---|"]
    lines += [
        f"| {name} | {o.read} | {o.refused} | {len(o.found)} | {o.slowest:.2f} |"
        for name, o in outcomes.items()
    ]
    return "\n".join(lines)


def main() -> int:
    """Run from the command line; exit 1 when something was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", help="which; all unless told otherwise")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path)
    args = parser.parse_args()
    outcomes = fuzz(args.kinds, args.count, args.seed, args.keep)
    print(table(outcomes))
    found = [line for o in outcomes.values() for line in o.found]
    print("\n".join(found), file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    raise SystemExit(main())
