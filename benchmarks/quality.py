"""What a model makes of T2 volumes: anatomy with the right sign, little error, no seams.

Usage: python benchmarks/quality.py COHORT [--model NAME|FILE] [--cases N] [--json]
[--seams T2FILE]. COHORT is a folder written by ``mhvae-studio simulate`` (with labels), best with
held-out physics.

Per case the ultrasound is synthesised from the T2 inside the case's own field of view, on the mean
path. Signs, of mean grey values: the middle of ventricles (2 mm and more from their walls) must
come out darker than grey matter, sulci brighter than it, the core of a tumour brighter than white
and grey matter together. A case that shows less than 30 voxels of a part has no say in it. The
table gives the differences on the expected echo's scale of 0-255.

Errors are mean absolute differences on [-1, 1], against the expected echo (0-255 is -1…1 in every
case) and against the ultrasound (normalised as in training). The gap is what one gains who knows,
beside a case's own median, the median of every tissue in it; its closed part is taken on the means
over cases.

Seams: the mean step across the lines where a tile begins or ends, over the mean step eight pixels
beside them (1 is seamless); the same in the T2, where a line may follow the brain.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from core.case import Case  # noqa: E402
from core.errors import UserError  # noqa: E402
from core.grid import Grid  # noqa: E402
from core.image.metrics import mae, psnr  # noqa: E402
from core.image.preprocess import image_on, measure  # noqa: E402
from core.image.resample import resample, resample_mask  # noqa: E402
from core.io import read  # noqa: E402
from core.models.bundle import find  # noqa: E402
from core.models.weights import load  # noqa: E402
from core.simulator import Tissue  # noqa: E402
from core.synthesis.request import PreparedInput, Request, Synthesis, prepare_input  # noqa: E402
from core.synthesis.synthesize import Engine  # noqa: E402
from core.volume import Volume  # noqa: E402
from trainer.cohort.expected import SCALE, expected_on, in_range, read_expected  # noqa: E402

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
CENTRE_MM = 2.0
"""How far from its walls the middle of a ventricle begins."""
LEAST = 30
"""Voxels of a part from which its mean counts."""
SIGNS = {
    "ventricle centres darker than grey": ("ventricle", "grey", -1),
    "sulci brighter than grey": ("sulcus", "grey", 1),
    "tumour core brighter than brain": ("tumour", "brain", 1),
}
"""What must be so: part, what it is compared with, sign of the difference."""


@dataclass(frozen=True)
class Errors:
    """Mean absolute errors of one case against one truth, on [-1, 1], and the image's PSNR.

    Attributes:
        median: of the truth's own median.
        tissues: of the medians of its tissues.
        model: of the synthetic image.
        psnr: of that image, dB.
    """

    median: float
    tissues: float
    model: float
    psnr: float


@dataclass(frozen=True)
class Row:
    """What was found in one case.

    Attributes:
        case: its name.
        differences: name of a sign → difference of mean grey values of 0-255; only parts in view.
        errors: name of a truth → errors against it.
    """

    case: str
    differences: Mapping[str, float]
    errors: Mapping[str, Errors]


def synthesise(engine: Engine, case: Case) -> tuple[PreparedInput, Synthesis]:
    request = Request(subset=("T2",), targets=("iUS",))
    prepared = prepare_input(case, engine.bundle, request)
    return prepared, engine.run(case, prepared, request)


def parts(labels: Volume, grid: Grid, fov: Mask) -> dict[str, Mask]:
    """Return name → (i, j, k) bool on ``grid``, inside the field of view."""
    tissue = np.rint(labels.voxels)
    spacing = [float(s) for s in labels.grid.spacing]
    depth = ndimage.distance_transform_edt(tissue == Tissue.VENTRICLE, sampling=spacing)
    own = {
        "ventricle": depth > CENTRE_MM,
        "sulcus": tissue == Tissue.SULCUS,
        "tumour": tissue == Tissue.TUMOUR_CORE,
        "grey": tissue == Tissue.GREY,
        "brain": (tissue == Tissue.GREY) | (tissue == Tissue.WHITE),
    }
    return {name: resample_mask(mask, labels.grid, grid) & fov for name, mask in own.items()}


def differences(image: Floats, where: Mapping[str, Mask]) -> dict[str, float]:
    """Return name of a sign → difference of the means of an image in [-1, 1], of 0-255."""
    found = {}
    for name, (part, other, _) in SIGNS.items():
        if min(where[part].sum(), where[other].sum()) >= LEAST:
            step = image[where[part]].mean() - image[where[other]].mean()
            found[name] = float(SCALE.inverse_deviation(step))
    return found


def errors(truth: Floats, made: Floats, tissue: Floats, inside: Mask) -> Errors:
    """Compare an image with a truth, both in [-1, 1]; ``tissue`` holds a label per voxel."""
    flat = np.full_like(truth, np.median(truth[inside]))
    known = flat.copy()
    for label in np.unique(tissue[inside]):
        there = inside & (tissue == label)
        known[there] = np.median(truth[there])
    return Errors(
        mae(truth, flat, inside),
        mae(truth, known, inside),
        mae(truth, made, inside),
        psnr(truth, made, inside),
    )


def closed(found: Sequence[Errors]) -> float:
    """Return which part of the gap from the own median to the tissues' medians is closed."""
    median, tissues, model, _ = np.mean([list(asdict(e).values()) for e in found], axis=0)
    return float((median - model) / (median - tissues))


