"""``mhvae-studio reconstruct``: a tracked sweep of 2-D ultrasound images becomes a volume."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from app.cli.options import CommandError
from app.cli.terminal import FORMATS, Reporter, answer, output_folder
from core.modalities import SWEPT
from core.volume import Volume


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("sweep", type=Path, help="a .mha, .mhd or .nrrd of PLUS or SlicerIGT")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for results")
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="FILE",
        help="ImageToProbe, pixel to mm: a text of 16 numbers, row by row; only where the sweep "
        "does not hold it",
    )
    parser.add_argument(
        "--to", default="", metavar="NAME", help="frame of reference (default: Reference, …)"
    )
    parser.add_argument("--spacing", type=float, default=0.5, metavar="MM", help="of the voxels")
    parser.add_argument(
        "--holes",
        type=float,
        default=2.0,
        metavar="MM",
        help="fill gaps up to this width (default: %(default)s; 0: none)",
    )
    parser.add_argument("--modality", default=SWEPT[0], help="written into the file's name")
    parser.add_argument("--format", default="nii.gz", choices=FORMATS)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    import numpy as np

    from core.image.compound import CompoundError, box_of, compound
    from core.io import write
    from core.io.limits import check_memory
    from core.io.sweep_file import read_sweep

    if not 0.05 <= args.spacing <= 20:
        raise CommandError(f"--spacing {args.spacing:g}: expected 0.05 to 20 mm.")
    if not 0 <= args.holes <= 20:
        raise CommandError(f"--holes {args.holes:g}: expected 0 to 20 mm.")
    if not args.sweep.is_file():
        raise CommandError(f"{args.sweep.name}: there is no such file. Check the path.")
    if not args.modality.isalnum():
        raise CommandError(f"--modality {args.modality}: expected letters and digits.")
    calibration = None if args.calibration is None else _matrix(args.calibration)
    output_folder(args.out)
    report = Reporter()
    with report.stage("read"):
        sweep = read_sweep(args.sweep, calibration, args.to)
    known = np.isfinite(sweep.places).all(axis=(1, 2))
    width, height, count = sweep.images.shape
    try:
        grid = box_of((width, height), sweep.places[known], args.spacing)
    except CompoundError as error:
        raise CommandError(
            f"{args.sweep.name}: expected images that lie near each other; {error}. Check the "
            "tracking and the calibration, or take larger voxels with --spacing."
        ) from error
    voxels = int(np.prod(grid.shape))
    check_memory(args.sweep.name, voxels, 6 * 4 * voxels)
    with report.stage("reconstruct"):
        made, inside = compound(
            sweep.images[:, :, known],
            sweep.places[known],
            grid,
            holes=args.holes,
            progress=lambda done, total: report.progress("images", done, total, None),
        )
    warnings = [
        f"The positions are those of {sweep.goal}, taken as right, anterior and superior: align "
        "the volume with the patient's images before you use it."
    ]
    if not known.all():
        warnings.append(f"{count - int(known.sum())} of {count} images were not tracked; left out.")
    volume = Volume(made, grid, args.modality, args.sweep.name)
    marks: dict[str, Any] = {
        "reconstructed": True,
        "images": int(known.sum()),
        "spacing_mm": args.spacing,
        "holes_filled_to_mm": args.holes,
        "frame_of_reference": sweep.goal,
        "notice": "Reconstructed from a tracked sweep. Research use only.",
    }
    stem = args.sweep.name.partition(".")[0]
    path = write(volume, args.out / f"{stem}-{args.modality}.{args.format}", marks=marks)
    answer(
        {
            "output": str(path),
            "images": int(known.sum()),
            "not_tracked": count - int(known.sum()),
            "shape": list(grid.shape),
            "filled": round(float(inside.mean()), 4),
            "seconds": report.timings,
            "warnings": warnings,
            "notice": marks["notice"],
        },
        as_json=args.json,
    )
    return 0


def _matrix(path: Path) -> Any:
    import numpy as np

    try:
        numbers = [float(part) for part in path.read_text("utf-8").replace(",", " ").split()]
        matrix = np.array(numbers).reshape(4, 4)
    except (OSError, ValueError) as error:
        raise CommandError(
            f"{path.name}: expected a text of 16 numbers, ImageToProbe row by row; found another "
            "or none. Copy the matrix from the calibration's file."
        ) from error
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3])) < 1e-12:
        raise CommandError(f"{path.name}: expected a matrix that can be inverted.")
    return matrix
