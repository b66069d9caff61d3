"""Volumes that are not what they are given as, from the simulator's heads and from formulas."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from core.grid import Grid
from core.image.field_of_view import field_of_view
from core.simulator.anatomy import Anatomy
from core.simulator.case import WITH_TUMOUR, boxes, draw_head, t2_grid_of
from core.simulator.physics import draw_physics
from core.simulator.placement import place_probe, sweeps_of
from core.simulator.tissues import Tissue
from core.volume import Volume, Voxels

SEEDS = {"test": 9500, "train": 71000}
"""First seeds of the heads drawn here: no cohort of the built-in models used them."""
BLOCK_MM = 12.0

_NAMES = (
    "csf", "grey", "white", "ventricle", "sulcus", "falx", "choroid", "vessel", "dura", "skull",
    "scalp", "deep_grey", "oedema", "tumour_core", "tumour_rim", "necrosis", "cyst", "wall",
)  # fmt: skip
CONTRASTS: Mapping[str, Mapping[Tissue, float]] = {
    kind: {Tissue.AIR: 0.0, **{Tissue[n.upper()]: v for n, v in zip(_NAMES, values, strict=True)}}
    for kind, values in {
        "T1": (.15, .5, .7, .15, .2, .3, .5, .3, .3, .1, .9, .58, .42, .4, .5, .25, .2, .35),
        "FLAIR": (.08, .55, .43, .08, .15, .2, .45, .12, .2, .06, .6, .48, .85, .8, .75, .5, .15,
                  .3),
        "CT": (.30, .345, .335, .30, .31, .37, .37, .36, .38, .95, .27, .345, .325, .35, .35, .32,
               .305, .33),
        "fetal": (.93, .5, .72, .95, .9, .4, .4, .2, .3, .15, .4, .5, .72, .72, .6, .8, .9, .6),
    }.items()
}  # fmt: skip
"""What tissues are like in other kinds of images, 0 to 1."""
JITTER = {"CT": 0.004}
"""How much these vary from volume to volume; 0.02 otherwise."""


def draw_head_of(number: int, anatomy: Path) -> tuple[Anatomy, Grid, np.random.Generator]:
    """Return the head of a number, its T2's grid (box or whole head), and the T2's generator."""
    physics = ("test", "train")[number % 2]
    seed = SEEDS[physics] + 4 * number
    streams = np.random.SeedSequence(seed).spawn(7)
    roll, _, _, image, sound, scan, _ = (np.random.default_rng(s) for s in streams)
    head = draw_head(seed, anatomy, physics, bool(roll.random() < WITH_TUMOUR))  # type: ignore[arg-type]
    rough = head.rough()
    probes = sweeps_of(scan, place_probe(scan, rough, draw_physics(sound, physics)))  # type: ignore[arg-type]
    grid = t2_grid_of(image, rough, boxes(probes, 0.5)[0], bool(number // 2 % 2))
    return head.on(grid), grid, image


def contrast_of(kind: str, rng: np.random.Generator) -> Mapping[Tissue, float] | None:
    """Draw the intensities of another kind of image; None for the T2, which draws its own."""
    if kind not in CONTRASTS:
        return None
    spread = JITTER.get(kind, 0.02)
    drawn = {t: max(v + float(rng.normal(0, spread)), 0.01) for t, v in CONTRASTS[kind].items()}
    return {**drawn, Tissue.AIR: 0.0}


def shrunk(grid: Grid, factor: float) -> Grid:
    """Return a grid with the same voxels, smaller in mm."""
    affine = grid.affine.copy()
    affine[:3] *= factor
    return Grid(grid.shape, affine)


def inverted(volume: Volume, seed: int) -> Volume:
    """Dark is bright and bright is dark, inside the image."""
    inside = field_of_view(volume)
    low, high = np.percentile(volume.voxels[inside], (0, 99.95))
    turned = low + high - np.clip(volume.voxels, low, high)
    return replace(volume, voxels=np.where(inside, turned, volume.voxels).astype(np.float32))


def noise(volume: Volume, seed: int) -> Volume:
    """The image's place filled with values that know nothing of each other."""
    inside = field_of_view(volume)
    drawn = np.abs(np.random.default_rng(seed).normal(300, 100, volume.voxels.shape)) + 1
    return replace(volume, voxels=np.where(inside, drawn, volume.voxels.min()).astype(np.float32))


def scrambled(volume: Volume, seed: int) -> Volume:
    """The image's voxels in another order."""
    inside = field_of_view(volume)
    voxels = volume.voxels.copy()
    voxels[inside] = np.random.default_rng(seed).permutation(voxels[inside])
    return replace(volume, voxels=voxels)


def blocks(volume: Volume, seed: int) -> Volume:
    """The image cut into cubes that lie in another order."""
    size = [max(2, round(BLOCK_MM / float(s))) for s in volume.grid.spacing]
    inside = field_of_view(volume)
    corners = [
        tuple(slice(at * n, at * n + n) for at, n in zip(place, size, strict=True))
        for place in np.ndindex(*(n // s for n, s in zip(volume.grid.shape, size, strict=True)))
    ]
    filled = [c for c in corners if inside[c].mean() > 0.9]
    voxels = volume.voxels.copy()
    for to, of in zip(filled, np.random.default_rng(seed).permutation(len(filled)), strict=True):
        voxels[to] = volume.voxels[filled[of]]
    return replace(volume, voxels=voxels)


DERIVED: Mapping[str, Callable[[Volume, int], Volume]] = {
    "inverted": inverted,
    "noise": noise,
    "voxels scrambled": scrambled,
    "blocks scrambled": blocks,
}
"""Name → what is made of an ordinary volume."""


def knee(seed: int) -> Volume:
    """Two bones with marrow, a gap of bright fluid, muscle and a rim of fat, as T2 shows them."""
    rng = np.random.default_rng(seed)
    shape = (150, 150, 160)
    x, y, z = (a.astype(np.float32) - n / 2 for a, n in zip(np.indices(shape), shape, strict=True))
    bend = rng.uniform(-0.2, 0.2)
    x = x - np.float32(bend) * z
    leg = np.hypot(x / 1.1, y)
    bone = np.hypot(x, y + np.float32(rng.uniform(-8, 8))) - (20 + 12 * np.exp(-((z / 22) ** 2)))
    gap = np.abs(z) < rng.uniform(2, 4)
    image: Voxels = np.zeros(shape, np.float32)
    image[leg < 62] = 0.85
    image[leg < 52] = 0.3
    image[bone < 0] = 0.08
    image[bone < -3] = 0.65
    image[gap & (bone < 2)] = 0.95
    image *= 1 + 0.04 * rng.standard_normal(shape, dtype=np.float32)
    image = np.hypot(image, 0.02 * np.abs(rng.standard_normal(shape, dtype=np.float32)))
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = [-n / 2 for n in shape]
    return Volume(np.asarray(image * 500, np.float32), Grid(shape, affine), "T2", f"knee {seed}")
