"""What a model makes of T2 volumes: anatomy with the right sign, no seams between tiles.

Usage: python benchmarks/quality.py COHORT [--model NAME|FILE] [--seams T2FILE]. COHORT is a folder
written by ``mhvae-studio simulate`` (with labels). Per case the ultrasound is synthesised from the
T2 inside the case's own field of view; ventricles must come out darker and sulci brighter than
grey matter. Seams: the mean step across the lines where a tile begins or ends, over the mean step
eight pixels beside them (1 is seamless); the same in the T2, where a line may follow the brain.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from core.case import Case  # noqa: E402
from core.image.metrics import mae, psnr  # noqa: E402
from core.image.resample import resample  # noqa: E402
from core.io import read  # noqa: E402
from core.models.bundle import Bundle, find  # noqa: E402
from core.models.weights import load  # noqa: E402
from core.simulator import Tissue  # noqa: E402
from core.synthesis.request import Prepared, Request, Synthesis, prepare  # noqa: E402
from core.synthesis.synthesize import Engine  # noqa: E402


def synthesise(engine: Engine, bundle: Bundle, case: Case) -> tuple[Prepared, Synthesis]:
    request = Request(subset=("T2",), targets=("iUS",))
    prepared = prepare(case, bundle, request)
    return prepared, engine.run(case, prepared, request)


def signs(engine: Engine, bundle: Bundle, cohort: Path) -> None:
    right = {"ventricles darker": [0, 0], "sulci brighter": [0, 0]}
    errors, levels = [], []
    for t2 in sorted(cohort.glob("*-T2.nii.gz")):
        stem = t2.name.removesuffix("-T2.nii.gz")
        volumes = {m: read(cohort / f"{stem}-{m}.nii.gz") for m in ("T2", "iUS")}
        prepared, result = synthesise(engine, bundle, Case(stem, volumes))
        made = result.volumes["iUS"]
        labels = read(cohort / f"{stem}-labels.nii.gz").canonical()
        tissue = np.round(resample(labels.voxels, labels.grid, made.grid, order=0)).astype(int)
        mean = {
            t: float(made.voxels[(tissue == t) & result.fov].mean())
            for t in (Tissue.GREY, Tissue.VENTRICLE, Tissue.SULCUS)
            if ((tissue == t) & result.fov).sum() >= 30
        }
        grey = mean[Tissue.GREY]
        for name, tissue_asked, sign in (
            ("ventricles darker", Tissue.VENTRICLE, -1),
            ("sulci brighter", Tissue.SULCUS, 1),
        ):
            if tissue_asked in mean:
                right[name][0] += int((mean[tissue_asked] - grey) * sign > 0)
                right[name][1] += 1
        truth = volumes["iUS"].canonical()
        real = prepared.normalisers["iUS"].forward(
            resample(truth.voxels, truth.grid, made.grid), result.fov
        )
        image = prepared.normalisers["iUS"].forward(made.voxels, result.fov)
        flat = np.full_like(real, np.median(real[result.fov]))
        errors.append((mae(real, image, result.fov), mae(real, flat, result.fov)))
        levels.append(psnr(real, image, result.fov))
        print(stem, {t.name.lower(): round(v, 1) for t, v in mean.items()}, f"{levels[-1]:.2f} dB")
    for name, (good, count) in right.items():
        print(f"{name} than grey matter: {good} of {count} cases")
    e = np.array(errors)
    print(f"MAE {e[:, 0].mean():.4f}; of the case's own median {e[:, 1].mean():.4f}")
    print(f"PSNR {np.mean(levels):.2f} dB over {len(levels)} cases")


def seams(engine: Engine, bundle: Bundle, path: Path) -> None:
    case = Case("seams", {"T2": read(path)})
    prepared, result = synthesise(engine, bundle, case)
    images = {
        "synthetic iUS": prepared.slices(result.volumes["iUS"].voxels),
        "T2 itself": prepared.slices(prepared.images["T2"]),
    }
    inside = prepared.slices(result.fov)
    for name, planes in images.items():
        print(f"{name}:")
        _steps(prepared, planes, inside)


def _steps(prepared: Prepared, planes: np.ndarray, inside: np.ndarray) -> None:
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cohort", type=Path, nargs="?")
    parser.add_argument("--model")
    parser.add_argument("--seams", type=Path)
    args = parser.parse_args()
    bundle = find(args.model)
    assert bundle.path is not None
    engine = Engine(load(bundle.path)[1], bundle)
    if args.cohort:
        signs(engine, bundle, args.cohort)
    if args.seams:
        seams(engine, bundle, args.seams)


if __name__ == "__main__":
    main()
