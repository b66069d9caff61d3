"""Native decoders, kept out of this process: what they do to a hostile file ends with them.

GDCM, HDF5 and ITK's readers of transforms run in a process of their own, started when first needed
and kept warm. Voxels come back through shared memory. A decoder that crashes, wants more memory
than the header declares, or takes too long is ended, and is one sentence about the file.
"""

from __future__ import annotations

import atexit
import json
import math
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.child_process import child_environment, packaged, python_module
from core.volume import VolumeError

SECONDS = 20.0
"""A decoder may take so long, and a second more for every 20 MB of voxels."""
ROOM = 600 << 20
"""Memory a decoder may take besides four times the voxels."""
_PACE = 20e6
_LOOK = 0.05


class DecoderError(Exception):
    """The library refused the file; the text is its own name for what went wrong."""


def call(
    do: str,
    path: Path | str,
    *,
    shape: tuple[int, ...] = (),
    dtype: str = "float32",
    **facts: object,
) -> tuple[dict[str, Any], NDArray[Any] | None]:
    """Let the decoder process do something with a file.

    Args:
        do: name of a job of :mod:`core.io.native_worker`.
        path: the file.
        shape: of the array the job fills; empty when it only answers.
        dtype: of that array.
        facts: what else the job takes; plain JSON values.

    Returns:
        The answer, and the filled array (or ``None``).

    Raises:
        DecoderError: the library cannot read the file.
        VolumeError: the decoder crashed or was ended; the sentence names the file.
    """
    return _reader().call(do, Path(path), shape, dtype, facts)


def command() -> list[str]:
    """Return what starts the decoder process, from source or from the packaged program."""
    return [sys.executable, "decoder"] if packaged() else python_module("core.io.native_worker")


class Reader:
    """One decoder process and what is said to it."""

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._listener: threading.Thread | None = None
        self._answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    @property
    def mine(self) -> bool:
        """Whether this process started it; a forked child has to start its own."""
        return self._owner == os.getpid()

    @property
    def pid(self) -> int:
        """Process id of the decoder; 0 while there is none."""
        return self._process.pid if self._process else 0

    def call(
        self, do: str, path: Path, shape: tuple[int, ...], dtype: str, facts: Mapping[str, object]
    ) -> tuple[dict[str, Any], NDArray[Any] | None]:
        """See :func:`call`."""
        size = math.prod(shape) * np.dtype(dtype).itemsize if shape else 0
        request: dict[str, Any] = {"do": do, "path": str(path), "shape": shape, "dtype": dtype}
        request |= {**facts, "room": ROOM + 4 * size}
        with self._lock:
            self._start()
            shared = _shared(path.name, size) if size else None
            try:
                request["shared"] = shared.name if shared else ""
                answer = self._ask(path.name, request, size)
                array = None
                if shared is not None:
                    there: NDArray[Any] = np.ndarray(shape, dtype, shared.buf)
                    array = there.copy()
                    del there  # it must let go of the memory before that is closed
                return answer, array
            finally:
                if shared is not None:
                    shared.close()
                    shared.unlink()

    def _ask(self, name: str, request: Mapping[str, Any], size: int) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            line = self._wait(name, request["room"], SECONDS + size / _PACE)
        except OSError as error:
            self.close()
            raise _lost(name, "could not be started or ended at once") from error
        answer: dict[str, Any] = json.loads(line)
        if "sentence" in answer:
            raise VolumeError(answer["sentence"])
        if "error" in answer:
            raise DecoderError(answer["error"])
        return answer

    def _wait(self, name: str, room: int, seconds: float) -> bytes:
        """Wait for an answer, and watch what the decoder does meanwhile."""
        import psutil

        assert self._process is not None
        end = time.monotonic() + seconds
        most: int | None = None
        while True:
            try:
                line = self._answers.get(timeout=_LOOK)
            except queue.Empty:
                line = None
            if line:
                return line
            if line == b"":
                code = self._process.wait()
                self.close()
                raise _lost(name, f"crashed (status {code})")
            try:
                held = int(psutil.Process(self._process.pid).memory_info().rss)
            except psutil.Error:
                continue  # it is just ending; the pipe will say so
            most = held + room if most is None else most
            if held > most:
                self.close()
                raise _lost(name, "wanted far more memory than the header declares")
            if time.monotonic() > end:
                self.close()
                raise _lost(name, f"did not come to an end within {seconds:.0f} s")

    def _start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        hidden = getattr(subprocess, "CREATE_NO_WINDOW", 0)
        self._answers = queue.SimpleQueue()
        self._process = subprocess.Popen(
            command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**child_environment(), "OMP_NUM_THREADS": "1"},
            creationflags=hidden,
        )
        self._listener = threading.Thread(
            target=_listen, args=(self._process, self._answers), name="decoder pipe", daemon=True
        )
        self._listener.start()

    def close(self) -> None:
        """End the process; the next call starts another."""
        process, self._process = self._process, None
        if process is None or not self.mine:
            return
        process.kill()
        process.wait()
        if self._listener is not None:
            self._listener.join()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # what was not sent yet cannot be sent any more
                    continue


def _listen(process: subprocess.Popen[bytes], answers: queue.SimpleQueue[bytes]) -> None:
    assert process.stdout is not None
    try:
        while line := process.stdout.readline():
            answers.put(line)
    except ValueError:  # closed from the other side
        return
    answers.put(b"")


def _shared(name: str, size: int) -> shared_memory.SharedMemory:
    """Make shared memory that is really there, so that nobody dies when touching it."""
    made = None
    try:
        made = shared_memory.SharedMemory(create=True, size=size)
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(made._fd, 0, size)  # type: ignore[attr-defined]
        return made
    except OSError as error:
        if made is not None:
            made.close()
            made.unlink()
        raise VolumeError(
            f"{name}: expected {size / 1e6:.0f} MB of shared memory for its voxels; there is less. "
            "Close other programs, or export the volume uncompressed."
        ) from error


def _lost(name: str, what: str) -> VolumeError:
    return VolumeError(
        f"{name}: expected a file that can be decoded; the decoder {what} and was ended. The file "
        "is damaged, or made to do harm: export it again, or leave it out."
    )


_here: Reader | None = None
_making = threading.Lock()


def _reader() -> Reader:
    global _here
    with _making:
        if _here is None or not _here.mine:
            _here = Reader()
        return _here


def close() -> None:
    """End this process' decoder, if there is one."""
    if _here is not None:
        _here.close()


atexit.register(close)
