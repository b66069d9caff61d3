"""How the program starts Python anew: its own modules, never what lies in the user's folder.

``python -m app`` looks into the working folder first, and so does a worker of multiprocessing. With
``-P`` (and ``PYTHONSAFEPATH`` for the children's own children) an ``app.py``, a ``core`` folder or
a ``random.py`` that happens to lie beside the user's images is never run.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

_SAFE = "PYTHONSAFEPATH"


def packaged() -> bool:
    """Tell whether this is the packaged program, which is its own interpreter."""
    return bool(getattr(sys, "frozen", False))


def python_module(name: str) -> list[str]:
    """Return the command that runs a module of ours from source; its arguments may follow."""
    return [sys.executable, "-P", "-m", name]


def child_environment() -> dict[str, str]:
    """Return a child's environment: ours, with this program's packages first."""
    if packaged():
        return dict(os.environ)
    root = str(Path(__file__).resolve().parents[1])
    # An empty entry would mean the working folder.
    others = [x for x in os.environ.get("PYTHONPATH", "").split(os.pathsep) if x and x != root]
    return {**os.environ, _SAFE: "1", "PYTHONPATH": os.pathsep.join([root, *others])}


def _begin(then: Callable[..., None] | None, given: tuple[Any, ...]) -> None:
    """A terminal sends Ctrl+C to the workers as well; the one who started them ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if then is not None:
        then(*given)


@contextmanager
def worker_pool(
    workers: int, begin: Callable[..., None] | None = None, given: tuple[Any, ...] = ()
) -> Iterator[ProcessPoolExecutor]:
    """Give a pool of worker processes, and wait for them at the end.

    They are spawned, not forked: the caller may hold threads, a screen or a GPU. When the block
    ends by an exception (Ctrl+C is one) nobody waits for what they are doing: they are ended.

    Args:
        workers: how many processes.
        begin: called in every process first.
        given: what it receives.
    """
    spawn = get_context("spawn")
    before = os.environ.get(_SAFE)
    os.environ[_SAFE] = "1"  # multiprocessing passes no option of ours on, but the environment
    try:
        with ProcessPoolExecutor(workers, spawn, _begin, (begin, given)) as pool:
            try:
                yield pool
            except BaseException:
                children = list((pool._processes or {}).values())
                pool.shutdown(wait=False, cancel_futures=True)
                for child in children:
                    child.terminate()
                raise
    finally:
        if before is None:
            del os.environ[_SAFE]
        else:
            os.environ[_SAFE] = before
