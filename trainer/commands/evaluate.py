"""``evaluate``: score models on a cohort and write a report."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from core.io import output_folder
from trainer.commands.settings import add_lpips_weights
from trainer.errors import TrainerError
from trainer.evaluation.before_after import in_order, scale_of, title_of
from trainer.evaluation.choice import CHOICES, choose
from trainer.run.folder import is_run

REPORT = "report"
"""Folder of a run's own report."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "source", type=Path, help="a run (scored on its own test cases), or a cohort: folder or CSV"
    )
    parser.add_argument(
        "--model",
        action="append",
        type=Path,
        default=[],
        metavar="MODEL",
        help="a model file or a run folder; give several to compare them",
    )
    parser.add_argument("--cohort", type=Path, help="other cases than those of the run's plan")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the report (of a run: RUN/report)"
    )
    parser.add_argument(
        "--protocol",
        default="masked",
        choices=("masked", "authors"),
        help="authors: as the paper's authors' script measures",
    )
    parser.add_argument(
        "--cases",
        choices=CHOICES,
        help="which of them: on a run's own cohort the test cases, unless told here",
    )
    parser.add_argument(
        "--test-of", type=Path, metavar="RUN", help="the run whose split says which are test cases"
    )
    parser.add_argument(
        "--slices", type=int, default=0, metavar="N", help="at most N slices per case (0: all)"
    )
    add_lpips_weights(parser)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    parser.add_argument("--about", default="", help="one sentence about the cases, for the report")
    parser.add_argument(
        "--before",
        type=Path,
        metavar="MODEL",
        help="the model before the training of the one scored; adds a table of the change",
    )
    parser.add_argument(
        "--best-only",
        action="store_true",
        help="leave out a run's last weights, which stand beside its best ones otherwise",
    )
    parser.add_argument("--events", action="store_true", help="print progress as JSON lines")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from trainer.evaluation.evaluate import evaluate, labels
    from trainer.evaluation.report import write_report
    from trainer.run.learning import learning_of

    began, told = time.monotonic(), [0.0]

    def progress(done: int, total: int) -> None:
        if args.events:
            tell("progress", done=done, total=total)
            return
        spent = time.monotonic() - began
        if done < total and spent - told[0] < 10:
            return
        told[0] = spent
        left = f", {spent / done * (total - done) / 60:.1f} min left" if 0 < done < total else ""
        print(f"evaluated {done / total:.0%}{left}", file=sys.stderr, flush=True)

    models, cohort, out = _what(args)
    chosen = choose(models, cohort, test_of=args.test_of, part=args.cases)
    output_folder(out)
    files, pair, ends = chosen.models, None, None
    if args.before is not None:
        files = files[::-1]
        before, after = labels(files)
        pair = (before, after)
    if chosen.told and not args.events:
        print(chosen.told, file=sys.stderr, flush=True)
    mine = models[:-1] if args.before else models
    one_run = mine[0] if len(mine) == 1 and is_run(mine[0]) else None
    last = one_run / "model-last.safetensors" if one_run else None
    if last and last.is_file() and not args.best_only:
        files = (*files, last)
        ends = (labels(files)[-2], labels(files)[-1])
    result = evaluate(
        files,
        chosen.cohort,
        protocol=args.protocol,
        only=chosen,
        max_slices=args.slices,
        lpips=args.lpips_weights,
        device=args.device,
        progress=progress,
    )
    report = write_report(
        result,
        out,
        data=args.about,
        pair=pair,
        ends=ends,
        learning=learning_of(one_run) if one_run else None,
    )
    written = {kind: str(path) for kind, path in report.items()}
    if args.events:
        tell("done", cases=len({row.case for row in result.rows}))
        return 0
    if args.json:
        print(json.dumps(written))
        return 0
    facts = json.loads(report["json"].read_text(encoding="utf-8"))
    about = [facts["best_last_steps"], (facts["learning"] or {}).get("caption", "")]
    about = [*facts["verdicts"], *facts["cautions"], *filter(None, about), *facts["problems"]]
    print("\n".join([*_table(facts), *about]))
    print(f"{facts['lpips']}.")
    print("\n".join(f"{kind}: {path}" for kind, path in written.items()))
    return 0


def _what(args: argparse.Namespace) -> tuple[list[Path], Path | None, Path]:
    """Return the models (the one before last), the cohort unless a run knows it, the folder."""
    a_run = is_run(args.source)
    if not a_run and args.cohort:
        raise TrainerError(
            f"{args.source.name} is no run; give the cohort once, or a run and --cohort."
        )
    models = [*([args.source] if a_run else []), *args.model]
    if not models:
        raise TrainerError(
            f"{args.source.name} is no run; say with --model what is scored on its cases."
        )
    if args.before is not None:
        if len(models) != 1:
            raise TrainerError("--before compares with one model; found several.")
        models.append(args.before)
    if args.out is None and not a_run:
        raise TrainerError("Say with --out where the report goes.")
    return models, args.cohort if a_run else args.source, args.out or args.source / REPORT


def _table(facts: dict[str, Any]) -> list[str]:
    """Return the means over cases as lines of text, synthesis before reconstruction."""
    means: dict[tuple[bool, str, str], dict[str, str]] = {}
    for one in facts["summaries"]:
        name = f"{'+'.join(one['inputs'])} → {one['target']}"
        row = means.setdefault((one["target"] in one["inputs"], name, one["model"]), {})
        factor, digits = scale_of(one["metric"])
        known = one["mean"] is not None
        row[one["metric"]] = f"{one['mean'] * factor:.{digits}f}" if known else "–"
    metrics = in_order({m for row in means.values() for m in row})
    heads = ["Inputs → target", "Model", *(title_of(m) for m in metrics)]
    lines = [
        [name + (" (reconstruction)" if again else ""), model, *(row.get(m, "–") for m in metrics)]
        for (again, name, model), row in sorted(means.items())
    ]
    widths = [max(len(line[n]) for line in [heads, *lines]) for n in range(len(heads))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in [heads, *lines]
    ]


def tell(event: str, **facts: object) -> None:
    """Print one event as a line of JSON, for the window."""
    print(json.dumps({"event": event, **facts}), flush=True)
