"""Calibrated factors reach the samples, in every back end, and are told beside them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from core.case import Case
from core.grid import Grid
from core.marks import VARIABILITY, spread_words
from core.models.bundle import Bundle, Preprocessing
from core.models.mhvae.config import MHVAEConfig
from core.models.mhvae.model import MHVAE
from core.models.sampling import Sampling
from core.models.weights import save
from core.synthesis.request import Request, Synthesis, prepare_input
from core.synthesis.synthesize import Engine
from core.volume import Volume

CONFIG = MHVAEConfig(tile=(16, 16), base_features=4, max_features=8, pools=2, final_blocks=1)
DRAWN = Request(("T2",), ("iUS", "T2"), temperature=1.0, samples=3, fov="whole")


@pytest.fixture(scope="module")
def plain() -> Engine:
    torch.manual_seed(0)
    return Engine(MHVAE(CONFIG), Bundle(CONFIG, Preprocessing((2, 2, 2)), "small"))


def with_factors(engine: Engine, *factors: float, subset: str = "T2") -> Engine:
    told = {subset: Sampling(factors, "iUS", "simulated cases")}
    return Engine(engine.model, replace(engine.bundle, sampling=told))


def run(engine: Engine, request: Request = DRAWN) -> Synthesis:
    voxels = np.random.default_rng(0).uniform(1, 90, (20, 18, 4)).astype(np.float32)
    case = Case("a", {"T2": Volume(voxels, Grid(voxels.shape, np.diag([2.0, 2, 2, 1])), "T2")})
    return engine.run(case, prepare_input(case, engine.bundle, request), request)


def test_factors_act_level_by_level_beside_the_temperature(plain: Engine) -> None:
    usual = run(plain)
    same = run(with_factors(plain, 1, 1, 1)).volumes["iUS"].voxels
    assert np.array_equal(same, usual.volumes["iUS"].voxels)
    half = run(plain, replace(DRAWN, temperature=0.5)).volumes["iUS"].voxels
    found = run(with_factors(plain, 0.5, 0.5, 0.5)).volumes["iUS"].voxels
    np.testing.assert_allclose(found, half, atol=1e-2)
    expected = replace(DRAWN, temperature=0.0, samples=1)
    none = run(with_factors(plain, 0, 0, 0))
    assert none.spread["iUS"].voxels.max() < 1e-2
    np.testing.assert_allclose(
        none.volumes["iUS"].voxels, run(plain, expected).volumes["iUS"].voxels, atol=1e-2
    )
    finest, coarsest = (
        run(with_factors(plain, *f)).spread["iUS"].voxels for f in ((0, 0, 1), (1, 0, 0))
    )
    assert np.abs(finest - coarsest).max() > 1  # they are not the same level


def test_the_expected_image_and_other_inputs_stay_as_they_are(plain: Engine) -> None:
    expected = replace(DRAWN, temperature=0.0, samples=1)
    wide = with_factors(plain, 3, 3, 3)
    assert np.array_equal(
        run(wide, expected).volumes["iUS"].voxels, run(plain, expected).volumes["iUS"].voxels
    )
    other = run(with_factors(plain, 3, 3, 3, subset="iUS+T2"))
    assert np.array_equal(other.spread["iUS"].voxels, run(plain).spread["iUS"].voxels)


def test_the_label_says_calibrated_of_what_was_measured_and_of_nothing_else(plain: Engine) -> None:
    marks = run(with_factors(plain, 1, 2, 1)).provenance["targets"]
    assert marks["iUS"]["sampling"]["factors"] == [1, 2, 1]
    assert spread_words(marks["iUS"]) == "spread of samples, calibrated on simulated cases"
    assert marks["T2"]["sampling"]["factors"] == [1, 2, 1]  # drawn so as well, but not measured
    assert spread_words(marks["T2"]) == VARIABILITY
    bare = run(plain).provenance["targets"]["iUS"]
    assert "sampling" not in bare
    assert spread_words(bare) == VARIABILITY
    expected = replace(DRAWN, temperature=0.0, samples=1)
    assert "sampling" not in run(with_factors(plain, 1, 2, 1), expected).provenance


def test_another_back_end_draws_the_same(
    plain: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_, **__: tmp_path)
    told = {"T2": Sampling((0.5, 2.0, 3.0), "iUS", "simulated cases")}
    bundle = replace(plain.bundle, sampling=told)
    bundle = save(bundle, plain.model, tmp_path / "m.safetensors")
    exact, fast = (run(Engine(plain.model, bundle, d)).volumes["iUS"] for d in ("cpu", "openvino"))
    np.testing.assert_allclose(fast.voxels, exact.voxels, atol=255 * 5e-3)
