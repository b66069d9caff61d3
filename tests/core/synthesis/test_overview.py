"""The picture of a synthesis: what stands where, and that only what a model made is framed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from core.case import Case
from core.grid import Grid
from core.marks import SYNTHETIC_RGB
from core.models.bundle import Bundle, Preprocessing
from core.models.mhvae.config import MHVAEConfig
from core.models.mhvae.model import MHVAE
from core.synthesis.overview import CELL, TEXT, overview, planes_of, radiological
from core.synthesis.request import Request, prepare_input
from core.synthesis.synthesize import Engine
from core.volume import Volume

CONFIG = MHVAEConfig(tile=(16, 16), base_features=4, max_features=8, pools=2, final_blocks=1)


@pytest.fixture(scope="module")
def sheet(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    torch.manual_seed(0)
    engine = Engine(MHVAE(CONFIG), Bundle(CONFIG, Preprocessing((2, 2, 2)), "small"))
    voxels = np.random.default_rng(0).uniform(1, 90, (20, 18, 6)).astype(np.float32)
    grid = Grid(voxels.shape, np.diag([2.0, 2.0, 2.0, 1.0]))
    case = Case("a", {"T2": Volume(voxels, grid, "T2"), "iUS": Volume(voxels, grid, "iUS")})
    request = Request(("T2",), ("iUS",), temperature=1.0, samples=2, fov="whole")
    result = engine.run(case, prepare_input(case, engine.bundle, request), request)
    path = tmp_path_factory.mktemp("picture") / "overview.png"
    overview(case, result, path)
    return np.asarray(Image.open(path).convert("RGB"))


def framed(sheet: np.ndarray, column: int, row: int) -> bool:
    left, top = column * CELL, row * (CELL + TEXT) + TEXT
    edge = np.concatenate(
        [
            sheet[top, left + 2 : left + CELL - 3],
            sheet[top + CELL - 2, left + 2 : left + CELL - 3],
            sheet[top + 1 : top + CELL - 2, left + 1],
            sheet[top + 1 : top + CELL - 2, left + CELL - 3],
        ]
    )
    return bool((edge == SYNTHETIC_RGB).all())


def test_a_column_for_each_volume_and_three_planes_with_room_for_words(sheet: np.ndarray) -> None:
    height, width, _ = sheet.shape
    assert width == 4 * CELL  # T2, iUS held back, iUS made, its spread
    lines, rest = divmod(height - 3 * (CELL + TEXT), TEXT)
    assert (lines >= 1, rest) == (True, 0)
    for row in range(3):
        title = sheet[row * (CELL + TEXT) : row * (CELL + TEXT) + TEXT]
        assert all(title[:, n * CELL : (n + 1) * CELL].max() > 200 for n in range(4))


def test_what_a_model_made_is_framed_and_nothing_else(sheet: np.ndarray) -> None:
    for row in range(3):
        assert [framed(sheet, column, row) for column in range(4)] == [False, False, True, True]


def test_the_notice_stands_below_in_the_colour_of_the_marks(sheet: np.ndarray) -> None:
    footer = sheet[3 * (CELL + TEXT) :].reshape(-1, 3)
    assert (footer == SYNTHETIC_RGB).all(axis=1).sum() > 200
    wide = (sheet[3 * (CELL + TEXT) :] == SYNTHETIC_RGB).all(axis=2).any(axis=0)
    assert np.flatnonzero(wide)[-1] < sheet.shape[1] - 6  # no word runs out of the picture


def test_the_background_stays_black_and_the_rest_is_windowed_robustly() -> None:
    voxels = np.zeros((41, 41, 41), np.float32)
    voxels[5:36, 5:36, 5:36] = np.linspace(10, 20, 31)[:, None, None]
    voxels[20, 20, 20] = 1e6
    volume = Volume(voxels, Grid(voxels.shape, np.eye(4)))
    planes = planes_of(volume, volume.grid, [20, 20, 18])
    assert sorted(planes) == [0, 1, 2]
    axial = planes[2]
    assert axial.shape == (41, 41)
    assert axial[0, 0] == 0
    assert axial[35, 20] > axial[7, 20] > 0
    assert int(axial[35, 20]) - int(axial[5, 20]) > 200


def test_the_middle_slices_of_the_field_of_view_are_drawn(tmp_path: Path) -> None:
    torch.manual_seed(0)
    engine = Engine(MHVAE(CONFIG), Bundle(CONFIG, Preprocessing((2, 2, 2)), "small"))
    grid = Grid((24, 24, 24), np.diag([2.0, 2.0, 2.0, 1.0]))
    voxels = np.full(grid.shape, 20, np.float32)
    voxels[10:14, :, :] = voxels[:, 10:14, :] = voxels[:, :, 10:14] = 80  # three crossing sheets
    voxels[:2] = voxels[-2:] = voxels[:, :2] = voxels[:, -2:] = 1
    voxels[:, :, :2] = voxels[:, :, -2:] = 1
    case = Case("a", {"T2": Volume(voxels, grid, "T2")})
    request = Request(("T2",), ("iUS",), fov="whole")
    result = engine.run(case, prepare_input(case, engine.bundle, request), request)
    overview(case, result, tmp_path / "overview.png")
    sheet = np.asarray(Image.open(tmp_path / "overview.png").convert("L"))
    for row in range(3):
        cell = sheet[row * (CELL + TEXT) + TEXT :][:CELL, :CELL]
        inside = cell[20:-20, 40:-20]
        # A slice through the middle lies in a sheet and is bright all over; another has a cross.
        assert np.median(inside) > 200


def test_slices_are_shown_in_the_radiological_convention() -> None:
    plane = np.zeros((3, 4), np.uint8)
    plane[2, 3] = 1  # RAS+: the patient's right, in front
    plane[0, 0] = 2
    shown = radiological(plane)
    assert shown.shape == (4, 3)
    assert shown[0, 0] == 1
    assert shown[3, 2] == 2
