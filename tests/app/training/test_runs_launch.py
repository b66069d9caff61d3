"""A real training as the window starts it: on its own, paused, killed, resumed, finished."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from trainer_cohort import tiny_plan, write_cohort

from app.training.runs import launch
from app.training.runs.follower import RunFollower
from trainer.errors import TrainerError
from trainer.run.folder import ask, lock_owner
from trainer.run.state import describe_run


def wait(what: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_a_run_outlives_a_pause_and_a_kill(tmp_path: Path) -> None:
    run = tmp_path / "run"
    plan = tiny_plan(write_cohort(tmp_path / "cohort"), optimiser__steps=400, log__validate_steps=0)
    process = launch.start(plan, run)
    assert os.getpgid(process) != os.getpgid(0)  # Ctrl+C in our terminal does not reach it
    assert lock_owner(run) == process
    assert describe_run(run).state == "waiting"
    with pytest.raises(TrainerError, match="being trained already"):
        launch.resume(run)
    with pytest.raises(TrainerError, match="not empty"):
        launch.start(plan, run)
    wait(lambda: describe_run(run).step >= 5)
    ask(run, "pause")
    wait(lambda: describe_run(run).state == "paused")
    paused = describe_run(run).step
    process = launch.resume(run)
    wait(lambda: describe_run(run).step > paused)
    os.kill(process, signal.SIGKILL)
    wait(lambda: describe_run(run).state == "interrupted")
    assert "killed" in describe_run(run).reason
    launch.resume(run)
    wait(lambda: describe_run(run).state == "running")
    ask(run, "finish")
    wait(lambda: describe_run(run).state == "finished")
    assert (run / "model.safetensors").is_file()
    assert not (run / ".stderr").exists()
    follower = RunFollower(run)
    assert follower.info.state == "finished"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps the file while it is open")
def test_a_cohort_that_is_gone_is_the_runs_last_words(tmp_path: Path) -> None:
    run = tmp_path / "run"
    launch.start(tiny_plan(tmp_path / "absent"), run)
    wait(lambda: not describe_run(run).alive)
    info = describe_run(run)
    assert info.state == "failed"
    assert str(tmp_path) not in info.words
    assert info.reason
