"""What is made of the network's answers: blended by the tiles' weights, spread, and recorded.

The network is replaced by one that answers with numbers, so every voxel can be told by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from core.case import Case
from core.grid import Grid
from core.image.intensity import STEP
from core.models.bundle import Bundle, Preprocessing
from core.models.mhvae.config import MHVAEConfig
from core.models.mhvae.model import MHVAE, MHVAEOutput
from core.synthesis.request import (
    UNKNOWN_UNITS,
    PreparedInput,
    Request,
    on_grid,
    prepare_input,
    provenance,
)
from core.synthesis.score import compare_with_truth
from core.synthesis.synthesize import Engine, Progress, Shares
from core.version import __version__
from core.volume import Volume, Voxels

CONFIG = MHVAEConfig(tile=(16, 16), base_features=4, max_features=8, pools=2, final_blocks=1)
GRID = Grid((24, 20, 3), np.diag([2.0, 2.0, 2.0, 1.0]))
GREY = 255 / (1 + STEP)
"""Grey levels per unit of the model's range, where no real volume says otherwise."""
REQUEST = Request(subset=("T2",), targets=("iUS",), fov="whole", batch=3)


def head(modality: str = "T2") -> Volume:
    voxels = np.random.default_rng(0).uniform(1, 99, GRID.shape).astype(np.float32)
    return Volume(voxels, GRID, modality, "head.nii")


@pytest.fixture
def engine() -> Engine:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return Engine(MHVAE(CONFIG), Bundle(CONFIG, Preprocessing((2, 2, 2)), "small"))


@pytest.fixture
def case() -> Case:
    return Case("a", {"T2": head()})


class Numbers:
    """Answers every tile with the next of some numbers; a sample adds its own."""

    def __init__(self, tiles: Sequence[float], samples: Sequence[float] = (0.0,)) -> None:
        self.left, self.samples = list(tiles), samples

    def __call__(
        self,
        inputs: Mapping[str, Voxels],
        targets: Sequence[str],
        temperature: float,
        noises: Sequence[Sequence[torch.Tensor] | None],
    ) -> dict[str, Voxels]:
        count = len(next(iter(inputs.values())))
        now, self.left = self.left[:count], self.left[count:]
        values = np.add.outer(np.array(self.samples), np.array(now))[:, :, None, None]
        whole = np.broadcast_to(values, (*values.shape[:2], *CONFIG.tile)).astype(np.float32)
        return dict.fromkeys(targets, whole)


def blended(prepared: PreparedInput, numbers: Sequence[float] | np.ndarray) -> np.ndarray:
    """Σ w·v / Σ w by hand, (slice, height, width)."""
    total = np.zeros((GRID.shape[2], *prepared.tiling.plane))
    weight = np.zeros_like(total)
    for tile, value in zip(prepared.tiles, numbers, strict=True):
        inner, outer = prepared.tiling.overlap(tile.origin)
        window = prepared.tiling.window.astype(float)[inner]
        total[tile.index][outer] += window * value
        weight[tile.index][outer] += window
    return total / weight


def test_images_are_blended_by_the_tiles_weights(engine: Engine, case: Case) -> None:
    prepared = prepare_input(case, engine.bundle, REQUEST)
    numbers = np.random.default_rng(1).uniform(-1, 1, len(prepared.tiles))
    assert len(prepared.tiling.origins) > 1
    engine.network = Numbers(list(numbers))
    seen: list[Progress] = []
    result = engine.run(case, prepared, REQUEST, progress=seen.append)
    wanted = GREY * (blended(prepared, numbers) + STEP)
    made = np.moveaxis(result.volumes["iUS"].voxels, 2, 0)
    np.testing.assert_allclose(made, wanted, atol=1e-2)
    assert np.ptp(wanted[0]) > 10
    assert (seen[0].done, seen[-1].done, seen[-1].total) == (1, len(numbers), len(numbers))
    assert seen[-1].seconds_left == 0
    assert seen[0].seconds_left is not None
    assert seen[0].seconds_left > 0
    assert [p.done for p in seen[:2]] == [1, 4]
    assert seen[0].stage == "synthesising"
    rows, columns, planes = seen[0].regions[0]
    assert planes == slice(prepared.tiles[0].index, prepared.tiles[0].index + 1)
    assert (rows, columns) == prepared.tiling.overlap(prepared.tiles[0].origin)[1]


