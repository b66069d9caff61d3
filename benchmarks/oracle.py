"""How good a guess of a simulated image could be: the oracle and the simple predictors.

Usage: python benchmarks/oracle.py draw|score --test COHORT --train COHORT --anatomy DIR --work DIR
[--draws 64] [--cases 12] [--model FILE]… [--unet T2:FILE] [--unet iUS:FILE]. The cohorts come from
``mhvae-studio simulate`` (test with ``--physics test``) at the models' spacing.

``draw`` scans every test case's anatomy again and again (``core.simulator.case.redraw_ultrasound``)
and keeps the voxelwise median and mean where at least a quarter of the draws see the tissue.
``score`` prints, for every predictor, case means with 95 % bootstrap intervals of MAE on [-1, 1]
and PSNR, inside the field of view:

- the training images' mean value; the case's own median;
- an LC2-style regression a·T2 + b·|∇T2| + c, fitted for least absolute error on training cases
  (and T2 from the iUS by the same recipe);
- plain U-Nets (``train --family unet``), the models, and the oracle: median of the draws for MAE,
  their mean for PSNR, its squared error times K / (K + 1) with K the draws that see a voxel. The
  oracle is scored where it is known; "there" rows give the regression and the models on those
  voxels, and parts of the gap are taken there;
- after ``draw --physics train``, a second oracle that knows the anatomy but only the training's
  physics: no model trained on that can be expected to do better.

Parts of the gap are (simple - model) / (simple - best), on the means over cases. "level matched"
rows shift every image by the median of its error first: the held-out compression lifts the whole
image, which nothing in a T2 or in the training data tells.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from core.case import Case  # noqa: E402
from core.image.intensity import Normaliser  # noqa: E402
from core.image.metrics import mae, psnr  # noqa: E402
from core.io import read  # noqa: E402
from core.models.bundle import find  # noqa: E402
from core.models.weights import load  # noqa: E402
from core.synthesis.request import PreparedInput, Request, prepare_input  # noqa: E402
from core.synthesis.synthesize import Engine  # noqa: E402
from trainer.evaluation.statistics import summarise  # noqa: E402

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
OTHER = {"iUS": "T2", "T2": "iUS"}
SUFFIX = {"test": "", "train": "-train"}
STEPS = 30  # of the reweighted least squares, enough to settle the third digit


def names(cohort: Path, count: int = 0) -> list[str]:
    found = sorted(p.name.removesuffix("-T2.nii.gz") for p in cohort.glob("*-T2.nii.gz"))
    return found[: count or None]


def load_case(cohort: Path, name: str) -> Case:
    return Case(name, {m: read(cohort / f"{name}-{m}.nii.gz") for m in OTHER})


def draw(args: argparse.Namespace) -> None:
    from core.simulator.case import redraw_ultrasound

    args.work.mkdir(parents=True, exist_ok=True)
    for name in names(args.test, args.cases):
        path = args.work / f"{name}{SUFFIX[args.physics]}.npz"
        if path.exists():
            continue
        meta = json.loads((args.test / f"{name}.json").read_text())
        truth = read(args.test / f"{name}-iUS.nii.gz").voxels
        inside = truth > 0
        maps = None if meta["anatomy"] == "procedural" else args.anatomy
        values = np.full((args.draws, int(inside.sum())), np.nan, np.float32)
        scans = redraw_ultrasound(
            meta["seed"],
            args.draws,
            spacing=meta["spacing_mm"],
            anatomy=maps,
            physics=meta["physics"],
            scan_physics=args.physics,
        )
        for n, scan in enumerate(scans):
            if scan.fov.shape != inside.shape:
                raise SystemExit(
                    f"{name}-iUS.nii.gz: expected the {scan.fov.shape} voxels its seed gives with "
                    f"this anatomy; found {inside.shape}. Give the --anatomy the cohort was made "
                    "from, or make it anew."
                )
            scaled = Normaliser.fit(scan.image, scan.fov).forward(scan.image, scan.fov)[inside]
            values[n] = np.where(scan.fov[inside], scaled, np.nan)
        seen_by = np.isfinite(values).sum(0)
        known = seen_by >= args.draws // 4
        part = path.with_suffix(".part.npz")
        np.savez(
            part,
            known=known,
            draws=seen_by[known],
            median=np.nanmedian(values[:, known], axis=0),
            mean=np.nanmean(values[:, known], axis=0),
        )
        os.replace(part, path)
        print(f"{name}: {known.mean():.3f} of the view seen by a quarter of the draws", flush=True)


def features(image: Floats, inside: Mask) -> Floats:
    """Return (n, 3): value, size of the gradient, 1, at the voxels inside."""
    filled = np.where(image > -1, image, image[inside].min())
    edge = ndimage.gaussian_gradient_magnitude(ndimage.gaussian_filter(filled, 0.5), 0.8)
    return np.stack([filled[inside], edge[inside], np.ones(int(inside.sum()))], axis=1)


def fit(x: Floats, y: Floats) -> Floats:
    """Return the coefficients of least absolute error, by reweighted least squares."""
    beta = np.linalg.lstsq(x, y, rcond=None)[0]
    for _ in range(STEPS):
        weight = 1 / np.maximum(np.abs(y - x @ beta), 1e-3)
        beta = np.linalg.solve((x * weight[:, None]).T @ x, x.T @ (weight * y))
    return beta


def seen(prepared: PreparedInput) -> Mask:
    """The voxels both images show."""
    return prepared.fov & (prepared.images["T2"] > -1) & (prepared.images["iUS"] > -1)


def laid_out(cohort: Path, name: str, engine: Engine) -> tuple[Case, PreparedInput]:
    case = load_case(cohort, name)
    return case, prepare_input(case, engine.bundle, Request(("iUS", "T2"), ("iUS", "T2")))


def predict(
    engine: Engine, case: Case, prepared: PreparedInput, subset: tuple[str, ...]
) -> dict[str, Floats]:
    from dataclasses import replace

    given = replace(prepared, images={m: prepared.images[m] for m in subset})
    result = engine.run(case, given, Request(subset, ("iUS", "T2")))
    return {
        m: prepared.normalisers[m].forward(v.voxels, prepared.fov)
        for m, v in result.volumes.items()
    }


def score(args: argparse.Namespace) -> None:
    engines = {Path(m).stem: _engine(m) for m in args.model}
    any_engine = next(iter(engines.values()))
    coefficients, means = _fit_on_training(args.train, any_engine, args.fit_cases)
    given = (text.partition(":") for text in args.unet)
    unets = {target: _engine(path) for target, _, path in given}
    rows: dict[str, dict[str, list[float]]] = {}

    def note(row: str, real: Floats, made: Floats, inside: Mask) -> None:
        values = {"mae": mae(real, made, inside), "psnr": psnr(real, made, inside)}
        for key, value in values.items():
            rows.setdefault(row, {}).setdefault(key, []).append(float(value))
        if row.startswith("T2 to iUS: there"):
            matched = made - np.median((made - real)[inside])
            matching = {"mae": mae(real, matched, inside), "psnr": psnr(real, matched, inside)}
            for key, value in matching.items():
                level_rows = rows.setdefault(f"{row}, level matched", {})
                level_rows.setdefault(key, []).append(float(value))

    for name in names(args.test, args.cases):
        case, prepared = laid_out(args.test, name, any_engine)
        inside = seen(prepared)
        oracle, trained = (
            _oracle(args.work / f"{name}{suffix}.npz", case, prepared, inside)
            for suffix in SUFFIX.values()
        )
        for target, source in OTHER.items():
            real, way = prepared.images[target], f"{source} to {target}"
            note(f"{way}: mean value", real, np.full_like(real, means[target]), inside)
            flat = np.full_like(real, np.median(real[inside]))
            note(f"{way}: own median", real, flat, inside)
            made = np.zeros_like(real)
            x = features(prepared.images[source], inside)
            made[inside] = np.clip(x @ coefficients[target], -1, 1)
            note(f"{way}: regression", real, made, inside)
            if oracle and target == "iUS":
                note(f"{way}: there, regression", real, made, oracle[2])
            if target in unets:
                made = predict(unets[target], case, prepared, (source,))[target]
                note(f"{way}: U-Net", real, made, inside)
        real = prepared.images["iUS"]
        for label, engine in engines.items():
            for subset in (("T2",), ("iUS",), ("iUS", "T2")):
                images = predict(engine, case, prepared, subset)
                for target, made in images.items():
                    row = f"{'+'.join(subset)} to {target}: {label}"
                    note(row, prepared.images[target], made, inside)
                if oracle and subset == ("T2",):
                    note(f"T2 to iUS: there, {label}", real, images["iUS"], oracle[2])
        if oracle:
            median, mean, there, draws = oracle
            level = psnr(real, mean, there) - 10 * np.log10(draws / (draws + 1))
            for key, value in (("mae", mae(real, median, there)), ("psnr", level)):
                rows.setdefault("T2 to iUS: there, oracle", {}).setdefault(key, []).append(value)
        if oracle and trained:
            both = oracle[2] & trained[2]
            note("T2 to iUS: there, oracle of the training's physics", real, trained[0], both)
        print(name, "done", file=sys.stderr, flush=True)
    _print(rows, list(engines))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


def _engine(name: str) -> Engine:
    bundle = find(name)
    assert bundle.path is not None
    return Engine(load(bundle.path)[1], bundle)


def _fit_on_training(
    cohort: Path, engine: Engine, count: int
) -> tuple[dict[str, Floats], dict[str, float]]:
    random = np.random.default_rng(0)
    xs: dict[str, list[Floats]] = {m: [] for m in OTHER}
    ys: dict[str, list[Floats]] = {m: [] for m in OTHER}
    for name in names(cohort, count):
        _, prepared = laid_out(cohort, name, engine)
        inside = seen(prepared)
        pick = random.choice(int(inside.sum()), min(5000, int(inside.sum())), replace=False)
        for target, source in OTHER.items():
            xs[target].append(features(prepared.images[source], inside)[pick])
            ys[target].append(prepared.images[target][inside][pick])
    fitted = {m: fit(np.concatenate(xs[m]), np.concatenate(ys[m])) for m in OTHER}
    return fitted, {m: float(np.concatenate(ys[m]).mean()) for m in OTHER}


def _oracle(
    path: Path, case: Case, prepared: PreparedInput, inside: Mask
) -> tuple[Floats, Floats, Mask, float] | None:
    """Return the draws' median and mean, the voxels where they are known, and mean K there.

    None without draws of the case, or where they see too little of what the images show.
    """
    if not path.exists():
        return None
    with np.load(path) as found:
        known, median, mean, draws = (found[k] for k in ("known", "median", "mean", "draws"))
    own = case.volumes["iUS"].canonical()
    guesses = []
    for values in (median, mean):
        volume = np.full(own.voxels.shape, np.nan, np.float32)
        where = np.flatnonzero(own.voxels.ravel() > 0)[known]
        volume.ravel()[where] = values
        if not own.grid.same_as(prepared.grid):
            start = np.rint(own.grid.to_voxel(prepared.grid.to_world((0, 0, 0)))).astype(int)
            volume = _crop(volume, start, prepared.grid.shape)
        guesses.append(volume)
    there = inside & np.isfinite(guesses[0])
    if there.sum() < 1000:
        return None
    return np.nan_to_num(guesses[0]), np.nan_to_num(guesses[1]), there, float(draws.mean())


def _crop(volume: Floats, start: NDArray[np.intp], shape: tuple[int, int, int]) -> Floats:
    out = np.full(shape, np.nan, np.float32)
    low = np.maximum(start, 0)
    high = np.minimum(start + shape, volume.shape)
    out[tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))] = volume[
        tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    ]
    return out


def _print(rows: Mapping[str, Mapping[str, list[float]]], models: list[str]) -> None:
    for row in sorted(rows):
        cells = []
        for key in ("mae", "psnr"):
            s = summarise(rows[row][key])
            digits = 4 if key == "mae" else 2
            cells.append(f"{key} {s.mean:.{digits}f} [{s.low:.{digits}f}, {s.high:.{digits}f}]")
        print(f"| {row} | {' | '.join(cells)} | {s.cases} |")

    def level(row: str) -> float:
        return float(np.mean(rows[row]["mae"])) if row in rows else np.nan

    for label in models:
        simple, best = level("T2 to iUS: there, regression"), level("T2 to iUS: there, oracle")
        part = (simple - level(f"T2 to iUS: there, {label}")) / (simple - best)
        print(f"{label}, T2 to iUS: {part:.0%} of the gap from the regression to the oracle")
        best = level("T2 to iUS: there, oracle of the training's physics")
        part = (simple - level(f"T2 to iUS: there, {label}")) / (simple - best)
        print(f"{label}, T2 to iUS: {part:.0%} of it to the oracle of the training's physics")
        simple, best = level("iUS to T2: mean value"), level("iUS to T2: U-Net")
        part = (simple - level(f"iUS to T2: {label}")) / (simple - best)
        print(f"{label}, iUS to T2: {part:.0%} of the gap from the mean value to the U-Net")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("draw", "score"))
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--train", type=Path)
    parser.add_argument("--anatomy", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=64)
    parser.add_argument("--physics", choices=tuple(SUFFIX), default="test")
    parser.add_argument("--cases", type=int, default=12)
    parser.add_argument("--fit-cases", type=int, default=20)
    parser.add_argument("--model", action="append", default=[])
    parser.add_argument("--unet", action="append", default=[], metavar="TARGET:FILE")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    (draw if args.what == "draw" else score)(args)


if __name__ == "__main__":
    main()
