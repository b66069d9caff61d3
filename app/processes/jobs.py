"""The only place of the window that starts threads or processes.

Threads read, resample and write; they report to the window's thread. Processes are children that
talk in messages (:mod:`app.processes.protocol`); how one ended is an :class:`Outcome` with a
sentence.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from PySide6.QtCore import (
    QByteArray,
    QObject,
    QProcess,
    QProcessEnvironment,
    QRunnable,
    QThreadPool,
    Signal,
)

from app.processes.outcome import Outcome
from app.processes.program import engine_command, program_command
from app.processes.protocol import Message, ProtocolError, Unpacker, pack
from core.child_process import child_environment
from core.errors import Cancelled, UserError
from core.io import native

__all__ = [
    "ChildProcess", "Jobs", "Outcome", "detach", "engine_command", "program_command",
]  # fmt: skip

T = TypeVar("T")

READERS = 2
"""Threads that read and write files."""


class _Task(QRunnable):
    """One piece of work on its way through the pool."""

    def __init__(self, number: int, work: Callable[[], Any], report: Callable[..., None]) -> None:
        super().__init__()
        self._number, self._work, self._report = number, work, report

    def run(self) -> None:
        result, error = None, None
        try:
            result = self._work()
        except BaseException as caught:  # handed to the window's thread, which knows what to do
            error = caught
        self._report(self._number, result, error)


@dataclass(frozen=True)
class _Waiting:
    title: str
    done: Callable[[Any], None]
    failed: Callable[[str], None]


class Jobs(QObject):
    """Short work in threads: reading, resampling, writing.

    Args:
        parent: owner; destroy it after :meth:`close`.
    """

    busy_changed = Signal(str)
    """Title of the work under way; empty when there is none."""

    _ended = Signal(int, object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(READERS)
        self._waiting: dict[int, _Waiting] = {}
        self._count = 0
        self._ended.connect(self._deliver)

    @property
    def busy(self) -> bool:
        """Whether anything is under way."""
        return bool(self._waiting)

    def submit(
        self,
        title: str,
        work: Callable[[], T],
        done: Callable[[T], None],
        failed: Callable[[str], None],
    ) -> int:
        """Run ``work`` in a thread, then ``done`` or ``failed`` on the window's thread.

        Args:
            title: what is being done, for people ("Reading T2.nii.gz").
            work: must not touch widgets.
            done: receives the result.
            failed: receives the sentence of a ``UserError``. Other errors are defects and are
                raised again on the window's thread.

        Returns:
            A number for :meth:`drop`.
        """
        self._count += 1
        self._waiting[self._count] = _Waiting(title, done, failed)
        self._pool.start(_Task(self._count, work, self._ended.emit))
        self.busy_changed.emit(title)
        return self._count

    def drop(self, number: int) -> None:
        """Forget a job: its end will be ignored."""
        if self._waiting.pop(number, None) is not None:
            self._say_busy()

    def close(self) -> None:
        """Drop everything, wait for the threads, and end the decoder they kept warm."""
        self._waiting.clear()
        self._pool.clear()
        self._pool.waitForDone()
        native.close()

    def _deliver(self, number: int, result: Any, error: BaseException | None) -> None:
        job = self._waiting.pop(number, None)
        if job is None:
            return
        self._say_busy()
        if error is None:
            job.done(result)
        elif isinstance(error, UserError):
            job.failed(str(error))
        elif not isinstance(error, Cancelled):
            job.failed(f"{job.title} met a defect of the program ({type(error).__name__}).")
            raise error

    def _say_busy(self) -> None:
        titles = [job.title for job in self._waiting.values()]
        self.busy_changed.emit(titles[0] if titles else "")


class MessageDecoder(Protocol):
    """Makes messages of the bytes a child writes to its output."""

    def feed(self, data: bytes) -> list[Message]:
        """Take bytes and return the messages they complete."""


class ChildProcess(QObject):
    """A child process that speaks in messages.

    Args:
        command: program and arguments.
        parent: owner.
        feed: how its output is read; the engine's packed messages unless told otherwise.
    """

    message = Signal(object)
    """A message arrived (dict)."""
    ended = Signal(object)
    """The process is gone (Outcome); emitted once per start."""

    def __init__(
        self,
        command: Sequence[str],
        parent: QObject | None = None,
        feed: MessageDecoder | None = None,
    ) -> None:
        super().__init__(parent)
        self._words: deque[str] = deque(maxlen=20)
        self._unpacker = feed or Unpacker()
        self._over = False
        self._noise = False
        self._process = QProcess(self)
        self._process.setProgram(command[0])
        self._process.setArguments(list(command[1:]))
        self._process.setProcessEnvironment(_environment())
        self._process.readyReadStandardOutput.connect(self._read)
        self._process.readyReadStandardError.connect(self._listen)
        self._process.finished.connect(self._finished)
        self._process.errorOccurred.connect(self._failed)

    @property
    def alive(self) -> bool:
        """Whether the process runs or is being started."""
        return self._process.state() != QProcess.ProcessState.NotRunning

    @property
    def pid(self) -> int:
        """The process id; 0 when it does not run."""
        return int(self._process.processId())

    def start(self) -> None:
        """Start the process; what becomes of it arrives as signals."""
        self._process.start()

    def send(self, message: Message) -> None:
        """Send a message; lost when the process is gone."""
        if self.alive:
            self._process.write(QByteArray(pack(message)))

    def kill(self) -> None:
        """End the process at once; :attr:`ended` follows."""
        self._process.kill()

    def close(self, patience: int = 1000) -> None:
        """Ask the process to quit, end it after ``patience`` ms; no signal follows."""
        self._over = True
        if not self.alive:
            return
        self.send({"type": "quit"})
        self._process.closeWriteChannel()
        if not self._process.waitForFinished(patience):
            self._process.kill()
            self._process.waitForFinished(patience)

    def _read(self) -> None:
        data = bytes(self._process.readAllStandardOutput().data())
        try:
            for message in self._unpacker.feed(data):
                if not self._over:
                    self.message.emit(message)
        except ProtocolError as error:
            self._noise = True
            self._words.append(str(error))
            self.kill()

    def _listen(self) -> None:
        text = bytes(self._process.readAllStandardError().data()).decode(errors="replace")
        self._words.extend(line for line in text.splitlines() if line.strip())

    def _finished(self, code: int, status: QProcess.ExitStatus) -> None:
        self._read()
        self._listen()
        if status == QProcess.ExitStatus.CrashExit:
            killed = sys.platform == "win32" or code == signal.SIGKILL
            how = "killed" if killed and not self._noise else "crashed"
            self._end(Outcome(how, code, tuple(self._words)))
        else:
            # Noise is a crash also where the child left before it could be ended for it.
            how = "crashed" if code or self._noise else "finished"
            self._end(Outcome(how, code, tuple(self._words)))

    def _failed(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart:
            self._end(Outcome("not started", -1))

    def _end(self, outcome: Outcome) -> None:
        if not self._over:
            self._over = True
            self.ended.emit(outcome)


def detach(command: Sequence[str], errors: Path) -> int:
    """Start a process that outlives the program, and return its id; 0 when it cannot be started.

    Args:
        command: program and arguments.
        errors: file that receives its error output; its other output is dropped.
    """
    for process in list(_detached):
        if process.poll() is not None:  # ended while we were there: nobody else clears it away
            _detached.remove(process)
    try:
        with errors.open("wb") as stream:
            # A session of its own: neither Ctrl+C in our terminal nor our end reaches it.
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stream,
                env=child_environment(),
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
    except OSError:
        return 0
    _detached.append(process)
    return process.pid


_detached: list[subprocess.Popen[bytes]] = []


def _environment() -> QProcessEnvironment:
    environment = QProcessEnvironment()
    for name, value in child_environment().items():
        environment.insert(name, value)
    return environment
