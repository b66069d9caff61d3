"""The virtual probe: frames lie where they say, show what is there, and read back as a sweep."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.grid import Grid
from core.io.sweep_file import read_sweep
from core.io.sweep_writer import write_sweep
from core.synthesis.brain_surface import BrainSurface, closed
from core.synthesis.sweep_field import field_of
from core.synthesis.sweep_plan import SweepPlan
from core.synthesis.virtual_sweep import (
    ProbeShape,
    SweepError,
    VirtualSweep,
    box_of,
    place,
    swept_field,
)
from core.volume import Volume

ENTRY, TARGET = np.array([10.0, -5.0, 30.0]), np.array([2.0, 4.0, 8.0])


def ball(radius: float = 30.0) -> Volume:
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -40
    grid = Grid((41, 41, 41), affine)
    world = grid.to_world(np.indices(grid.shape).reshape(3, -1).T)
    inside = (np.linalg.norm(world, axis=1) <= radius).reshape(grid.shape)
    return Volume(inside.astype(np.float32), grid)


def one(kind: str = "convex", tilt: float = 0.0) -> VirtualSweep:
    shape = ProbeShape("linear" if kind == "linear" else "convex", 20.0, 25.0, 15.0)
    return place(shape, ENTRY, TARGET, length=10, step=2, pixel=1.0, tilt=tilt)[0]


@pytest.mark.parametrize("kind", ["convex", "linear"])
def test_frames_show_what_lies_in_them(kind: str) -> None:
    sweep = one(kind)
    grid = Grid((60, 60, 60), np.array(
        [[1, 0, 0, -30], [0, 1, 0, -30], [0, 0, 1, -15], [0, 0, 0, 1]], float))  # fmt: skip
    points = grid.to_world(np.indices(grid.shape).reshape(3, -1).T).reshape(*grid.shape, 3)
    ramp = Volume((points @ [1.0, 10.0, 100.0] + 5000).astype(np.float32), grid)
    frames = sweep.frames(ramp)
    assert frames.shape == (*sweep.size, len(sweep.offsets))
    x, y = sweep.size[0] // 2, 9
    for n in range(len(sweep.offsets)):
        world = ENTRY + sweep.offsets[n] * sweep.axes[1] + 9.0 * sweep.axes[2]
        assert frames[x, y, n] == pytest.approx(world @ [1, 10, 100] + 5000, abs=0.05)
    assert (frames[~sweep.fan()] == 0).all()
    corner_shown = bool(sweep.fan()[0, 0])
    assert corner_shown is (kind == "linear")
    np.testing.assert_allclose(np.cross(sweep.axes[0], sweep.axes[1]), sweep.axes[2], atol=1e-12)
    for pose in sweep.poses:
        assert np.linalg.det((pose @ sweep.calibration)[:3, :3]) > 0


def test_the_field_is_what_the_frames_pass_through() -> None:
    sweep, brain = one(), ball()
    field = swept_field([sweep], brain.grid, brain.voxels > 0)
    world = brain.grid.to_world(np.argwhere(field.voxels > 0))
    lateral, along, depth = sweep.axes @ (world - ENTRY).T
    assert np.abs(along).max() <= 5.5
    assert sweep.shape.inside(lateral, depth).all()
    assert (brain.voxels[field.voxels > 0] == 1).all()
    start, shape = box_of(field)
    assert field.voxels[tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))].sum() \
        == field.voxels.sum()  # fmt: skip
    with pytest.raises(SweepError, match="sees nothing"):
        swept_field([sweep], brain.grid, np.zeros(brain.grid.shape, bool))


def test_sweeps_are_turned_against_each_other() -> None:
    first, second = place(ProbeShape(), ENTRY, TARGET, sweeps=2)
    assert first.axes[1] @ second.axes[1] == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(first.axes[2], second.axes[2])
    np.testing.assert_allclose(first.offsets[[0, -1]], [-30, 30])
    assert len(first.offsets) == 121


def test_the_entry_is_on_the_surface_above_the_target() -> None:
    entry = BrainSurface(ball()).above(np.array([10.0, 0.0, 6.0]))
    assert np.linalg.norm(entry) == pytest.approx(30, abs=2)
    assert entry[2] >= 6
    assert entry[0] > 20
    with pytest.raises(SweepError, match="outside"):
        BrainSurface(ball()).above(np.array([0.0, 0.0, 35.0]))
    with pytest.raises(SweepError, match="1 mm or more"):
        place(ProbeShape(), ENTRY, ENTRY)


@pytest.mark.parametrize("spacing", [2.0, 0.5])
def test_a_probe_lies_across_a_notch_and_enters_a_wide_gap(spacing: float) -> None:
    count = int(80 / spacing) + 1
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = -40
    grid = Grid((count,) * 3, affine)
    x, y, z = (o * spacing - 40 for o in np.ogrid[:count, :count, :count])
    whole = x**2 + y**2 + z**2 <= 30**2
    for width, across in ((8, True), (36, False)):
        notched = whole & ~((abs(x) < width / 2) & (z > 12) & (y == y))
        surface = BrainSurface(Volume(notched.astype(np.float32), grid))
        above = surface.above(np.array([0.0, 0.0, 8.0]))
        entry = surface.nearest(np.array([0.0, 0.0, 14.0]))
        if across:
            assert above[2] > 20
            assert entry[2] > 20
            # What is brain and what is not stays as it was: the notch is seen as one.
            assert not surface.holds(np.array([0.0, 0.0, 16.0]))
        else:
            assert entry[2] == pytest.approx(12, abs=spacing)
    assert not closed(np.zeros((4, 4, 4), bool), (1, 1, 1)).any()


def test_a_written_sweep_is_read_back(tmp_path: Path) -> None:
    sweep = one()
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (*sweep.size, len(sweep.offsets)), dtype=np.uint8)
    path = tmp_path / "a.igs.mha"
    write_sweep(path, images, sweep.calibration, sweep.poses, synthetic=True)
    again = read_sweep(path)
    assert again.goal == "Reference"
    np.testing.assert_array_equal(again.images, images)
    np.testing.assert_allclose(again.places, sweep.poses @ sweep.calibration, atol=1e-12)
    assert b"SYNTHETIC" in path.read_bytes()[:2000]


@pytest.mark.parametrize("tilt", [0.0, 0.4, -0.3])
def test_a_tilted_frame_turns_about_its_face(tilt: float) -> None:
    sweep = one(tilt=tilt)
    lateral, _, depth = sweep.frame_axes
    np.testing.assert_allclose(lateral, sweep.axes[0])
    assert depth @ sweep.axes[2] == pytest.approx(np.cos(tilt))
    assert depth @ sweep.axes[1] == pytest.approx(np.sin(tilt))
    grid = ball().grid
    every = grid.to_world(np.indices(grid.shape).reshape(3, -1).T) - ENTRY
    side, along, deep = sweep.axes @ every.T
    along = along - np.tan(tilt) * deep
    inside = sweep.shape.inside(side, deep / np.cos(tilt)) & (
        np.abs(along) <= sweep.offsets[-1] + 0.5
    )
    np.testing.assert_array_equal(sweep.covers(grid).ravel(), inside)
    # What the frames show is what they cover, to half a step and a voxel.
    world = grid.to_world(np.argwhere(sweep.covers(grid)))
    assert len(world) > 50
    inverse = np.linalg.inv(sweep.poses)
    local = np.einsum("nab,pb->npa", inverse[:, :3, :3], world) + inverse[:, None, :3, 3]
    away = np.abs(local[..., 1]).min(axis=0)
    assert away.max() <= 1.01
    nearest = local[np.abs(local[..., 1]).argmin(axis=0), np.arange(len(world))]
    grown = ProbeShape("convex", 22.0, 26.0, 14.0)
    assert grown.inside(nearest[:, 0], nearest[:, 2] + 0.5).mean() > 0.98


def test_a_plan_is_read_back_and_kept_in_its_limits() -> None:
    plan = SweepPlan((1.0, 2.0, 3.0), (4.0, 5.0, 60.0), "linear", sweeps=2, tilt_deg=7.5)
    assert SweepPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan
    first, second = plan.laid()
    assert first.tilt == pytest.approx(np.radians(7.5))
    assert len(first.offsets) == 121
    assert abs(first.axes[0] @ second.axes[0]) < 1e-12
    with pytest.raises(SweepError, match="Depth of the sweep: expected 5 to 250, found 1"):
        replace(plan, depth_mm=1.0).laid()


def test_an_outline_is_where_inside_ends() -> None:
    for shape in (ProbeShape("linear", 20.0, 25.0), ProbeShape("convex", 20.0, 25.0, 15.0)):
        edge = shape.outline()
        np.testing.assert_allclose(edge[0], edge[-1])
        middle = np.array([0.0, 12.0])
        assert shape.inside(*(middle + 0.98 * (edge - middle)).T).mean() > 0.9
        assert not shape.inside(*(middle + 1.02 * (edge - middle)).T).any()


def test_a_field_is_no_more_than_what_is_wanted() -> None:
    sweep, brain = one(), ball()
    wanted = np.zeros(brain.grid.shape, bool)
    wanted[22:26] = True
    all_, some = (field_of([sweep], brain, wanted=w).voxels > 0 for w in (None, wanted))
    np.testing.assert_array_equal(some, all_ & wanted)
    assert some.any()
    wide = field_of([sweep], brain, margin=2.0).voxels
    assert wide.sum() > all_.sum()
