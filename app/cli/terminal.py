"""Progress on stderr, results on stdout."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psutil

from core.io import WRITTEN, output_folder

__all__ = ["FORMATS", "Reporter", "answer", "duration", "output_folder", "peak_memory"]

FORMATS = tuple(ending[1:] for ending in WRITTEN)
"""What ``--device`` takes; kept here so that ``--help`` need not import torch."""


def duration(seconds: float) -> str:
    """Return seconds as people say them: ``42 s``, ``3 min 05 s``, ``2 h 10 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def peak_memory() -> int:
    """Return the most memory this process ever held, in bytes."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


class Reporter:
    """Prints stages with their times and one line of progress that rewrites itself."""

    def __init__(self) -> None:
        self.timings: dict[str, float] = {}
        self._live = sys.stderr.isatty()
        self._last = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage and say when it is over."""
        start = time.perf_counter()
        yield
        self.timings[name] = round(time.perf_counter() - start, 3)
        self._clear()
        sys.stderr.write(f"{name}: {duration(self.timings[name])}\n")

    def progress(self, stage: str, done: int, total: int, seconds_left: float | None) -> None:
        """Show how far a stage is; at most four times a second, and rarely into a log file."""
        now = time.monotonic()
        if done < total and now - self._last < (0.25 if self._live else 10.0):
            return
        self._last = now
        left = "" if seconds_left is None else f", {duration(seconds_left)} left"
        text = f"{stage}: {done} of {total} ({100 * done // max(total, 1)} %){left}"
        sys.stderr.write(f"\r\x1b[K{text}" if self._live else f"{text}\n")
        sys.stderr.flush()

    def warn(self, sentence: str) -> None:
        """Say something the user should look at, on a line of its own."""
        self._clear()
        sys.stderr.write(f"{sentence}\n")

    def _clear(self) -> None:
        if self._live:
            sys.stderr.write("\r\x1b[K")


def answer(values: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a result on stdout: one JSON object, or ``key: value`` lines."""
    if as_json:
        print(json.dumps(values))
        return
    for key, value in values.items():
        print(f"{key}: {_plain(value)}")


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_plain(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_plain(v) for v in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
