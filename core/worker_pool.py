"""Worker processes for a cohort: started safely, ended with whoever started them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from threading import Thread
from typing import Any

from core.child_process import SAFE_PATH
from core.errors import WorkerLost


def _begin(then: Callable[..., None] | None, given: tuple[Any, ...]) -> None:
    """A terminal sends Ctrl+C to the workers as well; the one who started them ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_the_parent, name="parent", daemon=True).start()
    if then is not None:
        then(*given)


@contextmanager
def worker_pool(
    workers: int, begin: Callable[..., None] | None = None, given: tuple[Any, ...] = ()
) -> Iterator[ProcessPoolExecutor]:
    """Give a pool of worker processes, and wait for them at the end.

    They are spawned, not forked: the caller may hold threads, a screen or a GPU. When the block
    ends by an exception (Ctrl+C is one) nobody waits for what they are doing: they are ended. They
    also end with a caller that is killed.

    Args:
        workers: how many processes.
        begin: called in every process first.
        given: what it receives.

    Raises:
        WorkerLost: the system ended a worker.
    """
    spawn = get_context("spawn")
    before = os.environ.get(SAFE_PATH)
    os.environ[SAFE_PATH] = "1"  # multiprocessing passes no option of ours on, but the environment
    try:
        with ProcessPoolExecutor(workers, spawn, _begin, (begin, given)) as pool:
            try:
                yield pool
            except BrokenProcessPool as error:
                raise WorkerLost from error
            except BaseException:
                children = list((pool._processes or {}).values())
                pool.shutdown(wait=False, cancel_futures=True)
                for child in children:
                    child.terminate()
                raise
    finally:
        if before is None:
            del os.environ[SAFE_PATH]
        else:
            os.environ[SAFE_PATH] = before


def _end_with_the_parent() -> None:
    """Wait for the parent's end: a pool's workers hold each other's pipes open and never see it."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
