"""Tiles cover every pixel, share one lattice, and blend without a seam."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from core.synthesis.tiles import Tiling


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 400), st.integers(1, 400), st.sampled_from([(8, 2), (96, 5), (64, 3), (192, 6)])
)
def test_every_pixel_is_covered_and_origins_share_a_lattice(
    height: int, width: int, network: tuple[int, int]
) -> None:
    tile, pools = network
    tiling = Tiling((height, width), (tile, tile), 1 << (pools - 1))
    covered = np.zeros((height, width), bool)
    for origin in tiling.origins:
        inner, outer = tiling.overlap(origin)
        assert tiling.window[inner].shape == covered[outer].shape
        covered[outer] = True
        assert (origin[0] - tiling.rows[0]) % tiling.step == 0
        assert (origin[1] - tiling.columns[0]) % tiling.step == 0
    assert covered.all()
    rows = tiling.rows
    assert all(b - a <= tile for a, b in pairwise(rows))


def test_a_constant_blends_to_itself_and_cutting_pads() -> None:
    tiling = Tiling((50, 70), (32, 32), 8)
    image = np.random.default_rng(0).normal(size=(50, 70)).astype(np.float32)
    total = np.zeros_like(image)
    weight = np.zeros_like(image)
    for origin in tiling.origins:
        inner, outer = tiling.overlap(origin)
        tile = tiling.cut(image, origin, -1.0)
        total[outer] += tiling.window[inner] * tile[inner]
        weight[outer] += tiling.window[inner]
    np.testing.assert_allclose(total / weight, image, atol=1e-5)
    small = Tiling((4, 4), (8, 8), 4).cut(np.ones((4, 4), np.float32), (-2, -2), -1.0)
    assert small.sum() == 16 - 48


def test_the_weights_of_neighbouring_tiles_change_slowly() -> None:
    tiling = Tiling((250, 96), (96, 96), 32)
    total = np.zeros(tiling.plane)
    share = np.zeros((len(tiling.origins), *tiling.plane))
    for n, origin in enumerate(tiling.origins):
        inner, outer = tiling.overlap(origin)
        share[n][outer] = tiling.window[inner]
        total[outer] += tiling.window[inner]
    share /= total
    # A seam can be no steeper than the weights: brightness may differ by 1, a step may not.
    assert np.abs(np.diff(share[:, 4:-4], axis=1)).max() < 0.08


@settings(max_examples=200, deadline=None)
@given(
    st.tuples(st.integers(1, 400), st.integers(0, 399), st.integers(0, 399)),
    st.sampled_from([(8, 2), (96, 5), (192, 6)]),
)
def test_tiles_cover_the_box_with_as_much_around_it_as_there_is(
    line: tuple[int, int, int], network: tuple[int, int]
) -> None:
    length, *ends = line
    low, high = sorted(min(end, length - 1) for end in ends)
    tile, pools = network
    box = (slice(low, high + 1), slice(None))
    rows = Tiling((length, 8), (tile, tile), 1 << (pools - 1), box).rows
    assert rows[0] <= low
    assert rows[-1] + tile > high
    assert all(b - a <= tile for a, b in pairwise(rows))
    if rows[-1] + tile - rows[0] <= length:
        assert rows[0] >= 0
        assert rows[-1] + tile <= length
    if high - low < tile:
        assert len(rows) == 1
    whole = Tiling((length, 8), (tile, tile), 1 << (pools - 1)).rows
    assert len(rows) <= len(whole)


def test_a_view_smaller_than_a_tile_needs_one_tile_a_slice() -> None:
    whole = Tiling((300, 250), (192, 192), 64)
    view = Tiling((300, 250), (192, 192), 64, (slice(150, 290), slice(10, 120)))
    assert len(whole.origins) == 4
    assert view.origins == ((108, 0),)


def test_neighbours_share_no_more_than_they_need() -> None:
    """Two tiles of 192 reach over 350 pixels; with a third of a tile shared it took three."""
    tiling = Tiling((500, 192), (192, 192), 32, (slice(65, 400), slice(None)))
    assert len(tiling.origins) == 2
    a, b = tiling.rows
    assert 192 / 6 <= a + 192 - b < 192 / 3


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300))
def test_at_every_pixel_the_tiles_that_count_carry_most_of_the_weight(
    height: int, width: int
) -> None:
    tiling = Tiling((height, width), (64, 64), 8)
    total, kept = np.zeros((2, height, width))
    for origin in tiling.origins:
        inner, outer = tiling.overlap(origin)
        total[outer] += tiling.window[inner]
        kept[outer] += np.where(tiling.counts[origin], tiling.window[inner], 0)
    assert (kept / total >= 0.5 - 1e-6).all()
    alone = kept[:8, :8]
    assert (alone > 0).all()
