"""A virtual probe in the engine: its field of view, its tiles, its marks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from app.processes.engine.backend import EngineBackend
from app.processes.shared_memory import SharedArray
from core.grid import Grid
from core.models.bundle import Bundle, Preprocessing
from core.models.mhvae.config import MHVAEConfig
from core.models.mhvae.model import MHVAE
from core.models.weights import save
from core.synthesis.sweep_plan import SweepPlan
from core.synthesis.view import part_of
from core.volume import Volume

CONFIG = MHVAEConfig(tile=(16, 16), base_features=4, max_features=8, pools=2, final_blocks=1)
PLAN = SweepPlan((0.0, 0.0, 50.0), (0.0, 0.0, 10.0), depth_mm=40, length_mm=12, step_mm=2)


@pytest.fixture
def task(tmp_path: Path) -> dict[str, Any]:
    torch.manual_seed(0)
    bundle = Bundle(CONFIG, Preprocessing((4, 4, 4)), "small")
    save(bundle, MHVAE(CONFIG), tmp_path / "m.safetensors")
    return {
        "model": str(tmp_path / "m.safetensors"), "device": "cpu", "subset": ["T2"],
        "targets": ["iUS"], "temperature": 0.0, "samples": 1, "seed": 0, "batch": 4,
        "volumes": {"T2": "a"}, "sweep": {"plan": PLAN.to_dict()},
    }  # fmt: skip


@pytest.fixture
def volumes(monkeypatch: pytest.MonkeyPatch) -> dict[str, Volume]:
    monkeypatch.setattr("core.synthesis.brain_surface.brain_mask", lambda volume: volume.voxels > 0)
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = -60
    grid = Grid((31, 31, 31), affine)
    far = np.linalg.norm(grid.to_world(np.indices(grid.shape).reshape(3, -1).T), axis=1)
    texture = np.random.default_rng(0).uniform(80, 120, grid.shape)
    ball = np.where(far.reshape(grid.shape) < 50, texture, 0).astype(np.float32)
    return {"a": Volume(ball, grid, "T2")}


def grid_of(task: Any, volumes: Any) -> Grid:
    """The part of the grid that a task's images are on."""
    sent: list[Any] = []
    backend = EngineBackend()
    backend.run(task, volumes, sent.append, lambda: False)
    backend.release()
    (prepared,) = (m for m in sent if m["type"] == "prepared")
    return Grid(tuple(prepared["shape"]), np.array(prepared["affine"]))


def run(backend: EngineBackend, task: Any, volumes: Any) -> tuple[np.ndarray, np.ndarray, Any]:
    sent: list[Any] = []
    done = backend.run(task, volumes, sent.append, lambda: False)
    (prepared,) = (m for m in sent if m["type"] == "prepared")
    array = SharedArray.attach(prepared["arrays"]["iUS"]).array.copy()
    field = SharedArray.attach(prepared["fov"]).array.copy()
    backend.release()
    return array, field, done


def test_a_sweep_is_made_where_it_sees_brain_and_says_so(task: Any, volumes: Any) -> None:
    values, field, done = run(EngineBackend(), task, volumes)
    expected = PLAN.laid()[0].covers(volumes["a"].grid) & (volumes["a"].voxels > 0)
    part = grid_of(task, volumes)
    assert expected.sum() == field.sum()
    np.testing.assert_array_equal(field, part_of(expected, volumes["a"].grid, part))
    assert (values[~field] == 0).all()
    assert (values[field] != 0).mean() > 0.99
    marks = done["provenance"]["targets"]["iUS"]
    assert marks["probe"] == PLAN.to_dict()
    assert marks["field_of_view"] == "virtual sweep"


def test_a_real_ultrasound_is_not_looked_at(task: Any, volumes: Any) -> None:
    alone, _, _ = run(EngineBackend(), task, volumes)
    small = Grid((9, 9, 9), np.diag([3.0, 3.0, 3.0, 1.0]))
    volumes["b"] = Volume(np.arange(729, dtype=np.float32).reshape(9, 9, 9), small, "iUS")
    task["volumes"]["iUS"] = "b"
    beside, _, done = run(EngineBackend(), task, volumes)
    np.testing.assert_array_equal(alone, beside)
    assert done["results"]["iUS"]["metrics"] == {}


def test_a_frame_shows_its_tiles_whole_and_skips_what_is_known(task: Any, volumes: Any) -> None:
    backend = EngineBackend()
    whole, _, _ = run(backend, task, volumes)
    task["sweep"]["slide"] = 0.0
    values, field, _ = run(backend, task, volumes)
    part = grid_of(task, volumes)
    brain = part_of(volumes["a"].voxels > 0, volumes["a"].grid, part)
    np.testing.assert_array_equal(field, brain)
    assert brain.sum() == (volumes["a"].voxels > 0).sum()  # all of it, whichever the frame
    shown = values != 0
    assert shown.sum() > (whole != 0).sum()  # what lies beside the frame in its tiles
    assert shown.sum() < field.sum()
    i, j, _ = part.shape
    task["sweep"]["box"] = [[0, i], [0, j], [20, 22]]
    some, _, _ = run(backend, task, volumes)
    assert set(np.flatnonzero((some != 0).any(axis=(0, 1)))) == {20, 21}
    task["sweep"] = {"plan": PLAN.to_dict(), "slide": 4.0}
    assert grid_of(task, volumes).same_as(part)  # so that frames can be kept beside each other
