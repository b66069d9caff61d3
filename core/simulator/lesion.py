"""A tumour: where it grows, what it pushes aside, and its parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.grid import Grid
from core.simulator.noise import Coverage, Field, head_noise, soft_step
from core.simulator.template import SimulatorError
from core.simulator.tissues import Tissue


@dataclass(frozen=True, eq=False)
class Tumour:
    """A lesion before it is painted.

    Attributes:
        centre: (3,) world mm.
        radius: mean radius, mm.
        push: how far the tissue at its border was moved outwards, as a fraction of the radius.
    """

    centre: NDArray[np.float64]
    radius: float
    push: float


def draw_tumour(
    rng: np.random.Generator,
    suits: Callable[[Field], NDArray[np.bool_]],
    linear: NDArray[np.float64],
    middle: NDArray[np.float64],
    centre: NDArray[np.float64],
) -> Tumour:
    """Draw a place that ``suits`` ((n, 3) source mm → (n,) bool), and a size.

    A place in the source is moved to the head by ``linear @ (place - middle) + centre``.

    Raises:
        SimulatorError: no place suits.
    """
    radius = float(rng.uniform(7, 24))
    offsets = rng.uniform((-62, -77, -18), (62, 76, 58), (4000, 3))
    push = float(rng.uniform(0.1, 0.45))
    good = np.flatnonzero(suits((offsets + middle).astype(np.float32)))
    if len(good) == 0:
        raise SimulatorError("This head has no place for a tumour: no tissue lies 8-38 mm deep.")
    return Tumour(linear @ offsets[good[0]] + centre, radius, push)


def mass_effect(points: Sequence[Field], tumour: Tumour) -> list[Field]:
    """Return where the tissue now at ``points`` (x, y, z; world mm) came from.

    Tissue near the tumour is pushed outwards, so its source lies nearer to the centre; the effect
    fades over twice the radius.
    """
    offset = [p - np.float32(c) for p, c in zip(points, tumour.centre, strict=True)]
    square = offset[0] ** 2 + offset[1] ** 2 + offset[2] ** 2
    pull = np.float32(tumour.push) * np.exp(-square / np.float32(2 * (1.3 * tumour.radius) ** 2))
    return [p - pull * o for p, o in zip(points, offset, strict=True)]


def paint_tumour(
    rng: np.random.Generator,
    tumour: Tumour,
    world: Sequence[Field],
    hull: Field,
    layers: Sequence[tuple[Tissue, Coverage]],
    grid: Grid,
) -> list[tuple[Tissue, Field]]:
    """Return the lesion's layers: oedema along white matter, core, rim, necrosis, cysts.

    Args:
        rng: source of randomness.
        tumour: place and size.
        world: broadcastable x, y, z in mm.
        hull: signed distance to the brain surface, mm.
        layers: what is already painted; oedema follows white matter and spares cortex and fluid.
        grid: of the voxels.
    """
    shape, spacing = hull.shape, float(grid.spacing[0])
    offset = [w - np.float32(c) for w, c in zip(world, tumour.centre, strict=True)]
    stretch = rng.uniform(0.8, 1.25, 3).astype(np.float32)
    distance = np.sqrt(
        (offset[0] * stretch[0]) ** 2
        + (offset[1] * stretch[1]) ** 2
        + (offset[2] * stretch[2]) ** 2
    )
    lumps = head_noise(rng, grid, max(0.5 * tumour.radius, 3.0))
    fine = head_noise(rng, grid, max(0.2 * tumour.radius, 2.0))
    inside = soft_step(hull, spacing)
    body = np.float32(tumour.radius) * (1 + 0.16 * lumps + 0.06 * fine) - distance
    infiltrative = rng.random() < 0.4
    edge = float(rng.uniform(3, 7)) if infiltrative else spacing
    core = soft_step(body, edge) * inside
    white = next((c * np.float32(1 / 255) for t, c in layers if t is Tissue.WHITE), inside)
    wet = np.zeros(shape, np.float32)
    for tissue, coverage in layers:
        if tissue in (Tissue.SULCUS, Tissue.VENTRICLE, Tissue.FALX):
            np.maximum(wet, coverage * np.float32(1 / 255), out=wet)
    reach = np.float32(rng.uniform(3, 20) if rng.random() < 0.8 else 0.5)
    spread = soft_step(body + reach * (1 + 0.5 * lumps + 0.2 * fine), 5.0)
    oedema = spread * np.clip(0.15 + 0.85 * white, 0, 1) * (1 - wet) * inside
    # A young or infiltrating tumour leaves the sulci it grew around visible.
    core *= 1 - wet * np.float32(rng.uniform(0.3, 1.0))
    parts: list[tuple[Tissue, Field]] = [(Tissue.OEDEMA, oedema), (Tissue.TUMOUR_CORE, core)]
    if not infiltrative and rng.random() < 0.75:
        thickness = np.float32(rng.uniform(1.5, 4.0))
        rim = soft_step(body, spacing) * soft_step(thickness - body, spacing) * inside
        parts.append((Tissue.TUMOUR_RIM, rim * (1 - wet)))
    if rng.random() < 0.5:
        hollow = body - np.float32(tumour.radius * rng.uniform(0.35, 0.6)) + 2.5 * fine
        parts.append((Tissue.NECROSIS, soft_step(hollow, 2 * spacing) * inside))
    if rng.random() < 0.35:
        bubbles = head_noise(rng, grid, float(rng.uniform(3, 7)))
        cysts = soft_step(np.float32(4) * (bubbles - 1.3), spacing) * soft_step(body - 2, 2.0)
        parts.append((Tissue.CYST, cysts * inside))
    return parts
