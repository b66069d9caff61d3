"""One individual head: a template under random warps, with sulci, membranes, skull and tumour."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.grid import Grid
from core.simulator.lesion import Tumour, draw_tumour, mass_effect, paint_tumour
from core.simulator.noise import (
    Coverage,
    Field,
    covering,
    head_noise,
    sigmoid,
    smooth_noise,
    soft_step,
)
from core.simulator.template import Template
from core.simulator.tissues import Tissue


@dataclass(frozen=True, eq=False)
class Anatomy:
    """Tissues of one head, as layers painted over each other.

    Attributes:
        grid: where the layers live; RAS+ and axis-aligned, isotropic.
        layers: (tissue, (i, j, k) coverage), later ones cover earlier ones.
        hull: (i, j, k) float32, signed distance in mm to the brain surface, inside positive.
        tumour: the lesion, or None.
        centre: (3,) world mm, middle of the brain.
        landmarks: name → (3,) world mm.
    """

    grid: Grid
    layers: list[tuple[Tissue, Coverage]]
    hull: Field
    tumour: Tumour | None
    centre: NDArray[np.float64]
    landmarks: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def paint(self, values: Mapping[Tissue, float]) -> Field:
        """Blend one value per tissue into an (i, j, k) float32 map."""
        out = np.full(self.grid.shape, values[Tissue.AIR], np.float32)
        for tissue, coverage in self.layers:
            step = np.float32(values[tissue]) - out
            step *= coverage
            step *= np.float32(1 / 255)
            out += step
        return out

    def labels(self) -> NDArray[np.uint8]:
        """Return (i, j, k) uint8: the topmost tissue that covers at least half a voxel."""
        out = np.zeros(self.grid.shape, np.uint8)
        for tissue, coverage in self.layers:
            out[coverage >= 128] = tissue
        return out


def build_anatomy(
    rng: np.random.Generator, grid: Grid, template: Template, *, tumour: bool
) -> Anatomy:
    """Draw one head on ``grid`` (axis-aligned RAS+, isotropic).

    Args:
        rng: source of all randomness.
        grid: any part of the head; the middle of the brain lies near world 0.
        template: average brain in its own millimetres.
        tumour: whether to grow a lesion with mass effect.
    """
    spacing = float(grid.spacing[0])
    middle = np.array([0.0, -18.0, 10.0])

    def suits(places: Field) -> NDArray[np.bool_]:
        position = [places[:, 0], places[:, 1], places[:, 2]]
        depth, wet = (template.sample(name, position) for name in ("hull", "ventricle"))
        return fits_tumour(places, depth, wet < 0.2, middle)

    centre, lesion, world, brain = individual(rng, grid, middle, suits if tumour else None)
    hull = template.sample("hull", brain)
    layers: list[tuple[Tissue, Coverage]] = []
    gap = np.float32(rng.uniform(0.8, 3.0)) + head_noise(rng, grid, 20.0) * 0.7
    gap = np.clip(gap, 0.4, None)
    bone = np.float32(rng.uniform(4, 8)) + head_noise(rng, grid, 25.0)
    skin = np.float32(rng.uniform(4, 9)) + 1.5 * head_noise(rng, grid, 25.0)
    bone, skin = np.clip(bone, 2.5, None), np.clip(skin, 2.5, None)
    layers += covered(
        (Tissue.SCALP, soft_step(hull + gap + bone + skin, spacing)),
        (Tissue.SKULL, soft_step(hull + gap + bone, spacing)),
        (Tissue.DURA, soft_step(hull + gap + np.float32(0.9), spacing)),
        (Tissue.CSF, soft_step(hull + gap, spacing)),
        (Tissue.GREY, soft_step(hull, spacing)),
    )
    layers += covered(*cortex(rng, template, brain, hull, grid))
    layers += covered(*membranes(rng, brain, hull, grid))
    landmarks = {"brain_centre": centre.astype(np.float64)}
    if lesion is not None:
        layers += covered(*paint_tumour(rng, lesion, world, hull, layers, grid))
        landmarks["tumour_centre"] = lesion.centre
    return Anatomy(grid, layers, hull, lesion, centre, landmarks)


SLAB = 1_200_000
"""Voxels of a head that are built at a time."""
OVERLAP = 8
"""Slices built on either side of a slab, for what is smoothed over neighbours."""


def in_slabs(build: Callable[[Grid], Anatomy], grid: Grid) -> Anatomy:
    """Build a head slab by slab along k, which needs a fraction of the memory.

    Args:
        build: gives the same head on every grid, with the same layers.
        grid: axis-aligned RAS+, isotropic.
    """
    i, j, n = grid.shape
    step = max(4 * OVERLAP, SLAB // (i * j))
    if step >= n:
        return build(grid)
    layers: list[tuple[Tissue, Coverage]] = []
    hull = np.empty(grid.shape, np.float32)
    for start in range(0, n, step):
        stop = min(start + step, n)
        low, high = max(0, start - OVERLAP), min(n, stop + OVERLAP)
        part = build(grid.crop((0, 0, low), (i, j, high - low)))
        kept = slice(start - low, stop - low)
        hull[:, :, start:stop] = part.hull[:, :, kept]
        if not layers:
            layers = [(tissue, np.empty(grid.shape, np.uint8)) for tissue, _ in part.layers]
        for (_, whole), (_, coverage) in zip(layers, part.layers, strict=True):
            whole[:, :, start:stop] = coverage[:, :, kept]
    return replace(part, grid=grid, layers=layers, hull=hull)


def covered(*layers: tuple[Tissue, Field]) -> list[tuple[Tissue, Coverage]]:
    """Return layers as they are kept; coverages may be given as parts of a voxel, 0-1."""
    return [(tissue, covering(part)) for tissue, part in layers]


def individual(
    rng: np.random.Generator,
    grid: Grid,
    middle: NDArray[np.float64],
    suits: Callable[[Field], NDArray[np.bool_]] | None,
    *,
    mirror: bool = False,
) -> tuple[NDArray[np.float64], Tumour | None, list[Field], list[Field]]:
    """Draw how one head differs from its source: an affine, warps, a tumour that pushes.

    The same state of ``rng`` gives the same head on every grid.

    Args:
        rng: source of randomness.
        grid: axis-aligned RAS+.
        middle: (3,) source mm, what becomes the middle of the brain.
        suits: which of (n, 3) source mm a tumour may grow at; None for no tumour.
        mirror: whether left and right are exchanged in half of the heads.

    Returns:
        world mm of the middle of the brain; the tumour; x, y, z of the voxels, broadcastable world
        mm; the same voxels' source mm, each (i, j, k).
    """
    world = [
        (
            np.arange(n, dtype=np.float32) * np.float32(grid.affine[a, a])
            + np.float32(grid.affine[a, 3])
        ).reshape([-1 if a == b else 1 for b in range(3)])
        for a, n in enumerate(grid.shape)
    ]
    # Forward: world = linear @ (source - middle) + centre. The warps act on the source's side.
    centre = rng.uniform(-3, 3, 3)
    linear = random_affine(rng)
    if mirror and rng.random() < 0.5:
        linear = linear @ np.diag([-1.0, 1.0, 1.0])
    lesion = draw_tumour(rng, suits, linear, middle, centre) if suits else None
    points = [np.broadcast_to(w, grid.shape) for w in world]
    if lesion is not None:
        points = mass_effect(points, lesion)
    inverse = np.linalg.inv(linear).astype(np.float32)
    offset = (middle - inverse @ centre).astype(np.float32)
    source: list[Field] = []
    for axis in range(3):
        row = inverse[axis]
        position = row[0] * points[0] + row[1] * points[1] + row[2] * points[2] + offset[axis]
        position += head_noise(rng, grid, 28.0) * np.float32(rng.uniform(1.5, 3.5))
        position += head_noise(rng, grid, 9.0) * np.float32(rng.uniform(0.3, 0.9))
        source.append(position)
    return centre, lesion, world, source


def fits_tumour(
    places: Field, depth: Field, solid: NDArray[np.bool_], middle: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Tell where a tumour may grow: 8-38 mm under the surface of the upper brain, off the midline.

    Args:
        places: (n, 3) source mm.
        depth: (n,) mm under the brain surface.
        solid: (n,) whether there is tissue and not a ventricle.
        middle: (3,) source mm, middle of the brain.
    """
    aside = np.abs(places[:, 0] - middle[0]) > 10
    upper = places[:, 2] > middle[2] - 18
    return (depth > 8) & (depth < 38) & solid & aside & upper


