"""One individual head from a label map of a real one: warped, with other sulci and a tumour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.grid import Grid
from core.simulator.anatomy import Anatomy, covered, fits_tumour, individual, sheet
from core.simulator.heads import WIDE_MM, HeadMaps, Maps
from core.simulator.lesion import paint_tumour
from core.simulator.noise import Field, head_noise, sigmoid, soft_step
from core.simulator.tissues import Tissue

EXCLUSIVE = (
    Tissue.AIR,
    Tissue.SCALP,
    Tissue.SKULL,
    Tissue.CSF,
    Tissue.GREY,
    Tissue.WHITE,
    Tissue.DEEP_GREY,
    Tissue.VENTRICLE,
)
"""Tissues that share the head without overlap, as they are laid over each other."""
SHARPEN = 3
"""Power of the smoothed label shares: borders are as smooth, but only half as wide."""


def build_from_labels(
    rng: np.random.Generator, grid: Grid, head: HeadMaps, *, tumour: bool
) -> Anatomy:
    """Draw one head on ``grid`` (axis-aligned RAS+, isotropic), any part of it.

    The same state of ``rng`` gives the same head on every grid. Labels are smoothed before they are
    interpolated, so that no steps of the map's voxels remain. The fluid outside the brain comes
    from its distance map, which lets sulci be drawn narrower or wider than the person's own: thin
    fluid is ``SULCUS``, the middle of wide fluid is ``CSF`` and its lining ``WALL``.
    """
    spacing = float(grid.spacing[0])

    def suits(places: Field) -> NDArray[np.bool_]:
        position = [places[:, 0], places[:, 1], places[:, 2]]
        solid = np.isin(_nearest(head, places), (Tissue.WHITE, Tissue.GREY, Tissue.DEEP_GREY))
        depth, _, roof = head.shape.at(position)
        return fits_tumour(places, depth, solid & (roof > 0.5), head.middle)

    centre, lesion, world, source = individual(
        rng, grid, head.middle, suits if tumour else None, mirror=True
    )
    hull, side, roof = head.shape.at(source)
    fluid_distance, half_width = head.fluid.at(source)
    # Many of the people are old: fluid is narrowed more often than widened.
    change = np.float32(rng.uniform(-0.9, 0.35)) + 0.25 * head_noise(rng, grid, 15.0)
    shares = label_shares(head, source)
    fluid_distance += change
    inside_skull = 1 - shares[Tissue.SKULL] - shares[Tissue.SCALP] - shares[Tissue.AIR]
    fluid = soft_step(fluid_distance, spacing) * np.clip(inside_skull * 2, 0, 1)
    # Where fluid gives way, the brain nearest to it takes its place.
    shares[Tissue.GREY] = shares[Tissue.GREY] + np.maximum(shares[Tissue.CSF] - fluid, 0)
    shares[Tissue.CSF] = np.zeros_like(fluid)
    layers = covered(*_stack(shares))
    wide = sigmoid((half_width + change - np.float32(WIDE_MM)) * np.float32(3))
    ventricle = shares[Tissue.VENTRICLE]
    lining = np.float32(rng.uniform(0.4, 0.9))
    # A band as wide as a voxel or the lining, whichever is wider, around the half-way line.
    rim = np.clip(1 - np.abs(ventricle - np.float32(0.5)) * np.float32(2 / 0.6), 0, 1)
    dark = soft_step(fluid_distance - lining, spacing) * wide
    pia = np.float32(rng.uniform(0.1, 0.9))
    lined = soft_step(fluid_distance + pia, spacing) * np.clip(inside_skull * 2, 0, 1)
    layers += covered(
        (Tissue.WALL, lined * np.float32(rng.uniform(0.3, 0.9))),
        (Tissue.WALL, rim * np.float32(rng.uniform(0.2, 0.8))),
        (Tissue.SULCUS, fluid * (1 - wide)),
        (Tissue.WALL, fluid * wide),
        (Tissue.CSF, np.minimum(dark, fluid)),
        (Tissue.CHOROID, shares[Tissue.CHOROID]),
        (Tissue.VESSEL, shares[Tissue.VESSEL]),
    )
    layers += covered(*_membranes(rng, grid, side, roof, shares, hull))
    landmarks = {"brain_centre": centre.astype(np.float64)}
    if lesion is not None:
        del source, shares, fluid, lined, wide, dark, rim, side, roof  # the tumour needs room too
        layers += covered(*paint_tumour(rng, lesion, world, hull, layers, grid))
        landmarks["tumour_centre"] = lesion.centre
    return Anatomy(grid, layers, hull, lesion, centre, landmarks)


def _nearest(head: HeadMaps, places: Field) -> NDArray[np.uint8]:
    voxel = np.rint((places - head.fluid.origin) / head.fluid.spacing).astype(int)
    voxel = np.clip(voxel, 0, np.array(head.tissues.shape) - 1)
    return np.asarray(head.tissues[tuple(voxel.T)], dtype=np.uint8)


def label_shares(head: HeadMaps, source: list[Field]) -> dict[Tissue, Field]:
    """Return how much of each tissue lies at source positions: tissue → (i, j, k), summing to 1.

    Only the part of the map that the positions reach is smoothed. Tissues that do not occur there
    are zero.
    """
    origin, spacing = head.fluid.origin, head.fluid.spacing
    lows, highs = [], []
    for axis, position in enumerate(source):
        low = np.floor((position.min() - origin[axis]) / spacing) - 4
        high = np.ceil((position.max() - origin[axis]) / spacing) + 5
        lows.append(int(np.clip(low, 0, head.tissues.shape[axis] - 8)))
        highs.append(int(max(lows[-1] + 8, high)))
    part = head.tissues[tuple(slice(a, b) for a, b in zip(lows, highs, strict=True))]
    zero = np.zeros(source[0].shape, np.float32)
    shares = dict.fromkeys((*EXCLUSIVE, Tissue.CHOROID, Tissue.VESSEL), zero)
    there = [t for t in shares if (part == t).any()]
    smooth = tuple(
        ndimage.gaussian_filter((part == t).astype(np.float32), 0.6 / spacing) for t in there
    )
    sampled = Maps(smooth, origin + spacing * np.array(lows), spacing).at(source)
    sharp = [s**SHARPEN for s in sampled]
    total: Field = np.maximum(sum(sharp, zero), np.float32(1e-6))
    for tissue, share in zip(there, sharp, strict=True):
        shares[tissue] = share / total
    return shares


def _stack(shares: dict[Tissue, Field]) -> list[tuple[Tissue, Field]]:
    """Turn shares that sum to 1 into coverages of layers that give the same mixture."""
    layers: list[tuple[Tissue, Field]] = []
    below = np.zeros_like(shares[Tissue.AIR])
    for tissue in EXCLUSIVE:
        below = below + shares[tissue]
        part: Field = np.divide(shares[tissue], np.maximum(below, 1e-6), dtype=np.float32)
        layers.append((tissue, part))
    return layers


def _membranes(
    rng: np.random.Generator,
    grid: Grid,
    side: Field,
    roof: Field,
    shares: dict[Tissue, Field],
    hull: Field,
) -> list[tuple[Tissue, Field]]:
    """Return dura, falx and tentorium, each membrane in a cleft of fluid, and some vessels."""
    spacing = float(grid.spacing[0])
    bone = shares[Tissue.SKULL]
    dura = np.clip(1 - np.abs(bone - np.float32(0.3)) * 4, 0, 1) * soft_step(hull + 12, 8.0)
    wave = head_noise(rng, grid, 9.0) * np.float32(0.3)
    # Where white or deep grey matter crosses, there is no fissure.
    crossing = shares[Tissue.WHITE] + shares[Tissue.DEEP_GREY] + shares[Tissue.VENTRICLE]
    free = np.clip(1.2 - 3 * ndimage.gaussian_filter(crossing, 1.5 / spacing), 0, 1)
    free *= soft_step(hull + 1, 2.0)
    cerebrum = soft_step(roof - np.float32(0.3), 0.3)
    between = sheet(side, spacing) + wave
    under = sheet(roof, spacing) + wave
    thin = np.float32(rng.uniform(0.35, 0.6))
    cleft = np.float32(rng.uniform(0.7, 1.5))
    middle, back = free * cerebrum, free * (np.abs(side) < 2)
    fissure = np.maximum(
        soft_step(cleft - between, spacing) * middle, soft_step(cleft - under, spacing) * back
    )
    membrane = np.maximum(
        soft_step(thin - between, spacing) * middle, soft_step(thin - under, spacing) * back
    )
    tube = head_noise(rng, grid, 7.0) ** 2 + head_noise(rng, grid, 7.0) ** 2
    vessels = np.exp(-tube / np.float32(0.004)) * soft_step(30 - hull, 8.0) * soft_step(hull, 1.0)
    return [
        (Tissue.DURA, dura),
        (Tissue.SULCUS, fissure),
        (Tissue.FALX, membrane),
        (Tissue.VESSEL, vessels * (1 - shares[Tissue.VENTRICLE])),
    ]
