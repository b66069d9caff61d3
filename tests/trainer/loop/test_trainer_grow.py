"""A finer model begins with the inner levels of a coarser one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn import functional as F
from trainer_cohort import tiny_plan, write_cohort

from core.models.bundle import Bundle, Preprocessing, header
from core.models.mhvae.config import MHVAEConfig
from core.models.mhvae.model import MHVAE
from core.models.weights import load, save
from trainer.__main__ import main
from trainer.errors import TrainerError
from trainer.loop.grow import counterpart, take_over
from trainer.loop.loop import train
from trainer.plan.fine_tune import begin_from, grow_from
from trainer.plan.schema import Plan, load_plan
from trainer.run.folder import RunFolder, read_events

COARSE = MHVAEConfig(tile=(16, 16), base_features=8, max_features=16, pools=2, final_blocks=1)


def model_file(folder: Path, config: MHVAEConfig = COARSE, spacing: float = 1.0) -> Path:
    torch.manual_seed(3)
    path = folder / "coarse.safetensors"
    save(Bundle(config, Preprocessing((spacing,) * 3), name="coarse"), MHVAE(config), path)
    return path


def plan_of(cohort: Path, model: Path, **settings: object) -> Plan:
    plan = grow_from(tiny_plan(cohort, optimiser__steps=4), header(model))
    return plan.override({k.replace("__", "."): v for k, v in settings.items()})


def test_levels_are_matched_by_their_size_in_millimetres(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, model_file(tmp_path))
    assert isinstance(plan.model, MHVAEConfig)
    assert (plan.model.tile, plan.model.pools) == ((32, 32), 3)
    assert (plan.model.base_features, plan.model.max_features) == (4, 16)
    assert plan.data.spacing == (0.5, 0.5, 0.5)
    assert (plan.grow, plan.model.bottleneck) == (True, COARSE.bottleneck)
    assert [plan.model.features(d + 1) for d in range(3)] == [COARSE.features(d) for d in range(3)]
    torch.manual_seed(0)
    fine, coarse = MHVAE(plan.model), MHVAE(COARSE)
    before = {k: v.clone() for k, v in fine.state_dict().items()}
    taken = take_over(fine, coarse)
    mine, theirs = fine.state_dict(), coarse.state_dict()
    inner = (
        "encoders.iUS.cells.1.conv0.weight",
        "encoders.T2.cells.3.gates.excite.bias",
        "encoders.T2.down.1.weight",
        "levels.0.posterior.conv1.weight",
        "levels.1.cell.widen.weight",
        "bottleneck_up.linear.bias",
    )
    for name in inner:
        assert torch.equal(mine[name], theirs[counterpart(name, COARSE)]), name
    assert counterpart("encoders.iUS.cells.1.conv0.weight", COARSE) == (
        "encoders.iUS.cells.0.conv0.weight"
    )
    for new in (
        "levels.2.prior.bias",
        "encoders.T2.first.weight",
        "encoders.T2.cells.0.conv0.bias",
    ):
        assert counterpart(new, COARSE) == ""
    assert torch.equal(mine["levels.2.cell.widen.weight"], before["levels.2.cell.widen.weight"])
    assert 0.6 * len(mine) < taken < len(mine)


def test_the_fine_encoder_begins_as_the_coarse_one_on_means_of_four_pixels() -> None:
    """Inside the tile: a filter's last taps reach one pixel less far than the coarse ones do."""
    random = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(random.normal(size=(2, 32, 32)), (0, 3, 3))
    image = torch.from_numpy(smooth / np.abs(smooth).max()).float()[:, None]
    config = replace(COARSE, tile=(32, 32), pools=3, base_features=4)

    def difference(grown: bool) -> float:
        torch.manual_seed(1)
        coarse, fine = MHVAE(COARSE), MHVAE(config)
        first: Any = coarse.encoders["T2"]
        if grown:
            take_over(fine, coarse)
        with torch.no_grad():
            wanted = first.first(F.avg_pool2d(image, 2))[:, :, 2:-2, 2:-2]
            encoder: Any = fine.encoders["T2"]
            found = encoder.down[0](encoder.cells[0](encoder.first(image)))[:, :, 2:-2, 2:-2]
        return float((found - wanted).abs().mean() / wanted.std())

    assert difference(grown=False) > 0.5
    assert difference(grown=True) < 0.1


def test_a_run_grows_says_so_and_resumes_without_the_coarse_model(tmp_path: Path) -> None:
    cohort, model = write_cohort(tmp_path / "cohort"), model_file(tmp_path)
    words = ["train", str(cohort), "--preset", "smoke", "--from", str(model), "--grow"]
    assert main([*words, "--out", str(tmp_path / "plan.json"), "--plan-only"]) == 0
    assert load_plan(tmp_path / "plan.json").model.tile == (32, 32)
    plan = plan_of(cohort, model, log__checkpoint_steps=1, loss__gan=0)
    run = tmp_path / "run"
    train(plan, run, say=lambda _: None)
    (grown,) = [e for e in read_events(run) if e["event"] == "grown"]
    assert 0.6 * grown["total"] < grown["taken"] < grown["total"]
    assert (load(run / "model.safetensors")[0].config, RunFolder.open(run).plan()) == (
        plan.model,
        plan,
    )
    model.unlink()
    assert main(["train", "--resume", "--out", str(run), "--set", "optimiser.steps=5"]) == 0
    assert read_events(run)[-1]["step"] == 5
    tuned = begin_from(plan, header(run / "model.safetensors"))  # an ordinary fine-tuning of it
    assert (tuned.grow, tuned.model, tuned.data.spacing) == (False, plan.model, (0.5,) * 3)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"data.spacing": [1, 1, 1]}, "the spacing"),
        ({"model.tile": [64, 64]}, "the tile"),
        ({"model.pools": 2}, "poolings"),
        ({"data.plane": "coronal"}, "the plane"),
        ({"family": "mvae"}, "the family"),
        ({"model.modalities": ["iUS", "FLAIR"]}, "the modalities"),
        ({"model.base_features": 10, "model.max_features": 30}, "model.base_features to 4"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(
    settings: dict[str, object], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cohort, model = write_cohort(tmp_path / "cohort"), model_file(tmp_path)
    if "model.modalities" in settings:
        (cohort / "Case000-T2.nii.gz").rename(cohort / "Case000-FLAIR.nii.gz")
    plan_of(cohort, model).override(settings).save(tmp_path / "plan.json")
    assert main([str(tmp_path / "plan.json"), "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("Error: ")
    assert told in error


def test_growing_needs_a_model_that_can(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cohort = write_cohort(tmp_path / "cohort", 1)
    assert main([str(cohort), "--grow", "--out", str(tmp_path / "run")]) == 2
    assert "--from" in capsys.readouterr().err
    with pytest.raises(TrainerError, match="grow needs a model"):
        replace(tiny_plan(cohort), grow=True)
    odd = replace(COARSE, base_features=6)
    with pytest.raises(TrainerError, match="multiple of 4"):
        plan_of(cohort, model_file(tmp_path, odd))
    words: Sequence[str] = ("train", "--resume", "--grow", "--out", str(tmp_path))
    assert main(list(words)) == 2
