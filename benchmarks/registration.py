"""Registration of simulated pairs moved by known offsets: target registration error, side by side.

Usage: python benchmarks/registration.py OUT [--cases 30] [--seed 90100] [--physics test]
[--methods LC2,"mutual information",elastix] [--model NAME|FILE] [--anatomy DIR]. Even cases are
moved rigidly (3 to 10 mm, 3 to 10 degrees about the middle of the field of view) and registered
rigidly; odd cases also get up to 5 % of scale and shear and are registered affinely. Cases and
results are kept in OUT, so a stopped run goes on where it was; the last lines are the table.
Seconds are processor seconds of one thread. elastix (if installed) runs with the parameters written
below, inside the same field of view.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from core.image.resample import resample  # noqa: E402
from core.io import read, write  # noqa: E402
from core.registration.alignment import Matrix, inverted, moved  # noqa: E402
from core.registration.methods import METHODS  # noqa: E402
from core.registration.pair import swept_region  # noqa: E402
from core.registration.register import register  # noqa: E402
from core.simulator import simulate_case  # noqa: E402
from core.simulator.cohort import save_case  # noqa: E402
from core.volume import Volume  # noqa: E402

FAILED_MM = 5.0
ELASTIX = """(FixedInternalImagePixelType "float") (MovingInternalImagePixelType "float")
(Registration "MultiResolutionRegistration") (Metric "AdvancedMattesMutualInformation")
(Optimizer "AdaptiveStochasticGradientDescent") (Interpolator "LinearInterpolator")
(ResampleInterpolator "FinalBSplineInterpolator") (Resampler "DefaultResampler")
(FixedImagePyramid "FixedSmoothingImagePyramid") (MovingImagePyramid "MovingSmoothingImagePyramid")
(AutomaticTransformInitialization "false") (AutomaticScalesEstimation "true")
(HowToCombineTransforms "Compose") (NumberOfResolutions 4) (MaximumNumberOfIterations 250)
(NumberOfSpatialSamples 2048) (NewSamplesEveryIteration "true") (ImageSampler "RandomCoordinate")
(NumberOfHistogramBins 32) (RandomSeed 1) (ErodeMask "false") (WriteResultImage "false")
(Transform "{transform}")
"""


def offset_of(seed: int, affine: bool, centre: NDArray[np.float64]) -> Matrix:
    """Draw a known offset (4, 4): 3-10 mm, 3-10 degrees, and 5 % of scale and shear if affine."""
    random = np.random.default_rng([seed, 77])

    def direction() -> NDArray[np.float64]:
        v = random.normal(size=3)
        return np.asarray(v / np.linalg.norm(v))

    shift = direction() * random.uniform(3, 10)
    angle, (x, y, z) = np.radians(random.uniform(3, 10)), direction()
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    linear = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    if affine:
        linear = linear @ (np.eye(3) + random.uniform(-0.05, 0.05, (3, 3)))
    out = np.eye(4)
    out[:3, :3] = linear
    out[:3, 3] = centre + shift - linear @ centre
    return out


def error_mm(ius: Volume, found: Matrix, offset: Matrix) -> float:
    """Return the mean error over points of the field of view, mm."""
    points = ius.grid.to_world(np.argwhere(swept_region(ius))[::50])
    whole = found @ offset
    back = points @ whole[:3, :3].T + whole[:3, 3]
    return float(np.linalg.norm(back - points, axis=1).mean())


def by_elastix(ius: Volume, t2: Volume, kind: str, folder: Path) -> Matrix:
    """Register with the elastix program; rigid, then affine on top."""
    folder.mkdir(parents=True, exist_ok=True)
    mask = replace(ius, voxels=swept_region(ius).astype(np.float32))
    # ITK refuses sheared axes, so elastix gets the moved volume resampled.
    still = replace(t2, voxels=resample(t2.voxels, t2.grid, ius.grid), grid=ius.grid)
    for name, volume in (("fixed", ius), ("moving", still)):
        write(volume, folder / f"{name}.nii")
    write(mask, folder / "mask.nii")
    command = ["elastix", "-f", "fixed.nii", "-m", "moving.nii", "-fMask", "mask.nii"]
    command += ["-out", ".", "-threads", "1"]
    for name, transform in (("rigid", "EulerTransform"), ("affine", "AffineTransform")):
        text = ELASTIX.format(transform=transform)
        (folder / f"{name}.txt").write_text(text.replace(") (", ")\n("))
        command += ["-p", f"{name}.txt"]
        if name == kind:
            break
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    lps = np.eye(4)
    for stage in range(2 if kind == "affine" else 1):
        lps = elastix_matrix(folder / f"TransformParameters.{stage}.txt") @ lps
    flip = np.diag([-1.0, -1.0, 1.0, 1.0])
    return inverted(flip @ lps @ flip)


def elastix_matrix(path: Path) -> Matrix:
    """Return a parameter file's map (4, 4), fixed → moving in LPS mm."""
    values: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        words = line.strip("() ").split()
        if line.startswith("("):
            values[words[0]] = words[1:]
    numbers = [float(v) for v in values["TransformParameters"]]
    centre = np.array([float(v) for v in values["CenterOfRotationPoint"]])
    if len(numbers) == 12:
        linear, shift = np.array(numbers[:9]).reshape(3, 3), np.array(numbers[9:])
    else:
        import SimpleITK as sitk

        euler = sitk.Euler3DTransform((0.0, 0.0, 0.0), *numbers[:3])
        linear, shift = np.array(euler.GetMatrix()).reshape(3, 3), np.array(numbers[3:])
    out = np.eye(4)
    out[:3, :3] = linear
    out[:3, 3] = centre + shift - linear @ centre
    return out


