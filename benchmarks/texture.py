"""Does the synthetic ultrasound look like ultrasound: speckle, sharpness, honest spread, slices.

Usage: python benchmarks/texture.py COHORT --model NAME|FILE… [--unet FILE] [--cases 8] [--t2 FILE].
COHORT is written by ``mhvae-studio simulate`` (with labels). Inside the field of view, per case:

- **speckle**: sd of log display value in white matter two voxels from any other tissue, synthetic
  over truth; for the mean path and for one sample at temperature 1;
- **gradients**: similarity (2ab + c) / (a² + b² + c) of gradient sizes at scales of 1, 2 and 4
  voxels, c = (0.05 / scale)², averaged; 1 is the truth's own;
- **calibration**: part of the truth inside the central 50 % and 90 % of eight samples, taken as a
  normal distribution (0.50 and 0.90 would be right);
- **slices**: mean absolute difference of neighbouring slices, synthetic over truth;
- **there and back**: T2 to iUS to T2 beside the T2 itself, PSNR (model's range).

``--t2`` adds slices and there-and-back of a real T2, which has no true ultrasound: its slice
difference is then given over the mean of the simulated truths.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from core.case import Case  # noqa: E402
from core.image.metrics import psnr  # noqa: E402
from core.image.resample import resample  # noqa: E402
from core.io import read  # noqa: E402
from core.models.bundle import find  # noqa: E402
from core.models.weights import load  # noqa: E402
from core.simulator import Tissue  # noqa: E402
from core.synthesis.request import PreparedInput, Request, Synthesis, prepare_input  # noqa: E402
from core.synthesis.synthesize import Engine  # noqa: E402
from trainer.evaluation.statistics import summarise  # noqa: E402

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
SAMPLES = 8
NORMAL = {0.5: 0.6745, 0.9: 1.6449}


def engine_of(name: str) -> Engine:
    bundle = find(name)
    assert bundle.path is not None
    return Engine(load(bundle.path)[1], bundle)


def run(engine: Engine, case: Case, prepared: PreparedInput, **how: float) -> Synthesis:
    request = Request(("T2",), ("iUS",), **how)  # type: ignore[arg-type]
    given = replace(prepared, images={"T2": prepared.images["T2"]})
    return engine.run(case, given, request)


def in_range(prepared: PreparedInput, result: Synthesis) -> Floats:
    return prepared.normalisers["iUS"].forward(result.volumes["iUS"].voxels, prepared.fov)


def speckle(image: Floats, tissue: Mask) -> float:
    """Return the sd of the log of display values 1-255 in uniform tissue."""
    shown = np.clip((image[tissue] + 1) * 127.5, 1, 255)
    return float(np.log(shown).std())


def gradients(real: Floats, made: Floats, inside: Mask) -> float:
    found = []
    for scale in (1.0, 2.0, 4.0):
        a, b = (
            ndimage.gaussian_gradient_magnitude(
                np.where(inside, x, x[inside].mean()).astype(np.float32), scale
            )
            for x in (real, made)
        )
        deep = ndimage.binary_erosion(inside, iterations=round(2 * scale))
        c = (0.05 / scale) ** 2
        if deep.any():
            found.append(float(((2 * a * b + c) / (a**2 + b**2 + c))[deep].mean()))
    return float(np.mean(found))


def between_slices(image: Floats, inside: Mask, axis: int) -> float:
    step = np.abs(np.diff(image, axis=axis))
    both = np.logical_and(
        inside.take(range(1, inside.shape[axis]), axis),
        inside.take(range(inside.shape[axis] - 1), axis),
    )
    return float(step[both].mean())


def back(engine: Engine, case: Case, prepared: PreparedInput, made: Floats) -> float:
    """Return the PSNR of the T2 made from the ultrasound made from the T2."""
    given = replace(prepared, images={"iUS": np.where(prepared.fov, made, -1)})
    result = engine.run(case, given, Request(("iUS",), ("T2",)))
    again = prepared.normalisers["T2"].forward(result.volumes["T2"].voxels, prepared.fov)
    inside = prepared.fov & (prepared.images["T2"] > -1)
    return psnr(prepared.images["T2"], again, inside)


def one_case(engine: Engine, cohort: Path, name: str, sharpness_only: bool) -> dict[str, float]:
    case = Case(name, {m: read(cohort / f"{name}-{m}.nii.gz") for m in ("iUS", "T2")})
    prepared = prepare_input(case, engine.bundle, Request(("iUS", "T2"), ("iUS",)))
    real, fov = prepared.images["iUS"], prepared.fov
    made = in_range(prepared, run(engine, case, prepared))
    found = {"gradients": gradients(real, made, fov)}
    labels = read(cohort / f"{name}-labels.nii.gz").canonical()
    tissue = np.round(resample(labels.voxels, labels.grid, prepared.grid, order=0))
    white = ndimage.binary_erosion((tissue == Tissue.WHITE) & fov, iterations=2)
    enough = white.sum() > 500
    if enough:
        found["speckle"] = speckle(made, white) / speckle(real, white)
    found["slices"] = between_slices(made, fov, prepared.axis) / between_slices(
        real, fov, prepared.axis
    )
    found["truth_slices"] = between_slices(real, fov, prepared.axis)
    if sharpness_only:
        return found
    sample = in_range(prepared, run(engine, case, prepared, temperature=1.0))
    if enough:
        found["speckle_sampled"] = speckle(sample, white) / speckle(real, white)
    found["gradients_sampled"] = gradients(real, sample, fov)
    drawn = run(engine, case, prepared, temperature=1.0, samples=SAMPLES)
    normaliser = prepared.normalisers["iUS"]
    scale = 2 / (normaliser.high - normaliser.low)
    spread = drawn.spread["iUS"].voxels * scale * np.sqrt(1 + 1 / SAMPLES)
    off = np.abs(in_range(prepared, drawn) - real)
    for part, width in NORMAL.items():
        found[f"inside_{part:.0%}"] = float((off <= width * spread)[fov].mean())
    found["there_and_back"] = back(engine, case, prepared, made)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--model", action="append", required=True)
    parser.add_argument("--unet", type=Path, help="T2 to iUS, from train --family unet")
    parser.add_argument("--cases", type=int, default=8)
    parser.add_argument("--t2", type=Path)
    args = parser.parse_args()
    engines = {Path(m).stem: engine_of(m) for m in args.model}
    if args.unet:
        engines["U-Net"] = engine_of(args.unet)
    names = sorted(p.name.removesuffix("-T2.nii.gz") for p in args.cohort.glob("*-T2.nii.gz"))
    truth = np.nan
    for label, engine in engines.items():
        rows = [
            one_case(engine, args.cohort, name, label == "U-Net") for name in names[: args.cases]
        ]
        for key in dict.fromkeys(k for row in rows for k in row):
            s = summarise([row.get(key, np.nan) for row in rows])
            print(f"{label}: {key} {s.mean:.3f} [{s.low:.3f}, {s.high:.3f}] ({s.cases} cases)")
        truth = float(np.mean([row["truth_slices"] for row in rows]))
    if args.t2:
        for label, engine in engines.items():
            if label == "U-Net":
                continue
            case = Case("real", {"T2": read(args.t2)})
            prepared = prepare_input(case, engine.bundle, Request(("T2",), ("iUS",)))
            made = in_range(prepared, run(engine, case, prepared))
            step = between_slices(made, prepared.fov, prepared.axis) / truth
            print(f"{label}, real T2: slices {step:.3f} of the simulated truth's")
            print(f"{label}, real T2: there and back {back(engine, case, prepared, made):.2f} dB")


if __name__ == "__main__":
    main()
