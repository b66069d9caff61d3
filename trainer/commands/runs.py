"""``runs``: list training runs, ask one to pause, finish or stop, or write its curves."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from trainer.errors import TrainerError
from trainer.run.curves import write_csv, write_tensorboard
from trainer.run.folder import ASKS, ask, is_run
from trainer.run.registry import known_runs
from trainer.run.state import describe_run, find_runs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        help="a folder of runs, or one run (default: those the window lists)",
    )
    parser.add_argument("--ask", choices=ASKS, help="what the run in FOLDER should do")
    parser.add_argument(
        "--curves",
        action="append",
        default=[],
        choices=("csv", "tensorboard"),
        help="write the curves of the run in FOLDER for other programs, into that folder",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object per run")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    if args.ask:
        if args.folder is None:
            raise TrainerError(f"Name the run's folder: runs RUN --ask {args.ask}.")
        ask(args.folder, args.ask)
    if args.curves:
        if args.folder is None or not is_run(args.folder):
            raise TrainerError("Name the run's folder: runs RUN --curves csv.")
        write = {"csv": write_csv, "tensorboard": write_tensorboard}
        for kind in args.curves:
            print(write[kind](args.folder))
        return 0
    known = find_runs([args.folder]) if args.folder else known_runs()
    for found in map(describe_run, known):
        print(json.dumps(asdict(found), default=str) if args.json else found.sentence)
    return 0
