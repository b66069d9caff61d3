"""``table1``: the paper's Table 1 on a cohort, every row trained and tested on the same cases."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.io import output_folder
from trainer.commands.rows import TableRow, chosen, plan_of, train_rows
from trainer.commands.settings import add_lpips_weights, add_settings, setting
from trainer.commands.train import say
from trainer.errors import TrainerError
from trainer.plan.new import PRESETS, plan_for

ONE_WAY = ("pix2pix", "spade", "unet")
UNIFIED = (
    TableRow("mvae", gan=0.0),
    TableRow("resvit"),
    TableRow("mhvae", gan=0.0),
    TableRow("mhvae", gan=1.0),
)


def rows_for(modalities: Sequence[str]) -> list[TableRow]:
    """Return the table's rows: of networks of one direction one for every modality."""
    return [*(TableRow(family, m) for m in modalities for family in ONE_WAY), *UNIFIED]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("source", type=Path, help="a plan.json, a cohort folder, or a CSV")
    parser.add_argument("--preset", choices=PRESETS, default="quick")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--rows", default="", metavar="NAME,NAME", help="only these, for example resvit,mhvae-gan0"
    )
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--seconds", type=float, metavar="S", help="training time of every model")
    budget.add_argument("--steps", type=int, metavar="N", help="optimiser steps of every model")
    parser.add_argument("--test", type=Path, metavar="COHORT", help="test cases (default: split)")
    parser.add_argument("--slices", type=int, default=0, metavar="N", help="slices per test case")
    add_lpips_weights(parser)
    add_settings(parser)
    parser.add_argument("--about", default="", help="one sentence about the cases, for the table")


def run(args: argparse.Namespace) -> int:
    """Train the rows that are not finished, test all of them, write the table."""
    settings = {**dict(setting(text) for text in args.set), **_budget(args)}
    plan = plan_for(args.source, args.preset, None, settings)
    rows = chosen(rows_for(plan.model.modalities), args.rows)
    for row in rows:  # a setting that a family does not have is told before hours have gone by
        plan_of(row, args.source, args.preset, settings)
    output_folder(args.out)
    state = train_rows(rows, args.source, args.preset, args.out, settings)
    if state != "finished":
        say("Stopped; the same command goes on.")
        return 130 if state == "terminated" else 0
    written = _report(args, rows, Path(plan.cohort))
    print("\n".join(f"{kind}: {path}" for kind, path in written.items()))
    return 0


def _budget(args: argparse.Namespace) -> dict[str, Any]:
    if args.seconds is not None:
        if args.seconds <= 0:
            raise TrainerError(f"--seconds must be above 0; found {args.seconds:g}.")
        return {"optimiser.budget_seconds": args.seconds}
    if args.steps is not None:
        if args.steps <= 0:
            raise TrainerError(f"--steps must be above 0; found {args.steps}.")
        return {"optimiser.steps": args.steps, "optimiser.budget_seconds": 0.0}
    return {}


def _report(args: argparse.Namespace, rows: Sequence[TableRow], cohort: Path) -> dict[str, Path]:
    from trainer.evaluation.costs import costs, equal_steps
    from trainer.evaluation.evaluate import evaluate
    from trainer.evaluation.figure import figure
    from trainer.evaluation.report import write_report
    from trainer.evaluation.table import table_of
    from trainer.evaluation.table_files import write_table1

    models = {row.name: args.out / row.name / "model.safetensors" for row in rows}
    titles = {row.name: row.title for row in rows}

    def told(done: int, total: int, shown: list[int] = [-1]) -> None:  # noqa: B006 (its memory)
        if (tenth := 10 * done // total) > shown[0]:
            shown[0] = tenth
            say(f"tested {done / total:.0%}")

    result = evaluate(
        list(models.values()),
        args.test or cohort,
        split=None if args.test else args.out / rows[0].name / "split.json",
        max_slices=args.slices,
        lpips=args.lpips_weights,
        progress=told,
    )
    spent = costs(models)
    budget = (
        f"Every model was trained for {args.seconds / 60:g} minutes."
        if args.seconds
        else "Every model was trained for the same number of steps."
        if equal_steps(list(spent.values()))
        else "The models were not trained for the same number of steps; see the costs."
    )
    about = [args.about, budget, f"{result.perceptual}.", *result.problems]
    picture = figure(result.pictures, titles)
    where = args.out / "table1"
    written = write_table1(
        table_of(result), spent, titles, picture, where, [text for text in about if text]
    )
    write_report(result, where / "report", data=args.about)
    return written
