"""Write an evaluation down: one self-contained HTML page, a CSV and a JSON file."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.files import write_text
from core.tables import safe_cell
from trainer.errors import TrainerError
from trainer.evaluation.before_after import Key, changes
from trainer.evaluation.best_last import best_and_last, which_steps
from trainer.evaluation.evaluate import Evaluation, Row
from trainer.evaluation.learning_picture import draw_learning
from trainer.evaluation.report_html import caption_of, draw, to_html, worst
from trainer.evaluation.statistics import (
    Comparison,
    Summary,
    compare,
    family,
    holm,
    out_of_reach,
    summarise,
)
from trainer.evaluation.verdict import verdicts
from trainer.run.learning import Learning

LEARNING = "learning.png"

NAMED = 5
"""Cases that a sentence names."""


def write_report(
    evaluation: Evaluation,
    folder: Path,
    *,
    data: str = "",
    pair: tuple[str, str] | None = None,
    ends: tuple[str, str] | None = None,
    learning: Learning | None = None,
) -> dict[str, Path]:
    """Write ``report.html``, ``scores.csv``, ``report.json`` and the worst cases' pictures.

    Args:
        evaluation: what was measured.
        folder: made when missing.
        data: one sentence about the cases, for example that they are simulated.
        pair: labels of the models before and after a training, for a table of their own.
        ends: labels of a run's best and of its last weights, for another; the last ones are in no
            other comparison.
        learning: the run's validations, for a picture.

    Returns:
        kind → file, without the pictures.

    Raises:
        TrainerError: the folder cannot be written.
    """
    table = summaries(evaluation.rows)
    last = ends[1] if ends else None
    contests = comparisons(evaluation, without=last)
    changed = changes(*pair, table, contests) if pair else []
    sentences = verdicts(changed, family(contests))
    spoilt = cautions(evaluation, contests)
    pictures = worst([p for p in evaluation.pictures if p.row.model != last])
    beside = best_and_last(*ends, evaluation.rows, table) if ends else []
    steps = which_steps(*(evaluation.models[label] for label in ends)) if ends else ""
    paths = {
        "html": folder / "report.html",
        "csv": folder / "scores.csv",
        "json": folder / "report.json",
    }
    told = {
        "pair": pair and {"before": pair[0], "after": pair[1]},
        "verdicts": sentences,
        "cautions": spoilt,
        "before_after": [c.to_dict() for c in changed],
        "best_last": [b.to_dict() for b in beside],
        "best_last_steps": steps,
        "learning": learning and {"file": LEARNING, "caption": learning.sentence},
        "pictures": [
            {"file": f"worst-{n}.png", "caption": caption_of(p)} for n, p in enumerate(pictures, 1)
        ],
    }
    texts: dict[str, Callable[[], str]] = {
        "html": lambda: to_html(
            evaluation,
            table,
            contests,
            data,
            pictures,
            changed,
            sentences,
            spoilt,
            beside,
            steps,
            learning,
        ),
        "csv": lambda: to_csv(evaluation.rows),
        "json": lambda: json.dumps(
            {**to_json(evaluation, table, contests, data), **told}, indent=1
        ),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("worst-*.png"):
            old.unlink()
        (folder / LEARNING).unlink(missing_ok=True)
        if learning:
            (folder / LEARNING).write_bytes(draw_learning(learning))
        for number, picture in enumerate(pictures, 1):
            (folder / f"worst-{number}.png").write_bytes(draw(picture))
        for kind, path in paths.items():
            # A CSV brings its own line ends.
            write_text(path, texts[kind](), newline="")
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


def comparisons(evaluation: Evaluation, without: str | None = None) -> list[Comparison]:
    """Compare every two models in every direction and metric; Holm over the missing targets.

    A target that was an input is compared, but not tested: copying it is no hypothesis.

    Args:
        evaluation: what was measured.
        without: label of a model that stands in no comparison.
    """
    names = [name for name in evaluation.models if name != without]
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
                found.append(compare(label, one, other, tested=kind[1] not in kind[0]))
    return holm([c for c in found if c.cases])


def cautions(evaluation: Evaluation, contests: Sequence[Comparison]) -> list[str]:
    """Return what spoils a reader's trust in the scores, a sentence each, and which cases they are.

    Cases that a model was trained on, and tests that could not have shown anything.
    """
    found = [evaluation.chosen] if evaluation.chosen else []
    cases = len({row.case for row in evaluation.rows})
    for model in evaluation.models:
        seen = sorted({r.case for r in evaluation.rows if r.model == model and r.trained_on})
        if seen:
            named = ", ".join(seen[:NAMED]) + (" …" if len(seen) > NAMED else "")
            found.append(
                f"{model} was trained on {len(seen)} of the {cases} cases ({named}): what it "
                "scores on them proves nothing."
            )
    told = out_of_reach(contests)
    return [*found, told] if told else found


def to_csv(rows: Iterable[Row]) -> str:
    """Return one line per row; no cell begins as a spreadsheet formula does."""
    rows = list(rows)
    names = sorted({name for row in rows for name in row.scores})
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(["model", "case", "inputs", "target", "kind", "trained on", *names])
    for row in rows:
        kind = "reconstruction" if row.reconstruction else "synthesis"
        texts = [safe_cell(t) for t in (row.model, row.case, "+".join(row.inputs), row.target)]
        seen = "yes" if row.trained_on else "no"
        writer.writerow([*texts, kind, seen, *(_number(row.scores.get(n)) for n in names)])
    return stream.getvalue()


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
        "lpips_weights": asdict(evaluation.weights) if evaluation.weights else None,
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
        "sources": evaluation.sources,
    }


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
