"""Registration in a child process: the volumes as files in, progress and a matrix out."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QObject, Signal

from app.alignment.aligner import Aligner
from app.processes.jobs import ChildProcess, Outcome, program_command
from app.processes.progress import Stage
from app.processes.protocol import JsonLines, Message
from app.state.messages import Action
from app.state.values import Layer, Placement
from core.grid import Grid
from core.registration.alignment import Alignment
from core.registration.methods import DEFAULT_METHOD
from core.volume import Volume

CHILD = "The registration"
WRONG_INPUT = 2
"""Exit code of the command line after a mistake of the user's; its last line says which."""


@dataclass(frozen=True)
class RegistrationRequest:
    """What to register, and how.

    Attributes:
        kind: ``"rigid"`` or ``"affine"``.
        method: one of the engine's methods.
        model: path of the model for the method that needs one; empty otherwise.
    """

    kind: str = "rigid"
    method: str = DEFAULT_METHOD
    model: str = ""


@dataclass
class _Run:
    request: RegistrationRequest
    moving: str
    fixed: str
    fixed_grid: Grid
    folder: tempfile.TemporaryDirectory[str]
    child: ChildProcess | None = None
    answered: bool = False


class RegistrationProcess(QObject):
    """Runs one registration at a time; its result is a step of the aligner.

    Args:
        aligner: gives the volumes and takes the result.
        command: how to start a command of the program; tests pass another.
    """

    stage_changed = Signal(object)
    """``Stage``; its name is empty when nothing runs."""

    def __init__(
        self,
        aligner: Aligner,
        command: Callable[[Sequence[str]], Sequence[str]] = program_command,
    ) -> None:
        super().__init__(aligner)
        self.aligner, self.command = aligner, command
        self.stage = Stage("")
        self._run: _Run | None = None

    @property
    def running(self) -> bool:
        """Whether a registration is under way."""
        return self._run is not None

    def start(self, request: RegistrationRequest) -> None:
        """Register the moving volume onto the fixed one, beginning where it is now."""
        pair = self.aligner.pair()
        if pair is None or self.running:
            return
        moving, fixed = pair
        folder = tempfile.TemporaryDirectory(prefix="mhvae-align-", ignore_cleanup_errors=True)
        run = _Run(request, moving.id, fixed.id, fixed.volume.grid, folder)
        self._run = run
        self._say(Stage("handing over"))
        header, volume = self.aligner.at_header(), fixed.volume
        start = self.aligner.matrix

        def work() -> list[str]:
            return _arguments(Path(folder.name), volume, header, start, request)

        def ready(arguments: list[str]) -> None:
            if self._run is run:
                self._launch(run, arguments)

        def failed(sentence: str) -> None:
            if self._run is run:
                self._end()
                self.aligner.messages.error(sentence)

        self.aligner.jobs.submit("Handing the volumes over", work, ready, failed)

    def cancel(self) -> None:
        """Stop at once; nothing was moved."""
        if self._run is not None:
            self._end()
            self.aligner.messages.info("Registration cancelled; nothing was moved.")

    def close(self) -> None:
        """End the child and remove its files; call it when the threads have ended."""
        run, self._run = self._run, None
        if run is not None:
            _end_child(run)
            run.folder.cleanup()

    # ---- inside

    def _launch(self, run: _Run, arguments: list[str]) -> None:
        child = ChildProcess(self.command(arguments), self, JsonLines())
        run.child = child
        child.message.connect(lambda message: self._receive(run, message))
        child.ended.connect(lambda outcome: self._ended(run, outcome))
        self._say(Stage("starting"))
        child.start()
        _lower_priority(child.pid)

    def _receive(self, run: _Run, message: Message) -> None:
        if run is not self._run:
            return
        kind = message["event"]
        if kind == "progress":
            left = message.get("seconds_left")
            stage = str(message.get("stage", "registering"))
            done, total = int(message.get("done", 0)), int(message.get("total", 0))
            self._say(Stage(stage, done, total, None if left is None else float(left)))
        elif kind == "result":
            run.answered = True
            self._take(run, message)
        elif kind == "error":
            run.answered = True
            self.aligner.messages.error(str(message["text"]))

    def _take(self, run: _Run, message: Message) -> None:
        """Turn a result into a step, unless the case is another by now."""
        aligner, pair = self.aligner, self.aligner.pair()
        same = pair is not None and (pair[0].id, pair[1].id) == (run.moving, run.fixed)
        if pair is None or not same or not pair[1].volume.grid.same_as(run.fixed_grid):
            aligner.messages.warning(
                "The registration was not used: other volumes were chosen, or the fixed one was "
                "moved, while it ran. Register again."
            )
            return
        before, placement = pair[0].placement, placement_of(message, pair[0], run.request)
        if not aligner.put(placement, f"{run.request.kind} registration"):
            return
        moving, fixed = (x.modality or x.name for x in pair)
        gain = f"similarity {number(placement.before)} → {number(placement.after)}"
        if placement.doubtful:
            aligner.messages.warning(
                f"{moving} was registered to {fixed}, but this is doubtful: {placement.doubtful} "
                "Look at it in the checkerboard.",
                [Action("Take it back", partial(self._take_back, run, before))],
            )
        else:
            aligner.messages.info(
                f"{moving} was registered to {fixed} ({run.request.kind}, {gain})."
            )

    def _take_back(self, run: _Run, before: Placement | None) -> None:
        moving = self.aligner.moving
        if moving is not None and moving.id == run.moving:
            self.aligner.put(before, "As before the registration")

    def _ended(self, run: _Run, outcome: Outcome) -> None:
        if run is not self._run:
            return
        answered = run.answered
        self._end()
        if answered:
            return
        if outcome.code == WRONG_INPUT and outcome.error_lines:
            words = outcome.error_lines[-1]
            self.aligner.messages.error(words.partition("mhvae-studio: ")[2] or words)
        else:
            self.aligner.messages.error(f"{outcome.sentence(CHILD)} Nothing was moved.")

    def _end(self) -> None:
        run, self._run = self._run, None
        if run is not None:
            _end_child(run)
            # Hundreds of MB are not unlinked in a moment.
            self.aligner.jobs.submit("Tidying up", run.folder.cleanup, _nothing, _nothing)
        self._say(Stage(""))

    def _say(self, stage: Stage) -> None:
        self.stage = stage
        self.stage_changed.emit(stage)