def examine(engine: Engine, cohort: Path, stem: str) -> Row:
    """Synthesise one case and compare it with its truth."""
    volumes = {m: read(cohort / f"{stem}-{m}.nii.gz").canonical() for m in ("T2", "iUS")}
    prepared, result = synthesise(engine, Case(stem, volumes))
    grid, fov = prepared.grid, result.fov
    image = prepared.normalisers["iUS"].forward(result.volumes["iUS"].voxels, fov)
    labels = read(cohort / f"{stem}-labels.nii.gz").canonical()
    tissue = np.rint(resample(labels.voxels, labels.grid, grid, order=0))
    truths = {}
    path = cohort / f"{stem}-iUS-expected.nii.gz"
    if path.exists():
        truths["expected echo"] = in_range(expected_on(read_expected(path, volumes["iUS"]), grid))
    measured = measure(volumes["iUS"], engine.bundle.preprocessing.percentiles)
    truths["ultrasound"], _ = image_on(measured, grid)
    return Row(
        stem,
        differences(image, parts(labels, grid, fov)),
        {name: errors(truth, image, tissue, fov & (truth > -1)) for name, truth in truths.items()},
    )


def text(rows: Sequence[Row]) -> str:
    """Return the tables for people."""
    truths = list(dict.fromkeys(name for row in rows for name in row.errors))
    titles = ["ventricle-grey", "sulcus-grey", "tumour-brain", *(f"MAE, {t}" for t in truths)]
    lines = ["case        " + "".join(f"{t:>21}" for t in titles)]
    for row in rows:
        cells = [f"{row.differences[n]:+.1f}" if n in row.differences else "-" for n in SIGNS]
        cells += [f"{row.errors[t].model:.3f}" if t in row.errors else "-" for t in truths]
        lines.append(f"{row.case:12}" + "".join(f"{c:>21}" for c in cells))
    for name, (_, _, sign) in SIGNS.items():
        shown = [row.differences[name] for row in rows if name in row.differences]
        right = sum(d * sign > 0 for d in shown)
        part = f" ({right / len(shown):.0%}), median {np.median(shown):+.1f}" if shown else ""
        lines.append(f"{name}: {right} of {len(shown)} cases{part}")
    for name in truths:
        found = [row.errors[name] for row in rows if name in row.errors]
        mean = {key: np.mean([asdict(e)[key] for e in found]) for key in asdict(found[0])}
        lines.append(
            f"T2 to iUS against the {name}: MAE {mean['model']:.3f}; own median "
            f"{mean['median']:.3f}, tissues' medians {mean['tissues']:.3f}: {closed(found):.0%} of "
            f"the gap closed; PSNR {mean['psnr']:.2f} dB"
        )
    return "\n".join(lines)


def seams(engine: Engine, path: Path) -> None:
    case = Case("seams", {"T2": read(path)})
    prepared, result = synthesise(engine, case)
    images = {
        "synthetic iUS": prepared.slices(result.volumes["iUS"].voxels),
        "T2 itself": prepared.slices(prepared.images["T2"]),
    }
    inside = prepared.slices(result.fov)
    for name, planes in images.items():
        print(f"{name}:")
        _steps(prepared, planes, inside)


def _steps(prepared: PreparedInput, planes: np.ndarray, inside: np.ndarray) -> None:
    for axis, starts, size in (
        (1, prepared.tiling.rows, prepared.tiling.tile[0]),
        (2, prepared.tiling.columns, prepared.tiling.tile[1]),
    ):
        length = planes.shape[axis]
        lines = sorted({s for o in starts for s in (o, o + size) if 9 <= s < length - 9})
        steps = np.abs(np.diff(planes, axis=axis))
        both = np.logical_and(*(inside.take(range(n, length - 1 + n), axis) for n in (0, 1)))

        def mean_step(
            at: int, steps: np.ndarray = steps, both: np.ndarray = both, axis: int = axis
        ) -> float:
            values = steps.take(at, axis)[both.take(at, axis)]
            return float(values.mean()) if values.size > 500 else np.nan

        for line in lines:
            beside = np.nanmean([mean_step(line - 1 - 8), mean_step(line - 1 + 8)])
            print(
                f"seam at {'row' if axis == 1 else 'column'} {line}: "
                f"{mean_step(line - 1) / beside:.3f} of the step beside it"
            )


def stems(args: argparse.Namespace) -> list[str]:
    found = sorted(p.name.removesuffix("-T2.nii.gz") for p in args.cohort.glob("*-T2.nii.gz"))
    if not found:
        raise SystemExit(
            f"{args.cohort.name}: expected a folder with files named …-T2.nii.gz; found none. "
            "Write one with mhvae-studio simulate."
        )
    return found[: args.cases or None]


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cohort", type=Path, nargs="?")
    parser.add_argument("--model")
    parser.add_argument("--cases", type=int, default=0, help="only the first so many")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--seams", type=Path)
    args = parser.parse_args(words)
    try:
        bundle = find(args.model)
        assert bundle.path is not None
        engine = Engine(load(bundle.path)[1], bundle)
        rows = [examine(engine, args.cohort, s) for s in stems(args)] if args.cohort else []
    except UserError as error:
        raise SystemExit(f"Error: {error}") from error
    if args.json:
        print(json.dumps({"model": bundle.name, "rows": [asdict(row) for row in rows]}))
    elif rows:
        print(f"{bundle.name}, {len(rows)} cases")
        print(text(rows))
    if args.seams:
        seams(engine, args.seams)


if __name__ == "__main__":
    main()
