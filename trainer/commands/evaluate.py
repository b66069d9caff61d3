"""``evaluate``: score models on a cohort and write a report."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from trainer.errors import TrainerError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("cohort", type=Path, help="folder or CSV of the cases")
    parser.add_argument(
        "--model",
        action="append",
        type=Path,
        required=True,
        metavar="MODEL",
        help="a model file or a run folder; give several to compare them",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--protocol",
        default="masked",
        choices=("masked", "authors"),
        help="authors: as the paper's authors' script measures",
    )
    parser.add_argument(
        "--test-of", type=Path, metavar="RUN", help="only the test cases of that run's split"
    )
    parser.add_argument(
        "--slices", type=int, default=0, metavar="N", help="at most N slices per case (0: all)"
    )
    parser.add_argument("--lpips", type=Path, metavar="FILE", help="local LPIPS weights")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    parser.add_argument("--about", default="", help="one sentence about the cases, for the report")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from trainer.evaluate import evaluate
    from trainer.report import write_report

    def progress(done: int, total: int) -> None:
        print(f"evaluated {done} of {total}", file=sys.stderr, flush=True)

    split = args.test_of / "split.json" if args.test_of else None
    if split is not None and not split.is_file():
        raise TrainerError(f"{args.test_of.name} has no split.json; give the folder of a run.")
    result = evaluate(
        [p / "model.safetensors" if p.is_dir() else p for p in args.model],
        args.cohort,
        protocol=args.protocol,
        split=split,
        max_slices=args.slices,
        lpips=args.lpips,
        device=args.device,
        progress=progress,
    )
    files = write_report(result, args.out, data=args.about)
    told = {kind: str(path) for kind, path in files.items()}
    print(json.dumps(told) if args.json else "\n".join(f"{k}: {v}" for k, v in told.items()))
    return 0
