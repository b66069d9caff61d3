"""``runs``: list training runs, and ask one of them to pause, finish or stop."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from trainer.runfolder import ASKS, ask
from trainer.runs import default_folder, list_runs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        help="a folder of runs, or one run (default: where the window puts them)",
    )
    parser.add_argument("--ask", choices=ASKS, help="what the run in FOLDER should do")
    parser.add_argument("--json", action="store_true", help="print one JSON object per run")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    folder = args.folder or default_folder()
    if args.ask:
        ask(folder, args.ask)
    for found in list_runs(folder):
        print(json.dumps(asdict(found), default=str) if args.json else found.sentence)
    return 0
