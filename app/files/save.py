"""Saves volumes; everything synthetic keeps its marks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QObject

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
        volume, inside = layer.volume, layer.field_of_view
        marks = {**self.results.marks(layer), **_moved(layer)}
        nearest = layer.kind is Kind.LABEL

        def work() -> Path:
            from core.io import write

            moved = volume if grid is None else on_grid(volume, inside, grid, nearest)
            return Path(write(moved, path, marks=marks or None))

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
