"""The virtual probe: frames lie where they say, show what is there, and read back as a sweep."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.grid import Grid
from core.io.sweep_file import read_sweep
from core.io.sweep_writer import write_sweep
from core.synthesis.brain_surface import BrainSurface
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


def one(kind: str = "convex") -> VirtualSweep:
    shape = ProbeShape("linear" if kind == "linear" else "convex", 20.0, 25.0, 15.0)
    return place(shape, ENTRY, TARGET, length=10, step=2, pixel=1.0)[0]


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
