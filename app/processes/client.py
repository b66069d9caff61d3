"""The window's side of the engine process: keeps one running, hands it jobs, survives its death."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal

from app.processes.engine_job import EngineJob, Failure, same_voxels, volume_key
from app.processes.jobs import ChildProcess, Jobs, Outcome, engine_command
from app.processes.protocol import Message
from app.processes.shared_memory import SharedArray, drop_arrays
from core.volume import Volume

PATIENCE_MS = 4000
"""How long the engine may go on with a cancelled run before it is replaced."""
CRASH_WINDOW_S = 60.0
CRASH_LIMIT = 3
"""So many crashes within the window and the engine waits for the next request to start again."""


@dataclass
class _Held:
    """What the present engine process knows: volumes by key, and those on their way."""

    voxels: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    copies: list[tuple[str, SharedArray]] = field(default_factory=list)
    copying: set[str] = field(default_factory=set)


class EngineClient(QObject):
    """Runs jobs in the engine process.

    Args:
        jobs: threads for copying voxels into shared memory.
        command: how to start the engine; tests pass another.
        parent: owner.
    """

    state_changed = Signal(str)
    """``"off"``, ``"starting"``, ``"ready"`` or ``"busy"``."""
    engine_lost = Signal(str)
    """The engine died while no run was under way; a sentence. Other jobs have failed already."""

    def __init__(
        self,
        jobs: Jobs,
        command: Callable[[], Sequence[str]] = engine_command,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.devices: list[str] = []
        self.state = "off"
        self._jobs_in_threads = jobs
        self._command = command
        self._child: ChildProcess | None = None
        self._held = _Held()
        self._jobs: dict[int, EngineJob] = {}
        self._numbers = itertools.count(1)
        self._crashes: list[float] = []
        self._stopping: set[int] = set()
        self._on_the_way: list[SharedArray] = []
        self._replacing = False
        self._impatience = QTimer(self, singleShot=True, interval=PATIENCE_MS)
        self._impatience.timeout.connect(self._replace_stuck)

    # ---- life

    def start(self) -> None:
        """Start the engine process unless it runs."""
        if self._child is not None:
            return
        self._held = _Held()
        self._child = ChildProcess(self._command(), self)
        self._child.message.connect(self._receive)
        self._child.ended.connect(self._lost)
        self._set_state("starting")
        self._child.start()

    def close(self) -> None:
        """End the engine and every job without a signal; the window's threads must have ended."""
        self._impatience.stop()
        self._jobs.clear()
        if self._child is not None:
            self._child.close()
            self._child = None
        for copy in (*(c for _, c in self._held.copies), *self._on_the_way):
            copy.unlink()
        self._on_the_way.clear()
        self._held = _Held()

    @property
    def pid(self) -> int:
        """Process id of the engine; 0 when there is none."""
        return self._child.pid if self._child else 0

    # ---- jobs

    def submit(
        self, kind: str, task: Mapping[str, Any], volumes: Mapping[str, Volume]
    ) -> EngineJob:
        """Hand a job to the engine, starting it if needed.

        Args:
            kind: ``"run"``, ``"preflight"`` or ``"shares"``.
            task: see :class:`app.processes.engine.backend.EngineBackend`; ``volumes`` is
                filled in here.
            volumes: modality → volume; voxels the engine does not have yet are sent first.
        """
        self.start()
        keys = {m: volume_key(v) for m, v in volumes.items()}
        for modality, volume in volumes.items():
            self._hold(keys[modality], volume)
        self._forget_all_but(set(keys.values()))
        job = EngineJob(next(self._numbers), kind, {**task, "volumes": keys}, self.cancel, self)
        job.volumes = dict(volumes)
        self._jobs[job.number] = job
        self._flush()
        return job

    def cancel(self, job: EngineJob) -> None:
        """End a job at once for whoever waits; the engine stops at its next tile."""
        if job.over:
            return
        if job.sent and self._child is not None:
            self._send({"type": "cancel", "job": job.number})
            self._stopping.add(job.number)
            if job.kind == "run":
                self._impatience.start()
        self._end(job)
        job.cancelled.emit()

    def release(self) -> None:
        """Tell the engine that the arrays of the last answer are attached."""
        self._send({"type": "release"})

    # ---- volumes

    def _hold(self, key: str, volume: Volume) -> None:
        held = self._held
        if key in held.voxels:
            return
        there = [k for k in held.voxels if k not in held.copying and same_voxels(k, key)]
        held.voxels[key] = volume.voxels  # keeps the memory, so that the key stays its own
        about = {
            "type": "volume",
            "key": key,
            "affine": volume.grid.affine.tolist(),
            "modality": volume.modality,
            "source": volume.source,
        }
        if there:  # only moved: the engine has the voxels
            self._send({**about, "like": there[0]})
            return
        held.copying.add(key)

        def copied() -> SharedArray:
            copy = SharedArray.copy_of(volume.voxels)
            self._on_the_way.append(copy)
            return copy

        def send(copy: SharedArray) -> None:
            self._on_the_way.remove(copy)
            if held is not self._held or key not in held.voxels:
                copy.unlink()  # for an engine that is gone, or a volume nobody wants any more
                return
            held.copying.discard(key)
            held.copies.append((key, copy))
            self._send({**about, "array": copy.spec})
            self._flush()

        self._jobs_in_threads.submit(
            "Handing the volume to the engine",
            copied,
            send,
            self.engine_lost.emit,
        )

    def _forget_all_but(self, keys: set[str]) -> None:
        gone = [k for k in self._held.voxels if k not in keys and k not in self._held.copying]
        for key in gone:
            del self._held.voxels[key]
        if gone:
            self._send({"type": "forget", "keys": gone})

    def _flush(self) -> None:
        """Send the jobs whose volumes are on their way, in order."""
        for job in self._jobs.values():
            if not job.sent:
                if self._held.copying & set(job.task["volumes"].values()):
                    return
                job.sent = True
                self._send({"type": job.kind, "job": job.number, "task": job.task})
        self._say_state()

    # ---- messages

    def _send(self, message: Message) -> None:
        if self._child is not None:
            self._child.send(message)

    def _receive(self, message: Message) -> None:
        kind = message["type"]
        if kind == "ready":
            self.devices = list(message["devices"])
            self._set_state("ready")
            self._say_state()
        elif kind == "held":
            # A volume may be forgotten and sent again before the engine read it once.
            for copy in [c for c in self._held.copies if c[0] == message["key"]][:1]:
                self._held.copies.remove(copy)
        elif (job := self._jobs.get(int(message["job"]))) is not None:
            self._report(job, kind, message)
        else:
            self._settle(int(message["job"]), kind, message)

    def _report(self, job: EngineJob, kind: str, message: Message) -> None:
        if kind == "prepared":
            job.prepared.emit(message)
        elif kind == "progress":
            job.progressed.emit(message)
        else:
            self._end(job)
            if kind == "failed":
                job.failed.emit(Failure(message["kind"], message["sentence"]))
            else:
                job.finished.emit(message)

    def _settle(self, number: int, kind: str, message: Message) -> None:
        """Take what still comes for a cancelled job: its arrays have no other owner."""
        drop_arrays(message)
        if kind not in ("prepared", "progress"):
            self._stopping.discard(number)
            if not self._stopping:
                self._impatience.stop()
            self._say_state()

    def _end(self, job: EngineJob) -> None:
        job.over = True
        self._jobs.pop(job.number, None)
        job.deleteLater()
        self._say_state()

    # ---- death

    def _replace_stuck(self) -> None:
        """The engine did not stop in time: end it; jobs that wait behind go to the next one."""
        if self._child is not None:
            self._replacing = True
            self._child.kill()

    def _lost(self, outcome: Outcome) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.deleteLater()
        for _, copy in self._held.copies:
            copy.unlink()
        self._held = _Held()
        self._stopping.clear()
        self._impatience.stop()
        self._set_state("off")
        if self._replacing:
            self._replacing = False
            self._start_over()
            return
        unheard = not any(job.kind == "run" for job in self._jobs.values())
        sentence = outcome.sentence("The engine")
        for job in list(self._jobs.values()):
            self._end(job)
            job.failed.emit(Failure(outcome.status, sentence))
        now = time.monotonic()
        self._crashes = [t for t in self._crashes if now - t < CRASH_WINDOW_S] + [now]
        if outcome.status in ("killed", "crashed") and len(self._crashes) < CRASH_LIMIT:
            self.start()
        if unheard:
            self.engine_lost.emit(sentence)

    def _start_over(self) -> None:
        """Give the jobs that waited behind a stuck one to a new engine."""
        self.start()
        for job in self._jobs.values():
            job.sent = False
            for modality, volume in job.volumes.items():
                self._hold(job.task["volumes"][modality], volume)
        self._flush()

    def _set_state(self, state: str) -> None:
        if state != self.state:
            self.state = state
            self.state_changed.emit(state)

    def _say_state(self) -> None:
        if self.state in ("ready", "busy"):
            busy = self._stopping or any(j.sent for j in self._jobs.values())
            self._set_state("busy" if busy else "ready")
