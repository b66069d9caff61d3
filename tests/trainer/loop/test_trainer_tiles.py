"""Where a tile is cut: around which pixel, how turned, and what is kept of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from trainer_cohort import tiny_plan

from trainer.cohort.cache import CachedCase
from trainer.loop.tiles import TileSampler, apply_gamma, copy, cut, fov_point

STILL = {
    "data__whole_pixel": 1.0,
    "data__jitter": 0.0,
    "data__flip": 0.0,
    "data__gamma": {},
    "data__min_fov": 0.0,
}


def one_pixel_case(slices: int = 6, size: int = 40) -> CachedCase:
    """Return a case whose slices see one pixel each, every one another; the T2 is its position."""
    array = np.full((slices, 3, size, size), -1, np.float16)
    array[:, 2] = 0
    array[:, 1] = np.arange(size * size).reshape(size, size) / (size * size)
    for k in range(slices):
        array[k, 2, 8 + 4 * k, 28 - 3 * k] = 1
    coverage = np.ones(slices, np.int64)
    return CachedCase("a", "a", array, ("T2",), coverage, {"T2": "x"})


def test_neighbours_are_cut_around_one_pixel_of_the_first() -> None:
    case = one_pixel_case()
    plan = tiny_plan(Path("x"), data__batch=3, data__neighbours=True, **STILL)
    sampler = TileSampler([case], plan)
    for step in range(4):
        first = sampler.order.at(step, 0)[1]
        centre = np.array([8.0 + 4 * first, 28.0 - 3 * first])
        tiles = sampler.batch(step).images["T2"].numpy()
        for row in range(3):
            k = sampler.order.at(step, row)[1]
            assert k == first + row
            assert np.array_equal(tiles[row, 0], copy(case.array[k], centre, (16, 16))[1])
    alone = TileSampler([case], plan.override({"data.neighbours": False}))
    for row in range(3):
        k = alone.order.at(0, row)[1]
        centre = np.array([8.0 + 4 * k, 28.0 - 3 * k])
        tile = alone.batch(0).images["T2"].numpy()[row, 0]
        assert np.array_equal(tile, copy(case.array[k], centre, (16, 16))[1])


def test_a_point_of_the_field_of_view_is_one_of_its_pixels() -> None:
    random = np.random.default_rng(0)
    mask = np.zeros((5, 9), np.float16)
    assert fov_point(mask, random).tolist() == [2.0, 4.0]  # nothing is seen: the middle
    mask[1, 7] = mask[4, 2] = 1
    drawn = {tuple(fov_point(mask, random)) for _ in range(40)}
    assert drawn == {(1.0, 7.0), (4.0, 2.0)}


def test_a_copy_ends_where_the_slice_ends() -> None:
    source = np.arange(2 * 6 * 7, dtype=np.float16).reshape(2, 6, 7)
    tile = copy(source, np.array([0.0, 6.0]), (3, 5))
    expected = np.full((2, 3, 5), -1.0, np.float32)
    expected[1] = 0
    expected[:, 1:, :3] = source[:, :2, 4:]
    assert np.array_equal(tile, expected)
    assert tile.dtype == np.float32
    turned = copy(source, np.array([0.0, 6.0]), (3, 5), mirror=0)
    assert np.array_equal(turned, expected[:, ::-1])
    far = copy(source, np.array([60.0, -60.0]), (3, 5))
    assert (far[0] == -1).all()
    assert (far[1] == 0).all()


def seen_everywhere(size: int = 21) -> np.ndarray[tuple[int, ...], np.dtype[np.float16]]:
    random = np.random.default_rng(0)
    source = random.uniform(-0.9, 1, (2, size, size)).astype(np.float16)
    source[1] = 1
    return source


def test_a_cut_without_a_turn_is_a_copy_and_quarter_turns_are_exact() -> None:
    source = seen_everywhere()
    centre = np.array([10.0, 9.0])
    plain = copy(source, centre, (7, 7))
    for matrix, turned in (
        (np.eye(2), plain),
        (np.array([[0.0, -1.0], [1.0, 0.0]]), np.rot90(plain, -1, axes=(1, 2))),
        (np.diag([-1.0, 1.0]), plain[:, ::-1]),
    ):
        np.testing.assert_allclose(cut(source, centre, matrix, (7, 7)), turned, atol=1e-5)
    every_other = cut(source, centre, 2 * np.eye(2), (5, 5))
    np.testing.assert_allclose(every_other, source[:, 6:15:2, 5:14:2], atol=1e-5)
    wide = cut(source, centre, np.eye(2), (3, 9))
    np.testing.assert_allclose(wide, copy(source, centre, (3, 9)), atol=1e-5)


def test_half_a_pixel_on_is_the_mean_of_two_and_nothing_bleeds_in() -> None:
    source = np.full((2, 9, 9), -1, np.float16)
    source[1] = 0
    source[0, :, 3:6] = [-0.5, 0.5, 0.0]
    source[1, :, 3:6] = 1
    tile = cut(source, np.array([4.0, 4.5]), np.eye(2), (3, 5))
    # Pixels 2.5, 3.5, 4.5, 5.5, 6.5: the outer ones lie half outside, which is not enough.
    np.testing.assert_allclose(tile[0], [[-1, 0, 0.25, -1, -1]] * 3, atol=1e-3)
    np.testing.assert_allclose(tile[1], [[0, 1, 1, 0, 0]] * 3)
    tile = cut(source, np.array([4.0, 4.25]), np.eye(2), (3, 5))
    # 2.25 … 6.25: three quarters of the last inside is of the value 0 alone.
    np.testing.assert_allclose(tile[0], [[-1, -0.25, 0.375, 0, -1]] * 3, atol=1e-3)
    # A modality that ends earlier than the field of view ends where it ends.
    source[0, :, 5] = -1
    source[1, :, :] = 1
    tile = cut(source, np.array([4.0, 4.0]), np.eye(2), (3, 5))
    np.testing.assert_allclose(tile[0], [[-1, -0.5, 0.5, -1, -1]] * 3, atol=1e-3)
    assert (tile[1] == 1).all()
    beyond = cut(source, np.array([40.0, 4.0]), np.eye(2), (3, 5))
    assert (beyond[0] == -1).all()
    assert (beyond[1] == 0).all()


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_gamma_bends_what_is_seen_between_its_ends(gamma: float) -> None:
    lowest = -255 / 256
    image = np.array([-1.0, lowest, (lowest + 1) / 2, 1.0], np.float32)
    apply_gamma(image, gamma)
    middle = 0.5**gamma * (1 - lowest) + lowest
    np.testing.assert_allclose(image, [-1.0, lowest, middle, 1.0], atol=1e-6)
