"""The report as one HTML page, and its pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trainer.evaluation.before_after import Change, Key, in_order, scale_of, title_of
from trainer.evaluation.evaluate import Evaluation, Picture
from trainer.evaluation.statistics import ENOUGH_CASES, Comparison, Summary

WORST = 3
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse;margin:1em 0}td,th{padding:.3em .7em;text-align:right;"
    "border-bottom:1px solid #ccc}td:first-child,th:first-child{text-align:left}"
    "th{background:#f2f2f2}tr.rec td{color:#666}.note{background:#fff3cd;padding:.6em 1em}"
    "figure{margin:1em 0}img{image-rendering:pixelated;max-width:100%}"
    "@media(prefers-color-scheme:dark){body{background:#1c1c1c;color:#ddd}th{background:#333}"
    ".note{background:#4d3b00}tr.rec td{color:#999}}"
)


def to_html(
    evaluation: Evaluation,
    table: dict[Key, Summary],
    contests: Sequence[Comparison],
    data: str,
    changed: Sequence[Change] = (),
) -> str:
    """Return the page: it loads nothing from elsewhere and every name in it is escaped."""
    cases = len({row.case for row in evaluation.rows})
    about = [
        f"{cases} cases, scored slice by slice, averaged per case; mean (sd) over cases.",
        "Protocol of the authors' script: whole image, own range per slice, row-wise SSIM."
        if evaluation.protocol == "authors"
        else "Inside the field of view only, on [-1, 1].",
        f"{evaluation.perceptual}.",
        data,
    ]
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>Evaluation</title>",
        f"<style>{STYLE}</style><h1>Evaluation</h1>",
        "<p class='note'><b>Research use only.</b> Synthetic images; not for clinical use.</p>",
        f"<p>{escape(' '.join(a for a in about if a))}</p>",
        *([_change_table(changed)] if changed else []),
        "<h2>Scores</h2>",
        _score_table(table),
        "<p>Grey rows are reconstructions: the target was an input.</p>",
    ]
    if contests:
        parts += ["<h2>Models side by side</h2>", _contest_table(contests)]
    parts += ["<h2>Worst cases</h2>", *(_figure(p) for p in worst(evaluation.pictures))]
    if evaluation.problems:
        items = "".join(f"<li>{escape(p)}</li>" for p in evaluation.problems)
        parts.append(f"<h2>Left out, and worth a look</h2><ul>{items}</ul>")
    if evaluation.sources:
        lines = (
            f"<li>{escape(case)}: {escape('; '.join(f'{m} {name}' for m, name in files.items()))}"
            for case, files in evaluation.sources.items()
        )
        parts.append(f"<h2>Files used</h2><ul>{''.join(lines)}</ul>")
    return "\n".join(parts) + "</html>\n"


def _change_table(changed: Sequence[Change]) -> str:
    lines = [
        "<h2>Before and after</h2>",
        "<p>Mean (sd) over cases; change with its 95 % bootstrap interval; two-sided Wilcoxon "
        "signed-rank test, Holm-corrected. Grey: reconstructions.</p>",
        "<table><tr><th>Inputs → target</th><th>Metric</th><th>Before</th><th>After</th>"
        "<th>Change</th><th>p</th></tr>",
    ]
    for c in changed:
        kind = " class='rec'" if c.reconstruction else ""
        texts = (c.direction, c.metric, c.before, c.after, c.change, c.p)
        cells = "".join(f"<td>{escape(t)}</td>" for t in texts)
        lines.append(f"<tr{kind}>{cells}</tr>")
    return "\n".join(lines) + "</table>"


def _score_table(table: dict[Key, Summary]) -> str:
    metrics = in_order({k[3] for k in table})
    head = "".join(f"<th>{escape(title_of(m))}</th>" for m in metrics)
    lines = [f"<table><tr><th>Model</th><th>Inputs → target</th>{head}</tr>"]
    for model, inputs, target in sorted({k[:3] for k in table}, key=lambda k: (k[2], k[1], k[0])):
        kind = " class='rec'" if target in inputs else ""
        cells = "".join(_cell(table.get((model, inputs, target, m)), m) for m in metrics)
        name = f"{'+'.join(inputs)} → {target}"
        lines.append(f"<tr{kind}><td>{escape(model)}</td><td>{escape(name)}</td>{cells}</tr>")
    return "\n".join(lines) + "</table>"


def _cell(summary: Summary | None, metric: str) -> str:
    if summary is None or not summary.cases:
        return "<td>–</td>"
    factor, digits = scale_of(metric)
    mean, sd, low, high = (
        f"{v * factor:.{digits}f}" for v in (summary.mean, summary.sd, summary.low, summary.high)
    )
    return f"<td title='95 % interval of the mean {low} to {high}'>{mean} ({sd})</td>"


def _contest_table(contests: Sequence[Comparison]) -> str:
    lines = [
        "<p>Difference of case means, first minus second, with its 95 % bootstrap interval; "
        "two-sided Wilcoxon signed-rank test, Holm-corrected over this table.</p>",
        "<table><tr><th>First</th><th>Second</th><th>Inputs → target</th><th>Metric</th>"
        "<th>Difference</th><th>Interval</th><th>p (Holm)</th></tr>",
    ]
    for c in contests:
        first, second, inputs, target, metric = c.label
        factor, digits = scale_of(metric)
        d, low, high = (f"{v * factor:.{digits}f}" for v in (c.difference, c.low, c.high))
        few = f"too few cases ({c.cases} of {ENOUGH_CASES})"
        p = few if c.p_holm is None else f"{c.p_holm:.2g}"
        texts = (first, second, f"{inputs} → {target}", title_of(metric), d, f"{low} … {high}", p)
        lines.append("<tr>" + "".join(f"<td>{escape(t)}</td>" for t in texts) + "</tr>")
    return "\n".join(lines) + "</table>"


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


def _figure(picture: Picture) -> str:
    caption = caption_of(picture)
    source = base64.b64encode(draw(picture)).decode()
    return (
        f"<figure><img alt='{escape(caption, quote=True)}' src='data:image/png;base64,{source}'>"
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def caption_of(picture: Picture) -> str:
    """Say what a picture shows."""
    row = picture.row
    names = [f"input {m}" for m in picture.inputs]
    names += [f"real {row.target}", f"synthetic {row.target}", "difference"]
    score = f"{row.scores['psnr']:.2f} dB"
    caption = f"{row.model}, {row.case}, {'+'.join(row.inputs)} → {row.target}: {score}. "
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
