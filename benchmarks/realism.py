"""How much simulated ultrasound looks like a given real one, in numbers, and side by side.

Usage: python benchmarks/realism.py REAL.nii.gz COHORT [--cases 20] [--sheet FILE.png]

Every volume is brought to 0.5 mm and to the model's scale (its 99.95th percentile is 255), inside
its field of view. A row is right when the real value lies inside the central 90 % of the cases.
"Even blocks" are the tenth of all 4 mm cubes whose grey values differ least for their brightness;
"near" and "far" are the outer thirds of the view along the direction in which contrast falls most.
The sheet shows three simulated and, between them, two slices of the real volume; it holds the real
volume and is for looking at, not for keeping.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage, stats

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from core.image.field_of_view import field_of_view  # noqa: E402
from core.image.resample import resample_inside  # noqa: E402
from core.io import read  # noqa: E402
from core.volume import Volume  # noqa: E402

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
SPACING = 0.5
BLOCK = 8
"""Side of a block in voxels: 4 mm."""


def on_scale(volume: Volume) -> tuple[Floats, Mask]:
    """Return 0-255 voxels at 0.5 mm and the field of view, cut to its box."""
    own = volume.canonical()
    grid = own.grid.with_spacing((SPACING,) * 3)
    voxels, fov = resample_inside(own.voxels, field_of_view(own), own.grid, grid)
    box = ndimage.find_objects(fov.astype(np.uint8))[0]
    voxels, fov = voxels[box], fov[box]
    return np.clip(voxels / np.percentile(voxels[fov], 99.95) * 255, 0, 255) * fov, fov


def blocks(voxels: Floats, fov: Mask) -> NDArray[np.float32]:
    """Return (n, 8, 8, 8) cubes that lie wholly inside the field of view."""
    cut = [n // BLOCK * BLOCK for n in voxels.shape]

    def cubes(array: NDArray[np.generic]) -> NDArray[np.generic]:
        part = array[: cut[0], : cut[1], : cut[2]]
        shape = [m for n in cut for m in (n // BLOCK, BLOCK)]
        return part.reshape(shape).transpose(0, 2, 4, 1, 3, 5).reshape(-1, BLOCK, BLOCK, BLOCK)

    whole = cubes(fov).reshape(-1, BLOCK**3).all(axis=1)
    return np.asarray(cubes(voxels)[whole], dtype=np.float32)


def half_lag(cubes: NDArray[np.float32]) -> float:
    """Return the distance in mm at which grey values correlate by a half, mean over the axes."""
    flat = cubes - cubes.mean(axis=(1, 2, 3), keepdims=True)
    variance = (flat**2).mean()
    found = []
    for axis in range(1, 4):
        size = flat.shape[axis]
        r = [
            float((flat.take(range(size - n), axis) * flat.take(range(n, size), axis)).mean())
            / float(variance)
            for n in range(4)
        ]
        below = next((n for n, value in enumerate(r) if value < 0.5), len(r) - 1)
        a, b = r[below - 1], r[below]
        found.append((below - 1 + (a - 0.5) / max(a - b, 1e-6)) * SPACING)
    return float(np.mean(found))


def near_and_far(voxels: Floats, fov: Mask) -> tuple[float, float]:
    """Return the standard deviation in the nearest and in the farthest third of the view."""
    places = np.argwhere(fov)
    values = voxels[fov]
    chosen = slice(None, None, max(1, len(values) // 60000))
    places, values = places[chosen] - places[chosen].mean(0), values[chosen]
    best = (1.0, float(values.std()), float(values.std()))
    for direction in np.array([[x, y, z] for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1)
                               if (x, y, z) != (0, 0, 0)]):  # fmt: skip
        along = places @ (direction / np.linalg.norm(direction))
        low, high = np.quantile(along, [1 / 3, 2 / 3])
        near, far = float(values[along < low].std()), float(values[along > high].std())
        if near / max(far, 1e-6) > best[0]:
            best = (near / max(far, 1e-6), near, far)
    return best[1], best[2]


def describe(voxels: Floats, fov: Mask) -> dict[str, float]:
    """Return the rows of the table for one volume."""
    inner = ndimage.binary_erosion(fov, iterations=2)
    values = voxels[inner]
    median = float(np.median(values))
    cubes = blocks(voxels, fov)
    spread = cubes.std(axis=(1, 2, 3)) / np.maximum(cubes.mean(axis=(1, 2, 3)), 1)
    even = cubes[np.argsort(spread)[: max(4, len(cubes) // 10)]]
    smooth = ndimage.gaussian_filter(voxels, 1.0)
    bright = (smooth > median + 40) & inner
    depth = ndimage.distance_transform_edt(bright)
    ridge = depth[bright & (depth == ndimage.maximum_filter(depth, 3))]
    near, far = near_and_far(voxels, inner)
    return {
        "median": median,
        "sd": float(values.std()),
        "skewness": float(stats.skew(values)),
        "black voxels, %": float((values < 5).mean() * 100),
        "bright structures, %": float(bright.sum() / inner.sum() * 100),
        "half width of bright structures, mm": float(np.median(ridge)) * SPACING
        if len(ridge)
        else 0.0,
        "sd / mean in even blocks": float(np.sort(spread)[: max(4, len(spread) // 10)].mean()),
        "speckle, half-correlation, mm": half_lag(even),
        "sd near": near,
        "sd far": far,
        "view, ml": float(fov.sum() * SPACING**3 / 1000),
    }


def slice_of(voxels: Floats, fov: Mask, size: int = 220) -> NDArray[np.uint8]:
    """Return the axial slice with most of the view, in the middle of a square."""
    k = int(np.argmax(fov.sum(axis=(0, 1))))
    picture = Image.fromarray(np.rot90(voxels[:, :, k]).astype(np.uint8))
    sheet = Image.new("L", (size, size))
    sheet.paste(picture, ((size - picture.width) // 2, (size - picture.height) // 2))
    return np.asarray(sheet)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("real", type=Path)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--sheet", type=Path)
    args = parser.parse_args()
    real = on_scale(read(args.real))
    target = describe(*real)
    rows: list[dict[str, float]] = []
    pictures: list[NDArray[np.uint8]] = []
    for path in sorted(args.cohort.glob("*-iUS.nii.gz"))[: args.cases]:
        voxels, fov = on_scale(read(path))
        rows.append(describe(voxels, fov))
        if len(pictures) < 3:
            pictures.append(slice_of(voxels, fov))
    print(f"{'':38}{'real':>8}{'5 %':>8}{'median':>8}{'95 %':>8}")
    for name, value in target.items():
        low, middle, high = np.percentile([r[name] for r in rows], [5, 50, 95])
        mark = "" if low <= value <= high else "  outside"
        print(f"{name:38}{value:8.2f}{low:8.2f}{middle:8.2f}{high:8.2f}{mark}")
    if args.sheet:
        voxels, fov = real
        shown = [
            np.rot90(slice_of(np.moveaxis(voxels, n, 2), np.moveaxis(fov, n, 2)), n) for n in (0, 1)
        ]
        order = [pictures[0], shown[0], pictures[1], shown[1], pictures[2]]
        Image.fromarray(np.hstack(order)).resize((2200, 440)).save(args.sheet)


if __name__ == "__main__":
    main()
