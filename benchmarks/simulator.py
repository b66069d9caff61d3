"""The simulator: pairs per minute, and what each of its stages does to the ultrasound.

Usage: python -m benchmarks.simulator [--anatomy DIR] [--cases N] [--pictures DIR]. With
--pictures it also writes the pictures of docs/simulator.md. Run it on an otherwise idle machine.
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

from core.simulator import Tissue, simulate_case
from core.simulator.anatomy import Anatomy, build_anatomy
from core.simulator.case import centred_grid
from core.simulator.noise import Field
from core.simulator.physics import Physics, draw_physics
from core.simulator.placement import place_probe
from core.simulator.probe import Probe
from core.simulator.t2 import render_t2
from core.simulator.template import load_template, procedural_template
from core.simulator.ultrasound import Acoustics, acoustics_of, render_ultrasound, simulate_sweep

Array = NDArray[np.float32]
SEED = 10541


@dataclass(frozen=True, eq=False)
class Stage:
    """One case taken apart."""

    head: Anatomy
    t2: Field
    physics: Physics
    acoustics: Acoustics
    probe: Probe


def take_apart(anatomy: Path | None) -> Stage:
    rng = [np.random.default_rng(s) for s in np.random.SeedSequence(SEED).spawn(7)]
    template = load_template(anatomy) if anatomy else procedural_template(rng[1])
    head = build_anatomy(rng[2], centred_grid((192, 192, 192), 1.0), template, tumour=True)
    t2, _ = render_t2(rng[3], head)
    physics = draw_physics(rng[4], "train")
    acoustics = acoustics_of(rng[4], head, physics)
    return Stage(head, t2, physics, acoustics, place_probe(rng[5], head, physics))


def scan(
    stage: Stage,
    change: Callable[[Physics], Physics] = lambda p: p,
    tissue: Callable[[Acoustics], Acoustics] = lambda a: a,
    sweeps: int | None = None,
) -> tuple[Array, NDArray[np.bool_]]:
    image, fov, _ = render_ultrasound(
        np.random.default_rng(7),
        tissue(stage.acoustics),
        change(stage.physics),
        stage.probe,
        mismatch_mm=0.0,
        sweeps=sweeps,
    )
    return image, fov


def ablations(stage: Stage) -> dict[str, tuple[Array, NDArray[np.bool_]]]:
    def flat(a: Acoustics) -> Acoustics:
        return replace(a, amplitude=np.full_like(a.amplitude, 1.0))

    thin = {"axial_mm": 0.02, "lateral_mm": 0.02, "elevation_mm": 0.02}
    return {
        "whole": scan(stage),
        "even scatterers": scan(stage, tissue=flat),
        "no interfaces": scan(stage, lambda p: replace(p, specular=0.0)),
        "no attenuation": scan(stage, lambda p: replace(p, attenuation_db=0.0)),
        "no point spread": scan(stage, lambda p: replace(p, **thin)),
        "120 dB compression": scan(stage, lambda p: replace(p, compression_db=120.0)),
        "one sweep": scan(stage, sweeps=1),
    }


def describe(stage: Stage, image: Array, fov: NDArray[np.bool_]) -> dict[str, float]:
    """Contrast against grey matter, and speckle, in display units 0-255."""
    labels = stage.head.labels()

    def level(tissue: Tissue) -> float:
        return float(np.median(image[fov & (labels == tissue)]))

    white = image[fov & (labels == Tissue.WHITE)]
    grey = level(Tissue.GREY)
    return {
        "sulcus-grey": round(level(Tissue.SULCUS) - grey, 1),
        "ventricle-grey": round(level(Tissue.VENTRICLE) - grey, 1),
        "tumour-white": round(level(Tissue.TUMOUR_CORE) - float(np.median(white)), 1),
        "sd log white": round(float(np.log(np.maximum(white, 1)).std()), 3),
    }


def cut(volume: Array, centre: NDArray[np.int_], top: float, half: int = 60) -> Array:
    """Return the axial, coronal and sagittal planes through a voxel, one above the other, 0-1."""
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
    centre = np.median(np.argwhere(fov), axis=0).astype(int)
    sweep = simulate_sweep(
        np.random.default_rng(7), stage.acoustics, stage.physics, stage.probe, None
    )
    frame = sweep.image[:, :, sweep.image.shape[2] // 2]
    beam = np.zeros((360, max(frame.shape[1], 120)), np.float32)
    beam[: min(frame.shape[0], 360), : frame.shape[1]] = frame[:360]
    top = float(np.percentile(image[fov], 99.9))
    decibel = np.clip(20 * np.log10(stage.acoustics.amplitude) + 30, 0, 55).astype(np.float32)
    save_row(
        {
            "tissue labels": cut(stage.head.labels().astype(np.float32), centre, 17.0),
            "T2": cut(stage.t2, centre, float(np.percentile(stage.t2[fov], 99.7))),
            "echo strength, dB": cut(decibel, centre, 55.0),
            "impedance": cut(stage.acoustics.impedance - np.float32(1.48), centre, 0.3),
            "one frame of beams": beam,
            "compounded iUS": cut(image, centre, top),
        },
        out / "simulator-stages.png",
    )
    save_row(
        {name: cut(i, centre, top) for name, (i, _) in found.items()},
        out / "simulator-ablation.png",
    )


def gallery(anatomy: Path | None, out: Path) -> None:
    """Write T2 and iUS of several cases: training physics, then held-out physics."""
    columns: dict[str, Array] = {}
    for seed, physics, maps in (
        (5004, "train", anatomy),
        (10541, "train", anatomy),
        (5007, "train", None),
        (5010, "test", anatomy),
    ):
        case = simulate_case(seed, anatomy=maps, physics="test" if physics == "test" else "train")
        centre = np.median(np.argwhere(case.fov), axis=0).astype(int)
        source = "maps" if maps else "formulas"
        top = float(np.percentile(case.t2.voxels[case.fov], 99.7))
        columns[f"T2 {seed} {source}"] = cut(case.t2.voxels, centre, top)
        top = float(np.percentile(case.ius.voxels[case.fov], 99.9))
        columns[f"{physics} {case.meta['ultrasound']} {seed}"] = cut(case.ius.voxels, centre, top)
    save_row(columns, out / "simulator-gallery.png")


def speed(anatomy: Path | None, cases: int) -> dict[str, Any]:
    if anatomy:
        load_template(anatomy)
    wall, cpu = [], []
    for seed in range(6000, 6000 + cases):
        start, busy = time.perf_counter(), time.process_time()
        simulate_case(seed, anatomy=anatomy)
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - busy)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "seconds per 192x192x192 pair": [round(t, 1) for t in wall],
        "CPU seconds per pair": [round(t, 1) for t in cpu],
        "pairs per minute of one core": round(60 * len(cpu) / sum(cpu), 2),
        "peak memory, MB": round(peak),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--anatomy", type=Path)
    parser.add_argument("--cases", type=int, default=4)
    parser.add_argument("--pictures", type=Path)
    args = parser.parse_args()
    result: dict[str, Any] = speed(args.anatomy, args.cases) if args.cases else {}
    stage = take_apart(args.anatomy)
    found = ablations(stage)
    result["ablation"] = {name: describe(stage, *pair) for name, pair in found.items()}
    print(json.dumps(result, indent=1))
    if args.pictures:
        pictures(stage, found, args.pictures)
        gallery(args.anatomy, args.pictures)


if __name__ == "__main__":
    main()
