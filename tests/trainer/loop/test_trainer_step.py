"""The training step: Eq. 9 by hand, and independence of how a batch is cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from trainer_cohort import tiny_plan, write_cohort

from core.models.mhvae.config import MHVAEConfig
from core.models.mhvae.model import MHVAE
from trainer.cohort.cache import cache_cases
from trainer.cohort.scan import scan
from trainer.errors import TrainerError
from trainer.loop.discriminator import PatchDiscriminator
from trainer.loop.losses import draw_subset, masked_l1, pixel_weight, subsets_of_step
from trainer.loop.schedule import Weights
from trainer.loop.step import Stepper
from trainer.loop.tiles import Batch, fixed_tiles
from trainer.loop.validate import run_subsets, scores
from trainer.plan.schema import Plan

CONFIG = MHVAEConfig(tile=(16, 16), base_features=4, max_features=8, pools=2, final_blocks=1)
WEIGHTS = Weights(rate=1e-3, beta=0.3, gan=0.0)


def make_plan(batch: int = 3) -> Plan:
    plan = Plan(model=CONFIG, seed=5)
    return replace(plan, data=replace(plan.data, batch=batch))


def make_batch(rows: int = 3, missing: tuple[tuple[int, str], ...] = ()) -> Batch:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(1)
    fov = torch.zeros(rows, 1, 16, 16, dtype=torch.float64)
    fov[:, :, 3:12, 2:14] = 1
    images, present = {}, {}
    for m in CONFIG.modalities:
        x = torch.rand(rows, 1, 16, 16, generator=generator, dtype=torch.float64) * 1.9 - 0.95
        present[m] = torch.ones(rows, dtype=torch.bool)
        images[m] = torch.where(fov > 0, x, -1.0) if m == "iUS" else x
    for row, m in missing:
        images[m][row] = -1
        present[m][row] = False
    return Batch(images, fov, present)


def make_model() -> MHVAE:
    torch.manual_seed(0)
    return MHVAE(CONFIG).double()


def gradients(model: torch.nn.Module) -> list[torch.Tensor]:
    return [torch.zeros(1) if p.grad is None else p.grad.clone() for p in model.parameters()]


def test_step_has_the_gradient_of_equation_9() -> None:
    plan, batch, model = make_plan(), make_batch(), make_model()
    stepper = Stepper(model, {}, plan, {CONFIG.modalities})
    terms, _ = stepper.generator(batch, 0, 7, WEIGHTS)
    found = gradients(model)
    model.zero_grad()
    total = torch.zeros((), dtype=torch.float64)
    subsets = [("iUS", "T2"), ("iUS",), ("T2",)]
    for number, subset in enumerate(subsets):
        noise = stepper._noise([7, number], range(3))
        out = model({m: batch.images[m] for m in subset}, noise=noise)
        assert out.kl is not None
        loss = 0.3 * out.kl.sum() / 256 / 3
        for m, image in out.images.items():
            weight = pixel_weight(batch.fov, batch.images[m], 0.1, m in subset)
            loss = loss + 100 * masked_l1(image, batch.images[m], weight).mean()
        total = total + loss / len(subsets)
    total.backward()
    assert terms["loss"] == pytest.approx(total.item(), rel=1e-12)
    for a, b in zip(found, gradients(model), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


def test_cutting_the_batch_changes_nothing_even_with_missing_images() -> None:
    plan = make_plan()
    batch = make_batch(missing=((1, "T2"),))
    whole, parts = make_model(), make_model()
    presence = {CONFIG.modalities, ("iUS",)}
    Stepper(whole, {}, plan, presence).generator(batch, 0, 2, WEIGHTS)
    for first in range(3):
        stepper = Stepper(parts, {}, plan, presence)
        stepper.generator(batch.rows(first, first + 1), first, 2, WEIGHTS)
    for a, b in zip(gradients(whole), gradients(parts), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


def test_an_image_that_was_not_observed_teaches_nothing() -> None:
    plan, one, other = make_plan(), make_model(), make_model()
    batch = make_batch(missing=((1, "T2"),))
    changed = make_batch(missing=((1, "T2"),))
    changed.images["T2"][1] = 0.7  # garbage where nothing was observed
    for model, given in ((one, batch), (other, changed)):
        Stepper(model, {}, plan, {CONFIG.modalities}).generator(given, 0, 0, WEIGHTS)
    for a, b in zip(gradients(one), gradients(other), strict=True):
        torch.testing.assert_close(a, b)


def test_every_missing_target_is_a_negative() -> None:
    plan, batch, model = make_plan(), make_batch(), make_model()
    critics = {m: PatchDiscriminator((16, 16), 1, 4).double() for m in CONFIG.modalities}
    stepper = Stepper(model, critics, plan, {CONFIG.modalities})
    _, fakes = stepper.generator(batch, 0, 0, replace(WEIGHTS, gan=1.0))
    assert sorted(f.modality for f in fakes) == ["T2", "iUS"]
    assert all(p.grad is None for c in critics.values() for p in c.parameters())
    terms = stepper.discriminator(batch, fakes)
    assert all(p.grad is not None for c in critics.values() for p in c.parameters())
    assert np.isfinite(list(terms.values())).all()


def test_a_score_map_too_small_for_patches_is_refused() -> None:
    with pytest.raises(TrainerError, match="3x3"):
        PatchDiscriminator((32, 32), 3, 8)


def test_four_modalities_use_observed_sets_singles_and_random_others() -> None:
    names = ("a", "b", "c", "d")
    chosen = subsets_of_step(names, {("a", "b"), names}, 2, [0, 1])
    assert {names, ("a", "b"), ("a",), ("b",), ("c",), ("d",)} <= set(chosen)
    assert len(chosen) == 8
    assert chosen == subsets_of_step(names, {("a", "b"), names}, 2, [0, 1])


def test_odds_draw_one_subset_a_step_as_often_as_asked() -> None:
    every = subsets_of_step(("iUS", "T2"), set(), 2, [0, 0])
    drawn = [draw_subset(every, {"T2": 3, "iUS+T2": 1}, [0, step])[0] for step in range(400)]
    assert set(drawn) == {("T2",), ("iUS", "T2")}
    assert 0.68 < drawn.count(("T2",)) / 400 < 0.82
    with pytest.raises(TrainerError, match="odds above zero"):
        draw_subset(every, {"CT": 1}, [0, 0])


def test_the_mean_path_is_trained_as_often_as_asked() -> None:
    """A pass without noise is a sample's at temperature 0, and as many are as the plan says."""
    batch, model = make_batch(), make_model()
    plan = make_plan()
    errors = {}
    stepper = Stepper(model, {}, plan, {CONFIG.modalities})
    for part in (0.0, 0.25, 1.0):
        drawn = [stepper._temperature(step, n, part) for step in range(200) for n in range(2)]
        assert abs(drawn.count(0.0) / 400 - part) < 0.07
        errors[part] = stepper.generator(batch, 0, 7, replace(WEIGHTS, mean_path=part))[0]
    with torch.no_grad():
        out = model({"T2": batch.images["T2"]}, temperature=0.0)
    inside = batch.fov.sum()
    mean = ((out.images["iUS"] - batch.images["iUS"]).abs() * batch.fov).sum() / inside
    assert errors[1.0]["l1/T2/iUS"] == pytest.approx(float(mean), rel=1e-9)
    assert errors[0.0]["l1/T2/iUS"] != pytest.approx(float(mean), rel=1e-6)
    with pytest.raises(TrainerError, match="mean_path"):
        replace(plan, loss=replace(plan.loss, mean_path=1.5))


