"""Write an evaluation down: one self-contained HTML page, a CSV and a JSON file."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trainer.errors import TrainerError
from trainer.evaluate import Evaluation, Picture, Row
from trainer.statistics import ENOUGH_CASES, Comparison, Summary, compare, holm, summarise

UNITS = {
    "psnr": ("PSNR", "dB", 1.0, 2),
    "psnr_gain": ("PSNR, gain matched", "dB", 1.0, 2),
    "ssim": ("SSIM", "%", 100.0, 1),
    "lpips": ("LPIPS", "%", 100.0, 1),
    "mae": ("MAE", "% of range", 50.0, 2),
    "l1": ("L1", "grey levels", 1.0, 2),
}
"""Metric → its name, unit, factor to that unit, and decimals."""

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

Key = tuple[str, tuple[str, ...], str, str]
"""Model, inputs, target, metric."""


def write_report(evaluation: Evaluation, folder: Path, *, data: str = "") -> dict[str, Path]:
    """Write ``report.html``, ``scores.csv`` and ``report.json``.

    Args:
        evaluation: what was measured.
        folder: made when missing.
        data: one sentence about the cases, for example that they are simulated.

    Returns:
        kind → file.

    Raises:
        TrainerError: the folder cannot be written.
    """
    table = summaries(evaluation.rows)
    contests = comparisons(evaluation)
    paths = {
        "html": folder / "report.html",
        "csv": folder / "scores.csv",
        "json": folder / "report.json",
    }
    texts: dict[str, Callable[[], str]] = {
        "html": lambda: to_html(evaluation, table, contests, data),
        "csv": lambda: to_csv(evaluation.rows),
        "json": lambda: json.dumps(to_json(evaluation, table, contests, data), indent=1),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for kind, path in paths.items():
            beside = path.with_name(f".{path.name}.part")
            # A CSV brings its own line ends.
            beside.write_text(texts[kind](), encoding="utf-8", newline="")
            beside.replace(path)
    except OSError as error:
        raise TrainerError(
            f"The report cannot be written to {folder.name} ({error.strerror}). Choose another "
            "folder."
        ) from error
    return paths


def summaries(rows: Iterable[Row]) -> dict[Key, Summary]:
    """Summarise case scores per model, inputs, target and metric."""
    values: dict[Key, list[float]] = {}
    for row in rows:
        for metric, value in row.scores.items():
            values.setdefault((row.model, row.inputs, row.target, metric), []).append(value)
    return {key: summarise(v) for key, v in values.items()}


def comparisons(evaluation: Evaluation) -> list[Comparison]:
    """Compare every two models in every direction and metric; Holm over the whole table."""
    names = list(evaluation.models)
    scores = {
        (r.model, r.case, r.inputs, r.target, metric): value
        for r in evaluation.rows
        for metric, value in r.scores.items()
    }
    kinds = sorted({(k[2], k[3], k[4]) for k in scores})
    cases = sorted({k[1] for k in scores})
    nan = float("nan")
    found = []
    for n, first in enumerate(names):
        for second in names[n + 1 :]:
            for kind in kinds:
                label = (first, second, "+".join(kind[0]), kind[1], kind[2])
                one, other = (
                    [scores.get((name, case, *kind), nan) for case in cases]
                    for name in (first, second)
                )
                found.append(compare(label, one, other))
    return holm([c for c in found if c.cases])


def to_csv(rows: Iterable[Row]) -> str:
    """Return one line per row; no cell begins as a spreadsheet formula does."""
    rows = list(rows)
    names = sorted({name for row in rows for name in row.scores})
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(["model", "case", "inputs", "target", "kind", *names])
    for row in rows:
        kind = "reconstruction" if row.reconstruction else "synthesis"
        texts = [safe_cell(t) for t in (row.model, row.case, "+".join(row.inputs), row.target)]
        writer.writerow([*texts, kind, *(_number(row.scores.get(n)) for n in names)])
    return stream.getvalue()


def safe_cell(text: str) -> str:
    """Keep a spreadsheet from running a name as a formula, by a leading apostrophe."""
    text = "".join(" " if c in "\r\n\t\0" else c for c in text)
    return f"'{text}" if text.lstrip()[:1] in ("=", "+", "-", "@", "＝", "＋", "－", "＠") else text


def _number(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.6g}"


def to_json(
    evaluation: Evaluation, table: dict[Key, Summary], contests: Sequence[Comparison], data: str
) -> dict[str, Any]:
    """Return everything measured as JSON-ready values; nothing infinite or not a number."""
    return {
        "schema": 1,
        "notice": "Research use only. Not for clinical use.",
        "data": data,
        "protocol": evaluation.protocol,
        "lpips": evaluation.perceptual,
        "models": {name: {"sha256": b.sha256} for name, b in evaluation.models.items()},
        "rows": [
            _finite({**asdict(r), "reconstruction": r.reconstruction}) for r in evaluation.rows
        ],
        "summaries": [
            _finite({"model": k[0], "inputs": k[1], "target": k[2], "metric": k[3], **asdict(s)})
            for k, s in table.items()
        ],
        "comparisons": [_finite(asdict(c)) for c in contests],
        "problems": evaluation.problems,
    }


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def to_html(
    evaluation: Evaluation, table: dict[Key, Summary], contests: Sequence[Comparison], data: str
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
        "<h2>Scores</h2>",
        _score_table(table),
        "<p>Grey rows are reconstructions: the target was an input.</p>",
    ]
    if contests:
        parts += ["<h2>Models side by side</h2>", _contest_table(contests)]
    parts += ["<h2>Worst cases</h2>", *(_figure(p) for p in worst(evaluation.pictures))]
    if evaluation.problems:
        items = "".join(f"<li>{escape(p)}</li>" for p in evaluation.problems)
        parts.append(f"<h2>Left out</h2><ul>{items}</ul>")
    return "\n".join(parts) + "</html>\n"


def _score_table(table: dict[Key, Summary]) -> str:
    metrics = [m for m in UNITS if any(k[3] == m for k in table)]
    head = "".join(f"<th>{escape(UNITS[m][0])}, {escape(UNITS[m][1])}</th>" for m in metrics)
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
    _, _, factor, digits = UNITS[metric]
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
        title, unit, factor, digits = UNITS[metric]
        d, low, high = (f"{v * factor:.{digits}f}" for v in (c.difference, c.low, c.high))
        few = f"too few cases ({c.cases} of {ENOUGH_CASES})"
        p = few if c.p_holm is None else f"{c.p_holm:.2g}"
        texts = (first, second, f"{inputs} → {target}", f"{title}, {unit}", d, f"{low} … {high}", p)
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
    row = picture.row
    panels = [*picture.inputs.values(), picture.real, picture.made]
    panels.append(np.abs(picture.made - picture.real) - 1)
    names = [f"input {m}" for m in picture.inputs] + [
        f"real {row.target}",
        f"synthetic {row.target}",
        "difference",
    ]
    score = f"{row.scores['psnr']:.2f} dB"
    caption = f"{row.model}, {row.case}, {'+'.join(row.inputs)} → {row.target}: {score}. "
    caption += "Left to right: " + ", ".join(names) + "."
    source = base64.b64encode(_png(panels)).decode()
    return (
        f"<figure><img alt='{escape(caption, quote=True)}' src='data:image/png;base64,{source}'>"
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _png(panels: Sequence[NDArray[np.float32]]) -> bytes:
    """Draw (H, W) panels in [-1, 1] side by side, the first axis across and the second up."""
    turned = [np.rot90(np.clip((p + 1) * 127.5, 0, 255).astype(np.uint8)) for p in panels]
    stream = io.BytesIO()
    Image.fromarray(np.concatenate(turned, axis=1)).save(stream, format="PNG")
    return stream.getvalue()
