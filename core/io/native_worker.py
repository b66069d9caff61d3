"""The decoder process: ``python -m core.io.native_worker``. Reads requests, answers in lines.

Whatever a library does to this process, crash included, is seen by :mod:`core.io.native`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import resource_tracker, shared_memory
from pathlib import Path
from typing import Any, BinaryIO

from core.errors import UserError
from core.io.native_jobs import JOBS, Answer, Job


def main() -> int:
    """Serve requests until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who asked decides when to stop
    # The segment belongs to the other side; Python's tracker here would take it away.
    resource_tracker.register = lambda *_: None
    sink: BinaryIO = os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    source: BinaryIO = os.fdopen(os.dup(0), "rb")
    for line in source:
        request = json.loads(line)
        try:
            answer = _answer(request)
        except MemoryError:
            answer = {"error": "it wants far more memory than the header declares"}
        except Exception as error:  # the process boundary: whatever a library raises is the answer
            said = {"sentence": str(error)} if isinstance(error, UserError) else None
            answer = said or {"error": type(error).__name__}
        sink.write(json.dumps(answer).encode() + b"\n")
        sink.flush()
    return 0


def _answer(request: Mapping[str, Any]) -> Answer:
    job: Job = JOBS[request["do"]]
    with _room(int(request["room"])), _plain(Path(request["path"])) as path:
        if not request["shared"]:
            return job(path, request, None)
        segment = shared_memory.SharedMemory(request["shared"])
        try:
            return job(path, request, segment.buf)
        finally:
            segment.close()


@contextmanager
def _room(allowed: int) -> Iterator[None]:
    """Let this process grow by so many bytes at most; elsewhere than on Linux the asker watches."""
    if not sys.platform.startswith("linux"):
        yield
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    old = resource.getrlimit(resource.RLIMIT_AS)
    most = pages * resource.getpagesize() + allowed
    resource.setrlimit(resource.RLIMIT_AS, (most, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, old)


@contextmanager
def _plain(path: Path) -> Iterator[Path]:
    """Yield a name for the file that any library takes: some end the process over other bytes."""
    try:
        str(path).encode("ascii" if sys.platform == "win32" else "utf-8")
        yield path
        return
    except UnicodeEncodeError:
        pass
    with tempfile.TemporaryDirectory(prefix="mhvae-") as folder:
        name = Path(folder) / f"file{path.suffix if path.suffix.isascii() else ''}"
        try:
            name.symlink_to(path.absolute())
        except OSError:
            shutil.copyfile(path, name)
        yield name


if __name__ == "__main__":
    sys.exit(main())
