"""What a frame of the virtual probe shows, and where it meets a plane."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtGui import QImage

from app.synthesis.sweep.fan_picture import fan_picture, sample_known
from app.synthesis.sweep.fan_view import as_image
from app.synthesis.sweep.overlay import crossings, outlines
from core.grid import Grid
from core.synthesis.sweep_plan import SweepPlan
from core.volume import Volume

GRID = Grid((40, 40, 40), np.array(
    [[2, 0, 0, -40], [0, 2, 0, -40], [0, 0, 2, -40], [0, 0, 0, 1]], float))  # fmt: skip
PLAN = SweepPlan((0.0, 0.0, 35.0), (0.0, 0.0, 0.0), width_mm=20, depth_mm=40, pixel_mm=1.0)


def ramp() -> np.ndarray:
    points = GRID.to_world(np.indices(GRID.shape).reshape(3, -1).T).reshape(*GRID.shape, 3)
    return np.asarray(points @ [1.0, 2.0, 3.0] + 1000, np.float32)


def test_known_voxels_are_interpolated_and_the_others_left_out() -> None:
    voxels = ramp()
    points = np.random.default_rng(0).uniform(-30, 30, (200, 3))
    values, known = sample_known(voxels, GRID, points)
    assert known.all()
    np.testing.assert_allclose(values, points @ [1, 2, 3] + 1000, rtol=1e-5)
    voxels[20:] = 0  # from 0 mm on nothing is known
    values, known = sample_known(voxels, GRID, points)
    np.testing.assert_array_equal(known, points[:, 0] <= -1)
    deep = points[:, 0] < -2.1
    np.testing.assert_allclose(values[deep], points[deep] @ [1, 2, 3] + 1000, rtol=1e-5)
    assert (values[~known] == 0).all()


def test_the_best_source_comes_first_and_the_next_fills_its_gaps() -> None:
    first, second = ramp(), np.full(GRID.shape, 7, np.float32)
    first[20:] = 0
    labels = Volume((ramp() > 1000).astype(np.float32), GRID)
    under = Volume(ramp(), GRID, "T2")
    frame = PLAN.laid()[0]
    picture = fan_picture(frame, under, [(GRID, first), (GRID, second)], labels)
    assert (picture.known == picture.inside).all()
    left = picture.inside & (picture.places[..., 0] < -2.1)
    right = picture.inside & (picture.places[..., 0] > 2.1)
    np.testing.assert_allclose(picture.made[left], picture.under[left], rtol=1e-5)
    assert (picture.made[right] == 7).all()
    assert set(np.unique(picture.labels)) == {0, 1}
    image = as_image(picture, (0, 14), (900, 1100))
    assert (image.width(), image.height()) == picture.inside.shape
    assert image.pixelColor(0, image.height() - 1).alpha() == 0  # beside the fan
    x, y = np.argwhere(right & (picture.labels == 0))[0]
    assert image.pixelColor(int(x), int(y)).red() == pytest.approx(128, abs=1)
    assert isinstance(image, QImage)


def test_a_fan_meets_a_plane_in_a_line() -> None:
    edge = outlines(PLAN.laid()[0])[60]
    np.testing.assert_allclose(edge[0], edge[-1])
    ((one, other),) = crossings(edge, edge[:, 2] - 10.0)
    np.testing.assert_allclose([one[2], other[2]], 10, atol=1e-9)
    assert abs(one[0] - other[0]) == pytest.approx(2 * (20 + 25) * np.tan(0.5), rel=1e-3)
    assert crossings(edge, edge[:, 2] - 100.0) == []
