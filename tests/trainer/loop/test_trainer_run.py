"""Runs: resumed exactly after every way to die, owned by one process, asked to stop."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from trainer_cohort import tiny_plan, write_case, write_cohort

import core.models.bundle
import core.models.weights
from core.models.bundle import header
from trainer.__main__ import main
from trainer.errors import TrainerError
from trainer.loop import checkpoint
from trainer.loop.loop import train
from trainer.loop.schedule import Weights
from trainer.loop.session import Session
from trainer.plan.fine_tune import seen_before
from trainer.run.folder import RunFolder, ask, discard, lock_owner, read_events

Quiet = Callable[[str], None]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return write_cohort(tmp_path_factory.mktemp("data") / "cohort")


@pytest.fixture(scope="module")
def undisturbed(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "whole"
    assert train(tiny_plan(cohort), path, say=quiet).state == "finished"
    return path


def quiet(_: str) -> None:
    pass


def state_of(run: Path) -> dict[str, torch.Tensor]:
    state = checkpoint.latest(run / "checkpoints")
    assert state is not None
    flat = {"step": torch.tensor(state["step"])}
    for part in ("model", "average"):
        flat |= {f"{part}.{k}": v for k, v in state[part].items()}
    for m, critic in state["critics"].items():
        flat |= {f"{m}.{k}": v for k, v in critic.items()}
    for part in ("optimiser", "critic_optimiser"):
        for n, moments in state[part]["state"].items():
            flat |= {f"{part}.{n}.{k}": torch.as_tensor(v) for k, v in moments.items()}
    return flat


def assert_same_run(one: Path, other: Path) -> None:
    a, b = state_of(one), state_of(other)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[k], b[k]) for k in a)
    x, y = (load_file(run / "model.safetensors") for run in (one, other))
    assert all(np.array_equal(x[k], y[k]) for k in x)


def attempt(run: Path, stop_at: int, sent: signal.Signals) -> None:
    """Resume the run in a child process and send it a signal once it logged a step."""
    child = os.fork()
    if child == 0:
        try:
            train(RunFolder.open(run).plan(), run, resume=True, say=quiet)
        finally:
            os._exit(0)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        steps = [e["step"] for e in read_events(run) if e["event"] == "step"]
        if steps and steps[-1] >= stop_at:
            break
        time.sleep(0.002)
    os.kill(child, sent)
    os.waitpid(child, 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs forked processes")
def test_killed_three_times_and_terminated_ends_with_the_same_weights(
    cohort: Path, undisturbed: Path, tmp_path: Path
) -> None:
    run = tmp_path / "killed"
    with RunFolder.create(run, tiny_plan(cohort)):
        pass
    attempt(run, 3, signal.SIGKILL)  # before the first checkpoint
    attempt(run, 9, signal.SIGKILL)
    attempt(run, 15, signal.SIGTERM)
    with (run / "events.jsonl").open("a") as events:
        events.write('{"v": 1, "event": "step", "st')  # died in the middle of a line
    attempt(run, 19, signal.SIGKILL)
    outcome = train(RunFolder.open(run).plan(), run, resume=True, say=quiet)
    assert (outcome.state, outcome.step) == ("finished", 24)
    assert_same_run(undisturbed, run)
    steps = [e["step"] for e in read_events(run) if e["event"] == "step"]
    assert steps == list(range(1, 25))
    whole = [e for e in read_events(undisturbed) if e["event"] == "step"]
    mine = [e for e in read_events(run) if e["event"] == "step"]
    assert [e["loss"] for e in whole] == [e["loss"] for e in mine]
    assert not list(run.rglob(".part-*"))


def test_full_disk_keeps_the_old_checkpoint_and_resumes_exactly(
    cohort: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "full"
    real = torch.save

    def no_space(state: object, stream: object, **rest: object) -> None:
        if isinstance(state, dict) and state.get("step", 0) > 8:
            stream.write(b"half a checkpoint")  # type: ignore[attr-defined]
            raise RuntimeError("PytorchStreamWriter failed writing file: file write failed")
        real(state, stream, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(torch, "save", no_space)
    with pytest.raises(TrainerError, match="Make room and resume"):
        train(tiny_plan(cohort), run, say=quiet)
    monkeypatch.undo()
    assert [p.name for p in checkpoint.listed(run / "checkpoints")][-1] == "step-000000008.pt"
    assert not list(run.rglob(".part-*"))
    train(RunFolder.open(run).plan(), run, resume=True, say=quiet)
    assert_same_run(undisturbed, run)


def test_result_is_a_bundle_and_says_nothing_of_paths(cohort: Path, undisturbed: Path) -> None:
    bundle, model = core.models.weights.load(undisturbed / "model.safetensors")
    assert bundle.config == tiny_plan(cohort).model
    assert bundle.card["training"]["steps_done"] == 24
    assert bundle.card["metrics"]
    text = bundle.to_json() + (undisturbed / "events.jsonl").read_text()
    assert cohort.name not in text
    assert "Case0" not in text
    assert all(bool(torch.isfinite(p).all()) for p in model.parameters())
    rights = [(undisturbed / n).stat().st_mode for n in ("model.safetensors", "plan.json")]
    assert rights[0] == rights[1]
    assert len(list((undisturbed / "previews").glob("*.png"))) == 3  # the start, half-way, the end


def test_events_tell_every_loss(undisturbed: Path) -> None:
    events = read_events(undisturbed)
    last = [e for e in events if e["event"] == "step"][-1]
    for name in ("l1/T2/iUS", "l1/iUS+T2/T2", "kl/iUS/3", "gan/T2/iUS", "d/T2/real", "d/iUS/fake"):
        assert np.isfinite(last[name]), name
    assert "gan/T2/T2" not in last
    assert {"rate", "step_seconds", "memory_mb", "seconds_left", "epoch"} <= last.keys()
    assert events[0]["event"] == "preparing"
    assert events[-1] == {**events[-1], "event": "end", "state": "finished"}


def test_one_process_owns_a_run(cohort: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with RunFolder.create(run, tiny_plan(cohort)):
        assert lock_owner(run) == os.getpid()
        with pytest.raises(TrainerError, match="is being trained"), RunFolder.open(run):
            pass
    # Our process id with another start time is another process that died.
    (run / "lock.json").write_text(json.dumps({"pid": os.getpid(), "started": 1.0}))
    assert lock_owner(run) is None
    with RunFolder.open(run):
        pass


@pytest.mark.parametrize("word", ["pause", "finish", "discard"])
def test_control_file(word: str, cohort: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"

    def say(line: str) -> None:
        if line.startswith("step 3 "):
            ask(run, word)

    outcome = train(tiny_plan(cohort), run, say=say)
    assert outcome.step in (3, 4)
    assert run.exists() == (word != "discard")
    if word == "pause":
        assert outcome.state == "paused"
        assert train(RunFolder.open(run).plan(), run, resume=True, say=quiet).step == 24
    if word == "finish":
        assert outcome.state == "finished"
        assert core.models.bundle.header(run / "model.safetensors").card["metrics"]


def test_discard_deletes_only_runs(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    with pytest.raises(TrainerError, match="nothing was deleted"):
        discard(tmp_path / "thesis")
    with pytest.raises(TrainerError, match="not empty"):
        RunFolder.create(tmp_path, tiny_plan(tmp_path))


def test_divergence_stops_with_a_reason(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = tiny_plan(cohort)
    far = Weights(rate=1e30, beta=0.2, gan=0.0)
    monkeypatch.setattr(Weights, "at", lambda *_: far)
    with pytest.raises(TrainerError, match="diverged"):
        train(plan, tmp_path / "run", say=quiet)
    end = read_events(tmp_path / "run")[-1]
    assert end["event"] == "failed"
    assert "optimiser.rate" in end["reason"]


def test_new_cases_join_training_and_held_out_ones_stay(tmp_path: Path) -> None:
    cohort = write_cohort(tmp_path / "cohort")
    run = tmp_path / "run"
    plan = tiny_plan(cohort, optimiser__steps=2, loss__gan=0)
    train(plan, run, say=quiet)
    before = json.loads((run / "split.json").read_text())
    write_case(cohort, "Case900", 9)
    with RunFolder.open(run) as folder:
        session = Session(plan, folder, quiet)
    assert session.data.split["training"] == [*before["training"], "Case900"]
    assert session.data.split["test"] == before["test"]
    assert session.step == 2


def test_a_resumed_run_may_go_on_longer_but_not_become_another(
    cohort: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    train(tiny_plan(cohort, optimiser__steps=2), run, say=quiet)
    words = ["train", "--resume", "--out", str(run), "--set"]
    assert main([*words, "model.base_features=8"]) == 2
    assert main([*words, "loss.gan=0"]) == 2  # its checkpoints have discriminators
    assert main([*words, "loss.gan_norm=instance"]) == 2
    assert main([*words, "optimiser.steps=3"]) == 0
    events = read_events(run)
    assert events[-1]["step"] == 3
    more = ["loss.gan=0.5", "--set", "loss.mean_path=1", "--set", "optimiser.steps=4"]
    assert main([*words, *more]) == 0
    last = [e for e in read_events(run) if e["event"] == "step"][-1]
    assert (last["step"], last["lambda_gan"], last["mean_path"]) == (4, 0.5, 1.0)
    assert {"settings": {"optimiser.steps": 3}}.items() <= next(
        e for e in events if e["event"] == "changed"
    ).items()


def test_a_fine_tuned_run_needs_its_parent_no_longer(cohort: Path, tmp_path: Path) -> None:
    parent = train(tiny_plan(cohort, optimiser__steps=2, loss__gan=0), tmp_path / "a", say=quiet)
    assert parent.model is not None
    plan = tiny_plan(cohort, optimiser__steps=2, loss__gan=0)
    taken = json.loads((tmp_path / "a" / "split.json").read_text())["training"][:1]
    plan = plan.override({"start_from": str(parent.model), "exclude": taken})
    first = set(header(parent.model).card["data"]["images"])
    RunFolder.create(tmp_path / "b", plan)
    discard(tmp_path / "a")
    child = train(plan, tmp_path / "b", resume=True, say=quiet)
    assert child.state == "finished"
    # What the parent was trained on is in the child's weights: an evaluation must know of it.
    assert child.model is not None
    images = header(child.model).card["data"]["images"]
    assert len(images) == len(set(images))
    assert first <= set(images)
    (tmp_path / "b" / "start" / "model.safetensors").unlink()
    assert seen_before(plan) == ()  # and its parent is gone


def test_a_run_goes_on_where_its_cases_were_moved_to_and_nowhere_else(tmp_path: Path) -> None:
    cohort, run = write_cohort(tmp_path / "cohort"), tmp_path / "run"
    train(tiny_plan(cohort, optimiser__steps=2, loss__gan=0), run, say=quiet)
    split = (run / "split.json").read_text()
    cohort.rename(tmp_path / "moved")
    words = ["train", "--resume", "--quiet", "--out", str(run), "--set", "optimiser.steps=3"]
    assert main(words) == 2
    others = tmp_path / "others"
    others.mkdir()
    write_case(others, "Other1", 31)
    assert main([*words, "--set", f"cohort={others}"]) == 2
    assert (run / "split.json").read_text() == split
    assert main([*words, "--set", f"cohort={tmp_path / 'moved'}"]) == 0
    assert (run / "split.json").read_text() == split
