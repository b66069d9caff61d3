"""The engine process's main loop: reads messages, runs one job at a time, answers.

One thread reads the pipe, so that a cancellation is seen while a job runs. Everything else happens
on the main thread. No Qt and, until the back end needs it, no torch.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, Protocol

import numpy as np

from app.processes.protocol import Message, Unpacker, pack
from app.processes.shared_memory import SharedArray
from core.errors import Cancelled, UserError
from core.grid import Grid
from core.volume import Volume

Send = Callable[[Message], None]
IsCancelled = Callable[[], bool]


class EngineMemoryError(UserError):
    """The work does not fit the memory of the device."""


class Backend(Protocol):
    """What does the work; the real one is :class:`app.processes.engine.backend.EngineBackend`."""

    def devices(self) -> list[str]:
        """Return the devices there are, best first; may take seconds (imports torch)."""

    def preflight(
        self, task: Message, volumes: Mapping[str, Volume], cancelled: IsCancelled
    ) -> Message:
        """Lay the task out and return the fields of the ``preflight`` answer."""

    def run(
        self, task: Message, volumes: Mapping[str, Volume], send: Send, cancelled: IsCancelled
    ) -> Message:
        """Do the task; send ``prepared`` and ``progress``; return the fields of ``done``."""

    def shares(self, task: Message, volumes: Mapping[str, Volume]) -> Message:
        """Return the fields of the ``shares`` answer."""

    def release(self) -> None:
        """Drop the arrays of the last answer."""

    def forget(self, keys: list[str]) -> None:
        """Drop whatever was derived from these volumes."""


class Worker:
    """Serves one window over a pair of pipes until told to quit or the pipe closes."""

    def __init__(self, backend: Backend, source: BinaryIO, sink: BinaryIO) -> None:
        self.backend = backend
        self.volumes: dict[str, Volume] = {}
        self._source = source
        self._sink = sink
        self._jobs: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._cancelled: set[int] = set()

    def serve(self) -> None:
        """Answer messages until ``quit`` or the end of the pipe."""
        threading.Thread(target=self._read, name="engine pipe", daemon=True).start()
        self._send({"type": "ready", "devices": self.backend.devices()})
        while (message := self._jobs.get())["type"] != "quit":
            self._answer(message)
        self.backend.release()  # the last answer's arrays, which nobody will attach any more

    def _send(self, message: Message) -> None:
        self._sink.write(pack(message))
        self._sink.flush()

    def _read(self) -> None:
        unpacker = Unpacker()
        while data := os.read(self._source.fileno(), 1 << 16):
            for message in unpacker.feed(data):
                if message["type"] == "cancel":
                    self._cancelled.add(int(message["job"]))
                else:
                    self._jobs.put(message)
        # The window is gone: whatever runs is for nobody.
        self.backend.release()
        os._exit(0)

    def _answer(self, message: Message) -> None:
        kind = message["type"]
        if kind == "volume":
            self._hold(message)
        elif kind == "forget":
            for key in message["keys"]:
                self.volumes.pop(key, None)
            self.backend.forget(message["keys"])
        elif kind == "release":
            self.backend.release()
        else:
            self._work(kind, int(message["job"]), message["task"])

    def _hold(self, message: Message) -> None:
        if "like" in message:
            array = self.volumes[message["like"]].voxels
        else:
            array = SharedArray.attach(message["array"]).array
        grid = Grid(array.shape, np.array(message["affine"]))
        self.volumes[message["key"]] = Volume(array, grid, message["modality"], message["source"])
        self._send({"type": "held", "key": message["key"]})

    def _work(self, kind: str, job: int, task: Message) -> None:
        def cancelled() -> bool:
            return job in self._cancelled

        try:
            if cancelled():
                raise Cancelled
            if kind == "preflight":
                fields = self.backend.preflight(task, self.volumes, cancelled)
            elif kind == "shares":
                fields = self.backend.shares(task, self.volumes)
            else:
                fields = self.backend.run(
                    task, self.volumes, lambda m: self._send({**m, "job": job}), cancelled
                )
            self._send({**fields, "type": "done" if kind == "run" else kind, "job": job})
        except Cancelled:
            self._send({"type": "cancelled", "job": job})
        except (EngineMemoryError, MemoryError) as error:
            self._fail(job, "memory", str(error) or "There is not enough memory for this.")
        except UserError as error:
            self._fail(job, "user", str(error))
        except Exception as error:  # the process boundary: the window must hear of every end
            traceback.print_exc()
            self._fail(job, "defect", f"{type(error).__name__}: {error}")

    def _fail(self, job: int, kind: str, sentence: str) -> None:
        self._send({"type": "failed", "job": job, "kind": kind, "sentence": sentence})


def claim_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Take stdin and stdout for messages; whatever else prints goes to stderr from now on."""
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return sys.stdin.buffer, sink


def task_focus(task: Mapping[str, Any]) -> tuple[float, float, float] | None:
    """Return the RAS mm position a task is to begin with."""
    focus = task.get("focus")
    return None if focus is None else (float(focus[0]), float(focus[1]), float(focus[2]))
