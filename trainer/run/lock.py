"""Who owns a run: one process at a time, also when several start it in the same moment.

``lock.json`` says who; ``.lock`` is held for the instant in which that is read and changed. The
system frees it when its holder dies, so nothing has to be judged stale by its age.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from core.files import write_text
from trainer.errors import TrainerError

_SETTLE = 2.0  # s: two readings of one process's start time agree within this
_PATIENCE = 20.0  # s: others hold the guard for milliseconds


def take(path: Path, attempt: str) -> None:
    """Make this process the owner of a run.

    Raises:
        TrainerError: another process owns it, or its folder cannot be written.
    """
    with _guard(path):
        owner = lock_owner(path)
        for_us = owner == os.getpid() and lock_attempt(path) == ""
        if owner is not None and not for_us:
            raise TrainerError(
                f"The run {path.name} is being trained by process {owner}. "
                "Wait for it, or pause it first."
            )
        # Its process is gone, or whoever started this one has locked the run for it.
        _write(path, _mark(os.getpid(), attempt))


def give_up(path: Path, attempt: str) -> None:
    """Let a run go, if this attempt still owns it; its folder may be gone by now."""
    if not path.is_dir():
        return
    with contextlib.suppress(TrainerError), _guard(path):
        if lock_attempt(path) == attempt:
            (path / "lock.json").unlink(missing_ok=True)


def lock_for(path: Path, process: int) -> None:
    """Lock a run for a process that was started to train it and has yet to say so itself.

    Raises:
        TrainerError: its folder cannot be written.
    """
    try:
        mark = _mark(process, "")
    except psutil.Error:
        return  # over already
    with _guard(path):
        if lock_owner(path) is None:
            _write(path, mark)


def lock_owner(path: Path) -> int | None:
    """Return the id of the living process that owns a run, or ``None``."""
    try:
        owner = _read(path)
        process = psutil.Process(int(owner["pid"]))
        same = abs(process.create_time() - float(owner["started"])) < _SETTLE
        return process.pid if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (OSError, ValueError, KeyError, TypeError, OverflowError, psutil.Error):
        return None


def lock_attempt(path: Path) -> str | None:
    """Return which attempt holds a run's lock: empty until it begins, ``None`` when unknown."""
    try:
        attempt = _read(path).get("attempt")
    except (OSError, ValueError, AttributeError):
        return None
    return attempt if isinstance(attempt, str) else None


@contextlib.contextmanager
def _guard(path: Path) -> Iterator[None]:
    """Keep every other process from reading and changing the lock meanwhile."""
    try:
        guard = FileLock(path / ".lock", timeout=_PATIENCE, poll_interval=0.005)
        guard.acquire()
    except Timeout:
        raise TrainerError(f"The run {path.name} is being started by another process.") from None
    except OSError as error:
        raise TrainerError(_unwritable(path, error)) from error
    try:
        yield
    finally:
        guard.release()


def _write(path: Path, mark: dict[str, Any]) -> None:
    try:
        write_text(path / "lock.json", json.dumps(mark))
    except OSError as error:
        raise TrainerError(_unwritable(path, error)) from error


def _unwritable(path: Path, error: OSError) -> str:
    return (
        f"The run folder {path.name} cannot be written ({error.strerror}). Make room or get the "
        "right to write there; the run is kept."
    )


def _mark(process: int, attempt: str) -> dict[str, Any]:
    """What a lock holds: an id alone may be given to another program later, so its start too."""
    started = psutil.Process(process).create_time()
    return {"pid": process, "started": started, "attempt": attempt}


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((path / "lock.json").read_text(encoding="utf-8"))
    return found
