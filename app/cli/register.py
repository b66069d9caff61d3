"""``mhvae-studio register``: bring one volume onto another, by search, file or centres."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from app.cli.options import CommandError, add_method, add_transform, searcher
from app.cli.terminal import FORMATS, Reporter, answer, output_folder
from core.case import box_distance
from core.errors import Cancelled, UserError
from core.io.modality import guess_from_text
from core.registration.alignment import AlignProgress, Registration, moved
from core.registration.alignment_choice import AlignmentChoice, align, record
from core.registration.register import centred
from core.synthesis.devices import DEVICES
from core.volume import Volume


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    for name, what in (("fixed", "stays where it is"), ("moving", "is moved")):
        parser.add_argument(
            f"--{name}",
            required=True,
            metavar="[MODALITY=]PATH",
            help=f"the volume that {what}; the modality is guessed from the name without MODALITY=",
        )
    parser.add_argument(
        "--kind",
        choices=("rigid", "affine", "none"),
        help="what to search for: rigid, or affine (rigid first); none applies --transform or "
        "--centre as it is. Default: rigid, with --transform none",
    )
    add_method(parser)
    add_transform(parser)
    parser.add_argument(
        "--centre", action="store_true", help="first bring the middles of both images together"
    )
    parser.add_argument(
        "--start",
        type=float,
        nargs=16,
        metavar="N",
        help="begin from this 4×4 matrix (row by row, moving to fixed, RAS mm)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of starts and sampling")
    parser.add_argument("--model", metavar="NAME|FILE", help="for --method through the model")
    parser.add_argument("--device", default="auto", choices=DEVICES)
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for results")
    parser.add_argument(
        "--grid",
        default="moving",
        choices=("moving", "fixed"),
        help="of the saved volume: its own voxels at their new place, or resampled to the fixed",
    )
    parser.add_argument("--format", default="nii.gz", choices=FORMATS)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--events", action="store_true", help="print progress and result as one JSON object a line"
    )


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    if not args.events:
        return _run(args)
    try:
        return _run(args)
    except UserError as error:
        _event({"event": "error", "text": str(error)})
        return 2
    except (Cancelled, KeyboardInterrupt):
        _event({"event": "cancelled"})
        return 130


def _run(args: argparse.Namespace) -> int:
    kind = args.kind or ("none" if args.transform else "rigid")
    if args.out is None and not args.events:
        raise CommandError("register needs --out DIR, the folder for the results.")
    if kind == "none" and not (args.transform or args.centre):
        raise CommandError("--kind none needs --transform FILE or --centre; there is no map else.")
    if args.inverse and not args.transform:
        raise CommandError("--inverse turns a --transform FILE; none was given.")
    if args.out is not None:
        output_folder(args.out)
    report = Reporter()
    with report.stage("read"):
        fixed, moving = _read(args.fixed), _read(args.moving)
    choice = AlignmentChoice(
        kind,
        args.method,
        args.transform,
        args.inverse,
        args.centre,
        args.seed,
        tuple(args.start or ()),
    )

    def progress(step: AlignProgress) -> None:
        if args.events:
            _event({"event": "progress", **step.__dict__})
        else:
            report.progress(step.stage, step.done, step.total, step.seconds_left)

    with report.stage("register"):
        result = align(choice, fixed, moving, search=searcher(args), progress=progress)
    outputs: dict[str, str] = {}
    if args.out is not None:
        with report.stage("write"):
            outputs = _write(args, fixed, moving, result)
    values = {**record(result), **({"outputs": outputs} if outputs else {})}
    if args.events:
        _event({"event": "result", **values})
    else:
        answer({**values, "timings": report.timings}, as_json=args.json)
    return 0


def _read(text: str) -> Volume:
    from core.io import read, read_headers

    modality, equals, path = text.partition("=")
    if equals and modality.isalnum() and not Path(text).exists():
        return replace(read(path), modality=modality)
    volume = read(text)
    guess, _ = guess_from_text(Path(text).name, "")
    if not guess:
        # A DICOM series says more about itself than its folder's name.
        guess = next((h.modality for h in read_headers(text) if not h.problem and h.modality), "")
    return replace(volume, modality=guess)


def _write(
    args: argparse.Namespace, fixed: Volume, moving: Volume, result: Registration
) -> dict[str, str]:
    from core.image.resample import resample
    from core.io import write
    from core.registration.picture import checkerboards
    from core.registration.transforms import write_transform
    from core.synthesis.overview import save_picture

    matrix = result.alignment.matrix
    name = f"{moving.modality or 'moving'}-registered"
    volume = moved(moving, matrix)
    if args.grid == "fixed":
        values = resample(volume.voxels, volume.grid, fixed.grid)
        volume = replace(volume, voxels=values, grid=fixed.grid)
    # Volumes that were far apart show nothing side by side; their middles do.
    far = box_distance(fixed, moving) > 0
    before = centred(fixed, moving).matrix if far else np.eye(4)
    marks = {"registration": record(result), "notice": "Registered volume. Research use only."}
    picture = args.out / f"{name}.png"
    save_picture(checkerboards(fixed, moving, before, matrix), picture)
    return {
        "volume": str(write(volume, args.out / f"{name}.{args.format}", marks=marks)),
        "transform": str(write_transform(args.out / f"{name}.tfm", result.alignment)),
        "picture": str(picture),
        "record": str(args.out / f"{name}.json"),
    }


def _event(values: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()
