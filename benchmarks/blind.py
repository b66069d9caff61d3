"""A sheet of true and synthetic ultrasound, shuffled, for somebody to tell apart without the key.

Usage: python benchmarks/blind.py COHORT OUT [--model NAME] [--crops 24] [--seed 0]. Half of the
crops are of the cases' own ultrasound, half of samples that the model drew of other cases' T2.
OUT.png is the sheet, OUT.json the key: look at the sheet first, write down what you take for
synthetic, then compare.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from core.case import Case
from core.io import read
from core.models.bundle import find
from core.models.weights import load
from core.synthesis.request import Request, prepare_input
from core.synthesis.synthesize import Engine

SIDE = 72
ZOOM = 3
COLUMNS = 6


def crops(case: str, folder: Path, engine: Engine, random: np.random.Generator, synthetic: bool,
          count: int) -> list[NDArray[np.float32]]:  # fmt: skip
    """Return (SIDE, SIDE) crops in [-1, 1] from inside the field of view of one case."""
    volumes = {m: read(folder / f"{case}-{m}.nii.gz") for m in ("T2", "iUS")}
    loaded = Case(case, volumes)
    prepared = prepare_input(loaded, engine.bundle, Request(("iUS", "T2"), ("iUS",)))
    image = prepared.images["iUS"]
    planes, inside = prepared.slices(image), prepared.slices(prepared.fov)
    good = np.flatnonzero(inside.sum(axis=(1, 2)) > 0.6 * inside.sum(axis=(1, 2)).max())
    chosen = random.choice(good, count, replace=False)
    if synthetic:
        tiles = tuple(t for t in prepared.tiles if t.index in set(chosen.tolist()))
        request = Request(("T2",), ("iUS",), temperature=1.0, seed=int(random.integers(1 << 30)))
        alone = prepare_input(Case(case, volumes), engine.bundle, request)
        made = engine.run(loaded, replace(alone, tiles=tiles, fov=prepared.fov), request)
        values = prepared.normalisers["iUS"].forward(made.volumes["iUS"].voxels, prepared.fov)
        planes = prepared.slices(values)
    found = []
    for index in chosen:
        places = np.argwhere(inside[index])
        middle = places.mean(axis=0).astype(int)
        corner = np.clip(middle - SIDE // 2, 0, np.array(inside[index].shape) - SIDE)
        cut = planes[index][corner[0] : corner[0] + SIDE, corner[1] : corner[1] + SIDE]
        found.append(np.rot90(cut).astype(np.float32))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="simulated-0.5mm")
    parser.add_argument("--crops", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    bundle = find(args.model)
    assert bundle.path is not None
    engine = Engine(load(bundle.path)[1], bundle)
    random = np.random.default_rng(args.seed)
    names = sorted(p.name.removesuffix("-T2.nii.gz") for p in args.cohort.glob("*-T2.nii.gz"))
    names = [str(n) for n in random.permutation(names)[: args.crops // 2]]
    shown: list[tuple[bool, str, NDArray[np.float32]]] = []
    for n, name in enumerate(names):
        synthetic = n % 2 == 0
        for cut in crops(name, args.cohort, engine, random, synthetic, 2):
            shown.append((synthetic, name, cut))
        print(f"{n + 1} of {len(names)}", file=sys.stderr, flush=True)
    order = random.permutation(len(shown))
    rows = -(-len(shown) // COLUMNS)
    cell = SIDE * ZOOM + 24
    sheet = Image.new("L", (COLUMNS * cell, rows * cell))
    draw = ImageDraw.Draw(sheet)
    for place, which in enumerate(order):
        left, top = place % COLUMNS * cell, place // COLUMNS * cell
        grey = np.clip((shown[which][2] + 1) * 127.5, 0, 255).astype(np.uint8)
        picture = Image.fromarray(grey).resize((SIDE * ZOOM, SIDE * ZOOM), Image.Resampling.BICUBIC)
        sheet.paste(picture, (left + 4, top + 20))
        draw.text((left + 6, top + 4), str(place + 1), fill=255)
    sheet.save(args.out.with_suffix(".png"))
    key = [{"crop": n + 1, "synthetic": shown[w][0], "case": shown[w][1]}
           for n, w in enumerate(order)]  # fmt: skip
    args.out.with_suffix(".json").write_text(json.dumps(key, indent=1))


if __name__ == "__main__":
    main()