def random_affine(rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a rotation (±15° about each axis) times scales (0.88-1.12) as a (3, 3) matrix."""
    matrix = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(rng.uniform(-15, 15, 3))):
        c, s = np.cos(angle), np.sin(angle)
        turn = np.eye(3)
        a, b = [n for n in range(3) if n != axis]
        turn[a, a], turn[a, b], turn[b, a], turn[b, b] = c, -s, s, c
        matrix = matrix @ turn
    scales: NDArray[np.float64] = np.diag(rng.uniform(0.88, 1.12) * rng.uniform(0.96, 1.04, 3))
    product: NDArray[np.float64] = matrix @ scales
    return product


def sheet(noise: Field, spacing: float) -> Field:
    """Return an approximate distance in mm to the zero level set of ``noise``: |n| / |∇n|."""
    slope = np.zeros_like(noise)
    for axis in range(3):
        slope += np.gradient(noise, spacing, axis=axis) ** 2
    return np.asarray(np.abs(noise) / (np.sqrt(slope) + 0.02), dtype=np.float32)


def cortex(
    rng: np.random.Generator, template: Template, brain: list[Field], hull: Field, grid: Grid
) -> list[tuple[Tissue, Field]]:
    """Return white matter, sulci, ventricles, choroid and vessels.

    Sulci come from the template (relative darkness of its average) and from the zero level sets of
    smooth noise that is stretched along depth, so that they stand upright on the surface. Around
    every sulcus a ribbon of cortex replaces white matter.
    """
    shape, spacing = hull.shape, float(grid.spacing[0])
    inside = soft_step(hull, spacing)
    # Maps are looked up in the brain only; the margin keeps gradients at its surface right.
    near = hull > -4 * spacing
    # Two fold fields: the second is finer and shallower, and gives side branches.
    fold_in = np.full(shape, 50.0, np.float32)
    for knot, reach, width in ((7.5, rng.uniform(12, 20), 0.9), (4.8, rng.uniform(5, 9), 0.6)):
        noise = upright_noise(rng, brain, hull, near, knot)
        depth = np.float32(reach) + head_noise(rng, grid, 14.0) * np.float32(
            reach * (0.3 + 0.4 * (1 - template.folds))
        )
        # Narrowing towards the bottom; a negative opening makes the sulcus end.
        opening = np.float32(width) * np.clip((depth - hull) / np.float32(6), -9, 1)
        opening += np.float32((template.folds - 1) * 0.5)
        np.minimum(fold_in, sheet(noise, spacing) - opening, out=fold_in)
    # fold_in: distance outside the sulcus walls, negative inside.
    average = template.sample("sulcus", brain, near)
    level = np.float32(rng.uniform(0.28, 0.42)) + head_noise(rng, grid, 12.0) * 0.06
    average = sigmoid((average - level) * np.float32(10))
    atrophy = np.float32(rng.uniform(-0.35, 0.35))
    folds = soft_step(atrophy - fold_in, spacing)
    sulcus = np.maximum(folds, average) * inside
    ribbon = np.float32(rng.uniform(2.3, 3.2))
    white = template.sample("white", brain, near)
    white = sigmoid((white - 0.52 - 0.05 * head_noise(rng, grid, 5.0)) * np.float32(12))
    white *= soft_step(fold_in - ribbon, spacing) * soft_step(hull - ribbon, spacing)
    ventricle = template.sample("ventricle", brain, near)
    ventricle = sigmoid((ventricle - np.float32(rng.uniform(0.25, 0.55))) * np.float32(12))
    deep = soft_step(hull - 26, 8.0)
    # Only thin fluid is echogenic (pia, vessels, trabeculae); the middle of a wide space is dark.
    wide = soft_step(-fold_in - np.float32(1.6), spacing) * inside
    wide = np.maximum(wide, np.clip((average - 0.9) * 6, 0, 1) * inside * soft_step(hull - 9, 4.0))
    knots = head_noise(rng, grid, 3.0)
    choroid = ventricle * sigmoid((knots - np.float32(1.15)) * 8)
    tube = head_noise(rng, grid, 7.0) ** 2 + head_noise(rng, grid, 7.0) ** 2
    vessels = np.exp(-tube / np.float32(0.006)) * soft_step(28 - hull, 8.0) * inside
    return [
        (Tissue.DEEP_GREY, deep * inside),
        (Tissue.WHITE, white),
        (Tissue.SULCUS, sulcus),
        (Tissue.CSF, wide),
        (Tissue.VENTRICLE, ventricle),
        (Tissue.CHOROID, choroid),
        (Tissue.VESSEL, vessels),
    ]


def upright_noise(
    rng: np.random.Generator,
    brain: list[Field],
    hull: Field,
    near: NDArray[np.bool_],
    knot: float,
) -> Field:
    """Return noise whose level sets stand nearly upright on the brain surface; 0 but ``near``.

    Positions are moved along the radial direction towards the surface, so that the noise changes
    four times more slowly with depth than along the surface.
    """
    origin = np.array([0.0, -18.0, 4.0], np.float32)
    offset = [p[near] - o for p, o in zip(brain, origin, strict=True)]
    radius = np.sqrt(offset[0] ** 2 + offset[1] ** 2 + offset[2] ** 2) + np.float32(1)
    factor = (radius + np.float32(0.75) * np.clip(hull[near], -5, 40)) / radius
    size = 112
    lattice = smooth_noise(rng, (size, size, size), 2.0, knot)
    coords = [o * factor * np.float32(0.5) + np.float32(size / 2) for o in offset]
    noise = np.zeros(hull.shape, np.float32)
    noise[near] = ndimage.map_coordinates(
        lattice, coords, output=np.float32, order=1, mode="reflect"
    )
    return noise


def membranes(
    rng: np.random.Generator, brain: list[Field], hull: Field, grid: Grid
) -> list[tuple[Tissue, Field]]:
    """Return the fissure between the hemispheres with the falx in it, and the tentorium."""
    x, y, z = brain
    spacing = float(grid.spacing[0])
    inside = soft_step(hull, spacing)
    above = (np.sqrt(((y + 16) / 66) ** 2 + ((z - 4) / 36) ** 2) - 1) * np.float32(36)
    upper = soft_step(above, 3.0) * soft_step(z + 18, 4.0)
    wave = head_noise(rng, grid, 9.0) * np.float32(0.5)
    fissure = soft_step(np.float32(rng.uniform(0.9, 1.8)) + wave - np.abs(x), spacing)
    falx = soft_step(np.float32(rng.uniform(0.45, 0.8)) - np.abs(x + 0.4 * wave), spacing)
    falx_reach = soft_step(above - np.float32(rng.uniform(3, 10)), 3.0)
    roof = z - (4 - 0.009 * x**2 - 0.35 * np.clip(-y - 42, 0, None) + wave * 2)
    behind = soft_step(-y - 42, 4.0) * soft_step(56 - np.abs(x), 4.0) * inside
    tentorium = soft_step(np.float32(0.7) - np.abs(roof), spacing) * behind
    cleft = soft_step(np.float32(1.6) - np.abs(roof), spacing) * behind
    return [
        (Tissue.SULCUS, np.maximum(fissure * upper * inside, cleft)),
        (
            Tissue.FALX,
            np.maximum(falx * falx_reach * upper * soft_step(hull + 1, spacing), tentorium),
        ),
    ]
