"""``python -m trainer``: train by a plan or a cohort folder."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from core.errors import UserError
from trainer.loop import train
from trainer.plan import load_plan, preset
from trainer.runfolder import RunFolder


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status (2 for an error the user can put right)."""
    parser = argparse.ArgumentParser(prog="trainer", description=__doc__)
    parser.add_argument("source", type=Path, nargs="?", help="plan.json or a cohort folder")
    parser.add_argument("--preset", default="quick", choices=("smoke", "quick", "paper"))
    parser.add_argument("--out", type=Path, required=True, help="the run folder")
    parser.add_argument("--resume", action="store_true", help="continue the run in --out")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change one setting of the plan, for example data.batch=4",
    )
    given = parser.parse_args(arguments)
    try:
        if given.resume:
            plan = RunFolder.open(given.out).plan()
        elif given.source is None:
            raise UserError("Give a plan.json or a cohort folder, or --resume.")
        elif given.source.is_file() and given.source.suffix == ".json":
            plan = load_plan(given.source)
        else:
            plan = preset(given.preset, str(given.source.resolve()))
        plan = plan.override(dict(_setting(text) for text in given.set))
        train(plan, given.out, resume=given.resume)
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    return 0


def _setting(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


if __name__ == "__main__":
    sys.exit(main())
