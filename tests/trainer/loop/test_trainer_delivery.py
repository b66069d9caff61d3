"""What a run delivers: the average of its weights, which has moved, and not the weights."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
import torch
from trainer_cohort import tiny_plan, write_cohort

from core.models.weights import load
from trainer.loop.session import Session
from trainer.run.folder import RunFolder


def test_the_averaged_weights_are_validated_and_delivered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = tiny_plan(write_cohort(tmp_path / "cohort"), optimiser__ema=0.99)
    torch.set_num_threads(1)
    with RunFolder.create(tmp_path / "run", plan) as folder:
        session = Session(plan, folder, lambda _: None)
        before = {k: v.clone() for k, v in session.average.module.state_dict().items()}
        with closing(session.batches()) as upcoming:
            for _ in range(3):
                session.train_step(upcoming)
        seen: list[object] = []
        monkeypatch.setattr(session.journal, "validate", lambda _, model, *__: seen.append(model))
        session.validate()
        path = session.deliver()
    assert seen == [session.average.module]
    assert path is not None
    delivered = load(path)[1].state_dict()
    average, model = session.average.module.state_dict(), session.model.state_dict()
    name = "encoders.T2.first.weight"
    assert not torch.equal(average[name], before[name])
    assert not torch.allclose(average[name], model[name], atol=1e-6)
    for key, value in delivered.items():
        assert torch.equal(value, average[key]), key
    assert not any(p.requires_grad for p in session.average.parameters())
