"""``ablation``: the paper's four rows, MVAE and MHVAE without and with GAN, and their report."""

from __future__ import annotations

import argparse
from pathlib import Path

from trainer.commands.settings import add_settings, setting
from trainer.commands.train import say
from trainer.plan.new import PRESETS, plan_for
from trainer.run.folder import is_run
from trainer.run.state import describe_run

ROWS = (("mvae", 0.0), ("mvae", 1.0), ("mhvae", 0.0), ("mhvae", 1.0))
"""Family and λ_GAN of each row."""


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
    from trainer.loop.loop import train

    settings = dict(setting(text) for text in args.set)
    folders = []
    for family, gan in ROWS:
        folder = args.out / f"{family}-gan{gan:g}"
        folders.append(folder)
        begun = is_run(folder)
        if begun and describe_run(folder).state == "finished":
            continue
        row = {**settings, "loss.gan": gan}
        plan = plan_for(args.source, args.preset, None, row, family=family)
        say(f"{folder.name}:")
        state = train(plan, folder, resume=begun, say=say).state
        if state != "finished":
            return 130 if state == "terminated" else 0
    result = evaluate(
        [folder / "model.safetensors" for folder in folders],
        args.test or Path(plan_for(args.source, args.preset).cohort),
        split=None if args.test else folders[0] / "split.json",
        max_slices=args.slices,
    )
    print(write_report(result, args.out / "report", data=args.about)["html"])
    return 0
