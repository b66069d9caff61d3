"""The best step is what a run delivers; getting worse is seen from the start and ends it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from trainer_cohort import tiny_plan, write_cohort

from app.cli import main
from core.models.bundle import header
from core.models.weights import load
from trainer.errors import TrainerError
from trainer.loop import journal
from trainer.loop.loop import train
from trainer.loop.step import Stepper
from trainer.run.folder import read_events
from trainer.run.learning import learning_from
from trainer.run.state import describe_run
from trainer.run.watch import Watch


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return write_cohort(tmp_path_factory.mktemp("data") / "cohort")


def scripted(monkeypatch: pytest.MonkeyPatch, *values: float) -> None:
    """Let the validations score as told: held-out and training slices in turn, alike."""
    told = iter([value for value in values for _ in range(2)])
    monkeypatch.setattr(journal, "summary", lambda _: next(told))


def quiet(_: str) -> None:
    pass


def test_the_best_step_is_delivered_and_the_last_one_kept(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, 10, 12, 15, 14, 14)
    plan = tiny_plan(cohort, optimiser__steps=4, log__validate_steps=1, loss__gan=0)
    outcome = train(plan, tmp_path / "run", say=quiet)
    assert outcome.model == tmp_path / "run" / "model.safetensors"
    best, last = header(outcome.model), header(tmp_path / "run" / "model-last.safetensors")
    assert best.card["training"]["step"] == 2
    assert "best of 5 validations" in best.card["training"]["chosen"]
    assert (last.card["training"]["step"], last.card["training"]["steps_done"]) == (4, 4)
    weights = [
        load(p)[1].state_dict()
        for p in (outcome.model, tmp_path / "run" / "model-last.safetensors")
    ]
    assert any(not torch.equal(weights[0][k], weights[1][k]) for k in weights[0])
    first = next(e for e in read_events(tmp_path / "run") if e["event"] == "validation")
    assert (first["step"], first["score"], first["train_score"]) == (0, 10, 10)
    words = ["evaluate", str(cohort), "--model", str(tmp_path / "run"), "--json"]
    words += ["--test-of", str(tmp_path / "run"), "--out", str(tmp_path / "report")]
    assert main(words) == 0
    told = json.loads((tmp_path / "report" / "report.json").read_text())
    assert set(told["models"]) == {"run", "run, last step"}
    assert {b["direction"] for b in told["best_last"]} >= {"T2 → iUS", "iUS → T2"}
    assert "Delivered is step 2" in told["best_last_steps"]
    assert told["comparisons"] == []
    assert told["learning"]["caption"].startswith("Held-out slices were best at step 2 with 15.00")
    assert main([*words, "--best-only"]) == 0
    told = json.loads((tmp_path / "report" / "report.json").read_text())
    assert (set(told["models"]), told["best_last"]) == ({"run"}, [])


def test_the_last_one_is_delivered_when_asked(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, 10, 12, 15, 14, 14)
    plan = tiny_plan(cohort, optimiser__steps=4, log__validate_steps=1, log__deliver="last")
    outcome = train(plan, tmp_path / "run", say=quiet)
    assert outcome.model is not None
    assert header(outcome.model).card["training"]["step"] == 4


def test_patience_ends_a_run(cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, *[10.0, 12.0] + [11.9] * 30)
    plan = tiny_plan(cohort, log__validate_steps=1, optimiser__patience=3, loss__gan=0)
    outcome = train(plan, tmp_path / "run", say=quiet)
    assert (outcome.state, outcome.step) == ("finished", 4)
    assert "ended early: 3 validations" in describe_run(tmp_path / "run").reason


def test_a_run_that_gets_worse_is_stopped_with_the_reason_and_keeps_its_start(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, *[12.0] + [9.0] * 30)
    plan = tiny_plan(cohort, log__validate_steps=1, optimiser__give_up=3, loss__gan=0)
    with pytest.raises(TrainerError, match=r"gets worse: 3 validations.*9\.00 dB against 12\.00"):
        train(plan, tmp_path / "run", say=quiet)
    assert header(tmp_path / "run" / "model.safetensors").card["training"]["step"] == 0
    assert describe_run(tmp_path / "run").state == "failed"


def test_a_rate_far_too_high_is_noticed(cohort: Path, tmp_path: Path) -> None:
    good = train(tiny_plan(cohort, loss__gan=0), tmp_path / "good", say=quiet)
    assert good.model is not None
    settings = {"optimiser.rate": 1.0, "optimiser.rate_end": 1.0, "optimiser.ema": 0.0,
                "log.validate_steps": 1, "optimiser.give_up": 3}  # fmt: skip
    plan = tiny_plan(cohort, loss__gan=0).override(settings)
    plan = plan.override({"start_from": str(good.model)})
    with pytest.raises(TrainerError, match=r"gets worse|diverged"):
        train(plan, tmp_path / "run", say=quiet)


def test_a_diverging_loss_ends_the_run_and_the_best_is_kept(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, 10, 12, *[11] * 9)
    real, done = Stepper.generator, [0]

    def astray(self: Stepper, *args: Any) -> Any:
        terms, fakes = real(self, *args)
        done[0] += 1
        # Twenty steps as they are, ten that are higher but no divergence, then thrice as high.
        factor = 1 if done[0] <= 20 else 1.5 if done[0] <= 30 else 3
        return {**terms, "weighted/l1": 10.0 * factor, "weighted/kl": 0.0}, fakes

    monkeypatch.setattr(Stepper, "generator", astray)
    plan = tiny_plan(
        cohort, optimiser__steps=80, log__validate_steps=10, loss__gan=0, log__deliver="last",
        optimiser__give_up=0,
    )  # fmt: skip
    with pytest.raises(TrainerError, match=r"diverged: its loss \(L1 and KL\) was 22.5 over the"):
        train(plan, tmp_path / "run", say=quiet)
    told = describe_run(tmp_path / "run")
    assert told.state == "failed"
    assert "the model of step 10 is kept" in told.reason
    assert "estimate --rate-test" in told.reason
    ended = max(e.get("step", 0) for e in read_events(tmp_path / "run"))
    assert 40 <= ended <= 45
    delivered = header(tmp_path / "run" / "model.safetensors")
    assert delivered.card["training"]["step"] == 10


def test_what_two_curves_say_of_each_other_is_said() -> None:
    def said(held: list[float], seen: list[float]) -> str:
        events = [
            {"event": "validation", "on": "held-out", "step": 10 * n, "score": a, "train_score": b}
            for n, (a, b) in enumerate(zip(held, seen, strict=True))
        ]
        learned = learning_from([{"event": "start", "step": 0}, *events])
        assert learned is not None
        return learned.sentence

    up = [10.0, 11, 12, 13, 14]
    assert "best at step 40 with 14.00 dB; training slices had 14.00 dB there" in said(up, up)
    assert "a longer training may help" in said(up, up)
    assert "Overfitting: since step 10 training slices" in said([10, 12, 11.7, 11.6, 11.5], up)
    assert "got no better in the 3 validations" in said([10, 12, 11.9, 11.9, 11.9], [10.0] * 5)
    assert "nothing that held-out slices show was learned" in said([10, 9.9, 9.9], [10.0] * 3)
    assert learning_from([{"event": "validation", "on": "training", "step": 0, "score": 1}]) is None


def test_overfitting_is_told_from_noise() -> None:
    watch = Watch()
    for step, (held, seen) in enumerate([(10, 10), (12, 12), (11.7, 13), (11.6, 14), (11.5, 15)]):
        assert not watch.overfitting()
        watch.add(step, held, seen)
    assert "from 12.00 to 15.00 dB and held-out ones from 12.00 to 11.50" in watch.overfitting()
    both = Watch([0, 1, 2, 3, 4], [10, 12, 11.5, 11.5, 11.5], [10, 12, 11, 11, 11])
    assert not both.overfitting()  # both fell: no overfitting
    assert watch.best_step == 1
    assert math.isnan(Watch([5], [1.0], [1.0]).start)
