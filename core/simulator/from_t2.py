"""The ultrasound of a given real T2: tissue classes by intensity, then the same physics."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.grid import Grid
from core.image.brain_mask import brain_mask
from core.image.resample import resample, resample_mask
from core.marks import SIMULATED_MARK
from core.simulator.anatomy import Anatomy, covered
from core.simulator.case import SimulatedCase
from core.simulator.lesion import Tumour
from core.simulator.noise import Field, sigmoid, soft_step
from core.simulator.physics import PhysicsName, draw_physics
from core.simulator.placement import place_probe, sweeps_of
from core.simulator.template import SimulatorError, signed_distance
from core.simulator.tissues import Tissue
from core.simulator.ultrasound import acoustics_of, render_ultrasound
from core.volume import Volume


def simulate_from_t2(
    volume: Volume, seed: int, *, spacing: float = 1.0, physics: PhysicsName = "train"
) -> SimulatedCase:
    """Simulate the iUS that could belong to a real T2, in the T2's own space.

    Fluid, grey and white matter are told apart by intensity inside an estimated brain mask; a large
    bright region that is not fluid counts as lesion and attracts the probe. This is a picture that
    fits the T2, not a prediction of what a scanner would show.

    Args:
        volume: T2 of a head, stripped or not, on any grid.
        seed: of the probe, the tissue acoustics and the speckle.
        spacing: voxel size of the result in mm.
        physics: which ranges to draw from.

    Returns:
        All volumes on one axis-aligned RAS+ grid in the T2's world; ``t2`` is the input resampled.

    Raises:
        SimulatorError: no brain is found in the volume.
    """
    # One storage order for everything, so that all 48 orders of a volume give one result.
    canonical = volume.canonical()
    mask = brain_mask(canonical)
    grid = grid_around(mask, canonical.grid, spacing)
    t2 = resample(canonical.voxels, canonical.grid, grid)
    inside = resample_mask(mask, canonical.grid, grid)
    streams = np.random.SeedSequence(seed).spawn(2)
    sound, scan = (np.random.default_rng(s) for s in streams)
    head = classify(t2, inside, grid)
    setting = draw_physics(sound, physics)
    acoustics = acoustics_of(sound, head, setting)
    probes = sweeps_of(scan, place_probe(scan, head, setting))
    made = render_ultrasound(scan, acoustics, setting, probes, grid, mismatch_mm=0.0)
    landmarks = {**head.landmarks, "entry": probes[0].origin}
    name = f"simulated from {volume.source or 'a T2 volume'}"
    meta = {
        "note": SIMULATED_MARK,
        "seed": seed,
        "spacing_mm": spacing,
        "shape": list(grid.shape),
        "anatomy": "intensity classes of a given T2",
        "physics": physics,
        "ultrasound": "physical",
        "tumour": head.tumour is not None,
        "scanner": {**setting.as_dict(), **made.meta},
        "landmarks_mm": {k: [round(float(c), 3) for c in v] for k, v in landmarks.items()},
    }
    labels = head.labels().astype(np.float32)
    return SimulatedCase(
        Volume(t2, grid, "T2", volume.source),
        Volume(made.image, grid, "iUS", name),
        Volume(made.expected, grid, "iUS", name),
        made.fov,
        Volume(labels, grid, "labels", name),
        landmarks,
        meta,
    )


def grid_around(mask: NDArray[np.bool_], source: Grid, spacing: float) -> Grid:
    """Return an isotropic RAS+ grid around the voxels of ``mask``, 6 mm wider on every side."""
    found = np.argwhere(mask)
    if len(found) == 0:
        raise SimulatorError("No brain was found in this T2 volume: it has no contrast.")
    world = source.to_world(found[:: max(len(found) // 50000, 1)])
    low, high = world.min(0) - 6, world.max(0) + 6
    shape = np.ceil((high - low) / spacing).astype(int) + 1
    if shape.min() < 24 or shape.max() > 1024:
        raise SimulatorError(
            f"The brain found in this T2 volume measures {(high - low).round().tolist()} mm, which "
            "is not the size of a brain. Check the voxel size in the file."
        )
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = low
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)


def three_means(values: NDArray[np.float32]) -> tuple[float, float, float]:
    """Return the centres of three intensity classes (1-D k-means from fixed percentiles)."""
    centres = np.percentile(values, [20, 55, 98]).astype(np.float64)
    for _ in range(25):
        edges = (centres[1:] + centres[:-1]) / 2
        group = np.digitize(values, edges)
        new = np.array(
            [values[group == n].mean() if (group == n).any() else centres[n] for n in range(3)]
        )
        if np.allclose(new, centres, rtol=1e-4):
            break
        centres = new
    return float(centres[0]), float(centres[1]), float(centres[2])


def classify(t2: Field, inside: NDArray[np.bool_], grid: Grid) -> Anatomy:
    """Turn T2 intensities (i, j, k) inside a brain mask into painted tissues."""
    spacing = float(grid.spacing[0])
    hull = ndimage.gaussian_filter(signed_distance(inside, spacing), 1.5 / spacing)
    smooth = ndimage.gaussian_filter(t2, 0.5)
    core = hull > 2
    if not core.any():
        raise SimulatorError("The brain found in this T2 volume is too thin to scan.")
    values = smooth[core]
    sample = np.minimum(values[:: max(len(values) // 200000, 1)], np.percentile(values, 99.5))
    white, grey, fluid = three_means(sample)
    # Brain tissue is the bulk; fluid is whatever is much brighter than grey matter.
    middle = np.float32(0.5 * (grey + fluid))
    width = np.float32(max(0.12 * (fluid - grey), 1e-6))
    wet = sigmoid((smooth - middle) / width) * soft_step(hull + 1, spacing)
    broad = ndimage.gaussian_filter(wet, 2.5 / spacing)
    wide = wet * np.clip((broad - 0.55) * 5, 0, 1)
    between = (smooth > grey + 0.22 * (fluid - grey)) & (smooth < grey + 0.85 * (fluid - grey))
    lump = ndimage.gaussian_filter((between & (hull > 3)).astype(np.float32), 3.5 / spacing)
    lesion, tumour = largest_lump(lump, grid)
    whiteness = sigmoid((np.float32(0.5 * (white + grey)) - smooth) / np.float32(0.1 * grey))
    layers: list[tuple[Tissue, Field]] = [
        (Tissue.SKULL, soft_step(hull + 6.5, spacing)),
        (Tissue.DURA, soft_step(hull + 1.5, spacing)),
        (Tissue.CSF, soft_step(hull + 0.6, spacing)),
        (Tissue.GREY, soft_step(hull, spacing)),
        (Tissue.WHITE, whiteness * soft_step(hull - 2.5, spacing)),
        (Tissue.TUMOUR_CORE, lesion * (1 - wet)),
        (Tissue.SULCUS, wet),
        (Tissue.VENTRICLE, wide * soft_step(hull - 8, 4.0)),
        (Tissue.CSF, wide * (1 - soft_step(hull - 8, 4.0))),
    ]
    centre = grid.to_world(np.argwhere(inside).mean(0))
    landmarks = {"brain_centre": centre}
    if tumour is not None:
        landmarks["tumour_centre"] = tumour.centre
    return Anatomy(grid, covered(*layers), hull, tumour, centre, landmarks)


def largest_lump(lump: Field, grid: Grid) -> tuple[Field, Tumour | None]:
    """Return the coverage and place of the largest region where ``lump`` is high, if big enough.

    Thin sheets such as cortex next to fluid never fill the smoothed map ``lump``; a lesion does.
    """
    parts, count = ndimage.label(lump > 0.5)
    if count == 0:
        return np.zeros_like(lump), None
    sizes = np.bincount(parts.ravel())[1:]
    volume = float(sizes.max()) * float(np.prod(grid.spacing))
    if volume < 1500:
        return np.zeros_like(lump), None
    chosen = parts == sizes.argmax() + 1
    near = ndimage.binary_dilation(chosen, iterations=3)
    coverage = (sigmoid((lump - np.float32(0.42)) * 20) * near).astype(np.float32)
    radius = float((3 * volume / (4 * np.pi)) ** (1 / 3))
    centre = grid.to_world(np.argwhere(chosen).mean(0))
    return coverage, Tumour(centre, radius, 0.0)
