"""Sampling of parallel grids, held against scipy's general transform."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from core.image.parallel_grids import is_aligned, sample_aligned


@settings(max_examples=60, deadline=None)
@given(
    st.permutations(range(3)),
    st.lists(st.sampled_from([-1.7, -1.0, -0.4, 0.3, 1.0, 2.2]), min_size=3, max_size=3),
    st.lists(st.floats(-3, 9), min_size=3, max_size=3),
    st.sampled_from([0, 1]),
)
def test_every_order_direction_and_spacing_agrees_with_scipy(
    order: list[int], scales: list[float], offset: list[float], spline: int
) -> None:
    image = np.random.default_rng(0).random((9, 7, 8), dtype=np.float32)
    matrix = np.eye(4)
    matrix[:3, :3] = 0
    for target, source in enumerate(order):
        matrix[source, target] = scales[target]
    matrix[:3, 3] = offset
    assert is_aligned(matrix)
    got = sample_aligned(image, matrix, (6, 5, 10), spline, -7.0)
    # The edge voxels reach half a voxel beyond their centres; there scipy needs "nearest".
    at = np.moveaxis(np.indices((6, 5, 10)), 0, -1) @ matrix[:3, :3].T + matrix[:3, 3]
    expected = ndimage.map_coordinates(
        image.astype(np.float64), np.moveaxis(at, -1, 0), order=spline, mode="nearest"
    )
    size = np.array(image.shape)
    gap = np.minimum(at + 0.5, size - 0.5 - at).min(-1)
    # Halves round either way, and positions on the very edge fall either way.
    clear = np.abs(gap) > 1e-6
    if spline == 0:
        clear &= (np.abs(at - np.floor(at) - 0.5) > 1e-6).all(-1)
    expected[gap < 0] = -7
    np.testing.assert_allclose(got[clear], expected[clear], atol=1e-5)


def test_a_turned_grid_is_not_aligned() -> None:
    turned = np.eye(4)
    turned[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    assert not is_aligned(turned)
