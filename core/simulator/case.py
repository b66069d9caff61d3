"""One simulated patient: T2, iUS, field of view, tissues and landmarks from one seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.grid import Grid
from core.image.resample import resample
from core.marks import SIMULATED_MARK
from core.simulator.anatomy import Anatomy, build_anatomy, in_slabs
from core.simulator.compounding import bounds
from core.simulator.heads import find_heads, load_head
from core.simulator.individuals import build_from_labels
from core.simulator.lc2 import render_lc2
from core.simulator.noise import REACH
from core.simulator.physics import PhysicsName, at_scanner, draw_physics
from core.simulator.placement import place_probe, sweeps_of
from core.simulator.probe import Probe
from core.simulator.t2 import render_t2
from core.simulator.template import SimulatorError, load_template, procedural_template
from core.simulator.ultrasound import Scan, acoustics_of, render_ultrasound
from core.volume import Volume

WITH_TUMOUR = 0.85
"""Part of the cases that have one."""
MARGIN_MM = (20.0, 20.0, 4.0)
"""How far the images reach beyond the swept volume along R, A, S: slices are axial, and a tile
around any part of the view should be full of T2, as it is when there is no ultrasound."""
NEIGHBOURS = 4
"""Seeds in a row that share a label map, which is read and measured once for all of them."""
TEST_EVERY = 4
"""Of the label maps in a folder every so many-th is kept for ``physics="test"``."""
Echo = Literal["physical", "lc2"]


@dataclass(frozen=True, eq=False)
class SimulatedCase:
    """A simulated pair with its truth.

    Attributes:
        t2: T2 in arbitrary scanner units, >= 0, on its own grid.
        ius: display values 1-255 inside the field of view, 0 outside.
        expected: the same scan without speckle, at the middle of every scanner setting, on the
            ultrasound's grid; None where there is no physics behind the image.
        fov: (i, j, k) bool on the ultrasound's grid, voxels the sweeps covered.
        labels: ``Tissue`` values as float32 on the ultrasound's grid, 0 far from the view.
        landmarks: name → (3,) world mm.
        meta: everything that was drawn, as plain JSON values.
    """

    t2: Volume
    ius: Volume
    expected: Volume | None
    fov: NDArray[np.bool_]
    labels: Volume
    landmarks: dict[str, NDArray[np.float64]]
    meta: dict[str, Any]

    @property
    def volumes(self) -> dict[str, Volume]:
        """Modality → image, for every modality that is simulated."""
        return {volume.modality: volume for volume in (self.t2, self.ius)}


@dataclass(frozen=True, eq=False)
class Head:
    """One individual that can be looked at on any grid.

    Attributes:
        on: grid (axis-aligned RAS+, isotropic) → the anatomy there.
        kind: what it is made from, for the record.
    """

    on: Callable[[Grid], Anatomy]
    kind: str

    def rough(self) -> Anatomy:
        """Return the whole head, too coarse for pictures but enough to place a probe."""
        spacing = 4.0
        side = int(2 * (REACH - 20) / spacing)
        affine = np.diag([spacing, spacing, spacing, 1.0])
        affine[:3, 3] = -spacing * (side - 1) / 2
        return self.on(Grid((side, side, side), affine))


def simulate_case(
    seed: int,
    *,
    spacing: float = 0.5,
    anatomy: Path | None = None,
    physics: PhysicsName = "train",
    mismatch: bool = True,
    echo: Echo = "physical",
    whole_head: bool = False,
    scanner: int | None = None,
) -> SimulatedCase:
    """Simulate one T2 and iUS pair in the box around the probe; the same arguments give the same.

    Args:
        seed: non-negative; every stage draws from its own child of this seed.
        spacing: voxel size of the ultrasound in mm, isotropic; the T2 has one of its own.
        anatomy: folder with whole-head label maps (``*seg*.nii.gz``, FreeSurfer numbers), or with
            tissue maps t1, gm and wm (.nii.gz, one grid, brain mm); without it the brain is made
            from formulas.
        physics: ``"test"`` draws from ranges that training never sees, from label maps that
            training never uses (every fourth, when there are four or more), without mismatch.
        mismatch: whether 30 % of training pairs are misregistered by 0-2 mm.
        echo: ``"lc2"`` paints a local mix of T2 and its edges instead of sound; training only.
        whole_head: whether the T2 shows the head and not only the box.
        scanner: number of the scanner that all cases with this number share, as at one hospital;
            None draws its settings for every case.

    Raises:
        SimulatorError: the arguments or the anatomy cannot be used.
    """
    if not 0.3 <= spacing <= 4.0:
        raise SimulatorError(f"The voxel size must lie between 0.3 and 4 mm; found {spacing}.")
    if echo == "lc2" and physics == "test":
        raise SimulatorError("LC2-like images have no physics to hold out; they are for training.")
    streams = np.random.SeedSequence(seed).spawn(7)
    roll, _, _, image, sound, scan_rng, local = (np.random.default_rng(s) for s in streams)
    with_tumour = bool(roll.random() < WITH_TUMOUR)
    misregistered = bool(roll.random() < 0.3)
    shift = float(roll.uniform(0.3, 2.0)) / 2
    head = draw_head(seed, anatomy, physics, with_tumour)
    rough = head.rough()
    setting = draw_physics(sound, physics)
    if scanner is not None:
        setting = at_scanner(setting, scanner, physics)
    probes = sweeps_of(scan_rng, place_probe(scan_rng, rough, setting))
    grid, inner = boxes(probes, spacing)
    near = head.on(crop(grid, inner))
    acoustics = acoustics_of(sound, near, setting)
    labels = np.zeros(grid.shape, np.float32)
    labels[inner] = near.labels()
    landmarks = {**near.landmarks, "entry": probes[0].origin}
    del near  # its layers are the largest thing here, and no longer needed
    mismatch_mm = shift if mismatch and misregistered and physics == "train" else 0.0
    scan = render_ultrasound(
        scan_rng,
        acoustics,
        setting,
        probes,
        grid,
        mismatch_mm=mismatch_mm,
        only_fov=echo == "lc2",
    )
    del acoustics
    t2_grid = t2_grid_of(image, rough, grid, whole_head)
    t2, t2_meta = render_t2(image, head.on(t2_grid))
    ius = scan.image
    if echo == "lc2":
        ius = render_lc2(local, resample(t2, t2_grid, grid), scan.fov, spacing)
    meta = {
        "note": SIMULATED_MARK,
        "seed": seed,
        "spacing_mm": spacing,
        "shape": list(grid.shape),
        "anatomy": head.kind,
        "physics": physics,
        "ultrasound": echo,
        "tumour": with_tumour,
        "t2": {**t2_meta, "spacing_mm": round(float(t2_grid.spacing[0]), 4)},
        "scanner": {**setting.as_dict(), **scan.meta},
        "probe_direction": [round(float(v), 5) for v in probes[0].axes[2]],
        "landmarks_mm": {k: [round(float(c), 3) for c in v] for k, v in landmarks.items()},
    }
    name = f"simulated case {seed}"
    return SimulatedCase(
        Volume(t2, t2_grid, "T2", name),
        Volume(ius, grid, "iUS", name),
        Volume(scan.expected, grid, "iUS", name) if echo == "physical" else None,
        scan.fov,
        Volume(labels, grid, "labels", name),
        landmarks,
        meta,
    )


def draw_head(seed: int, anatomy: Path | None, physics: PhysicsName, tumour: bool) -> Head:
    """Choose a source for the case of a seed and make it an individual.

    Raises:
        SimulatorError: the folder holds neither label maps nor tissue maps.
    """
    _, shape_seed, body_seed, *_ = np.random.SeedSequence(seed).spawn(7)
    maps = find_heads(Path(anatomy)) if anatomy else []
    if maps:
        chosen = heads_for(maps, physics)
        person = load_head(chosen[(seed // NEIGHBOURS) % len(chosen)])

        def from_labels(grid: Grid) -> Anatomy:
            return build_from_labels(np.random.default_rng(body_seed), grid, person, tumour=tumour)

        return Head(partial(in_slabs, from_labels), "label map of a real head")
    template = (
        load_template(Path(anatomy))
        if anatomy
        else procedural_template(np.random.default_rng(shape_seed))
    )

    def from_template(grid: Grid) -> Anatomy:
        return build_anatomy(np.random.default_rng(body_seed), grid, template, tumour=tumour)

    return Head(partial(in_slabs, from_template), "tissue maps" if anatomy else "procedural")


def heads_for(maps: list[Path], physics: PhysicsName) -> list[Path]:
    """Return the label maps that training or test may use; with fewer than four, both use all."""
    held = maps[TEST_EVERY - 1 :: TEST_EVERY]
    if not held:
        return maps
    return held if physics == "test" else [m for m in maps if m not in held]


def boxes(probes: list[Probe], spacing: float) -> tuple[Grid, tuple[slice, slice, slice]]:
    """Return the grid of the images around some sweeps, and the part of it that sound reaches."""
    low, high = bounds(probes)
    margin = np.array(MARGIN_MM)
    start = np.floor((low - margin) / spacing) * spacing
    shape = np.ceil((high + margin - start) / spacing).astype(int) + 1
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = start
    first = np.maximum(np.floor((low - start) / spacing).astype(int) - 2, 0)
    last = np.minimum(np.ceil((high - start) / spacing).astype(int) + 3, shape)
    grid = Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)
    return grid, tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True))  # type: ignore[return-value]


def crop(grid: Grid, box: tuple[slice, slice, slice]) -> Grid:
    """Return the grid of a part of a volume."""
    shape = (box[0].stop - box[0].start, box[1].stop - box[1].start, box[2].stop - box[2].start)
    return grid.crop([s.start for s in box], shape)


def t2_grid_of(rng: np.random.Generator, rough: Anatomy, grid: Grid, whole_head: bool) -> Grid:
    """Draw the T2's voxel size, and return its grid over the images' box or over the head."""
    spacing = float(rng.uniform(0.75, 1.1))
    low, high = grid.corners.min(0), grid.corners.max(0)
    if whole_head:
        head = rough.grid.to_world(np.argwhere(rough.hull > -14))
        low, high = head.min(0), head.max(0)
    shape = np.ceil((high - low) / spacing).astype(int) + 1
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = low
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)


def redraw_ultrasound(
    seed: int,
    draws: int,
    *,
    spacing: float = 1.0,
    anatomy: Path | None = None,
    physics: PhysicsName = "test",
    scan_physics: PhysicsName | None = None,
) -> Iterator[Scan]:
    """Scan the anatomy of a case again and again, as if by other surgeons with other scanners.

    The anatomy and the grid are those of :func:`simulate_case` with the same arguments. All that a
    T2 of the patient cannot tell is drawn anew, from ``scan_physics`` (default: ``physics``): pose
    and sweeps, speckle, tissue echoes, gain, compression, attenuation, frequency, beam. The
    voxelwise median and mean over the draws that see a voxel are the best guesses anyone could make
    from the anatomy alone.

    Yields:
        scans on one grid. The draw of number n depends on (seed, n) only.
    """
    streams = np.random.SeedSequence(seed).spawn(7)
    roll, sound, scan = (np.random.default_rng(streams[n]) for n in (0, 4, 5))
    head = draw_head(seed, anatomy, physics, bool(roll.random() < WITH_TUMOUR))
    rough = head.rough()
    first = sweeps_of(scan, place_probe(scan, rough, draw_physics(sound, physics)))
    grid, _ = boxes(first, spacing)
    whole = head.on(grid)
    for number in range(draws):
        sound, scan = (np.random.default_rng([seed, 7, number, stage]) for stage in (0, 1))
        setting = draw_physics(sound, scan_physics or physics)
        probes = sweeps_of(scan, place_probe(scan, rough, setting))
        acoustics = acoustics_of(sound, whole, setting)
        yield render_ultrasound(scan, acoustics, setting, probes, grid, mismatch_mm=0.0)