def test_a_run_begins_on_the_mean_path_and_draws_no_noise_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = make_plan()
    plan = replace(plan, loss=replace(plan.loss, mean_path=0.3, mean_path_first=0.5))
    shares = [Weights.at(plan, 9, part).mean_path for part in (0.0, 0.49, 0.5, 1.0)]
    assert shares == [1.0, 1.0, 0.3, 0.3]
    assert Weights.at(make_plan(), 0, 0.0).mean_path == 0
    drawn: list[int] = []
    real = Stepper._noise

    def watched(self: Stepper, place: Sequence[int], rows: Sequence[int]) -> list[torch.Tensor]:
        drawn.append(place[1])
        return real(self, place, rows)

    monkeypatch.setattr(Stepper, "_noise", watched)
    stepper = Stepper(make_model(), {}, plan, {CONFIG.modalities})
    stepper.generator(make_batch(), 0, 7, replace(WEIGHTS, mean_path=1.0))
    assert not drawn
    stepper.generator(make_batch(), 0, 7, WEIGHTS)
    assert drawn == [0, 1, 2]


def test_experts_are_dropped_at_the_finest_levels_as_often_as_asked() -> None:
    plan = make_plan()
    plan = replace(plan, loss=replace(plan.loss, expert_dropout=0.25, expert_dropout_levels=2))
    stepper = Stepper(make_model(), {}, plan, {CONFIG.modalities})
    drawn = [stepper._dropped(step, n) for step in range(300) for n in range(2)]
    assert {tuple(d) for d in drawn} == {(), (1, 2)}
    assert 0.18 < sum(map(bool, drawn)) / 600 < 0.32
    always = replace(plan, loss=replace(plan.loss, expert_dropout=1.0))
    model: Any = make_model()
    terms, _ = Stepper(model, {}, always, {CONFIG.modalities}).generator(
        make_batch(), 0, 7, WEIGHTS
    )
    assert (terms["kl/T2/1"], terms["kl/T2/2"]) == (0, 0)
    assert terms["kl/T2/3"] > 0
    finest, coarsest = model.encoders["T2"].cells[0], model.encoders["T2"].cells[-1]
    assert finest.conv0.weight.grad is not None  # it still feeds the coarser ones
    assert float(coarsest.conv0.weight.grad.abs().max()) > 0
    never = Stepper(make_model(), {}, make_plan(), {CONFIG.modalities})
    assert not any(never._dropped(step, 0) for step in range(50))
    with pytest.raises(TrainerError, match="coarsest must keep"):
        replace(plan, loss=replace(plan.loss, expert_dropout_levels=3))


