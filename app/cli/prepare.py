"""``mhvae-studio prepare``: align a cohort and bring it onto the model's grid and range."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from app.cli.options import CommandError
from app.cli.terminal import Reporter, answer, output_folder
from core.modalities import PAPER
from core.registration.methods import DEFAULT_METHOD, METHODS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("source", type=Path, help="a folder of cases, or a CSV that lists them")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--register",
        default="none",
        choices=("none", "rigid", "affine"),
        help="search for the alignment; begins from a case's transform file where there is one",
    )
    parser.add_argument("--method", default=DEFAULT_METHOD, choices=METHODS)
    parser.add_argument(
        "--transforms",
        type=Path,
        metavar="DIR",
        help="where to look for CASE*.tfm (.h5, .txt), with sub-folders; beside the cases without",
    )
    parser.add_argument(
        "--inverse",
        action="store_true",
        help="the transform files were made for the other direction (as ReMIND's published ones)",
    )
    parser.add_argument(
        "--spacing", type=float, default=0.5, metavar="MM", help="of the new grid (default: 0.5)"
    )
    parser.add_argument(
        "--modalities",
        default=",".join(PAPER),
        metavar="A,B",
        help="which to take (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the search")
    parser.add_argument(
        "--workers", type=int, default=max(1, (os.cpu_count() or 2) // 2), metavar="N"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Run the command; finished cases are kept, so a stopped run goes on where it was."""
    from trainer.cohort.prepare import LIST, PAGE, TABLE, prepare_cohort
    from trainer.cohort.prepare_files import PrepareOptions
    from trainer.cohort.scan import scan

    if not 0.05 <= args.spacing <= 20:
        raise CommandError(f"--spacing {args.spacing:g}: expected 0.05 to 20 mm.")
    if args.transforms is not None and not args.transforms.is_dir():
        raise CommandError(f"--transforms {args.transforms.name}: expected a folder of transforms.")
    if args.out.resolve() == args.source.resolve():
        raise CommandError("--out is the cohort itself; choose another folder.")
    modalities = tuple(m.strip() for m in args.modalities.split(",") if m.strip())
    how = PrepareOptions(
        modalities=modalities,
        spacing=(args.spacing,) * 3,
        kind=args.register,
        method=args.method,
        transforms=args.transforms,
        inverse=args.inverse,
        seed=args.seed,
    )
    cases = scan(args.source, modalities)
    output_folder(args.out)
    report = Reporter()
    start = time.perf_counter()

    def progress(done: int, total: int, case: str) -> None:
        pace = (time.perf_counter() - start) / done
        report.progress(f"preparing, {case} done", done, total, pace * (total - done))

    outcomes = prepare_cohort(
        cases, how, args.out, workers=min(args.workers, len(cases)), progress=progress
    )
    counts = {
        name: sum(o["outcome"] == name for o in outcomes) for name in ("done", "doubtful", "failed")
    }
    answer(
        {
            **counts,
            "kept": sum(bool(o.get("kept")) for o in outcomes),
            "cohort": str(args.out / LIST),
            "table": str(args.out / TABLE),
            "page": str(args.out / PAGE),
            "seconds": round(time.perf_counter() - start, 1),
            "problems": [f"{o['case']}: {o['reason']}" for o in outcomes if o["reason"]],
            "notice": "Research use only.",
        },
        as_json=args.json,
    )
    return 0 if counts["failed"] < len(cases) else 1
