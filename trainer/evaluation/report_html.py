"""The report as one HTML page, and its pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.pages import render
from trainer.evaluation.before_after import Change, Key, in_order, p_of, scale_of, title_of
from trainer.evaluation.best_last import Beside
from trainer.evaluation.evaluate import Evaluation, Picture
from trainer.evaluation.learning_picture import draw_learning
from trainer.evaluation.statistics import Comparison, Summary
from trainer.evaluation.verdict import EXPLAINED
from trainer.run.learning import Learning

WORST = 3


@dataclass(frozen=True)
class Cell:
    """One place of a table: its text, and what is said of it when the pointer rests on it."""

    text: str
    tip: str = ""


@dataclass(frozen=True)
class Line:
    """One line of a table; reconstructions are grey."""

    cells: list[Cell]
    reconstruction: bool = False


def to_html(
    evaluation: Evaluation,
    table: dict[Key, Summary],
    contests: Sequence[Comparison],
    data: str,
    pictures: Sequence[Picture],
    changed: Sequence[Change] = (),
    told: Sequence[str] = (),
    cautions: Sequence[str] = (),
    beside: Sequence[Beside] = (),
    steps: str = "",
    learning: Learning | None = None,
) -> str:
    """Return the page: it loads nothing from elsewhere and every name in it is escaped."""
    cases = len({row.case for row in evaluation.rows})
    about = [
        f"{cases} cases, scored slice by slice, averaged per case; mean (sd) over cases.",
        "Protocol of the authors' script: whole image, own range per slice, row-wise SSIM."
        if evaluation.protocol == "authors"
        else "Inside the field of view only, on [-1, 1].",
        EXPLAINED,
        f"{evaluation.perceptual}.",
        data,
    ]
    metrics = in_order({k[3] for k in table})
    return render(
        "report.html",
        told=[*told, *cautions],
        about=" ".join(a for a in about if a),
        changes=[_change(c) for c in changed],
        score_heads=["Model", "Inputs → target", *(title_of(m) for m in metrics)],
        scores=_scores(table, metrics),
        contests=[_contest(c) for c in contests],
        beside=[_beside(b) for b in beside],
        steps=steps,
        learning=learning
        and {"caption": learning.sentence, "data": _base64(draw_learning(learning))},
        pictures=[{"caption": caption_of(p), "data": _base64(draw(p))} for p in pictures],
        problems=evaluation.problems,
        sources=evaluation.sources,
    )


def _change(c: Change) -> Line:
    texts = (c.direction, c.metric, c.before, c.after, c.change, c.p)
    return Line([Cell(t) for t in texts], c.reconstruction)


def _beside(b: Beside) -> Line:
    texts = (b.direction, b.metric, b.best, b.last, b.difference)
    return Line([Cell(t) for t in texts], b.reconstruction)


def _base64(png: bytes) -> str:
    return base64.b64encode(png).decode()


def _scores(table: dict[Key, Summary], metrics: Sequence[str]) -> list[Line]:
    lines = []
    for model, inputs, target in sorted({k[:3] for k in table}, key=lambda k: (k[2], k[1], k[0])):
        cells = [_score(table.get((model, inputs, target, m)), m) for m in metrics]
        name = f"{'+'.join(inputs)} → {target}"
        lines.append(Line([Cell(model), Cell(name), *cells], target in inputs))
    return lines


def _score(summary: Summary | None, metric: str) -> Cell:
    if summary is None or not summary.cases:
        return Cell("–")
    factor, digits = scale_of(metric)
    mean, sd, low, high = (
        f"{v * factor:.{digits}f}" for v in (summary.mean, summary.sd, summary.low, summary.high)
    )
    if summary.cases == 1:
        return Cell(mean, "from one case: no interval")
    return Cell(f"{mean} ({sd})", f"95 % interval of the mean {low} to {high}")


def _contest(c: Comparison) -> Line:
    first, second, inputs, target, metric = c.label
    factor, digits = scale_of(metric)
    d, low, high = (f"{v * factor:.{digits}f}" for v in (c.difference, c.low, c.high))
    between = "one case" if c.cases == 1 else f"{low} … {high}"
    texts = (first, second, f"{inputs} → {target}", title_of(metric), d, between, p_of(c))
    return Line([Cell(t) for t in texts], reconstruction=not c.tested)


def worst(pictures: Sequence[Picture], count: int = WORST) -> list[Picture]:
    """Return, per model and direction of synthesis, the cases of lowest PSNR."""
    groups: dict[tuple[str, tuple[str, ...], str], list[Picture]] = {}
    for picture in pictures:
        row = picture.row
        if not row.reconstruction:
            groups.setdefault((row.model, row.inputs, row.target), []).append(picture)
    return [
        picture
        for key in sorted(groups)
        for picture in sorted(groups[key], key=lambda p: p.row.scores["psnr"])[:count]
    ]


def caption_of(picture: Picture) -> str:
    """Say what a picture shows."""
    row = picture.row
    names = [f"input {m}" for m in picture.inputs]
    names += [f"real {row.target}", f"synthetic {row.target}", "difference"]
    score = f"{row.scores['psnr']:.2f} dB"
    case = f"{row.case} (trained on)" if row.trained_on else row.case
    caption = f"{row.model}, {case}, {'+'.join(row.inputs)} → {row.target}: {score}. "
    return caption + "Left to right: " + ", ".join(names) + "."


def draw(picture: Picture) -> bytes:
    """Return a PNG: inputs, real, synthetic and their difference side by side."""
    panels = [*picture.inputs.values(), picture.real, picture.made]
    panels.append(np.abs(picture.made - picture.real) - 1)
    return _png(panels)


def _png(panels: Sequence[NDArray[np.float32]]) -> bytes:
    """Draw (H, W) panels in [-1, 1] side by side, the first axis across and the second up."""
    turned = [np.rot90(np.clip((p + 1) * 127.5, 0, 255).astype(np.uint8)) for p in panels]
    stream = io.BytesIO()
    Image.fromarray(np.concatenate(turned, axis=1)).save(stream, format="PNG")
    return stream.getvalue()
