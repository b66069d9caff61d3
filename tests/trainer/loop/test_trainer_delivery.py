"""What a run delivers: the average of its weights, which has moved, and not the weights."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path

import pytest
import torch
from trainer_cohort import tiny_plan, write_cohort

from core.models.weights import load
from trainer.loop.average import update_average
from trainer.loop.session import Session
from trainer.loop.tiles import Batch
from trainer.run.folder import RunFolder


def test_the_average_moves_towards_the_weights_slower_later() -> None:
    torch.set_num_threads(1)
    average, model = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    for step, decay, kept in ((0, 0.999, 1 / 10), (5, 0.999, 6 / 15), (10**6, 0.9, 0.9)):
        with torch.no_grad():
            average.weight.fill_(2.0)
            model.weight.fill_(4.0)
        update_average(average, model, decay, step)
        assert average.weight.item() == pytest.approx(kept * 2 + (1 - kept) * 4, rel=1e-6)
        assert model.weight.item() == 4


def upcoming(session: Session) -> Future[Batch]:
    future: Future[Batch] = Future()
    future.set_result(session.draw(session.step))
    return future


def test_the_averaged_weights_are_validated_and_delivered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = tiny_plan(write_cohort(tmp_path / "cohort"), optimiser__ema=0.99)
    with RunFolder.create(tmp_path / "run", plan) as folder:
        session = Session(plan, folder, lambda _: None)
        before = {k: v.clone() for k, v in session.average.state_dict().items()}
        for _ in range(3):
            session.train_step(upcoming(session))
        seen: list[object] = []
        monkeypatch.setattr(session.journal, "validate", lambda _, model, __: seen.append(model))
        session.validate()
        path = session.deliver()
    assert seen == [session.average]
    assert path is not None
    delivered = load(path)[1].state_dict()
    average, model = session.average.state_dict(), session.model.state_dict()
    name = "encoders.T2.first.weight"
    assert not torch.equal(average[name], before[name])
    assert not torch.allclose(average[name], model[name], atol=1e-6)
    for key, value in delivered.items():
        assert torch.equal(value, average[key]), key
    assert not any(p.requires_grad for p in session.average.parameters())
