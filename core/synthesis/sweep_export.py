"""Writes a synthesised sweep: a volume, tracked frames, and pictures in pairs with labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import Cancelled
from core.files import refusal
from core.image.resample import resample
from core.io import write
from core.io.sweep_writer import ENDING, write_sweep
from core.marks import SYNTHETIC_MARK
from core.synthesis.sweep_plan import SweepPlan
from core.synthesis.view import part_of
from core.synthesis.virtual_sweep import SweepError, VirtualSweep, box_of
from core.volume import Volume, VolumeError

LARGEST_LABEL = 255


@dataclass(frozen=True)
class Watched:
    """How a long writing is followed.

    Attributes:
        progress: called with what is written, steps done, and all.
        cancelled: asked between frames and pictures.
    """

    progress: Callable[[str, int, int], None] = lambda *_: None
    cancelled: Callable[[], bool] = lambda: False

    def step(self, what: str, done: int, total: int) -> None:
        """Say how far it is.

        Raises:
            Cancelled: it is wanted no more.
        """
        if self.cancelled():
            raise Cancelled
        self.progress(what, done, total)


def cut_out(volume: Volume, field: Volume) -> tuple[Volume, Volume]:
    """Return a volume and a mask on its grid, both cut to the smallest box that holds the mask."""
    start, shape = box_of(field)
    grid = field.grid.crop(start, shape)
    both = (replace(v, voxels=np.ascontiguousarray(part_of(v.voxels, v.grid, grid)), grid=grid)
            for v in (volume, field))  # fmt: skip
    first, second = both
    return first, second


def labels_in(labels: Volume, field: Volume, name: str = "The label map") -> Volume:
    """Return a label map on the grid of a field of view, 0 outside of it.

    Args:
        labels: non-negative whole numbers.
        field: a mask, non-zero inside.
        name: of the label map, for people.

    Raises:
        SweepError: it has numbers that a picture cannot hold, or none inside the field.
    """
    own = labels.canonical()
    values = np.rint(resample(own.voxels, own.grid, field.grid, order=0))
    if values.min() < 0 or values.max() > LARGEST_LABEL:
        raise SweepError(
            f"{name}: expected label numbers from 0 to {LARGEST_LABEL}, which the pictures can "
            f"hold; found {values.min():.0f} to {values.max():.0f}. Renumber them."
        )
    inside = np.where(field.voxels > 0, values, 0).astype(np.float32)
    if not inside.any():
        raise SweepError(
            f"{name}: expected labels in the sweep; it sees none of them. Move the target onto "
            "what is labelled, or leave the labels out."
        )
    return Volume(inside, field.grid, "", "labels of the sweep")


def export_sweep(
    plan: SweepPlan,
    volume: Volume,
    folder: Path,
    *,
    marks: Mapping[str, Any],
    labels: Volume | None = None,
    pictures: bool = True,
    watched: Watched = Watched(),
) -> dict[str, str]:
    """Write what a virtual probe sees.

    Args:
        plan: of the sweeps.
        volume: synthetic, cut to the sweeps' box, 0 outside of what they see.
        folder: for the results; must exist.
        marks: of the synthetic volume.
        labels: of :func:`labels_in`.
        pictures: write every frame as a picture too, with its labels in a second one.
        watched: follows and stops the writing.

    Returns:
        What was written → path.

    Raises:
        VolumeError: something cannot be written.
        Cancelled: ``watched`` said so.
    """
    made = volume.modality
    watched.step("volume", 0, 1)
    outputs = {made: str(write(volume, folder / f"sweep-{made}.nii.gz", marks=marks))}
    if labels is not None:
        outputs["labels"] = str(write(labels, folder / "sweep-labels.nii.gz"))
    for n, sweep in enumerate(plan.laid(), 1):
        outputs |= _frames(folder, n, sweep, volume, labels, pictures, watched)
    return outputs


def _frames(
    folder: Path, n: int, sweep: VirtualSweep, volume: Volume, labels: Volume | None,
    pictures: bool, watched: Watched,
) -> dict[str, str]:  # fmt: skip
    """Write one sweep: tracked frames, and pictures in pairs."""

    def report(done: int, total: int) -> None:
        watched.step(f"frames of sweep {n}", done, total)

    # What no real volume tells the unit of is made in 0 to 255.
    images = np.clip(np.rint(sweep.frames(volume, progress=report)), 0, 255).astype(np.uint8)
    stem, outputs = f"sweep-{n}", {}
    places = sweep.calibration, sweep.poses
    path = write_sweep(folder / f"{stem}{ENDING}", images, *places, synthetic=True)
    outputs[f"sweep {n}"] = str(path)
    classes = None
    if labels is not None:
        classes = sweep.frames(labels, nearest=True, progress=report).astype(np.uint8)
        path = folder / f"{stem}-labels{ENDING}"
        write_sweep(path, classes, *places, synthetic=False)
        outputs[f"sweep {n} labels"] = str(path)
    if pictures:
        pairs = [images] if classes is None else [images, classes]
        outputs[f"sweep {n} pictures"] = str(_pictures(folder / stem, pairs, n, watched))
    return outputs


def _pictures(folder: Path, pairs: Sequence[NDArray[np.uint8]], n: int, watched: Watched) -> Path:
    from PIL import Image, PngImagePlugin

    told = PngImagePlugin.PngInfo()
    told.add_text("Comment", SYNTHETIC_MARK)
    count = pairs[0].shape[2]
    try:
        folder.mkdir(exist_ok=True)
        for k in range(count):
            for frames, end in zip(pairs, ("", "-labels"), strict=False):
                picture = Image.fromarray(np.ascontiguousarray(frames[:, :, k].T))
                info = None if end else told
                picture.save(folder / f"frame-{k:04d}{end}.png", pnginfo=info, compress_level=3)
            watched.step(f"pictures of sweep {n}", k + 1, count)
    except OSError as error:
        why = refusal(error) or str(error)
        raise VolumeError(f"{folder.name}: the pictures could not be written; {why}.") from error
    return folder
