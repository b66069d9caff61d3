"""How much of a cohort's ultrasound could be told from its tissues: three bounds.

Usage: python benchmarks/predictable.py COHORT [--cases 30] [--spacing 1.0]

COHORT is a folder written by ``mhvae-studio simulate``. Images are normalised as in training. Mean
absolute error inside the field of view, of what a model could say that knows

- the case's own median and nothing else,
- the median of every tissue in that case,
- the median of every tissue over all cases,

for the ultrasound and for the expected echo, which is what training aims at where the ultrasound is
missing. "Explained" is the part of the first error that the tissues take away.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from core.image.intensity import Normaliser  # noqa: E402
from core.image.preprocess import image_on, measure, working_grid  # noqa: E402
from core.image.resample import resample  # noqa: E402
from core.io import read  # noqa: E402

PERCENTILES = (0.0, 99.95)
DISPLAY = Normaliser(0.0, 255.0)


def load(cohort: Path, stem: str, spacing: float) -> tuple[dict[str, NDArray[np.float32]], ...]:
    """Return image kind → (n,) values in the field of view, and the tissues there as one entry."""
    ius = read(cohort / f"{stem}-iUS.nii.gz").canonical()
    measured = measure(ius, PERCENTILES)
    grid = working_grid(ius, (spacing,) * 3)
    image, fov = image_on(measured, grid)
    labels = read(cohort / f"{stem}-labels.nii.gz").canonical()
    tissue = resample(labels.voxels, labels.grid, grid, order=0)[fov]
    images = {"ultrasound": image[fov]}
    path = cohort / f"{stem}-iUS-expected.nii.gz"
    if path.exists():
        expected = read(path).canonical()
        values = resample(expected.voxels, expected.grid, grid)
        images["expected echo"] = DISPLAY.forward(values, fov)[fov]
    return images, {"tissue": np.rint(tissue)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--cases", type=int, default=30)
    parser.add_argument("--spacing", type=float, default=1.0)
    args = parser.parse_args()
    stems = sorted(p.name.removesuffix("-iUS.nii.gz") for p in args.cohort.glob("*-iUS.nii.gz"))[
        : args.cases
    ]
    cases = [load(args.cohort, stem, args.spacing) for stem in stems]
    print(f"{len(cases)} cases at {args.spacing:g} mm; mean absolute error on [-1, 1]")
    for kind in cases[0][0]:
        having = [(i[kind], t["tissue"]) for i, t in cases if kind in i]
        pooled = np.concatenate([v for v, _ in having])
        tissues = np.concatenate([t for _, t in having])
        fixed = {t: np.median(pooled[tissues == t]) for t in np.unique(tissues)}
        rows = []
        for values, tissue in having:
            own = {t: np.median(values[tissue == t]) for t in np.unique(tissue)}
            guesses = [
                np.full_like(values, np.median(values)),
                np.vectorize(own.get)(tissue),
                np.vectorize(fixed.get)(tissue),
            ]
            rows.append([float(np.abs(values - g).mean()) for g in guesses])
        median, tissue_own, tissue_fixed = np.mean(rows, axis=0)
        print(
            f"{kind:14} own median {median:.3f}; its tissues' medians {tissue_own:.3f} "
            f"(explained {1 - tissue_own / median:.0%}); all cases' tissues' medians "
            f"{tissue_fixed:.3f} ({1 - tissue_fixed / median:.0%})"
        )


if __name__ == "__main__":
    main()
