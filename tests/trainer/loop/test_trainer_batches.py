"""A step does not depend on how its batch is cut, and validation looks at held-out cases alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from trainer_cohort import tiny_plan, write_cohort

from trainer.loop.session import Session
from trainer.loop.tiles import fixed_tiles
from trainer.plan.schema import Plan
from trainer.run.folder import RunFolder


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return write_cohort(tmp_path_factory.mktemp("data") / "cohort")


def session_of(plan: Plan, run: Path) -> Session:
    with RunFolder.create(run, plan) as folder:
        return Session(plan, folder, lambda _: None)


def gradients(plan: Plan, run: Path) -> dict[str, torch.Tensor]:
    session = session_of(plan, run)
    session.train_step(session.batches())
    found = {name: p.grad for name, p in session.model.named_parameters()}
    return {name: gradient.clone() for name, gradient in found.items() if gradient is not None}


def test_a_batch_in_parts_teaches_what_the_whole_teaches(cohort: Path, tmp_path: Path) -> None:
    plan = tiny_plan(cohort, data__batch=5, loss__gan=0.0, optimiser__clip=0.0)
    whole = gradients(plan, tmp_path / "whole")
    parts = gradients(plan.override({"data.micro_batch": 2}), tmp_path / "parts")
    assert whole.keys() == parts.keys()
    for name, gradient in whole.items():
        scale = float(gradient.abs().max())
        torch.testing.assert_close(parts[name], gradient, rtol=1e-3, atol=1e-3 * scale + 1e-4)


def test_validation_looks_at_held_out_cases_alone(cohort: Path, tmp_path: Path) -> None:
    plan = tiny_plan(cohort)
    session = session_of(plan, tmp_path / "run")
    data = session.data
    assert session.tiles is not None
    assert session.seen is not None
    assert data.held_out
    training = {case.id for case in data.sampler.cases}
    assert training == set(data.split["training"])
    assert not training & set(data.split["validation"] + data.split["test"])
    seen = fixed_tiles([c for c in data.sampler.cases if c.paired], plan, 2)
    assert seen is not None
    assert torch.equal(session.seen.images["T2"], seen.images["T2"].float())
    assert not torch.equal(session.tiles.images["T2"], session.seen.images["T2"])