def test_what_is_given_to_write_into_is_written_into(engine: Engine, case: Case) -> None:
    prepared = prepare_input(case, engine.bundle, REQUEST)
    engine.network = Numbers([0.0] * len(prepared.tiles))
    mine = np.zeros(GRID.shape, np.float32)
    result = engine.run(case, prepared, REQUEST, into={"iUS": mine})
    assert np.shares_memory(result.volumes["iUS"].voxels, mine)
    np.testing.assert_allclose(mine, GREY * STEP, atol=1e-3)
    assert result.timings["synthesise"] > 0
    assert not result.spread


def test_shares_are_blended_by_the_tiles_weights(
    engine: Engine, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare_input(case, engine.bundle, REQUEST)
    here = [t for t in prepared.tiles if t.index == 1]
    numbers = np.random.default_rng(2).uniform(0, 1, len(here))
    left = list(numbers)

    def answer(inputs: Mapping[str, torch.Tensor], **how: object) -> MHVAEOutput:
        assert (how["shares"], how["temperature"], how["outputs"], how["kl"]) == (
            True,
            0,
            (),
            False,
        )
        count = len(inputs["T2"])
        now = torch.tensor([left.pop(0) for _ in range(count)])
        # (experts, B, h, w), coarsest level first; every level has a factor of its own.
        both = torch.stack([now, 1 - now])[:, :, None, None]
        return MHVAEOutput({}, None, tuple(both * f for f in (1.0, 2.0, 3.0)))

    monkeypatch.setattr(engine, "model", answer)
    shares: Shares = engine.shares(prepared, REQUEST, 1)
    padded = [numbers[here.index(t)] if t in here else 0.0 for t in prepared.tiles]
    wanted = blended(prepared, padded)[1]
    assert np.ptp(wanted) > 0.1
    assert (shares.index, list(shares.maps)) == (1, [1, 2, 3])
    for level, factor in ((3, 1.0), (2, 2.0), (1, 3.0)):
        np.testing.assert_allclose(shares.maps[level][0], factor * wanted, atol=1e-5)
        np.testing.assert_allclose(shares.maps[level][1], factor * (1 - wanted), atol=1e-5)


def test_the_spread_divides_by_one_less_than_the_samples(engine: Engine, case: Case) -> None:
    request = replace(REQUEST, samples=3, temperature=1.0)
    prepared = prepare_input(case, engine.bundle, request)
    engine.network = Numbers([0.1] * len(prepared.tiles), samples=(-0.3, 0.0, 0.3))
    result = engine.run(case, prepared, request)
    np.testing.assert_allclose(result.spread["iUS"].voxels, GREY * 0.3, atol=1e-2)
    np.testing.assert_allclose(result.volumes["iUS"].voxels, GREY * (0.1 + STEP), atol=1e-2)
    assert result.spread["iUS"].synthetic
    assert result.spread["iUS"].source == "sigma of iUS"
    assert result.volumes["iUS"].source == "synthetic iUS"


def test_the_record_says_what_was_shown_and_what_was_made(engine: Engine) -> None:
    case = Case("a", {"T2": head(), "iUS": head("iUS")})
    bundle = replace(engine.bundle, card={"trained_on": "noise"})
    told = provenance(case, bundle, replace(REQUEST, seed=7, temperature=0.5), "iUS")
    assert (told["subset"], told["modality"], told["kind"]) == (["T2"], "iUS", "synthesis")
    assert told["inputs"] == {"T2": {"shape": [24, 20, 3], "spacing_mm": [2.0, 2.0, 2.0]}}
    assert told["synthetic"] is True
    assert told["notice"].startswith("SYNTHETIC IMAGE. Research use only")
    assert (told["seed"], told["temperature"], told["samples"]) == (7, 0.5, 1)
    assert (told["field_of_view"], told["trained_on"]) == ("whole", "noise")
    assert told["model"] == {"name": "small", "sha256": bundle.sha256}
    assert told["program"] == f"MHVAE Studio {__version__}"
    assert told["created"].endswith("+00:00")
    assert len(told["id"]) == 32
    own = provenance(case, engine.bundle, replace(REQUEST, targets=("T2",), fov=head()), "T2")
    assert (own["kind"], own["field_of_view"]) == ("reconstruction", "mask")
    assert own["trained_on"] == "not stated"
    assert own["id"] != told["id"]
    request = Request(("T2",), ("iUS", "T2"), fov="whole")
    prepared = prepare_input(Case("a", {"T2": head()}), bundle, request)
    engine.network = Numbers([0.0] * len(prepared.tiles))
    made = engine.run(Case("a", {"T2": head()}), prepared, request).provenance
    assert (made["modality"], made["computed_on"]) == ("iUS", "cpu")
    assert {m: t["kind"] for m, t in made["targets"].items()} == {
        "iUS": "synthesis", "T2": "reconstruction",
    }  # fmt: skip


def test_the_layout_holds_the_inputs_alone_in_the_model_s_range() -> None:
    bundle = Bundle(CONFIG, Preprocessing((2, 2, 2)), "small")
    swept = replace(head("iUS"), voxels=head().voxels * 3 + 5)
    case = Case("a", {"T2": head(), "iUS": swept})
    prepared = prepare_input(case, bundle, REQUEST)
    assert list(prepared.images) == ["T2"]
    image = prepared.images["T2"]
    assert image.shape == prepared.grid.shape == GRID.shape
    assert (image.min() >= -1, image.max()) == (True, 1)
    assert set(prepared.normalisers) == {"iUS", "T2"}
    assert prepared.normalisers["iUS"].high > 2.5 * prepared.normalisers["T2"].high
    assert (
        prepare_input(Case("a", {"T2": head()}), bundle, REQUEST).normalisers["iUS"]
        == UNKNOWN_UNITS
    )
    assert (prepared.tiling.tile, prepared.tiling.step, prepared.axis) == ((16, 16), 2, 2)
    assert prepared.tiling.plane == (24, 20)
    assert prepared.fov.all()
    mask = np.zeros(GRID.shape, np.float32)
    mask[4:9, 3:6, 1] = 2
    given = prepare_input(case, bundle, replace(REQUEST, fov=replace(head(), voxels=mask)))
    start = np.rint(prepared.grid.to_voxel(given.grid.to_world((0, 0, 0)))).astype(int)
    here = tuple(slice(a, a + n) for a, n in zip(start, given.grid.shape, strict=True))
    assert (given.fov == (mask[here] > 0)).all()
    assert given.fov.sum() == 15
    assert given.grid.shape == (16, 16, 1)  # what the one tile sees
    assert {t.index for t in given.tiles} == {0}


def test_a_synthesis_is_scored_on_the_truth_s_range() -> None:
    truth = head()
    made = replace(truth, voxels=truth.voxels + np.float32(4), synthetic=True)
    request = replace(REQUEST, targets=("T2",))
    prepared = prepare_input(
        Case("a", {"T2": truth}), Bundle(CONFIG, Preprocessing((2, 2, 2))), request
    )
    scale = prepared.normalisers["T2"]
    fov = np.zeros(GRID.shape, bool)
    fov[2:20, 2:18] = True
    difference, scores = compare_with_truth(made, truth, fov, scale)
    clipped = np.clip(truth.voxels, scale.low, scale.high)
    wanted = np.where(fov, made.voxels - clipped, 0)
    np.testing.assert_allclose(difference, wanted, atol=1e-3)
    assert scores["MAE"] == pytest.approx(np.abs(wanted[fov]).mean(), rel=1e-4)
    per_slice = np.array([np.mean(wanted[..., k][fov[..., k]] ** 2) for k in range(3)])
    span = scale.high - scale.low
    assert scores["PSNR"] == pytest.approx(np.mean(10 * np.log10(span**2 / per_slice)), rel=1e-4)
    assert 0.9 < scores["SSIM"] < 1
    nothing, none = compare_with_truth(made, truth, np.zeros(GRID.shape, bool), scale)
    assert none == {}
    assert nothing.shape == GRID.shape
    assert not nothing.any()


def test_results_move_onto_another_grid_whole(engine: Engine, case: Case) -> None:
    request = replace(REQUEST, samples=2, temperature=1.0)
    prepared = prepare_input(case, engine.bundle, request)
    engine.network = Numbers([0.5] * len(prepared.tiles), samples=(-0.1, 0.1))
    result = engine.run(case, prepared, request)
    flipped = Grid(GRID.shape, np.diag([-2.0, 2.0, 2.0, 1.0]) + _origin(46.0))
    there = on_grid(result, flipped)
    for volumes in (there.volumes, there.spread):
        assert volumes["iUS"].grid is flipped
    np.testing.assert_allclose(
        there.volumes["iUS"].voxels, result.volumes["iUS"].voxels[::-1], atol=1e-2
    )
    assert there.fov.all()
    assert there.fov.shape == GRID.shape


def _origin(x: float) -> np.ndarray:
    shift = np.zeros((4, 4))
    shift[0, 3] = x
    return shift
