"""Intensities there and back, masks, and resampling in millimetres."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.grid import Grid
from core.image.brain_mask import brain_mask
from core.image.field_of_view import field_of_view
from core.image.intensity import IntensityError, Normaliser
from core.image.resample import resample, resample_inside
from core.volume import Volume


@settings(max_examples=50, deadline=None)
@given(st.floats(-500, 500), st.floats(1, 5000))
def test_the_range_is_the_method_s_and_the_inverse_brings_values_back(
    low: float, width: float
) -> None:
    voxels = np.linspace(low, low + width, 64, dtype=np.float32).reshape(4, 4, 4)
    mask = np.ones((4, 4, 4), bool)
    mask[0, 0, 0] = mask[3, 3, 3] = False
    normaliser = Normaliser.fit(voxels, mask, (0, 100))
    values = normaliser.forward(voxels, mask)
    assert values[mask].min() == pytest.approx(-255 / 256, abs=1e-6)
    assert values[mask].max() == pytest.approx(1, abs=1e-6)
    assert (values[~mask] == -1).all()
    back = normaliser.inverse(values, mask, background=-7)
    np.testing.assert_allclose(back[mask], voxels[mask], atol=1e-4 * (abs(low) + width))
    assert (back[~mask] == -7).all()


def test_nothing_to_normalise_is_a_sentence() -> None:
    flat = np.full((3, 3, 3), 5, np.float32)
    with pytest.raises(IntensityError, match="have the value 5"):
        Normaliser.fit(flat, np.ones_like(flat, bool))
    with pytest.raises(IntensityError, match="No voxel"):
        Normaliser.fit(flat, np.zeros_like(flat, bool))


def ramp(grid: Grid) -> np.ndarray:
    """x + 2y - z in mm at every voxel centre."""
    ijk = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), -1)
    return (grid.to_world(ijk) @ np.array([1.0, 2.0, -1.0])).astype(np.float32)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.6, 3.0), st.floats(-0.4, 0.4))
def test_resampling_keeps_millimetres(spacing: float, turn: float) -> None:
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    affine[:3, 3] = (-20, 7, 3)
    source = Grid((24, 22, 20), affine @ np.diag([1.1, 0.9, 1.3, 1]))
    target = source.with_spacing(spacing)
    got = resample(ramp(source), source, target)
    # Smoothing and clipping touch the rim; a ramp is unchanged by both inside.
    inner = tuple(slice(n // 4, n - n // 4) for n in target.shape)
    np.testing.assert_allclose(got[inner], ramp(target)[inner], atol=0.05)


def test_the_rim_of_an_aligned_grid_keeps_its_value() -> None:
    source = Grid((6, 6, 6), np.eye(4))
    half = source.with_spacing(0.5)
    ones = resample(np.ones(source.shape), source, half)
    assert (ones == 1).all()


TURN = np.eye(4)
TURN[:2, :2] = np.array([[1, -1], [1, 1]]) / np.sqrt(2)


@pytest.mark.parametrize("order", [0, 1])
def test_the_rim_of_a_turned_grid_keeps_its_value_too(order: int) -> None:
    source = Grid((6, 7, 8), TURN)
    fine = Grid((40, 40, 40), np.diag([0.3, 0.3, 0.3, 1.0])).canonical()
    fine = Grid(fine.shape, fine.affine @ np.eye(4) + shift(source.centre - fine.centre))
    found = resample(np.full(source.shape, 7.0), source, fine, order=order, fill=-1)
    ijk = np.stack(np.meshgrid(*(np.arange(n) for n in fine.shape), indexing="ij"), -1)
    inside = source.contains(fine.to_world(ijk))
    assert 0.1 < inside.mean() < 0.9
    assert (found[inside] == 7).all()
    assert (found[~inside] == -1).all()


def shift(by: np.ndarray) -> np.ndarray:
    out = np.zeros((4, 4))
    out[:3, 3] = by
    return out


@pytest.mark.parametrize("turned", [False, True])
def test_a_tone_beyond_the_target_s_reach_is_damped_however_the_grid_is_turned(
    turned: bool,
) -> None:
    """0.6 cycles a millimetre on a grid of 1 mm would come back as a slow wave."""
    source = Grid((150, 150, 4), np.diag([0.4, 0.4, 2.0, 1.0]))
    axes = TURN if turned else np.eye(4)
    x = source.to_world(
        np.stack(np.meshgrid(*(np.arange(n) for n in source.shape), indexing="ij"), -1)
    )
    tone = np.sin(2 * np.pi * 0.6 * (x @ axes[:3, 0])).astype(np.float32)
    affine = axes @ np.diag([1.0, 1.0, 2.0, 1.0])
    affine[:3, 3] = source.centre - affine[:3, :3] @ (9.5, 9.5, 1.5)
    found = resample(tone, source, Grid((20, 20, 4), affine))
    passed = float(found.std() / tone.std())
    assert passed < 0.25


def test_masked_resampling_does_not_mix_in_the_background() -> None:
    source = Grid((12, 12, 12), np.eye(4))
    mask = np.zeros(source.shape, bool)
    mask[3:9, 3:9, 3:9] = True
    image = np.where(mask, 100.0, -1000.0).astype(np.float32)
    values, inside = resample_inside(image, mask, source, source.with_spacing(0.7))
    assert inside.any()
    np.testing.assert_allclose(values[inside], 100, rtol=1e-5)
    assert (values[~inside] == 0).all()


def test_the_field_of_view_closes_holes_and_drops_specks() -> None:
    fan = np.zeros((30, 30, 30), np.float32)
    fan[8:20, 8:20, 8:20] = 50
    fan[12, 12, 12] = 0
    fan[28, 28, 28] = 9
    mask = field_of_view(Volume(fan, Grid(fan.shape, np.eye(4))))
    assert mask[12, 12, 12]
    assert not mask[28, 28, 28]
    assert mask.sum() == 12**3
    with pytest.raises(IntensityError, match=r"empty.nii.*every voxel"):
        field_of_view(
            Volume(np.zeros((4, 4, 4), np.float32), Grid((4, 4, 4), np.eye(4)), "iUS", "empty.nii")
        )


def test_the_brain_is_found_inside_scalp_and_skull_and_when_stripped() -> None:
    """A head as a T2 shows it: ventricles, white and grey matter, fluid, bone, scalp."""
    grid = Grid((96, 96, 96), np.diag([2, 2, 2, 1.0]))
    x, y, z = np.meshgrid(*(np.arange(96) - 47.5,) * 3, indexing="ij")
    radius = 32 * np.sqrt((x / 35) ** 2 + (y / 43) ** 2 + (z / 31) ** 2)
    brain = radius < 32
    folded = radius * (1 + 0.06 * np.sin(x / 3) * np.sin(y / 3.5) * np.sin(z / 3))
    ventricle = np.hypot(np.abs(x) - 5, z / 1.6) + np.abs(y) / 4 < 8
    inside = np.select([ventricle, folded < 24, folded < 29], [900.0, 330.0, 480.0], 800.0)
    head = np.select([brain, radius < 36, radius < 41], [inside, 20.0, 300.0], 5.0)
    noise = np.random.default_rng(0).normal(scale=5, size=head.shape)
    full = np.abs(head + noise).astype(np.float32)
    for volume in (full, np.where(brain, full, 0).astype(np.float32)):
        found = brain_mask(Volume(volume, grid))
        dice = 2 * (found & brain).sum() / (found.sum() + brain.sum())
        assert dice > 0.95


def test_the_real_head_s_brain_has_a_brain_s_size(real_data: object) -> None:
    from pathlib import Path

    from core.io import read

    assert isinstance(real_data, Path)
    volume = read(real_data / "remind-022" / "T2.nii.gz")
    mask = brain_mask(volume)
    litres = mask.sum() * np.prod(volume.grid.spacing) / 1e6
    assert 1.2 < litres < 1.9
