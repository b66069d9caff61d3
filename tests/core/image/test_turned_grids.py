"""Turned grids: as sharp and as free of aliasing as parallel ones, up to the outer half voxel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from core.grid import Grid
from core.image.resample import resample

FINE = Grid((64, 64, 64), np.diag([0.5, 0.5, 0.5, 1.0]))
CENTRE = np.full(3, 31.5 * 0.5)
PLACES = np.stack(np.meshgrid(*[np.arange(64) * 0.5] * 3, indexing="ij"), -1) - CENTRE


def turned(steps: tuple[float, float, float], turn: Rotation, length: float = 12.0) -> Grid:
    """A grid around the middle of ``FINE``."""
    shape = tuple(max(2, round(length / s)) for s in steps)
    affine = np.eye(4)
    affine[:3, :3] = turn.as_matrix() * steps
    affine[:3, 3] = CENTRE - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid((shape[0], shape[1], shape[2]), affine)


def kept(steps: tuple[float, float, float], turn: Rotation, axis: int, per_mm: float) -> float:
    """How much of a tone along a target's axis is left, 0 to 1."""
    tone = np.sin(2 * np.pi * per_mm * (PLACES @ turn.as_matrix()[:, axis]) + 0.3)
    found = resample(tone.astype(np.float32), FINE, turned(steps, turn))
    return float(found.std() / tone.std())


@pytest.mark.parametrize("turn", [(0, 0, 0), (45, 0, 0), (30, 0, 0), (0, 45, 0), (20, 30, 40)])
@pytest.mark.parametrize("steps", [(1.0, 1.0, 1.0), (0.5, 0.5, 3.0), (3.0, 0.6, 1.5)])
def test_each_axis_keeps_what_its_step_can_show_and_nothing_finer(
    steps: tuple[float, float, float], turn: tuple[float, float, float]
) -> None:
    rotation = Rotation.from_euler("xyz", turn, degrees=True)
    for axis, step in enumerate(steps):
        nyquist = 0.5 / step
        assert kept(steps, rotation, axis, 0.4 * nyquist) > 0.74
        if step > 0.9:
            assert kept(steps, rotation, axis, 1.2 * nyquist) < 0.22


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(*[st.floats(-180, 180)] * 3),
    st.tuples(*[st.sampled_from([0.3, 0.5, 1.0, 2.5])] * 3),
)
def test_a_slope_stays_where_it_is(
    turn: tuple[float, float, float], steps: tuple[float, float, float]
) -> None:
    grid = turned(steps, Rotation.from_euler("xyz", turn, degrees=True), 8.0)
    slope = (PLACES @ np.array([3.0, -2.0, 1.0])).astype(np.float32)
    found = resample(slope, FINE, grid)
    voxels = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), -1)
    places = voxels @ grid.affine[:3, :3].T + grid.affine[:3, 3] - CENTRE
    np.testing.assert_allclose(found, places @ np.array([3.0, -2.0, 1.0]), atol=2e-2)


def test_the_outer_half_voxel_belongs_to_the_image_and_what_lies_beyond_does_not() -> None:
    source = Grid((3, 3, 3), np.diag([2.0, 2.0, 2.0, 1.0]))
    ones = np.ones(source.shape, np.float32)
    turn = Rotation.from_euler("z", 45, degrees=True).as_matrix()
    for beyond, expected in ((0.98, 1.0), (1.02, -5.0)):  # mm past the centre of the last voxel
        affine = np.eye(4)
        affine[:3, :3] = turn
        affine[:3, 3] = (4 + beyond, 2, 2)
        found = resample(ones, source, Grid((1, 1, 1), affine), fill=-5.0)
        assert found.item() == expected