def case_of(seed: int, physics: str, out: Path, anatomy: Path | None) -> tuple[Volume, Volume]:
    """Return (iUS, T2 of the whole head) of a simulated case, made once."""
    name = f"Case{seed:03d}"
    if not (out / f"{name}.json").is_file():
        save_case(
            simulate_case(
                seed,
                spacing=1.0,
                anatomy=anatomy,
                physics=physics,  # type: ignore[arg-type]
                mismatch=False,
                whole_head=True,
            ),
            out,
            name,
        )
    ius, t2 = (replace(read(out / f"{name}-{m}.nii.gz"), modality=m) for m in ("iUS", "T2"))
    return ius, t2


def one(
    seed: int,
    method: str,
    physics: str,
    out: Path,
    through: Callable[..., Any] | None,
    anatomy: Path | None,
) -> dict[str, Any]:
    """Register one case by one method and measure it."""
    ius, t2 = case_of(seed, physics, out / physics, anatomy)
    centre = ius.grid.to_world(np.argwhere(swept_region(ius)).mean(0))
    affine = seed % 2 == 1
    offset, kind = offset_of(seed, affine, centre), "affine" if affine else "rigid"
    there = moved(t2, offset)
    began = time.process_time() + os.times().children_user
    doubtful, reason = False, ""
    if method == "elastix":
        matrix = by_elastix(ius, there, kind, out / "elastix" / f"{seed}")
    else:
        if method in METHODS:
            result = register(ius, there, kind=kind, method=method)
        else:
            assert through is not None
            result = through(ius, there, kind=kind)
        matrix, doubtful, reason = result.alignment.matrix, result.doubtful, result.reason
    seconds = time.process_time() + os.times().children_user - began
    return {
        "seed": seed,
        "method": method,
        "kind": kind,
        "before_mm": round(error_mm(ius, np.eye(4), offset), 3),
        "tre_mm": round(error_mm(ius, matrix, offset), 3),
        "doubtful": doubtful,
        "reason": reason,
        "cpu_s": round(seconds, 1),
    }


def table(rows: list[dict[str, Any]]) -> None:
    for kind in ("rigid", "affine", "all"):
        print(f"\n{kind}: | method | cases | before | median | 90 % | > 5 mm | of them flagged |"
              " flagged though < 5 mm | s |")  # fmt: skip
        for method in dict.fromkeys(r["method"] for r in rows):
            mine = [r for r in rows if r["method"] == method and kind in (r["kind"], "all")]
            if not mine:
                continue
            tre = np.array([r["tre_mm"] for r in mine])
            bad, flag = tre > FAILED_MM, np.array([r["doubtful"] for r in mine])
            print(
                f"| {method} | {len(mine)} | {np.median([r['before_mm'] for r in mine]):.2f} | "
                f"{np.median(tre):.2f} | {np.percentile(tre, 90):.2f} | {bad.sum()} | "
                f"{(bad & flag).sum()} | {(~bad & flag).sum()} | "
                f"{np.median([r['cpu_s'] for r in mine]):.1f} |"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--cases", type=int, default=30)
    parser.add_argument("--seed", type=int, default=90100)
    parser.add_argument("--physics", default="test", choices=("train", "test"))
    parser.add_argument("--methods", default=f"{','.join(METHODS)},elastix")
    parser.add_argument("--model")
    parser.add_argument("--anatomy", type=Path, help="as for mhvae-studio simulate")
    args = parser.parse_args()
    (args.out / args.physics).mkdir(parents=True, exist_ok=True)
    kept = args.out / f"results-{args.physics}.json"
    rows = json.loads(kept.read_text()) if kept.is_file() else []
    through = None
    for seed in range(args.seed, args.seed + args.cases):
        for method in args.methods.split(","):
            if any(r["seed"] == seed and r["method"] == method for r in rows):
                continue
            if method not in (*METHODS, "elastix") and through is None:
                from core.registration.through_model import through_model

                through = through_model(args.model)
            rows.append(one(seed, method, args.physics, args.out, through, args.anatomy))
            print(rows[-1], flush=True)
            kept.write_text(json.dumps(rows, indent=1))
    table([r for r in rows if args.seed <= r["seed"] < args.seed + args.cases])


if __name__ == "__main__":
    main()
