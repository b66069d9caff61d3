"""The simulator: pairs per minute, and what each of its stages does to the ultrasound.

Usage: python -m benchmarks.simulator [--anatomy DIR] [--spacing 0.5] [--cases N] [--pictures DIR].
DIR holds whole-head label maps or tissue maps, as for ``mhvae-studio simulate``. With --pictures it
also writes the pictures of docs/simulator.md. Run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from core.grid import Grid
from core.image.resample import resample
from core.simulator import Tissue, simulate_case
from core.simulator.case import boxes, crop, draw_head, redraw_ultrasound, t2_grid_of
from core.simulator.noise import Field
from core.simulator.physics import Physics, draw_physics
from core.simulator.placement import jittered, place_probe
from core.simulator.probe import Probe
from core.simulator.t2 import render_t2
from core.simulator.ultrasound import (
    Acoustics,
    Scan,
    acoustics_of,
    render_ultrasound,
    simulate_sweep,
)

Array = NDArray[np.float32]
SEED = 5042
HALF_MM = 45.0
"""Half a side of what a picture shows."""


@dataclass(frozen=True, eq=False)
class Stage:
    """One case taken apart.

    Attributes:
        grid: of the part of the images that sound may reach.
        labels: (i, j, k) ``Tissue`` values there.
        t2: (i, j, k) the T2, brought from its own grid.
        physics, acoustics: scanner and tissue.
        probes: three sweeps; all but one row of the table use the first alone.
    """

    grid: Grid
    labels: NDArray[np.uint8]
    t2: Field
    physics: Physics
    acoustics: Acoustics
    probes: list[Probe]


def take_apart(anatomy: Path | None, spacing: float) -> Stage:
    rng = [np.random.default_rng(s) for s in np.random.SeedSequence(SEED).spawn(7)]
    head = draw_head(SEED, anatomy, "train", True)
    rough = head.rough()
    physics = draw_physics(rng[4], "train")
    probe = place_probe(rng[5], rough, physics)
    probes = [probe, jittered(rng[5], probe), jittered(rng[5], probe)]
    whole, inner = boxes(probes, spacing)
    near = head.on(crop(whole, inner))
    t2_grid = t2_grid_of(rng[3], rough, near.grid, False)
    t2, _ = render_t2(rng[3], head.on(t2_grid))
    return Stage(
        near.grid,
        near.labels(),
        resample(t2, t2_grid, near.grid),
        physics,
        acoustics_of(rng[4], near, physics),
        probes,
    )


def scan(
    stage: Stage,
    change: Callable[[Physics], Physics] = lambda p: p,
    tissue: Callable[[Acoustics], Acoustics] = lambda a: a,
    sweeps: int = 1,
) -> Scan:
    return render_ultrasound(
        np.random.default_rng(7),
        tissue(stage.acoustics),
        change(stage.physics),
        stage.probes[:sweeps],
        stage.grid,
        mismatch_mm=0.0,
    )


def ablations(stage: Stage) -> dict[str, tuple[Array, NDArray[np.bool_]]]:
    def flat(a: Acoustics) -> Acoustics:
        return replace(a, amplitude=np.full_like(a.amplitude, 1.0))

    thin = {"axial_mm": 0.02, "lateral_mm": 0.02, "elevation_mm": 0.02}
    whole = scan(stage)
    found = {
        "even scatterers": scan(stage, tissue=flat),
        "no interfaces": scan(stage, lambda p: replace(p, specular=0.0)),
        "no attenuation": scan(stage, lambda p: replace(p, attenuation_db=0.0)),
        "no point spread": scan(stage, lambda p: replace(p, **thin)),
        "all the speckle": scan(stage, lambda p: replace(p, speckle=1.0)),
        "120 dB compression": scan(stage, lambda p: replace(p, compression_db=120.0)),
        "three sweeps": scan(stage, sweeps=3),
    }
    return {
        "whole": (whole.image, whole.fov),
        **{name: (s.image, s.fov) for name, s in found.items()},
        "expected echo": (whole.expected, whole.fov),
    }


def describe(stage: Stage, image: Array, fov: NDArray[np.bool_]) -> dict[str, float | None]:
    """Contrasts and speckle in display units 0-255; None where a tissue is not in view."""

    def level(tissue: Tissue) -> float:
        there = image[fov & (stage.labels == tissue)]
        return float(np.median(there)) if there.size else np.nan

    white = image[fov & (stage.labels == Tissue.WHITE)]
    grey = level(Tissue.GREY)
    found = {
        "white-grey": level(Tissue.WHITE) - grey,
        "sulcus-grey": level(Tissue.SULCUS) - grey,
        "ventricle-grey": level(Tissue.VENTRICLE) - grey,
        "tumour-white": level(Tissue.TUMOUR_CORE) - level(Tissue.WHITE),
        "sd log white": float(np.log(np.maximum(white, 1)).std()) if white.size else np.nan,
    }
    digits = {"sd log white": 3}
    return {k: round(v, digits.get(k, 1)) if np.isfinite(v) else None for k, v in found.items()}


def cut(volume: Array, centre: NDArray[np.int_], top: float, spacing: float) -> Array:
    """Return the axial, coronal and sagittal planes through a voxel, one above the other, 0-1."""
    half = round(HALF_MM / spacing)
    padded = np.pad(volume, half)
    box = [slice(c, c + 2 * half) for c in centre]
    planes = []
    for axis in (2, 1, 0):
        at: list[Any] = list(box)
        at[axis] = centre[axis] + half
        planes.append(np.rot90(padded[tuple(at)]))
    return np.clip(np.vstack(planes) / top, 0, 1).astype(np.float32)


def save_row(columns: dict[str, Array], path: Path) -> None:
    """Write grey pictures of one size side by side, each under its name."""
    bar, gap = 16, 4
    arrays = [np.asarray(Image.fromarray((c * 255).astype(np.uint8))) for c in columns.values()]
    height = max(a.shape[0] for a in arrays) + bar
    width = sum(a.shape[1] + gap for a in arrays)
    sheet = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(sheet)
    left = 0
    for name, array in zip(columns, arrays, strict=True):
        sheet.paste(Image.fromarray(array), (left, bar))
        draw.text((left + 2, 2), name, fill=255)
        left += array.shape[1] + gap
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, optimize=True)


def pictures(stage: Stage, found: dict[str, tuple[Array, NDArray[np.bool_]]], out: Path) -> None:
    image, fov = found["whole"]
    spacing = float(stage.grid.spacing[0])
    centre = np.median(np.argwhere(fov), axis=0).astype(int)
    sweep = simulate_sweep(
        np.random.default_rng(7), stage.acoustics, stage.physics, stage.probes[0], None
    )
    shown = sweep.images[0]
    frame = shown[:, :, shown.shape[2] // 2]
    height = 6 * round(HALF_MM / spacing)
    beam = np.zeros((height, max(frame.shape[1], 120)), np.float32)
    beam[: min(frame.shape[0], height), : frame.shape[1]] = frame[:height]
    top = float(np.percentile(image[fov], 99.9))
    decibel = np.clip(20 * np.log10(stage.acoustics.amplitude) + 30, 0, 55).astype(np.float32)
    labels = stage.labels.astype(np.float32)
    impedance = stage.acoustics.impedance - np.float32(1.48)
    save_row(
        {
            "tissue labels": cut(labels, centre, float(max(Tissue)), spacing),
            "T2": cut(stage.t2, centre, float(np.percentile(stage.t2[fov], 99.7)), spacing),
            "echo strength, dB": cut(decibel, centre, 55.0, spacing),
            "impedance": cut(impedance, centre, 0.3, spacing),
            "one frame of beams": beam,
            "iUS": cut(image, centre, top, spacing),
            "expected echo": cut(found["expected echo"][0], centre, 255.0, spacing),
        },
        out / "simulator-stages.png",
    )
    save_row(
        {
            name: cut(i, centre, 255.0 if name == "expected echo" else top, spacing)
            for name, (i, _) in found.items()
        },
        out / "simulator-ablation.png",
    )


def gallery(anatomy: Path | None, spacing: float, out: Path) -> None:
    """Write T2, iUS and expected echo of three cases: training, formulas, held-out physics."""
    columns: dict[str, Array] = {}
    for seed, physics, maps in (
        (5050, "train", anatomy),
        (5007, "train", None),
        (5024, "test", anatomy),
    ):
        case = simulate_case(
            seed, spacing=spacing, anatomy=maps, physics="test" if physics == "test" else "train"
        )
        assert case.expected is not None
        fov, grid = case.fov, case.ius.grid
        centre = np.median(np.argwhere(fov), axis=0).astype(int)
        t2 = resample(case.t2.voxels, case.t2.grid, grid)
        source = "maps" if maps else "formulas"
        top = float(np.percentile(t2[fov], 99.7))
        columns[f"T2 {seed} {source}"] = cut(t2, centre, top, spacing)
        top = float(np.percentile(case.ius.voxels[fov], 99.9))
        columns[f"iUS {seed} {physics}"] = cut(case.ius.voxels, centre, top, spacing)
        columns[f"expected echo {seed}"] = cut(case.expected.voxels, centre, 255.0, spacing)
    save_row(columns, out / "simulator-gallery.png")


def speed(anatomy: Path | None, spacing: float, cases: int) -> dict[str, Any]:
    """Time new pairs, and new scans of the first one's head."""
    wall, cpu, again = [], [], []
    for seed in range(6000, 6000 + cases):
        start, busy = time.perf_counter(), time.process_time()
        simulate_case(seed, spacing=spacing, anatomy=anatomy)
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - busy)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    scans = redraw_ultrasound(6000, 4, spacing=spacing, anatomy=anatomy, physics="train")
    next(scans)  # builds the head
    for _ in range(3):
        busy = time.process_time()
        next(scans)
        again.append(time.process_time() - busy)
    return {
        f"seconds per pair at {spacing:g} mm": [round(t, 1) for t in wall],
        "CPU seconds per pair": [round(t, 1) for t in cpu],
        "pairs per minute of one core": round(60 * len(cpu) / sum(cpu), 2),
        "peak memory, MB": round(peak),
        "CPU seconds per new scan of a head": [round(t, 1) for t in again],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--anatomy", type=Path)
    parser.add_argument("--spacing", type=float, default=0.5)
    parser.add_argument("--cases", type=int, default=4)
    parser.add_argument("--pictures", type=Path)
    args = parser.parse_args()
    result: dict[str, Any] = speed(args.anatomy, args.spacing, args.cases) if args.cases else {}
    stage = take_apart(args.anatomy, args.spacing)
    found = ablations(stage)
    result["ablation"] = {name: describe(stage, *pair) for name, pair in found.items()}
    print(json.dumps(result, indent=1))
    if args.pictures:
        pictures(stage, found, args.pictures)
        gallery(args.anatomy, args.spacing, args.pictures)


if __name__ == "__main__":
    main()
