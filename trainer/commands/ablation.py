"""``ablation``: the paper's four rows, MVAE and MHVAE without and with GAN, and their report."""

from __future__ import annotations

import argparse
from pathlib import Path

from trainer.commands.rows import TableRow, train_rows
from trainer.commands.settings import add_settings, setting
from trainer.plan.new import PRESETS, plan_for

ROWS = tuple(TableRow(family, gan=gan) for family in ("mvae", "mhvae") for gan in (0.0, 1.0))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("source", type=Path, help="a plan.json, a cohort folder, or a CSV")
    parser.add_argument("--preset", choices=PRESETS, default="quick")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--test", type=Path, metavar="COHORT", help="test cases (default: split)")
    parser.add_argument("--slices", type=int, default=0, metavar="N", help="slices per test case")
    add_settings(parser)
    parser.add_argument("--about", default="", help="one sentence about the cases, for the report")


def run(args: argparse.Namespace) -> int:
    """Train the four rows one after another, each resumed where it was, and compare them."""
    from trainer.evaluation.evaluate import evaluate
    from trainer.evaluation.report import write_report

    settings = dict(setting(text) for text in args.set)
    state = train_rows(ROWS, args.source, args.preset, args.out, settings)
    if state != "finished":
        return 130 if state == "terminated" else 0
    folders = [args.out / row.name for row in ROWS]
    result = evaluate(
        [folder / "model.safetensors" for folder in folders],
        args.test or Path(plan_for(args.source, args.preset).cohort),
        split=None if args.test else folders[0] / "split.json",
        max_slices=args.slices,
    )
    print(write_report(result, args.out / "report", data=args.about)["html"])
    return 0