def test_overfits_four_slices(tmp_path: Path) -> None:
    plan = tiny_plan(write_cohort(tmp_path / "cohort", 1), data__batch=4)
    plan = replace(plan, model=replace(CONFIG, base_features=8, max_features=16, pools=1))
    modalities = plan.model.modalities
    cases = scan(tmp_path / "cohort", modalities)
    prepared, _ = cache_cases(cases, plan.data, modalities, tmp_path)
    tiles = fixed_tiles(prepared, plan, 4)
    assert tiles is not None
    torch.manual_seed(0)
    assert isinstance(plan.model, MHVAEConfig)
    model = MHVAE(plan.model)
    stepper = Stepper(model, {}, plan, {modalities})
    optimiser = torch.optim.Adamax(model.parameters(), lr=1e-2)
    for step in range(140):
        optimiser.param_groups[0]["lr"] = 1e-2 * (1 - step / 140) + 1e-4
        optimiser.zero_grad()
        stepper.generator(tiles, 0, step, Weights(rate=0, beta=1e-4, gan=0))
        optimiser.step()
    found = scores(tiles, run_subsets(model, tiles))
    assert min(v for k, v in found.items() if k.startswith("psnr/")) > 30


def test_the_fakes_of_a_row_share_one_part_of_the_batch() -> None:
    """Whatever the number of subsets that lack a modality; a row without its image has no part."""
    config = replace(CONFIG, modalities=("T2", "iUS", "FLAIR"))
    torch.manual_seed(0)
    plan = replace(make_plan(4), model=config)
    batch = make_batch(4, missing=((2, "T2"),))
    images = {**batch.images, "FLAIR": batch.images["T2"].flip(-1)}
    images["FLAIR"][1] = -1
    present = {**batch.present, "FLAIR": torch.tensor([True, False, True, True])}
    batch = Batch(images, batch.fov, present)
    critics = {m: PatchDiscriminator((16, 16), 1, 4).double() for m in config.modalities}
    stepper = Stepper(MHVAE(config).double(), critics, plan, {config.modalities})
    _, fakes = stepper.generator(batch, 0, 0, replace(WEIGHTS, gan=0.5))
    assert {f.modality for f in fakes} == set(config.modalities)
    for m in config.modalities:
        mine = [f for f in fakes if f.modality == m]
        assert len(mine) > 1  # several subsets lack it
        part = sum(float(f.weight.sum()) for f in mine)
        assert part == pytest.approx(float(present[m].sum()) / 4)


def test_background_of_a_t2_inside_the_view_is_neither_trained_nor_scored() -> None:
    batch = make_batch()
    batch.images["T2"][:, :, :8] = -1  # beyond its edge, though the probe saw there
    other = make_batch()
    other.images["T2"][:, :, :8] = -1
    images = {"T2": torch.zeros_like(batch.fov), "iUS": batch.images["iUS"].clone()}
    there = torch.zeros_like(batch.fov)
    there[:, :, :8] = 1  # whatever is drawn there, no score tells
    results: dict[tuple[str, ...], dict[str, torch.Tensor]] = {("iUS",): images}
    moved: dict[tuple[str, ...], dict[str, torch.Tensor]] = {("iUS",): {**images, "T2": there}}
    assert scores(batch, results) == scores(batch, moved)
    before = scores(batch, results, known_only=False)
    assert before["l1/iUS>T2"] != scores(batch, moved, known_only=False)["l1/iUS>T2"]
    weight = pixel_weight(batch.fov, batch.images["T2"], 0.1, False)
    assert (weight[:, :, :8] == 0).all()
    assert torch.equal(weight[:, :, 8:], batch.fov[:, :, 8:])
    old = pixel_weight(batch.fov, batch.images["T2"], 0.1, False, known_only=False)
    assert torch.equal(old, batch.fov)
    plan = make_plan()
    told = {
        only: Stepper(make_model(), {}, plan.override({"loss.known_only": only}),
                      {CONFIG.modalities}).generator(batch, 0, 7, WEIGHTS)[0]
        for only in (True, False)
    }  # fmt: skip
    assert told[True]["weighted/l1"] < told[False]["weighted/l1"]
    batch.images["T2"][:] = -1  # nothing known at all: no score, and no fault
    assert "l1/iUS>T2" not in scores(batch, results)
