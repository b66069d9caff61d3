"""Draws how a run learned: held-out against training slices over the steps."""

from __future__ import annotations

import io
import math

from PIL import Image, ImageDraw, ImageFont

from trainer.run.learning import Learning

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 34, 40
HELD, SEEN, GREY, TEXT = "#3b8ad8", "#e0902f", "#c8c8c8", "#333333"
"""Colours of the two curves, of the grid, and of words."""
MARKS = 5
"""About so many lines across."""


def draw_learning(learning: Learning) -> bytes:
    """Return a PNG of both curves; a ring marks the best step."""
    sheet = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=13)
    values = [v for v in (*learning.held, *learning.seen) if math.isfinite(v)]
    low, high, gap = _scale(min(values), max(values))
    last = max(learning.steps[-1], 1)

    def place(step: float, value: float) -> tuple[float, float]:
        x = LEFT + (WIDTH - LEFT - RIGHT) * step / last
        return x, TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low)

    for n in range(round((high - low) / gap) + 1):
        value = low + n * gap
        _, y = place(0, value)
        draw.line((LEFT, y, WIDTH - RIGHT, y), GREY)
        draw.text((LEFT - 6, y), f"{value:g}", TEXT, font, "rm")
    every = max(1, round(_scale(0, last)[2]))
    for step in range(0, last + 1, every):
        draw.text((place(step, low)[0], HEIGHT - BOTTOM + 6), str(step), TEXT, font, "mt")
    draw.text((WIDTH / 2, HEIGHT - 4), "step", TEXT, font, "mb")
    draw.text((4, 4), "PSNR of missing images, dB", TEXT, font)
    for n, (name, colour, scores) in enumerate(
        (("held-out slices", HELD, learning.held), ("training slices", SEEN, learning.seen))
    ):
        points = [
            place(s, v) for s, v in zip(learning.steps, scores, strict=True) if math.isfinite(v)
        ]
        if not points:
            continue
        draw.line(points, colour, 2)
        for x, y in points:
            draw.ellipse((x - 2, y - 2, x + 2, y + 2), colour)
        at = WIDTH - RIGHT - 260 + 130 * n
        draw.ellipse((at - 14, 8, at - 6, 16), colour)
        draw.text((at, 4), name, colour, font)
    x, y = place(learning.best, learning.held[learning.steps.index(learning.best)])
    draw.ellipse((x - 6, y - 6, x + 6, y + 6), None, HELD, 2)
    stream = io.BytesIO()
    sheet.save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def _scale(least: float, most: float) -> tuple[float, float, float]:
    """Return the ends of an axis and the step of its marks, in round numbers."""
    rough = max(most - least, 0.1) / MARKS
    unit = 10.0 ** math.floor(math.log10(rough))
    gap = next(unit * n for n in (1, 2, 5, 10) if unit * n >= rough)
    low = math.floor(least / gap) * gap
    return low, max(math.ceil(most / gap) * gap, low + gap), gap
