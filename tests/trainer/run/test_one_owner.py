"""One process owns a run, also when several start it in the same moment."""

from __future__ import annotations

import json
import multiprocessing
import os
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from run_stage import make_run

from trainer.errors import TrainerError
from trainer.run.folder import RunFolder, lock_for, lock_owner

RACES, RACERS = 40, 4


def racer(runs: list[Path], together: Barrier, say: Path) -> None:
    """Try to own each run in turn, at the same moment as the others; keep what was won."""
    won = []
    for run in runs:
        together.wait(60)
        folder = RunFolder(run)
        try:
            folder.__enter__()
        except TrainerError:
            folder = None  # type: ignore[assignment]
        together.wait(60)
        if folder is not None:
            won.append(run.name)
            folder.__exit__(None, None, None)
    say.write_text(json.dumps(won))


def test_one_of_many_owns_a_run(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / f"run{number}") for number in range(RACES)]
    for run in runs[::2]:  # the lock of a process that died
        (run / "lock.json").write_text(json.dumps({"pid": os.getpid(), "started": 1.0}))
    spawn = multiprocessing.get_context("spawn")
    together = spawn.Barrier(RACERS)
    says = [tmp_path / f"{number}.json" for number in range(RACERS)]
    racers = [spawn.Process(target=racer, args=(runs, together, say)) for say in says]
    for each in racers:
        each.start()
    for each in racers:
        each.join(120)
    winners = [name for say in says for name in json.loads(say.read_text())]
    assert sorted(winners) == sorted(run.name for run in runs)
    assert not any((run / "lock.json").exists() for run in runs)


def test_whoever_started_it_takes_no_lock_from_another(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    with RunFolder(run):
        lock_for(run, os.getppid())
        assert lock_owner(run) == os.getpid()


def test_leaving_takes_no_lock_from_another(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    with RunFolder(run):
        lock = json.loads((run / "lock.json").read_text())
        (run / "lock.json").write_text(json.dumps({**lock, "attempt": "another"}))
    assert lock_owner(run) == os.getpid()


def test_a_lock_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (run / "lock.json").mkdir()  # nothing can be moved there, for root too
    with pytest.raises(TrainerError, match="cannot be written"), RunFolder(run):
        pass
