"""The averaged weights: what their recursion says, and older checkpoints go on with it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from trainer_cohort import tiny_plan, write_cohort

from trainer.__main__ import main
from trainer.loop import checkpoint
from trainer.loop.average import averaged
from trainer.loop.loop import train


def weight(model: nn.Module) -> float:
    return float(next(model.parameters()).detach())


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.999])
def test_the_average_follows_its_recursion(decay: float) -> None:
    model = nn.Linear(1, 1, bias=False, dtype=torch.float64)
    average = averaged(model, decay)
    assert not any(p.requires_grad for p in average.parameters())
    expected = 0.0
    for step in range(40):
        with torch.no_grad():
            model.weight.fill_(float(step**2))
        now = min(decay, (1 + step) / (10 + step)) if step else 0.0
        expected = now * expected + (1 - now) * step**2
        average.update_parameters(model)
        assert weight(average.module) == pytest.approx(expected, rel=1e-6)
    assert weight(model) == 39**2


def test_a_run_whose_checkpoints_count_no_averages_goes_on_the_same(tmp_path: Path) -> None:
    cohort = write_cohort(tmp_path / "cohort", 3)
    ends = []
    for name in ("new", "old"):
        run = tmp_path / name
        train(tiny_plan(cohort, optimiser__steps=4, loss__gan=0), run, say=lambda _: None)
        if name == "old":
            (path,) = checkpoint.listed(run / "checkpoints")[-1:]
            begun = checkpoint.load(path)
            assert begun.pop("averaged") == 4
            checkpoint.save(begun, path)
        assert main(["train", "--resume", "--out", str(run), "--set", "optimiser.steps=8"]) == 0
        state = checkpoint.latest(run / "checkpoints")
        assert state is not None
        assert (state["step"], state["averaged"]) == (8, 8)
        ends.append(state["average"])
    assert all(torch.equal(ends[0][k], ends[1][k]) for k in ends[0])
