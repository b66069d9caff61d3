"""Writes what was made of one case of a cohort: samples, then means, as files or series."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.cli.cohort_files import Files, record_of
from app.cli.outputs import DICOM
from core.files import write_text
from core.grid import Grid
from core.io import DicomSource, find, write, write_dicom
from core.synthesis.request import Synthesis, on_grid
from core.volume import Volume, Voxels
from trainer.cohort.case import CohortCase


class CaseWriter:
    """Writes the volumes of one case.

    Args:
        args: the command's options.
        files: names of files.
        case: whose.
        inputs: modalities it was made from; the first that is DICOM gives series their patient.
    """

    def __init__(
        self, args: argparse.Namespace, files: Files, case: CohortCase, inputs: Sequence[str]
    ) -> None:
        self._files, self._case = files, case
        self._source: DicomSource | None = None
        if args.format == DICOM:
            found = [find(case.files[m]).members for m in inputs]
            members = next(filter(None, found), ())
            self._source = DicomSource(members, args.dicom_patient == "keep")

    def put(
        self, volume: Volume, part: str, marks: Mapping[str, Any], done: Mapping[str, Any]
    ) -> str:
        """Write a volume and the record beside it; return its name.

        Args:
            volume: on the grid it is written on.
            part: empty for the mean, or what else it is.
            marks: of the volume.
            done: what the record says once the volume is there.

        Raises:
            VolumeError: it cannot be written.
        """
        files, modality = self._files, volume.modality
        name = files.volume(self._case, modality, part)
        path = files.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if self._source is None:
            write(volume, path, marks={**marks, **done})
            return name
        record = record_of(files, name)
        if _made_by_us(record):
            shutil.rmtree(path, ignore_errors=True)
        # First without what says that it is whole: a series without a record is somebody's.
        _write_record(record, marks)
        what = f"{modality} {part}".strip()
        write_dicom(volume, path, marks=marks, source=self._source, description=what)
        _write_record(record, {**marks, **done})
        return name

    def samples(
        self,
        result: Synthesis,
        each: Mapping[str, Sequence[Voxels]],
        grid: Grid | None,
        marks: Mapping[str, Mapping[str, Any]],
    ) -> list[str]:
        """Write every draw; its marks say which draw of which seed it is.

        Args:
            result: on the model's grid.
            each: target → the draws.
            grid: to write on; None keeps the model's.
            marks: target → marks of its mean.
        """
        names = []
        for number, volumes in enumerate(_draws(result, each), 1):
            one = replace(result, volumes=volumes, spread={})
            one = one if grid is None else on_grid(one, grid)
            for m, volume in one.volumes.items():
                about = {**marks[m], "sample": number, "quantity": "a single sample"}
                about.pop("metrics", None)
                names.append(self.put(volume, sample_part(number), about, {}))
        return names


def sample_part(number: int) -> str:
    """Return what the name of a single sample says."""
    return f"sample-{number:02d}"


def _draws(result: Synthesis, each: Mapping[str, Sequence[Voxels]]) -> Iterator[dict[str, Volume]]:
    for number in range(len(next(iter(each.values()), ()))):
        yield {m: replace(v, voxels=each[m][number]) for m, v in result.volumes.items()}


def _made_by_us(record: Path) -> bool:
    told: Any = None
    with suppress(OSError, ValueError):
        told = json.loads(record.read_text(encoding="utf-8"))
    return isinstance(told, dict) and told.get("synthetic") is True


def _write_record(path: Path, marks: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(marks, indent=2) + "\n")
