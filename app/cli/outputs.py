"""What ``synthesize`` writes: volumes or series, single samples, a picture."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from app.cli.options import CommandError
from core.case import Case
from core.grid import Grid
from core.marks import spread_words
from core.synthesis.request import PreparedInput, Request, Synthesis, on_grid
from core.volume import Voxels

if TYPE_CHECKING:
    from core.io import DicomSource

DICOM = "dicom"
"""In place of an ending: a series of files in a folder."""


def dicom_source(args: argparse.Namespace, inputs: Mapping[str, Path]) -> DicomSource | None:
    """Return the first input that is DICOM, as the source of series to be written."""
    if args.format != DICOM:
        return None
    from core.io import DicomSource, find

    found = [find(path).members for path in inputs.values()]
    return DicomSource(next(filter(None, found), ()), args.dicom_patient == "keep")


def write_result(
    result: Synthesis,
    measured: Mapping[str, Any],
    out: Path,
    suffix: str,
    source: DicomSource | None = None,
    name: str = "synthetic",
) -> dict[str, str]:
    """Write synthetic volumes and their spread; return what was written, kind and modality → path.

    Args:
        result: on the grid it is written on.
        measured: target → scores against a real volume, kept in the marks.
        out: folder.
        suffix: format of files.
        source: write DICOM series instead, of this patient.
        name: how the volumes are called in front of their modality.

    Raises:
        VolumeError: something cannot be written.
    """
    from core.io import write, write_dicom

    outputs = {}
    for kind, volumes in ((name, result.volumes), ("sigma", result.spread)):
        for m, volume in volumes.items():
            marks = dict(result.provenance["targets"][m])
            if kind == "sigma":
                marks["quantity"] = f"standard deviation over samples: {spread_words(marks)}"
            elif m in measured:
                marks["metrics"] = measured[m]
            if source is not None:
                place, what = out / f"{kind}-{m}", f"{m} {kind}" if kind != "synthetic" else m
                path = write_dicom(volume, place, marks=marks, source=source, description=what)
            else:
                path = write(volume, out / f"{kind}-{m}.{suffix}", marks=marks)
            outputs[f"{kind} {m}"] = str(path)
    return outputs


def check_samples(args: argparse.Namespace, temperature: float) -> None:
    """Hold ``--keep-samples`` against what is drawn.

    Raises:
        CommandError: there is nothing to keep.
    """
    if args.keep_samples and (args.samples < 2 or not temperature):
        raise CommandError(
            f"--keep-samples: expected at least two samples at a temperature above 0; found "
            f"{args.samples} at {temperature:g}. Add, for example, --samples 8 --temperature 1."
        )


@contextmanager
def kept_samples(
    args: argparse.Namespace, prepared: PreparedInput, request: Request, folder: Path
) -> Iterator[dict[str, list[Voxels]]]:
    """Give target → an array for each sample; on disk, so that memory does not grow with them.

    Raises:
        CommandError: there is nothing to keep.
    """
    if not args.keep_samples:
        yield {}
        return
    check_samples(args, request.temperature)
    with TemporaryDirectory(dir=folder, prefix=".mhvae-") as scratch:
        yield {
            m: [
                np.memmap(Path(scratch) / f"{m}-{n}", np.float32, "w+", shape=prepared.grid.shape)
                for n in range(request.samples)
            ]
            for m in request.targets
        }


def write_sample(
    args: argparse.Namespace,
    result: Synthesis,
    each: Mapping[str, list[Voxels]],
    number: int,
    grid: Grid | None,
    source: DicomSource | None,
) -> dict[str, str]:
    """Write one draw of every target; its marks say which draw of which seed it is."""
    volumes = {m: replace(v, voxels=each[m][number]) for m, v in result.volumes.items()}
    targets = {
        m: {**marks, "sample": number + 1, "quantity": "a single sample"}
        for m, marks in result.provenance["targets"].items()
    }
    one = replace(
        result, volumes=volumes, spread={}, provenance={**result.provenance, "targets": targets}
    )
    one = one if grid is None else on_grid(one, grid)
    return write_result(one, {}, args.out, args.format, source, f"sample-{number + 1:02d}")


def write_picture(case: Case, result: Synthesis, out: Path) -> str:
    """Draw the result beside its inputs; return the picture's path."""
    from core.synthesis.overview import overview

    path = out / "overview.png"
    overview(case, result, path)
    return str(path)
