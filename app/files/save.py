"""Saves volumes; everything synthetic keeps its marks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from core.volume import Volume

REGISTERED = "Registered volume. Research use only."


class Saver(QObject):
    """Writes in worker threads; the outcome is a note."""

    def __init__(self, context: Context) -> None:
        super().__init__(context.session)
        self.jobs, self.messages = context.jobs, context.messages
        self.results = context.session.results

    def save_volume(
        self, layer: Layer, path: Path, grid: Grid | None, done: Callable[[Path], None]
    ) -> None:
        """Write a layer's volume.

        Args:
            layer: whose volume.
            path: target; its ending chooses the format.
            grid: grid to write on; None keeps the volume's own.
            done: called with the path written.
        """
        whole = self._to_write(layer, grid)
        marks = self._marks(layer)

        def work() -> Path:
            from core.io import write

            return Path(write(whole(), path, marks=marks or None))

        self._submit(path, work, done)

    def save_series(
        self, layer: Layer, folder: Path, grid: Grid | None, origin: Origin | None, *, keep: bool
    ) -> None:
        """Write a layer's volume as a DICOM series.

        Args:
            layer: whose volume.
            folder: target; new, or empty.
            grid: grid to write on; None keeps the volume's own.
            origin: the DICOM series of the case, if there is one.
            keep: whether the result belongs to that series' patient and study.
        """
        whole, marks = self._to_write(layer, grid), self._marks(layer)

        def work() -> Path:
            from core.io import DicomSource, find, write_dicom

            members = find(origin.path, series=origin.series).members if origin else ()
            source = DicomSource(members, keep)
            return Path(write_dicom(whole(), folder, marks=marks, source=source))

        self._submit(folder, work, lambda _: None)

    def _marks(self, layer: Layer) -> dict[str, Any]:
        return {**self.results.marks(layer), **_moved(layer)}

    def _to_write(self, layer: Layer, grid: Grid | None) -> Callable[[], Volume]:
        volume, inside = layer.volume, layer.field_of_view
        nearest = layer.kind is Kind.LABEL
        return lambda: volume if grid is None else on_grid(volume, inside, grid, nearest)

    def _submit(self, path: Path, work: Callable[[], Path], done: Callable[[Path], None]) -> None:
        def saved(written: Path) -> None:
            self.messages.info(f"Saved {written.name}; read back and compared.")
            done(written)

        self.jobs.submit(f"Saving {path.name}", work, saved, self.messages.error)


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
