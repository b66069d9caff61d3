"""Volumes and cases: reordering moves nothing, and strangers are not put together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from test_grid import ORDERS, reorder

from core.case import Case, CaseError, box_distance
from core.grid import Grid
from core.volume import Volume, VolumeError


def test_48_storage_orders_become_one_volume(make_volume: Callable[..., Volume]) -> None:
    volume = make_volume()
    canonical = volume.canonical()
    for order, flips in ORDERS:
        steps = tuple(slice(None, None, -1 if flip else 1) for flip in flips)
        stored = Volume(volume.voxels.transpose(order)[steps], reorder(volume.grid, order, flips))
        again = stored.canonical()
        np.testing.assert_array_equal(again.voxels, canonical.voxels)
        np.testing.assert_allclose(again.grid.affine, canonical.grid.affine, atol=1e-9)


def test_canonical_leaves_each_value_at_its_place(make_volume: Callable[..., Volume]) -> None:
    volume = make_volume()
    canonical = volume.canonical()
    place = volume.grid.to_world((5, 1, 3))
    i, j, k = np.round(canonical.grid.to_voxel(place)).astype(int)
    assert canonical.voxels[i, j, k] == volume.voxels[5, 1, 3]


def test_voxels_are_read_only_and_fit_the_grid(make_volume: Callable[..., Volume]) -> None:
    volume = make_volume()
    with pytest.raises(ValueError, match="read-only"):
        volume.voxels[0, 0, 0] = 1
    with pytest.raises(VolumeError, match="grid has"):
        Volume(np.zeros((2, 2, 2), np.float32), volume.grid)


def test_volumes_far_apart_are_refused_with_the_distance(
    make_volume: Callable[..., Volume],
) -> None:
    a = make_volume((10, 10, 10), np.eye(4))
    far = np.eye(4)
    far[:3, 3] = (10 + 30, 10 + 40, 0)
    b = make_volume((10, 10, 10), far)
    assert box_distance(a, b) == pytest.approx(50)
    assert box_distance(a, replace(b, grid=Grid((10, 10, 10), np.eye(4)))) == 0
    with pytest.raises(CaseError, match="50 mm apart"):
        Case("x", {"T2": a, "iUS": b}).check_overlap()
