"""``mhvae-studio simulate``: write simulated T2 and iUS cases to a folder."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from app.cli.terminal import Reporter, answer, output_folder
from core.marks import SIMULATED_MARK


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--cases", type=int, metavar="N", help="number of new cases")
    what.add_argument(
        "--from-t2",
        type=Path,
        metavar="FILE|DIR",
        help="simulate an ultrasound of this real T2 instead, by its tissue classes",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="number of the first case")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--anatomy",
        type=Path,
        metavar="DIR",
        help="folder with whole-head label maps (*seg*.nii.gz, FreeSurfer numbers) or with tissue "
        "maps t1, gm, wm (.nii.gz); anatomy from formulas without it",
    )
    parser.add_argument(
        "--spacing", type=float, default=0.5, metavar="MM", help="voxel size of the ultrasound"
    )
    parser.add_argument(
        "--lc2-share",
        type=float,
        default=0.0,
        metavar="PART",
        help="part of the cases painted as a mix of T2 and its edges instead of simulated sound",
    )
    parser.add_argument(
        "--physics",
        default="train",
        choices=("train", "test"),
        help="test draws tissue, fan and compression from ranges that training never sees",
    )
    parser.add_argument(
        "--scanner",
        type=int,
        metavar="N",
        help="all cases from one scanner, with the settings of number N, as at one hospital",
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, metavar="N")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Run the command; finished cases are kept, so a stopped run goes on where it was."""
    output_folder(args.out)
    if args.from_t2 is not None:
        return _from_t2(args)
    from core.simulator import write_cohort

    report = Reporter()
    start = time.perf_counter()

    def progress(done: int, total: int) -> None:
        left = (time.perf_counter() - start) / done * (total - done) if done else None
        report.progress("simulating", done, total, left)

    files = write_cohort(
        args.cases,
        args.seed,
        args.out,
        args.anatomy,
        args.spacing,
        min(args.workers, args.cases),
        progress,
        physics=args.physics,
        lc2_share=args.lc2_share,
        scanner=args.scanner,
    )
    answer(
        {
            "cases": len(files),
            "folder": str(args.out),
            "physics": args.physics,
            **({"scanner": args.scanner} if args.scanner is not None else {}),
            "seconds": round(time.perf_counter() - start, 1),
            "notice": f"{SIMULATED_MARK}.",
        },
        as_json=args.json,
    )
    return 0


def _from_t2(args: argparse.Namespace) -> int:
    from dataclasses import replace

    from core.io import read, write
    from core.simulator import simulate_from_t2

    report = Reporter()
    with report.stage("simulate"):
        volume = replace(read(args.from_t2), modality="T2")
        case = simulate_from_t2(volume, args.seed, spacing=args.spacing, physics=args.physics)
    marks = {
        "simulated": True,
        "notice": "SIMULATED ULTRASOUND of a real T2. Research use only.",
        "seed": args.seed,
        "physics": args.physics,
    }
    name = f"Case{args.seed:03d}"
    outputs = {
        made.modality: str(write(made, args.out / f"{name}-{made.modality}.nii.gz", marks=said))
        for made, said in ((case.t2, {}), (case.ius, marks))
    }
    answer(
        {
            "outputs": outputs,
            "seconds": report.timings["simulate"],
            "notice": "The ultrasound is simulated. Research use only.",
        },
        as_json=args.json,
    )
    return 0
