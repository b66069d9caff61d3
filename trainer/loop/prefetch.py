"""Batches of the coming steps, drawn while the device is busy with this one."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import torch

from core.worker_pool import worker_pool
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
    if processes:
        return _by_processes(sampler, rows, first, processes)
    return _by_thread(sampler, rows, first)


def _by_thread(sampler: TileSampler, rows: tuple[int, int], first: int) -> Generator[Batch]:
    with ThreadPoolExecutor(1, "tiles") as ahead:
        upcoming = ahead.submit(sampler.batch, first, *rows)
        for step in count(first + 1):
            now, upcoming = upcoming, ahead.submit(sampler.batch, step, *rows)
            yield now.result()


def _by_processes(
    sampler: TileSampler, rows: tuple[int, int], first: int, processes: int
) -> Generator[Batch]:
    with worker_pool(processes, _Drawing.begin, (sampler, rows)) as pool:
        ahead = [pool.submit(_Drawing.draw, first + n) for n in range(2 * processes)]
        try:
            for step in count(first + len(ahead)):
                now = ahead.pop(0)
                ahead.append(pool.submit(_Drawing.draw, step))
                yield now.result()
        finally:
            for waiting in ahead:
                waiting.cancel()


class _Drawing:
    """What a drawing process knows."""

    sampler: TileSampler
    rows: tuple[int, int]

    @classmethod
    def begin(cls, sampler: TileSampler, rows: tuple[int, int]) -> None:
        torch.set_num_threads(1)
        cls.sampler, cls.rows = sampler, rows

    @classmethod
    def draw(cls, step: int) -> Batch:
        return cls.sampler.batch(step, *cls.rows)
