"""Saves volumes; everything synthetic keeps its marks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QObject

from app.files.opener import Origin
from app.files.project_alignment import described
from app.shared.context import Context
from app.state.values import Kind, Layer
from core.grid import Grid
from core.io import WRITTEN
from core.volume import Volume

REGISTERED = "Registered volume. Research use only."


class Saver(QObject):
    """Writes in worker threads; the outcome is a note."""

    def __init__(self, context: Context) -> None:
        super().__init__(context.session)
        self.jobs, self.messages = context.jobs, context.messages
        self.results = context.session.results

    def save_volume(
        self,
        layer: Layer,
        path: Path,
        grid: Grid | None,
        done: Callable[[Path], None],
        samples: Sequence[Layer] = (),
    ) -> None:
        """Write a layer's volume.

        Args:
            layer: whose volume.
            path: target; its ending chooses the format.
            grid: grid to write on; None keeps the volume's own.
            done: called with the path written.
            samples: single samples to write beside it, named after it.
        """
        rows = [(path, self._to_write(layer, grid), self._marks(layer))]
        for x in samples:
            rows.append((sample_path(path, x.sample), self._to_write(x, grid), self._marks(x)))

        def work() -> list[Path]:
            from core.io import write

            return [Path(write(whole(), at, marks=marks or None)) for at, whole, marks in rows]

        self._submit(path, work, done)

    def save_series(
        self,
        layer: Layer,
        folder: Path,
        grid: Grid | None,
        origin: Origin | None,
        *,
        keep: bool,
        samples: Sequence[Layer] = (),
    ) -> None:
        """Write a layer's volume as a DICOM series.

        Args:
            layer: whose volume.
            folder: target; new, or empty.
            grid: grid to write on; None keeps the volume's own.
            origin: the DICOM series of the case, if there is one.
            keep: whether the result belongs to that series' patient and study.
            samples: single samples to write beside it, each a series in a folder of its own.
        """
        rows = [(folder, self._to_write(layer, grid), self._marks(layer), "")]
        for x in samples:
            at, what = sample_path(folder, x.sample), f"{x.modality} sample {x.sample:02d}"
            rows.append((at, self._to_write(x, grid), self._marks(x), what))

        def work() -> list[Path]:
            from core.io import DicomSource, find, write_dicom

            members = find(origin.path, series=origin.series).members if origin else ()
            source = DicomSource(members, keep)
            return [
                Path(write_dicom(whole(), at, marks=marks, source=source, description=what))
                for at, whole, marks, what in rows
            ]

        self._submit(folder, work, lambda _: None)

    def _marks(self, layer: Layer) -> dict[str, Any]:
        single = {"quantity": "a single sample"} if layer.sample else {}
        return {**self.results.marks(layer), **single, **_moved(layer)}

    def _to_write(self, layer: Layer, grid: Grid | None) -> Callable[[], Volume]:
        volume, inside = layer.volume, layer.field_of_view
        nearest = layer.kind is Kind.LABEL
        return lambda: volume if grid is None else on_grid(volume, inside, grid, nearest)

    def _submit(
        self, path: Path, work: Callable[[], list[Path]], done: Callable[[Path], None]
    ) -> None:
        def saved(written: list[Path]) -> None:
            more = f" and {len(written) - 1} samples" if len(written) > 1 else ""
            self.messages.info(f"Saved {written[0].name}{more}; read back and compared.")
            done(written[0])

        self.jobs.submit(f"Saving {path.name}", work, saved, self.messages.error)


def sample_path(path: Path, number: int) -> Path:
    """Return where a single sample goes beside a volume: ``a.nii.gz`` → ``a-sample-01.nii.gz``."""
    ending = next((e for e in WRITTEN if path.name.lower().endswith(e)), "")
    stem = path.name[: len(path.name) - len(ending)]
    return path.with_name(f"{stem}-sample-{number:02d}{path.name[len(stem) :]}")


def _moved(layer: Layer) -> Mapping[str, Any]:
    """Return how a volume was moved from its file's position; empty where it was not."""
    if layer.placement is None:
        return {}
    told = {"registration": described(layer.placement)}
    return told if layer.made_by_model else {**told, "notice": REGISTERED}


def on_grid(
    volume: Volume, inside: np.ndarray[Any, Any] | None, grid: Grid, nearest: bool
) -> Volume:
    """Bring a volume onto another grid, in that grid's storage order."""
    from core.image.resample import resample, resample_inside

    if inside is not None and not nearest:
        values, _ = resample_inside(volume.voxels, inside, volume.grid, grid)
    else:
        values = resample(volume.voxels, volume.grid, grid, order=0 if nearest else 1)
    return replace(volume, voxels=values, grid=grid)
