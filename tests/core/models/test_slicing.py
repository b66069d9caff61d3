"""Slices of every orientation: there and back, pixels, blocks, and what a file says of them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from core.models.base.config import ModelError
from core.models.bundle import Bundle, Preprocessing, header
from core.models.mhvae.config import MHVAEConfig
from core.models.slicing import ORIENTATIONS, Slicing
from core.models.weights import build, save

SHAPE = (4, 5, 6)
CONFIG = MHVAEConfig(tile=(8, 8), base_features=4, max_features=8, pools=2, final_blocks=1)


def test_there_are_24_and_the_direction_of_the_slices_does_not_count() -> None:
    assert len(set(ORIENTATIONS)) == 24
    assert {Slicing(code).plane for code in ORIENTATIONS} == {"axial", "coronal", "sagittal"}
    assert Slicing("lpi").orientation == Slicing("LPS").orientation == "LPS"
    assert Slicing("LPS").sentence == "axial slices, rows towards left, columns towards posterior"
    assert [Slicing(c).left_right for c in ("LPS", "PLS", "ASR")] == [0, 1, None]
    for wrong in ("", "LP", "LRS", "LPX", "LPSR"):
        with pytest.raises(ModelError, match="three letters such as LPS"):
            Slicing(wrong)


@pytest.mark.parametrize("code", ORIENTATIONS)
def test_slices_go_back_and_a_voxel_is_where_its_pixel_is(code: str) -> None:
    slicing = Slicing(code)
    volume = np.arange(2 * np.prod(SHAPE)).reshape(2, *SHAPE)
    slices = slicing.slices(volume)
    assert np.array_equal(slicing.volume(slices), volume)
    index, row, column = (int(n) for n in slicing.pixel((1, 3, 2), SHAPE))
    assert slices[0, index, row, column] == volume[0, 1, 3, 2]
    block = slicing.block(2, (slice(1, 3), slice(0, 4)), SHAPE)
    assert sorted(volume[0][block].ravel()) == sorted(slices[0, 2, 1:3, 0:4].ravel())


def test_rows_and_columns_run_where_the_letters_say() -> None:
    right, front, up = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    slices = Slicing("LPS").slices(np.stack([right, front, up]))
    assert (np.diff(slices[0], axis=1) == -1).all()  # rows go left
    assert (np.diff(slices[1], axis=2) == -1).all()  # columns go back
    assert (np.diff(slices[2], axis=0) == 1).all()


def test_a_file_keeps_the_orientation_and_older_programs_refuse_it(tmp_path: Path) -> None:
    model = build(CONFIG)
    with torch.no_grad():
        usual = save(Bundle(CONFIG), model, tmp_path / "usual.safetensors")
        own = Preprocessing(plane="coronal", orientation="ILA")
        turned = save(Bundle(CONFIG, own), model, tmp_path / "turned.safetensors")
    assert '"schema": 1' in usual.to_json()
    assert "orientation" not in usual.to_json()
    assert header(usual.path or "").preprocessing.orientation == "RAS"
    assert '"schema": 2' in turned.to_json()
    assert header(turned.path or "").preprocessing == own
    with pytest.raises(ModelError, match="axial slices cannot have their orientation as 'ILA'"):
        Preprocessing(orientation="ILA")
