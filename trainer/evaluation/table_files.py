"""Writes the paper's Table 1 down: a page, a CSV, LaTeX, and pictures in the shape of Fig. 2."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

from core.files import write_text
from core.pages import render
from core.tables import write_table
from trainer.errors import TrainerError
from trainer.evaluation.before_after import title_of
from trainer.evaluation.costs import Cost
from trainer.evaluation.table import Line, Score, Table

GIVEN, MISSING = "●", "○"
ARROWS = {"psnr": "↑", "ssim": "↑", "lpips": "↓"}


def write_table1(
    table: Table,
    costs: Mapping[str, Cost],
    titles: Mapping[str, str],
    figure: bytes,
    folder: Path,
    about: Sequence[str],
) -> dict[str, Path]:
    """Write ``table1.html``, ``.csv``, ``.tex`` and ``.png``.

    Args:
        table: the scores.
        costs: label → cost of the model.
        titles: label → what the table calls it.
        figure: PNG of examples.
        folder: made when missing.
        about: sentences on cases, budget and protocol.

    Returns:
        kind → file.

    Raises:
        TrainerError: the folder cannot be written.
    """
    paths = {kind: folder / f"table1.{kind}" for kind in ("html", "csv", "tex", "png")}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(paths["html"], page(table, costs, titles, figure, about))
        write_table(paths["csv"], *as_rows(table, costs, titles))
        write_text(paths["tex"], latex(table, titles))
        paths["png"].write_bytes(figure)
    except OSError as error:
        raise TrainerError(
            f"The table cannot be written to {folder.name} ({error.strerror}). Choose another "
            "folder."
        ) from error
    return paths


def page(
    table: Table,
    costs: Mapping[str, Cost],
    titles: Mapping[str, str],
    figure: bytes,
    about: Sequence[str],
) -> str:
    """Return the table as one HTML page that loads nothing from elsewhere."""
    return render(
        "table1.html",
        about=[*about, *table.notes],
        modalities=table.modalities,
        metrics=[f"{title_of(m)} {ARROWS[m]}" for m in table.metrics],
        groups=[
            {"inputs": inputs, "lines": [_cells(table, line, titles) for line in lines]}
            for inputs, lines in _groups(table)
        ],
        costs=[{"model": titles[label], **_cost(cost)} for label, cost in costs.items()],
        cases=table.cases,
        figure=base64.b64encode(figure).decode(),
    )


def _groups(table: Table) -> list[tuple[str, list[Line]]]:
    return [
        (" and ".join(inputs), list(lines))
        for inputs, lines in groupby(table.lines, key=lambda line: line.inputs)
    ]


def _cells(table: Table, line: Line, titles: Mapping[str, str]) -> dict[str, object]:
    return {
        "model": titles[line.model],
        "marks": [GIVEN if m in line.inputs else MISSING for m in table.modalities],
        "scores": [line.scores[m, metric] for m in table.modalities for metric in table.metrics],
    }


def _cost(cost: Cost) -> dict[str, str]:
    hours = cost.training_seconds / 3600
    return {
        "parameters": f"{cost.parameters / 1e6:.2f} M",
        "macs": f"{cost.macs / 1e9:.2f} G",
        "tile": f"{cost.tile[0]} × {cost.tile[1]}",
        "seconds": f"{cost.seconds:.3f} s",
        "steps": f"{cost.steps:,}",
        "training": f"{hours:.1f} h" if hours >= 1 else f"{cost.training_seconds / 60:.1f} min",
    }


def as_rows(
    table: Table, costs: Mapping[str, Cost], titles: Mapping[str, str]
) -> tuple[list[str], list[dict[str, object]]]:
    """Return head and rows of the CSV: a line per model and inputs, with the model's costs."""
    scores = [f"{target} {metric}" for target in table.modalities for metric in table.metrics]
    kept = ["parameters", "macs", "seconds per slice", "steps", "training seconds"]
    rows = []
    for line in table.lines:
        row: dict[str, object] = {"model": titles[line.model], "inputs": "+".join(line.inputs)}
        for (target, metric), score in line.scores.items():
            row[f"{target} {metric}"] = score.text + "*" * score.star
        if line.model in costs:
            cost = costs[line.model]
            numbers = (
                cost.parameters, cost.macs, round(cost.seconds, 4), cost.steps,
                round(cost.training_seconds),
            )  # fmt: skip
            row |= dict(zip(kept, numbers, strict=True))
        rows.append(row)
    return ["model", "inputs", *scores, *kept], rows


def latex(table: Table, titles: Mapping[str, str]) -> str:
    """Return a ``tabular`` for a paper; needs the package booktabs."""
    per, count = len(table.metrics), len(table.modalities)
    heads = " & ".join(rf"\multicolumn{{{per}}}{{c}}{{{_tex(m)}}}" for m in table.modalities)
    metrics = " & ".join(f"{_tex(title_of(m))} ${_tex_arrow(m)}$" for m in table.metrics)
    lines = [
        r"\begin{tabular}{l"
        + "c" * len(table.modalities)
        + "r" * per * len(table.modalities)
        + "}",
        r"\toprule",
        rf"& \multicolumn{{{count}}}{{c}}{{Input}} & {heads} \\",
        " & ".join(["", *map(_tex, table.modalities), *[metrics] * count]) + r" \\",
    ]
    for _, group in _groups(table):
        lines.append(r"\midrule")
        for line in group:
            marks = [r"$\bullet$" if m in line.inputs else r"$\circ$" for m in table.modalities]
            scores = [
                _tex_score(line.scores[m, metric])
                for m in table.modalities
                for metric in table.metrics
            ]
            lines.append(" & ".join([_tex(titles[line.model]), *marks, *scores]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _tex_score(score: Score) -> str:
    text = score.text.replace("×", r"$\times$").replace("–", "--")
    mean, space, spread = text.partition(" ")
    mean = mean + "*" * score.star
    return (rf"\textbf{{{mean}}}" if score.best else mean) + space + spread


def _tex_arrow(metric: str) -> str:
    return r"\uparrow" if ARROWS[metric] == "↑" else r"\downarrow"


def _tex(text: str) -> str:
    for sign in ("\\", "&", "%", "$", "#", "_", "{", "}"):
        text = text.replace(sign, "" if sign == "\\" else f"\\{sign}")
    return text.replace("λ", r"$\lambda$").replace("→", r"$\rightarrow$")
