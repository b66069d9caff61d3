"""One PNG that shows a synthesis beside its inputs, with its marks burned in."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from core.case import Case
from core.files import replacing
from core.grid import Grid
from core.image.resample import resample
from core.marks import SYNTHETIC_MARK, SYNTHETIC_RGB, VARIABILITY, spread_words
from core.synthesis.input_warning import told
from core.synthesis.request import Synthesis
from core.volume import Volume, VolumeError

PLANES = (("axial", 2), ("coronal", 1), ("sagittal", 0))
CELL = 288
TEXT = 22


def overview(case: Case, result: Synthesis, path: Path) -> None:
    """Draw axial, coronal and sagittal slices through the field of view, one column per volume.

    Radiological convention: the patient's right is on the left of axial and coronal slices.
    Synthetic columns have an orange frame and the mark.

    Raises:
        VolumeError: the picture cannot be written.
    """
    grid = next(iter(result.volumes.values())).grid
    given = result.provenance["subset"]
    columns = [
        (f"{m} ({'input' if m in given else 'held back'})", v, False)
        for m, v in case.volumes.items()
    ]
    columns += [(f"{m} (synthetic)", v, True) for m, v in result.volumes.items()]
    for m, v in result.spread.items():
        calibrated = spread_words(result.provenance["targets"][m]) != VARIABILITY
        what = "calibrated spread" if calibrated else "model variability"
        columns.append((f"{m} sigma ({what})", v, True))
    box = [np.flatnonzero(result.fov.any(axis=tuple({0, 1, 2} - {a}))) for a in range(3)]
    low = [int(b[0]) for b in box]
    shape = tuple(int(b[-1]) + 1 - start for b, start in zip(box, low, strict=True))
    view = grid.crop(low, (shape[0], shape[1], shape[2])).with_spacing(
        float(max(shape)) * float(grid.spacing.max()) / CELL
    )
    at = [int(v) for v in np.array(view.shape) // 2]

    notice = f"{result.provenance['notice']} Model: {result.provenance['model']['name']}."
    notice = f"{notice} {told(result.provenance)}".strip()
    width = CELL * len(columns)
    footer = textwrap.wrap(notice, width // 8)
    height = (CELL + TEXT) * len(PLANES) + TEXT * len(footer)
    sheet = Image.new("RGB", (width, height), "black")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=13)
    for column, (title, volume, synthetic) in enumerate(columns):
        images = planes_of(volume, view, at)
        for row, (plane, axis) in enumerate(PLANES):
            picture = Image.fromarray(radiological(images[axis]))
            left, top = column * CELL, row * (CELL + TEXT)
            sheet.paste(
                picture,
                (left + (CELL - picture.width) // 2, top + TEXT + (CELL - picture.height) // 2),
            )
            draw.text((left + 6, top + 3), f"{title}, {plane}", fill="white", font=font)
            if axis != 0:
                draw.text((left + 6, top + TEXT + CELL // 2), "R", fill="white", font=font)
            if synthetic:
                corner = (left + 1, top + TEXT, left + CELL - 2, top + TEXT + CELL - 2)
                draw.rectangle(corner, outline=SYNTHETIC_RGB, width=2)
                mark = (left + 6, top + TEXT + CELL - 20)
                draw.rectangle(draw.textbbox(mark, SYNTHETIC_MARK, font=font), fill="black")
                draw.text(mark, SYNTHETIC_MARK, fill=SYNTHETIC_RGB, font=font)
    for line, text in enumerate(footer):
        top = sheet.height - TEXT * (len(footer) - line)
        draw.text((6, top + 3), text, fill=SYNTHETIC_RGB, font=font)
    save_picture(sheet, path)


def save_picture(sheet: Image.Image, path: Path) -> None:
    """Write a PNG beside its target and move it into place.

    Raises:
        VolumeError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            sheet.save(part, format="PNG")
    except OSError as error:
        raise VolumeError(
            f"{path.name}: the picture could not be written ({error}). Choose a folder you may "
            "write to, with enough free space."
        ) from error


def planes_of(volume: Volume, view: Grid, at: list[int]) -> dict[int, NDArray[np.uint8]]:
    """Return axis → the slice of the view across it, uint8, windowed by robust percentiles."""
    values = {}
    for _, axis in PLANES:
        start = [at[axis] if a == axis else 0 for a in range(3)]
        shape = [1 if a == axis else n for a, n in enumerate(view.shape)]
        slab = view.crop(start, (shape[0], shape[1], shape[2]))
        values[axis] = np.moveaxis(resample(volume.voxels, volume.grid, slab), axis, 0)[0]
    inside = np.concatenate([v[v != 0] for v in values.values()])
    low, high = np.percentile(inside, (0.5, 99.5)) if inside.size else (0.0, 1.0)
    scale = 255 / max(high - low, 1e-9)
    return {
        axis: np.where(v == 0, 0, np.clip((v - low) * scale, 0, 255)).astype(np.uint8)
        for axis, v in values.items()
    }


def radiological(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn a canonical slice into screen rows: up is superior or anterior, right is on the left."""
    return np.ascontiguousarray(plane.T[::-1, ::-1])
