"""Batches of the coming steps, drawn while the device is busy with this one."""

from __future__ import annotations

import signal
import sys
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import torch
from torch.utils.data import DataLoader, Dataset

from core.child_process import safe_workers
from trainer.loop.tiles import Batch, TileSampler
from trainer.run.environment import usable_cores

LARGEST = 8
"""Most processes that draw tiles; more than this feed no single GPU any faster."""


def drawing_processes(device: torch.device, processes: int) -> int:
    """Return how many processes should draw tiles for one that trains.

    None on a CPU: there one thread draws a batch in a fraction of the time a step takes.

    Args:
        device: what the network runs on.
        processes: how many train on this machine together.
    """
    if device.type == "cpu":
        return 0
    return max(1, min(LARGEST, usable_cores() // processes - 1))


def batches(
    sampler: TileSampler, rows: tuple[int, int], first: int, processes: int
) -> Generator[Batch]:
    """Yield this process's rows of step ``first`` and of all steps after it, without end.

    A batch follows from its step alone, so who draws it changes nothing. Close the iterator to
    stop the drawing.

    Args:
        sampler: draws them.
        rows: first row and the one after the last.
        first: number of the step to begin with.
        processes: that draw ahead; 0 is one thread, one step ahead.
    """
    steps = _Steps(sampler, rows)
    return _by_processes(steps, first, processes) if processes else _by_thread(steps, first)


class _Steps(Dataset[Batch]):
    """The batches of a run by the number of their step."""

    def __init__(self, sampler: TileSampler, rows: tuple[int, int]) -> None:
        self.sampler, self.rows = sampler, rows

    def __getitem__(self, step: int) -> Batch:
        return self.sampler.batch(step, *self.rows)


def _by_thread(steps: _Steps, first: int) -> Generator[Batch]:
    with ThreadPoolExecutor(1, "tiles") as ahead:
        upcoming = ahead.submit(steps.__getitem__, first)
        for step in count(first + 1):
            now, upcoming = upcoming, ahead.submit(steps.__getitem__, step)
            yield now.result()


def _by_processes(steps: _Steps, first: int, processes: int) -> Generator[Batch]:
    loader = DataLoader(
        steps,
        batch_size=None,  # an item is a batch already
        sampler=range(first, sys.maxsize),
        num_workers=processes,
        multiprocessing_context="spawn",  # this process holds a GPU, which a fork must not
        worker_init_fn=_leave_stopping_to_the_trainer,
    )
    with safe_workers():
        yield from loader


def _leave_stopping_to_the_trainer(_: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
