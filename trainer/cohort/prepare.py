"""Prepare many cases in parallel processes; keep a table of outcomes and a page of pictures."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from pathlib import Path
from typing import Any

from core import tables
from core.errors import Cancelled
from core.files import write_text
from core.pages import render
from core.worker_pool import worker_pool
from trainer.cohort.case import CohortCase
from trainer.cohort.prepare_files import PICTURES, PrepareOptions, prepare_files
from trainer.cohort.scan import FOV, name_of

TABLE, RECORD, PAGE, LIST = "outcomes.csv", "outcomes.json", "qc.html", "cohort.csv"
COLUMNS = (
    "case", "patient", "outcome", "sources", "reason", "alignment", "before", "after", "covered",
    "field_of_view_ml", "seconds",
)  # fmt: skip
Progress = Callable[[int, int, str], None]
"""Called with (finished, all, the case that ended)."""


def prepare_cohort(
    cases: Sequence[CohortCase],
    how: PrepareOptions,
    out: Path,
    *,
    workers: int = 1,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> list[dict[str, Any]]:
    """Prepare all cases into ``out``; finished ones are found again.

    Writes ``outcomes.csv`` and ``outcomes.json`` (one line per case), ``qc.html`` (pictures) and
    ``cohort.csv`` (the usable cases with their patients, for the trainer).

    Args:
        cases: from ``trainer.cohort.scan``.
        how: what to do.
        out: folder, made when missing.
        workers: processes; 1 stays in this process.
        progress: called after every case.
        cancelled: asked between cases; finished ones are kept and the table says what there is.

    Returns:
        One outcome per finished case, in the order of ``cases``.

    Raises:
        Cancelled: ``cancelled`` said so.
        OSError: the folder cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    stop = cancelled or (lambda: False)
    done: dict[str, dict[str, Any]] = {}

    def take(outcome: dict[str, Any]) -> None:
        done[outcome["case"]] = outcome
        if progress:
            progress(len(done), len(cases), outcome["case"])

    try:
        if workers <= 1:
            for case in cases:
                if stop():
                    raise Cancelled
                take(prepare_files(case, how, out))
        else:
            _in_processes(cases, how, out, workers, take, stop)
    finally:
        outcomes = [done[c.id] for c in cases if c.id in done]
        write_table(outcomes, how, out)
    return outcomes


def _in_processes(
    cases: Sequence[CohortCase],
    how: PrepareOptions,
    out: Path,
    workers: int,
    take: Callable[[dict[str, Any]], None],
    stop: Callable[[], bool],
) -> None:
    with worker_pool(workers) as pool:
        pending = {pool.submit(prepare_files, case, how, out) for case in cases}
        while pending:
            ready, pending = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in ready:
                take(future.result())
            if stop():
                pool.shutdown(cancel_futures=True)
                raise Cancelled


def write_table(outcomes: Sequence[dict[str, Any]], how: PrepareOptions, out: Path) -> None:
    """Write the table, the record, the list for the trainer and the page of pictures."""
    rows = [_row(outcome) for outcome in outcomes]
    tables.write_table(out / TABLE, COLUMNS, rows)
    kept = [{k: v for k, v in o.items() if k not in ("key", "kept")} for o in outcomes]
    settings = {
        "spacing_mm": how.spacing,
        "percentiles": how.percentiles,
        "register": how.kind,
        "method": how.method if how.kind != "none" else "",
        "inverse": how.inverse,
        "range": [-1, 1],
        "notice": "Research use only.",
    }
    write_text(out / RECORD, json.dumps({"settings": settings, "cases": kept}, indent=1))
    usable = [o for o in outcomes if o["outcome"] != "failed"]
    swept = [m for m in map(name_of, how.modalities) if any(m in o["files"] for o in usable)]
    columns = ("case", "patient", *how.modalities, FOV, *swept)
    lines = [
        {"case": o["case"], "patient": o["patient"], **o["files"], FOV: f"{o['case']}-{FOV}.nii.gz"}
        for o in usable
    ]
    tables.write_table(out / LIST, columns, lines, exact=True)
    write_text(out / PAGE, page(outcomes, out))


def _row(outcome: dict[str, Any]) -> dict[str, Any]:
    notes = outcome.get("alignment", {})
    return {
        **{c: outcome.get(c, "") for c in COLUMNS},
        "sources": "; ".join(f"{m} {name}" for m, name in outcome.get("sources", {}).items()),
        "alignment": "; ".join(f"{m} {n['kind']} {n['source']}".strip() for m, n in notes.items()),
        "before": "; ".join(f"{n['before']:.4f}" for n in notes.values()),
        "after": "; ".join(f"{n['after']:.4f}" for n in notes.values()),
        "covered": "; ".join(f"{v:.3f}" for v in outcome.get("covered", {}).values()),
    }


def page(outcomes: Sequence[dict[str, Any]], out: Path) -> str:
    """Return one HTML file with every case's checkerboards; the doubtful and failed come first."""
    order = {"failed": 0, "doubtful": 1, "done": 2}
    cases = sorted(outcomes, key=lambda o: (order[o["outcome"]], o["case"]))
    counts = {k: sum(o["outcome"] == k for o in outcomes) for k in ("done", "doubtful", "failed")}
    return render(
        "prepared.html",
        summary=", ".join(f"{n} {name}" for name, n in counts.items()),
        cases=[_shown(outcome, out) for outcome in cases],
    )


def _shown(outcome: dict[str, Any], out: Path) -> dict[str, Any]:
    """Return what the page shows of one case."""
    row, aligned = _row(outcome), outcome.get("alignment", {})
    files = {m: out / PICTURES / f"{outcome['case']}-{m}.jpg" for m in aligned}
    facts = f"{row['alignment']}; mutual information {row['before']} before, {row['after']} after"
    return {
        "name": outcome["case"],
        "outcome": outcome["outcome"],
        "reason": outcome["reason"],
        "sources": row["sources"],
        "alignment": facts if aligned else "",
        "pictures": {
            m: base64.b64encode(file.read_bytes()).decode()
            for m, file in files.items()
            if file.is_file()
        },
    }
