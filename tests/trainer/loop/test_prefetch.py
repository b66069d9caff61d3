"""Who draws a batch ahead of its step changes nothing in it."""

from __future__ import annotations

import pickle
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest
import torch
from trainer_cohort import tiny_plan, write_cohort

from trainer.loop.data import load_data
from trainer.loop.prefetch import batches, drawing_processes
from trainer.loop.tiles import TileSampler
from trainer.run.folder import RunFolder


@pytest.fixture
def sampler(tmp_path: Path) -> TileSampler:
    plan = tiny_plan(write_cohort(tmp_path / "cohort"))
    with RunFolder.create(tmp_path / "run", plan) as folder:
        return load_data(plan, folder, lambda _: None).sampler


@pytest.mark.parametrize("processes", [0, 1])
def test_batches_are_those_of_their_steps(sampler: TileSampler, processes: int) -> None:
    with closing(batches(sampler, (1, 2), 5, processes)) as ahead:
        drawn = list(islice(ahead, 3))
    for step, batch in enumerate(drawn, start=5):
        wanted = sampler.batch(step, 1, 2)
        assert torch.equal(batch.fov, wanted.fov)
        for m, image in wanted.images.items():
            assert torch.equal(batch.images[m], image)
            assert torch.equal(batch.present[m], wanted.present[m])


def test_a_case_goes_to_another_process_by_its_file(sampler: TileSampler) -> None:
    case = sampler.cases[0]
    sent = pickle.dumps(case)
    assert len(sent) < case.array.nbytes
    back = pickle.loads(sent)
    assert (back.array == case.array).all()
    assert (back.id, back.hashes) == (case.id, case.hashes)


def test_a_cpu_is_not_asked_to_draw_beside_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.loop.prefetch.usable_cores", lambda: 16)
    assert drawing_processes(torch.device("cpu"), 1) == 0
    assert drawing_processes(torch.device("cuda"), 1) == 8
    assert drawing_processes(torch.device("cuda"), 4) == 3
    assert drawing_processes(torch.device("cuda"), 16) == 1
