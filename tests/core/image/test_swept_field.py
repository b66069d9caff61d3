"""The field of view and the scale of volumes that exports have spoilt."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from core.grid import Grid
from core.image.field_of_view import field_of_view
from core.image.intensity import Normaliser
from core.image.preprocess import measure
from core.volume import Volume

SPACING = 0.8
DRAW = np.random.default_rng(0)


def sweep() -> tuple[np.ndarray, np.ndarray]:
    """A fan of speckle (i across, j deep, k along the sweep) and where it is."""
    i, j, k = np.meshgrid(*(np.arange(n) for n in (110, 100, 80)), indexing="ij", sparse=True)
    across, deep = i - 54.5, j + 20.0
    radius, angle = np.hypot(across, deep), np.arctan2(across, deep)
    fan = (np.abs(angle) < 0.5) & (radius > 34) & (radius < 105) & (k >= 12) & (k < 68)
    speckle = ndimage.gaussian_filter(DRAW.rayleigh(1, fan.shape), 0.8)
    depth = 1.2 - 0.8 * (radius - 34) / 71
    return np.where(fan, np.rint(1 + 60 * speckle * depth), 0).astype(np.float32), fan


VOXELS, FAN = sweep()


def jpeg(voxels: np.ndarray) -> np.ndarray:
    out = np.empty_like(voxels)
    for k in range(voxels.shape[2]):
        file = io.BytesIO()
        Image.fromarray(voxels[:, :, k].astype(np.uint8)).save(file, "JPEG", quality=60)
        out[:, :, k] = np.asarray(Image.open(file))
    return out


def framed(voxels: np.ndarray) -> np.ndarray:
    out = voxels.copy()
    out[:2], out[-2:], out[:, :2], out[:, -2:] = 255, 255, 255, 255
    return out


def written_on(voxels: np.ndarray) -> np.ndarray:
    out = voxels.copy()
    for n in range(6):  # letters like H, and a scale of depth
        out[4 + 5 * n, 3:9], out[7 + 5 * n, 3:9], out[4 + 5 * n : 8 + 5 * n, 6] = 255, 255, 255
    out[105, 5:95] = 255
    return out


SPOILT: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "clean": lambda v: v,
    "0 to 2 around it": lambda v: np.where(FAN, v, DRAW.integers(0, 3, v.shape)),
    "0 or 1 everywhere": lambda v: v + DRAW.integers(0, 2, v.shape),
    "noise": lambda v: np.abs(v + DRAW.normal(0, 1.5, v.shape)),
    "jpeg": jpeg,
    "frame": framed,
    "text": written_on,
    "text, frame and jpeg": lambda v: jpeg(framed(written_on(v))),
    "spline": lambda v: ndimage.shift(v, (0.4, 0.3, 0.5), order=3),
    "dark tissue cut off": lambda v: np.clip(v - np.percentile(v[FAN], 10), 0, 255),
    "-1024 around it": lambda v: np.where(FAN, v, -1024),
    "-1024 in holes": lambda v: np.where(v > np.percentile(v[FAN], 4), v, -1024),
    "white around it": lambda v: np.where(FAN, v, 255),
    "stretched": lambda v: 3.5 * v + 100,
}


@pytest.mark.parametrize("name", SPOILT)
def test_the_swept_region_is_found_whatever_lies_around_it(name: str) -> None:
    voxels = np.asarray(SPOILT[name](VOXELS), np.float32)
    grid = Grid(VOXELS.shape, np.diag([SPACING] * 3 + [1.0]))
    found = field_of_view(Volume(voxels, grid, "iUS"))
    assert 2 * (found & FAN).sum() / (found.sum() + FAN.sum()) >= 0.97


def test_a_field_of_view_that_no_sweep_has_is_told() -> None:
    grid = Grid((40, 40, 40), np.eye(4))
    full = Volume(DRAW.rayleigh(50, grid.shape).astype(np.float32), grid, "iUS", "US.nii")
    told = measure(full, (0, 99.95)).warnings
    assert len(told) == 1
    assert "US.nii: the field of view takes 100% of the volume" in told[0]


TISSUE = DRAW.normal(400, 60, (30, 30, 30)).astype(np.float32)
WHOLE = np.ones(TISSUE.shape, bool)
CLEAN = Normaliser.fit(TISSUE, WHOLE)


@pytest.mark.parametrize(("wrong", "count"), [(-32768, 1), (-2000, 500), (32767, 300)])
def test_values_no_image_has_do_not_set_the_scale(wrong: int, count: int) -> None:
    spoilt = TISSUE.copy()
    spoilt.ravel()[DRAW.choice(spoilt.size, count, replace=False)] = wrong
    found = Normaliser.fit(spoilt, WHOLE)
    width = CLEAN.high - CLEAN.low
    assert abs(found.low - CLEAN.low) < (0.01 if count == 1 else 0.35) * width
    assert abs(found.high - CLEAN.high) < 0.05 * width
    assert found.aside == count
    assert f"{count} voxel" in found.warnings("T2.nii")[0]


def test_a_clean_image_keeps_its_exact_percentiles() -> None:
    assert CLEAN.low == TISSUE.min()
    assert CLEAN.high == pytest.approx(np.percentile(TISSUE, 99.95))
    assert CLEAN.warnings("T2.nii") == ()


def test_ringing_below_the_background_is_black() -> None:
    voxels = np.zeros((40, 40, 40), np.float32)
    voxels[8:32, 8:32, 8:32] = DRAW.uniform(300, 500, (24, 24, 24))
    ringing = ndimage.shift(voxels, (0.5, 0.5, 0.5), order=3)
    assert ringing.min() < -20
    found = Normaliser.fit(ringing, ringing != 0)
    assert found.low > -2
    assert found.aside > 0


def test_an_image_on_both_sides_of_nothing_is_meant() -> None:
    standard = ((TISSUE - 400) / 60).astype(np.float32)
    found = Normaliser.fit(standard, WHOLE)
    assert found.low == standard.min()
    assert found.aside == 0
