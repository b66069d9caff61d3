"""One simulated patient: T2, iUS, field of view, tissues and landmarks from one seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.grid import Grid
from core.simulator.anatomy import build_anatomy
from core.simulator.lc2 import render_lc2
from core.simulator.noise import Field
from core.simulator.physics import PhysicsName, draw_physics
from core.simulator.placement import place_probe
from core.simulator.t2 import render_t2
from core.simulator.template import (
    PhantomError,
    Template,
    load_template,
    procedural_template,
)
from core.simulator.ultrasound import acoustics_of, render_ultrasound
from core.volume import Volume

NOTE = "Simulated data, research use only"
WITH_TUMOUR = 0.85
"""Part of the cases that have one."""


@dataclass(frozen=True, eq=False)
class Phantom:
    """A simulated pair with its truth; all volumes share one grid.

    Attributes:
        t2: T2 in arbitrary scanner units, >= 0.
        ius: display values 1-255 inside the field of view, 0 outside.
        fov: (i, j, k) bool, voxels the sweeps covered.
        labels: ``core.simulator.tissues.Tissue`` values as float32.
        landmarks: name → (3,) world mm.
        meta: everything that was drawn, as plain JSON values.
    """

    t2: Volume
    ius: Volume
    fov: NDArray[np.bool_]
    labels: Volume
    landmarks: dict[str, NDArray[np.float64]]
    meta: dict[str, Any]


def centred_grid(shape: tuple[int, int, int], spacing: float) -> Grid:
    """Return an isotropic RAS+ grid whose centre is world 0."""
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = -spacing * (np.array(shape) - 1) / 2
    return Grid(shape, affine)


def simulate_case(
    seed: int,
    *,
    spacing: float = 1.0,
    shape: tuple[int, int, int] | None = None,
    anatomy: Path | None = None,
    physics: PhysicsName = "train",
    mismatch: bool = True,
) -> Phantom:
    """Simulate one T2 and iUS pair; the same arguments give the same voxels.

    Args:
        seed: non-negative; every stage draws from its own child of this seed.
        spacing: voxel size in mm, isotropic.
        shape: voxels along R, A, S; 192 mm along every axis by default.
        anatomy: folder with tissue maps t1, gm and wm (.nii.gz, one grid, brain mm); without it
            the brain is made from formulas.
        physics: ``"test"`` draws from ranges that training never sees, has no mismatch, and is
            never LC2-like.
        mismatch: whether 30 % of training pairs are misregistered by 0-2 mm.

    Raises:
        PhantomError: the arguments or the tissue maps cannot be used.
    """
    draws, grid, template = _begin(seed, spacing, shape, anatomy)
    roll, body, image, sound, scan, local = draws
    with_tumour = bool(roll.random() < WITH_TUMOUR)
    # The LC2-like image has no physics that could be held out, so it is for training only.
    lc2 = bool(roll.random() < 0.25) and physics == "train"
    misregistered = bool(roll.random() < 0.3)
    shift = float(roll.uniform(0.3, 2.0)) / 2
    head = build_anatomy(body, grid, template, tumour=with_tumour)
    t2, t2_meta = render_t2(image, head)
    setting = draw_physics(sound, physics)
    acoustics = acoustics_of(sound, head, setting)
    probe = place_probe(scan, head, setting)
    mismatch_mm = shift if mismatch and misregistered and physics == "train" and not lc2 else 0.0
    ius, fov, scan_meta = render_ultrasound(
        scan, acoustics, setting, probe, mismatch_mm=mismatch_mm, only_fov=lc2
    )
    if lc2:
        ius = render_lc2(local, t2, fov, spacing)
    landmarks = {**head.landmarks, "entry": probe.origin}
    meta = {
        "note": NOTE,
        "seed": seed,
        "spacing_mm": spacing,
        "shape": list(grid.shape),
        "anatomy": "tissue maps" if anatomy else "procedural",
        "physics": physics,
        "ultrasound": "lc2" if lc2 else "physical",
        "tumour": with_tumour,
        "t2": t2_meta,
        "scanner": {**setting.as_dict(), **scan_meta},
        "probe_direction": [round(float(v), 5) for v in probe.axes[2]],
        "landmarks_mm": {k: [round(float(c), 3) for c in v] for k, v in landmarks.items()},
    }
    name = f"simulated case {seed}"
    return Phantom(
        Volume(t2, grid, "T2", name),
        Volume(ius, grid, "iUS", name),
        fov,
        Volume(head.labels().astype(np.float32), grid, "labels", name),
        landmarks,
        meta,
    )


def _begin(
    seed: int, spacing: float, shape: tuple[int, int, int] | None, anatomy: Path | None
) -> tuple[list[np.random.Generator], Grid, Template]:
    """Check the arguments and give every stage its own random numbers."""
    if not 0.3 <= spacing <= 4.0:
        raise PhantomError(f"The voxel size must lie between 0.3 and 4 mm; found {spacing}.")
    if shape is None:
        side = round(192 / spacing)
        shape = (side, side, side)
    if min(shape) < 24:
        raise PhantomError(f"A simulated volume needs at least 24 voxels a side; found {shape}.")
    streams = np.random.SeedSequence(seed).spawn(7)
    roll, shape_rng, body, image, sound, scan, local = (np.random.default_rng(s) for s in streams)
    grid = centred_grid(shape, spacing)
    template = load_template(Path(anatomy)) if anatomy else procedural_template(shape_rng)
    return [roll, body, image, sound, scan, local], grid, template


def redraw_ultrasound(
    seed: int,
    draws: int,
    *,
    spacing: float = 1.0,
    shape: tuple[int, int, int] | None = None,
    anatomy: Path | None = None,
    physics: PhysicsName = "test",
) -> Iterator[tuple[Field, NDArray[np.bool_]]]:
    """Scan the anatomy of a case again and again, as if by other surgeons with other scanners.

    The anatomy is that of :func:`simulate_case` with the same arguments. All that a T2 of the
    patient cannot tell is drawn anew: pose and sweeps, speckle, tissue echoes, gain, compression,
    attenuation, frequency, beam. The voxelwise median and mean over the draws that see a voxel are
    the best guesses anyone could make from the anatomy alone.

    Yields:
        (i, j, k) float32 display values 1-255 inside the field of view, 0 outside; and the field
        of view. The draw of number n depends on (seed, n) only.
    """
    (roll, body, *_), grid, template = _begin(seed, spacing, shape, anatomy)
    head = build_anatomy(body, grid, template, tumour=bool(roll.random() < WITH_TUMOUR))
    for number in range(draws):
        sound, scan = (np.random.default_rng([seed, 7, number, stage]) for stage in (0, 1))
        setting = draw_physics(sound, physics)
        acoustics = acoustics_of(sound, head, setting)
        probe = place_probe(scan, head, setting)
        ius, fov, _ = render_ultrasound(scan, acoustics, setting, probe, mismatch_mm=0.0)
        yield ius, fov
