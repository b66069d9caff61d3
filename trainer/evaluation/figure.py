"""Examples in the shape of the paper's Fig. 2: the inputs, the truth, what each model made."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from core.marks import SYNTHETIC_MARK, SYNTHETIC_RGB, SYNTHETIC_SENTENCE
from trainer.evaluation.evaluate import Picture

CELL = 168
HEAD = 20
PER_DIRECTION = 2
Panel = tuple[str, NDArray[np.float32], bool]
"""Name, slice in [-1, 1], whether it is synthetic."""


def figure(pictures: Sequence[Picture], titles: Mapping[str, str]) -> bytes:
    """Return a PNG: a row per case and direction, a column per model; synthetic ones are framed.

    Cases are the first and the middle one by name, so that nobody chose them.

    Args:
        pictures: of an evaluation.
        titles: label → what a model is called.
    """
    made = {
        (p.row.inputs, p.row.target, p.row.case, p.row.model): p
        for p in pictures
        if not p.row.reconstruction
    }
    models = [label for label in titles if any(k[3] == label for k in made)]
    rows = []
    for inputs, target in sorted({k[:2] for k in made}, key=lambda k: (len(k[0]), k)):
        cases = sorted({k[2] for k in made if k[:2] == (inputs, target)})
        for case in list(dict.fromkeys((cases[0], cases[len(cases) // 2])))[:PER_DIRECTION]:
            rows.append((inputs, target, case))
    lines = []
    for inputs, target, case in rows:
        there = [made.get((inputs, target, case, label)) for label in models]
        found = [p for p in there if p is not None]
        view = _view(found[0].real)
        shown: list[Panel] = [
            (f"{m}, {case}", image[view], False) for m, image in found[0].inputs.items()
        ]
        shown.append((f"real {target}", found[0].real[view], False))
        shown += [(titles[p.row.model], p.made[view], True) for p in found]
        lines.append(shown)
    columns = max(len(shown) for shown in lines)
    sheet = Image.new("RGB", (columns * CELL, len(lines) * (CELL + HEAD) + HEAD), "black")
    draw = ImageDraw.Draw(sheet)
    for number, shown in enumerate(lines):
        for column, panel in enumerate(shown):
            _panel(sheet, draw, (column * CELL, number * (CELL + HEAD)), *panel)
    draw.text((4, sheet.height - HEAD + 3), f"{SYNTHETIC_SENTENCE} Orange: {SYNTHETIC_MARK}.",
              fill=SYNTHETIC_RGB, font=_font())  # fmt: skip
    stream = io.BytesIO()
    sheet.save(stream, format="PNG")
    return stream.getvalue()


def _view(real: NDArray[np.float32]) -> tuple[slice, slice]:
    """Return a square around what there is to see, with a margin, as far as the slice reaches."""
    places = np.argwhere(real > -1)
    if not len(places):
        return slice(None), slice(None)
    low, high = places.min(axis=0), places.max(axis=0) + 1
    half = int((high - low).max() * 0.55) + 1
    middle = (low + high) // 2
    start = np.maximum(middle - half, 0)
    stop = np.minimum(middle + half, real.shape)
    return slice(int(start[0]), int(stop[0])), slice(int(start[1]), int(stop[1]))


def _panel(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    title: str,
    image: NDArray[np.float32],
    synthetic: bool,
) -> None:
    """Draw one slice, its first axis across and the second up, under its name."""
    left, top = corner
    grey = np.rot90(np.clip((image + 1) * 127.5, 0, 255).astype(np.uint8))
    picture = Image.fromarray(grey)
    picture.thumbnail((CELL - 6, CELL - 6))
    grown = min((CELL - 6) / picture.width, (CELL - 6) / picture.height)
    picture = picture.resize((int(picture.width * grown), int(picture.height * grown)))
    place = (left + (CELL - picture.width) // 2, top + HEAD + (CELL - picture.height) // 2)
    sheet.paste(picture, place)
    colour = SYNTHETIC_RGB if synthetic else "white"
    draw.text((left + 4, top + 3), _fitted(draw, title), fill=colour, font=_font())
    if synthetic:
        box = (left + 1, top + HEAD, left + CELL - 2, top + HEAD + CELL - 2)
        draw.rectangle(box, outline=SYNTHETIC_RGB, width=2)


def _fitted(draw: ImageDraw.ImageDraw, title: str) -> str:
    """Return a title that fits, in letters that the font has."""
    title = title.replace("λ_GAN = ", "GAN ").replace("→", "to")
    while draw.textlength(title, font=_font()) > CELL - 8 and len(title) > 4:
        title = title[:-3] + ".."
    return title


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=12)
