"""Grids: the same place in the world whatever the storage order, spacing or crop."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from conftest import oblique_affine
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.grid import Grid, GridError

ORDERS = [
    (order, flips) for order in permutations(range(3)) for flips in product((False, True), repeat=3)
]


def reorder(grid: Grid, order: tuple[int, ...], flips: tuple[bool, ...]) -> Grid:
    """Store the grid with other axes: new axis n is old axis order[n], reversed when flipped."""
    affine = np.eye(4)
    start = [grid.shape[o] - 1 if f else 0 for o, f in zip(order, flips, strict=True)]
    first = np.zeros(3)
    for n, (axis, flip) in enumerate(zip(order, flips, strict=True)):
        affine[:3, n] = grid.affine[:3, axis] * (-1 if flip else 1)
        first[axis] = start[n]
    affine[:3, 3] = grid.to_world(first)
    return Grid((grid.shape[order[0]], grid.shape[order[1]], grid.shape[order[2]]), affine)


@settings(max_examples=40, deadline=None)
@example(degrees=(0.0, 0.0, 45.0), spacing=(1.0, 1.0, 1.0))
@example(degrees=(45.0, 0.0, 0.0), spacing=(1.0, 2.0, 1.0))
@example(degrees=(0.0, -135.0, 0.0), spacing=(1.0, 1.0, 0.5))
@example(degrees=(45.0, 45.0, 45.0), spacing=(1.0, 1.0, 1.0))
@given(
    degrees=st.tuples(*[st.floats(-180, 180)] * 3),
    spacing=st.tuples(*[st.floats(0.1, 5)] * 3),
)
def test_48_storage_orders_share_one_canonical_grid(
    degrees: tuple[float, float, float], spacing: tuple[float, float, float]
) -> None:
    grid = Grid((4, 5, 6), oblique_affine(spacing, degrees))
    canonical = grid.canonical()
    assert canonical.axis_codes == "RAS"
    for order, flips in ORDERS:
        again = reorder(grid, order, flips).canonical()
        assert again.shape == canonical.shape
        np.testing.assert_allclose(again.affine, canonical.affine, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(
    degrees=st.tuples(*[st.floats(-180, 180)] * 3),
    new=st.tuples(*[st.floats(0.3, 4)] * 3),
    point=st.tuples(*[st.floats(-50, 50)] * 3),
)
def test_positions_go_both_ways_and_new_spacing_covers_the_old_extent(
    degrees: tuple[float, float, float],
    new: tuple[float, float, float],
    point: tuple[float, float, float],
) -> None:
    grid = Grid((7, 6, 5), oblique_affine(degrees=degrees))
    np.testing.assert_allclose(grid.to_voxel(grid.to_world(point)), point, atol=1e-9)
    other = grid.with_spacing(new)
    np.testing.assert_allclose(other.spacing, new)
    np.testing.assert_allclose(other.centre, grid.centre, atol=1e-9)
    inside = other.to_voxel(grid.corners)
    assert (inside >= -0.5 - 1e-5).all()
    assert (inside <= np.array(other.shape) - 0.5 + 1e-5).all()
    assert (other.spacing * other.shape < grid.spacing * grid.shape + other.spacing).all()


def test_crop_keeps_every_voxel_where_it_is() -> None:
    grid = Grid((7, 6, 5), oblique_affine())
    block = grid.crop((2, -1, 3), (3, 3, 3))
    np.testing.assert_allclose(block.to_world((1, 2, 0)), grid.to_world((3, 1, 3)))


def test_contains_goes_to_the_voxel_edges() -> None:
    grid = Grid((7, 6, 5), oblique_affine())
    at = grid.to_world([[-0.49, 0, 0], [-0.51, 0, 0], [6.49, 5, 4], [6.51, 5, 4]])
    assert grid.contains(at).tolist() == [True, False, True, False]


def test_axis_codes_name_the_direction_of_growth() -> None:
    assert Grid((2, 2, 2), np.diag([-1.0, -1, 1, 1])).axis_codes == "LPS"
    turned = np.eye(4)[[1, 2, 0, 3]]  # i grows along z, j along x, k along y
    assert Grid((2, 2, 2), turned).axis_codes == "SRA"


@pytest.mark.parametrize(
    ("affine", "words"),
    [
        (np.diag([1.0, 0, 1, 1]), "singular"),
        (np.array([[1.0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), "singular"),
        (np.diag([np.nan, 1, 1, 1]), "not finite"),
        (np.eye(3), "4x4"),
    ],
)
def test_matrices_that_describe_no_image_are_refused(affine: np.ndarray, words: str) -> None:
    with pytest.raises(GridError, match=words):
        Grid((2, 2, 2), affine)


def test_an_empty_axis_is_refused() -> None:
    with pytest.raises(GridError, match="at least one voxel"):
        Grid((2, 0, 2), np.eye(4))
