"""``mhvae-studio register``: bring one volume onto another, by search, file or centres."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from app.cli.terminal import Reporter, answer, output_folder
from core.align import (
    DEFAULT_METHOD,
    METHODS,
    Alignment,
    AlignProgress,
    Matrix,
    Registration,
    centred,
    check_overlap,
    inverted,
    moved,
    register,
    similarity,
)
from core.errors import Cancelled, UserError
from core.io.modality import guess_from_text
from core.volume import Volume


class CommandError(UserError):
    """Arguments that do not fit together."""


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
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for results")
    parser.add_argument(
        "--grid",
        default="moving",
        choices=("moving", "fixed"),
        help="of the saved volume: its own voxels at their new place, or resampled to the fixed",
    )
    parser.add_argument("--format", default="nii.gz", choices=("nii.gz", "nrrd", "mha"))
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--events", action="store_true", help="print progress and result as one JSON object a line"
    )


def add_method(parser: argparse.ArgumentParser) -> None:
    """Declare ``--method``."""
    parser.add_argument("--method", default=DEFAULT_METHOD, choices=METHODS)


def add_transform(parser: argparse.ArgumentParser) -> None:
    """Declare ``--transform`` and ``--inverse``."""
    parser.add_argument(
        "--transform",
        type=Path,
        metavar="FILE",
        help="an ITK transform (.tfm, .txt, .h5) that resamples the moving onto the fixed volume",
    )
    parser.add_argument(
        "--inverse", action="store_true", help="the transform was made for the other direction"
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
    start = _start(args, fixed, moving)

    def progress(step: AlignProgress) -> None:
        if args.events:
            _event({"event": "progress", **step.__dict__})
        else:
            report.progress(step.stage, step.done, step.total, step.seconds_left)

    with report.stage("register"):
        if kind == "none":
            result = _as_is(fixed, moving, start)
        else:
            result = register(
                fixed,
                moving,
                kind=kind,
                start=start.matrix,
                method=args.method,
                seed=args.seed,
                progress=progress,
            )
    outputs: dict[str, str] = {}
    if args.out is not None:
        with report.stage("write"):
            outputs = _write(args, fixed, moving, start.matrix, result)
    record = {**_record(result), **({"outputs": outputs} if outputs else {})}
    if args.events:
        _event({"event": "result", **record})
    else:
        answer({**record, "timings": report.timings}, as_json=args.json)
    return 0


def _read(text: str) -> Volume:
    from core.io import probe, read

    modality, equals, path = text.partition("=")
    if equals and modality.isalnum() and not Path(text).exists():
        return replace(read(path), modality=modality)
    volume = read(text)
    guess, _ = guess_from_text(Path(text).name, "")
    if not guess:
        # A DICOM series says more about itself than its folder's name.
        guess = next((h.modality for h in probe(text) if not h.problem and h.modality), "")
    return replace(volume, modality=guess)


def _start(args: argparse.Namespace, fixed: Volume, moving: Volume) -> Alignment:
    from core.transforms import read_transform

    start = Alignment(np.eye(4), "header")
    if args.start:
        start = Alignment(np.array(args.start).reshape(4, 4), "manual")
    if args.transform:
        start = read_transform(args.transform, args.inverse)
    if args.centre:
        matrix = centred(fixed, moved(moving, start.matrix)).matrix @ start.matrix
        start = Alignment(matrix, "centred", start.source)
    return start


def _as_is(fixed: Volume, moving: Volume, start: Alignment) -> Registration:
    """Take a map without searching; refuse one that leaves nothing in common."""
    check_overlap(fixed, moved(moving, start.matrix))
    before = similarity(fixed, moving, np.eye(4))
    after = similarity(fixed, moving, start.matrix)
    turned = similarity(fixed, moving, inverted(start.matrix))
    reason = ""
    if start.kind == "file" and turned > after:
        reason = (
            f"The other direction of {start.source} fits better (mutual information {turned:.3f} "
            f"against {after:.3f}); look at the picture, and try with --inverse switched."
        )
    elif after < before:
        reason = (
            f"The images agree less than before (mutual information {after:.3f} against "
            f"{before:.3f})."
        )
    return Registration(start, before, after, bool(reason), reason, 0.0)


def _write(
    args: argparse.Namespace, fixed: Volume, moving: Volume, start: Matrix, result: Registration
) -> dict[str, str]:
    from core.intensity import resample
    from core.io import write
    from core.picture import save_picture
    from core.picture_align import checkerboards
    from core.transforms import write_transform

    matrix = result.alignment.matrix
    name = f"{moving.modality or 'moving'}-registered"
    volume = moved(moving, matrix)
    if args.grid == "fixed":
        values = resample(volume.voxels, volume.grid, fixed.grid)
        volume = replace(volume, voxels=values, grid=fixed.grid)
    # Where a search or a file began is the "before" of the picture, unless that was far away.
    before = np.eye(4) if result.alignment.kind in ("file", "header") else start
    marks = {"registration": _record(result), "notice": "Registered volume. Research use only."}
    picture = args.out / f"{name}.png"
    save_picture(checkerboards(fixed, moving, before, matrix), picture)
    return {
        "volume": str(write(volume, args.out / f"{name}.{args.format}", marks=marks)),
        "transform": str(write_transform(args.out / f"{name}.tfm", result.alignment)),
        "picture": str(picture),
        "record": str(args.out / f"{name}.json"),
    }


def _record(result: Registration) -> dict[str, Any]:
    """Return a registration as JSON values; the matrix is moving → fixed, RAS+ mm."""
    alignment = result.alignment
    return {
        "kind": alignment.kind,
        "source": alignment.source,
        "matrix": alignment.matrix.tolist(),
        "before": round(result.before, 6),
        "after": round(result.after, 6),
        "doubtful": result.doubtful,
        "reason": result.reason,
        "seconds": round(result.seconds, 2),
    }


def _event(values: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()
