"""PSNR, SSIM, MAE: against plain formulas, and blind to everything outside the mask."""

from __future__ import annotations

import numpy as np
import pytest

from core.image.metrics import (
    MAX_PSNR,
    MetricsError,
    mae,
    match_gain,
    psnr,
    psnr_per_slice,
    ssim,
    ssim_per_slice,
)

Trio = tuple[np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture
def pair() -> Trio:
    rng = np.random.default_rng(1)
    a = rng.uniform(-1, 1, (24, 20, 4)).astype(np.float32)
    b = np.clip(a + rng.normal(0, 0.1, a.shape), -1, 1).astype(np.float32)
    mask = np.zeros(a.shape, dtype=bool)
    mask[3:20, 2:18, :3] = True  # the last slice is empty
    return a, b, mask


def test_psnr_and_mae_follow_their_formulas(pair: Trio) -> None:
    a, b, mask = pair
    a64, b64 = a.astype(float), b.astype(float)
    expected = np.mean(
        [
            10 * np.log10(4 / np.mean((a64[..., k] - b64[..., k])[mask[..., k]] ** 2))
            for k in (0, 1, 2)
        ]
    )
    assert psnr(a, b, mask) == pytest.approx(expected, abs=1e-9)
    assert mae(a, b, mask) == pytest.approx(np.abs(a64 - b64)[mask].mean(), abs=1e-9)
    assert psnr(a, a, mask) == pytest.approx(MAX_PSNR)


def test_ssim_is_two_dimensional_and_equals_its_definition(pair: Trio) -> None:
    a, b, mask = pair
    k, i, j = 1, 10, 9
    x = a[i - 3 : i + 4, j - 3 : j + 4, k].astype(float).ravel() + 1  # counted from black
    y = b[i - 3 : i + 4, j - 3 : j + 4, k].astype(float).ravel() + 1
    c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
    one = (2 * x.mean() * y.mean() + c1) * (2 * np.cov(x, y)[0, 1] + c2)
    one /= (x.mean() ** 2 + y.mean() ** 2 + c1) * (x.var(ddof=1) + y.var(ddof=1) + c2)
    window = np.zeros_like(mask)
    window[i - 3 : i + 4, j - 3 : j + 4, k] = True  # exactly one window fits
    assert ssim(a, b, window) == pytest.approx(one, abs=1e-9)
    assert ssim(a, a, mask) == pytest.approx(1)
    assert np.isnan(ssim_per_slice(a, b, mask)[3])


def test_ssim_does_not_depend_on_the_scale_it_is_given_on(pair: Trio) -> None:
    a, b, mask = pair
    grey = ssim(127.5 * (a + 1), 127.5 * (b + 1), mask, 255, 0)
    assert grey == pytest.approx(ssim(a, b, mask), abs=1e-6)


def test_nothing_outside_the_mask_counts(pair: Trio) -> None:
    a, b, mask = pair
    before = psnr(a, b, mask), ssim(a, b, mask), mae(a, b, mask)
    dirty = np.where(mask, b, np.float32(np.nan))
    assert (psnr(a, dirty, mask), ssim(a, dirty, mask), mae(a, dirty, mask)) == before


def test_match_gain_undoes_scale_and_offset(pair: Trio) -> None:
    a, _, mask = pair
    np.testing.assert_allclose(match_gain(a, 0.3 * a - 0.2, mask), a, atol=1e-5)


def test_images_that_cannot_be_compared_are_refused(pair: Trio) -> None:
    a, b, mask = pair
    with pytest.raises(MetricsError, match="one grid"):
        psnr(a, b[:-1], mask)
    with pytest.raises(MetricsError, match="empty"):
        ssim(a, b, np.zeros_like(mask))
    assert np.isnan(ssim(a, b, np.arange(a.size).reshape(a.shape) == 5))


def test_the_scale_is_minus_one_to_one_unless_another_is_given(pair: Trio) -> None:
    a, b, mask = pair
    assert psnr(a, b, mask) == pytest.approx(psnr(a, b, mask, 2.0), abs=1e-12)
    assert psnr(a, b, mask, 4.0) - psnr(a, b, mask) == pytest.approx(20 * np.log10(2), abs=1e-9)
    slices = psnr_per_slice(a, b, mask)
    np.testing.assert_allclose(slices[:3], psnr_per_slice(a, b, mask, 2.0)[:3])
    assert ssim(a, b, mask) == pytest.approx(ssim(a, b, mask, 2.0, -1.0), abs=1e-12)
    np.testing.assert_allclose(
        ssim_per_slice(a, b, mask)[:3], ssim_per_slice(a, b, mask, 2.0, -1.0)[:3]
    )


def test_slices_with_fewer_pixels_than_a_window_have_no_say_in_the_mean(pair: Trio) -> None:
    a, b, mask = pair
    mask[..., 1] = False
    mask[4:11, 4:10, 1] = True  # 42 pixels
    per_slice = psnr_per_slice(a, b, mask)
    assert psnr(a, b, mask) == pytest.approx(per_slice[[0, 2]].mean(), abs=1e-12)
    mask[4:11, 10, 1] = True  # 49: as large as the window
    per_slice = psnr_per_slice(a, b, mask)
    assert psnr(a, b, mask) == pytest.approx(per_slice[:3].mean(), abs=1e-12)
    few = np.zeros_like(mask)
    few[5:8, 5:8] = True  # where all are that small, all count
    assert psnr(a, b, few) == pytest.approx(psnr_per_slice(a, b, few).mean(), abs=1e-12)


def test_slices_after_one_without_a_window_are_still_scored(pair: Trio) -> None:
    a, b, mask = pair
    mask[..., 0] = False
    mask[5:8, 5:8, 0] = True
    values = ssim_per_slice(a, b, mask)
    assert np.isnan(values[0])
    assert np.isfinite(values[1:3]).all()


def test_a_gain_is_never_turned_round_nor_made_of_nothing(pair: Trio) -> None:
    a, _, mask = pair
    flat = match_gain(a, np.full_like(a, 0.4), mask)
    np.testing.assert_allclose(flat, a[mask].mean(), atol=1e-6)
    against = match_gain(a, -a, mask)
    np.testing.assert_allclose(against, a[mask].mean(), atol=1e-6)
    weak = match_gain(a, (a * 0.02).astype(np.float32), mask)  # a spread far below one
    np.testing.assert_allclose(weak[mask], a[mask], atol=1e-4)


def test_a_single_slice_is_scored_as_a_volume_of_one(pair: Trio) -> None:
    a, b, mask = pair
    flat = a[..., 1], b[..., 1], mask[..., 1]
    deep = a[..., 1:2], b[..., 1:2], mask[..., 1:2]
    for score in (psnr, ssim, mae):
        assert score(*flat) == pytest.approx(score(*deep), abs=1e-12)
    with pytest.raises(MetricsError, match="one grid"):
        psnr(a[:, 0, 0], b[:, 0, 0], mask[:, 0, 0])
    with pytest.raises(MetricsError, match="one grid"):
        psnr(a[..., None], b[..., None], mask[..., None])
