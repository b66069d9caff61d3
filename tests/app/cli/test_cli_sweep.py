"""``sweep``: volume, tracked frames and pictures in pairs, with labels carried along."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from app.cli import main
from core.grid import Grid
from core.io import read, write
from core.io.sweep_file import read_sweep
from core.models.bundle import Bundle, Preprocessing
from core.models.mhvae.config import MHVAEConfig
from core.models.mhvae.model import MHVAE
from core.models.weights import save
from core.volume import Volume

CONFIG = MHVAEConfig(tile=(16, 16), base_features=4, max_features=8, pools=2, final_blocks=1)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A model, a bright ball in the dark, and a label around its middle."""
    torch.manual_seed(0)
    bundle = Bundle(CONFIG, Preprocessing((4, 4, 4)), "small")
    save(bundle, MHVAE(CONFIG), tmp_path / "m.safetensors")
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = -60
    grid = Grid((31, 31, 31), affine)
    far = np.linalg.norm(grid.to_world(np.indices(grid.shape).reshape(3, -1).T), axis=1)
    far = far.reshape(grid.shape)
    texture = np.random.default_rng(0).uniform(80, 120, grid.shape)
    ball = np.where(far < 50, texture, 0).astype(np.float32)
    write(Volume(ball, grid, "T2"), tmp_path / "T2.nii.gz")
    write(Volume((3.0 * (far < 15)).astype(np.float32), grid), tmp_path / "seg.nii.gz")
    return tmp_path


def sweep(files: Path, *more: str) -> int:
    return main(["sweep", "--input", f"T2={files / 'T2.nii.gz'}", "--out", str(files / "o"),
                 "--model", str(files / "m.safetensors"), "--length", "12", "--step", "4",
                 "--pixel", "2", "--json", *more])  # fmt: skip


def test_everything_a_sweep_gives(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = ("--labels", str(files / "seg.nii.gz"))
    assert sweep(files, "--target", "0,0,4", "--sweeps", "2", *labels) == 0
    told = json.loads(capsys.readouterr().out)
    out = files / "o"
    volume = read(out / "sweep-iUS.nii.gz")
    assert volume.synthetic
    assert json.loads((out / "sweep-iUS.json").read_text())["probe"]["sweeps"] == 2
    carried = read(out / "sweep-labels.nii.gz")
    assert carried.grid.same_as(volume.grid)
    assert set(np.unique(carried.voxels)) == {0, 3}
    for n in (1, 2):
        frames = read_sweep(out / f"sweep-{n}.igs.mha")
        assert frames.images.max() > 0
        classes = read_sweep(out / f"sweep-{n}-labels.igs.mha")
        np.testing.assert_array_equal(frames.places, classes.places)
        assert set(np.unique(classes.images)) == {0, 3}
        k = frames.images.shape[2] // 2
        pictures = [np.asarray(Image.open(out / f"sweep-{n}" / f"frame-{k:04d}{end}.png"))
                    for end in ("", "-labels")]  # fmt: skip
        np.testing.assert_array_equal(pictures[0].T, frames.images[:, :, k])
        np.testing.assert_array_equal(pictures[1].T, classes.images[:, :, k])
    assert told["frames"] == 2 * frames.images.shape[2]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--target", "0,0"], "three numbers"),
        (["--target", "0,0,300"], "outside"),
        (["--target", "0,0,4", "--depth", "1"], "--depth 1"),
        (["--target", "0,0,4", "--input", "CT=x"], "MODALITY=PATH"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    files: Path, words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep(files, *words) == 2
    assert sentence in capsys.readouterr().err