def _lower_priority(pid: int) -> None:
    """Let the window go first: a search may wait, a drag may not."""
    import psutil

    with suppress(psutil.Error):  # it may have ended already
        below = psutil.BELOW_NORMAL_PRIORITY_CLASS if sys.platform == "win32" else 5
        psutil.Process(pid).nice(below)


def _nothing(_: object) -> None:
    """Take an answer nobody waits for."""


def _end_child(run: _Run) -> None:
    if run.child is not None:
        run.child.kill()
        run.child.close()
        run.child.deleteLater()


def placement_of(message: Message, moving: Layer, request: RegistrationRequest) -> Placement:
    """Return the placement that a result describes."""
    matrix = np.array(message["matrix"], dtype=np.float64).reshape(4, 4)
    doubtful = str(message.get("reason", "")) if message.get("doubtful") else ""
    return Placement(
        moving.header,
        Alignment(matrix, request.kind, request.method),
        float(message["before"]),
        float(message["after"]),
        doubtful,
    )


def number(value: float | None) -> str:
    """Return a similarity for people."""
    return "–" if value is None else f"{value:.3f}"


def _arguments(
    folder: Path,
    fixed: Volume,
    moving: Volume,
    start: np.ndarray[Any, Any],
    request: RegistrationRequest,
) -> list[str]:
    """Write both volumes and the start as files and return the child's arguments."""
    from core.io import write

    arguments = ["register", "--events", "--kind", request.kind, "--method", request.method]
    for role, volume in (("fixed", fixed), ("moving", moving)):
        path = write(volume, folder / f"{role}.nii")
        named = volume.modality.isalnum()
        arguments += [f"--{role}", f"{volume.modality}={path}" if named else str(path)]
    # No exponents: argparse takes -1e-05 for an option.
    arguments += ["--start", *(f"{x:.12f}" for x in start.ravel())]
    return arguments + (["--model", request.model] if request.model else [])
