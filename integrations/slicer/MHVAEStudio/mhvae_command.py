"""The command line of MHVAE Studio as another program sees it: found, called, followed, stopped.

Nothing of 3D Slicer is imported here, so that it can be tested without it. Python 3.9 and later.
"""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

PROGRAM = "mhvae-studio"
DONE, OUR_FAULT, WRONG_INPUT, STOPPED = 0, 1, 2, 130
"""What the program's exit status means."""
MODALITIES = ("T2", "iUS")
"""Those of the built-in models."""
OWN = ("PYTHONHOME", "PYTHONPATH", "PYTHONNOUSERSITE", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH",
       "QT_PLUGIN_PATH", "SSL_CERT_FILE")  # fmt: skip
"""What a host with a Python of its own sets for itself, and what would break another's."""

_PROGRESS = re.compile(
    r"^(?P<stage>[^:]+): (?P<done>\d+) of (?P<total>\d+) \(\d+ %\)(?:, (?P<left>.+) left)?$"
)


class CommandError(Exception):
    """What the user must change, in a sentence."""


@dataclass(frozen=True)
class Order:
    """What to synthesise.

    Attributes:
        inputs: modality → volume file.
        target: the modality to make.
        out: folder for the results.
        model: name or file; empty for the built-in one.
        samples: draws to average.
        temperature: of the noise; None for the model's own.
        seed: of the noise.
    """

    inputs: Mapping[str, Path]
    target: str
    out: Path
    model: str = ""
    samples: int = 1
    temperature: Optional[float] = None
    seed: int = 0


@dataclass(frozen=True)
class Progress:
    """How far a stage is.

    Attributes:
        stage: what is being done.
        done, total: steps; their share is the progress.
        left: time left in words; empty while unknown.
    """

    stage: str
    done: int
    total: int
    left: str = ""


@dataclass(frozen=True)
class Outcome:
    """How a call ended.

    Attributes:
        done: whether the results are there.
        sentence: for the user.
        outputs: what was written → file.
        warnings: sentences about the inputs.
    """

    done: bool
    sentence: str
    outputs: Mapping[str, Path] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def find_program(chosen: str = "", home: Optional[Path] = None) -> Path:
    """Return the installed program: the chosen file, that on the PATH, or that of pipx and uv.

    Raises:
        CommandError: there is none.
    """
    if chosen:
        path = Path(chosen).expanduser()
        if path.is_file() and os.access(path, os.X_OK):
            return path
        raise CommandError(
            f"{chosen}: expected the program {PROGRAM}; found no file that can be run. Choose it "
            "anew, or leave the field empty to have it looked for."
        )
    ending = ".exe" if sys.platform == "win32" else ""
    usual = (home or Path.home()) / ".local" / "bin" / f"{PROGRAM}{ending}"
    found = shutil.which(PROGRAM) or (str(usual) if usual.is_file() else "")
    if not found:
        raise CommandError(
            f"{PROGRAM} was not found on the PATH or in {usual.parent}. Install it (pipx install "
            f"{PROGRAM}), or choose its file."
        )
    return Path(found)


def command(program: Path, order: Order) -> list[str]:
    """Return the words of the call.

    Raises:
        CommandError: no input, or one that is the target too.
    """
    if not order.inputs:
        raise CommandError("Expected an input volume; none is chosen. Choose a T2 or an iUS.")
    if order.target in order.inputs:
        raise CommandError(
            f"{order.target} is an input and the output. Choose another output, or leave that "
            "input out."
        )
    words = [str(program), "synthesize"]
    for modality, path in order.inputs.items():
        words += ["--input", f"{modality}={path}"]
    words += ["--target", order.target, "--out", str(order.out), "--format", "mha", "--json"]
    words += ["--samples", str(order.samples), "--seed", str(order.seed)]
    if order.temperature is not None:
        words += ["--temperature", f"{order.temperature:g}"]
    if order.model:
        words += ["--model", order.model]
    return words


def environment(present: Mapping[str, str]) -> dict[str, str]:
    """Return an environment for the program without what the host set for its own Python."""
    return {name: value for name, value in present.items() if name not in OWN}


def parse_progress(line: str) -> Optional[Progress]:
    """Return what a line of the program's error output says of its progress; None for others."""
    match = _PROGRESS.match(line.strip())
    if match is None:
        return None
    left = match["left"] or ""
    return Progress(match["stage"], int(match["done"]), int(match["total"]), left)


def outcome(status: int, output: str, words: Sequence[str], stopped: bool = False) -> Outcome:
    """Return how a call ended.

    Args:
        status: exit status; negative when a signal ended it.
        output: the program's output, one JSON object when all went well.
        words: lines of its error output.
        stopped: whether the user cancelled it.
    """
    if stopped or status == STOPPED:
        return Outcome(False, "Cancelled; nothing was changed.")
    said = [line.strip() for line in words if line.strip() and parse_progress(line) is None]
    last = said[-1].partition(f"{PROGRAM}: ")[2] or said[-1] if said else ""
    if status == DONE:
        return _results(output)
    if status == WRONG_INPUT and last:
        return Outcome(False, last)
    if status < 0 or status == 137:
        return Outcome(
            False,
            f"{PROGRAM} was ended by the system, most likely for want of memory. Close other "
            "programs, and try again.",
        )
    return Outcome(False, f"{PROGRAM} ended with status {status}. {last}".strip())


def _results(output: str) -> Outcome:
    try:
        told = json.loads(output.strip().splitlines()[-1])
        outputs = {str(what): Path(path) for what, path in told["outputs"].items()}
        notice = str(told["notice"])
        warnings = tuple(str(text) for text in told.get("warnings", ()))
    except (IndexError, ValueError, KeyError, TypeError, AttributeError):
        return Outcome(
            False,
            f"{PROGRAM} ended well, but said nothing that is understood here. This module may be "
            "older or newer than the program.",
        )
    missing = [path.name for path in outputs.values() if not path.exists()]
    if missing:
        return Outcome(False, f"{', '.join(missing)}: said to be written, but not there.")
    return Outcome(True, notice, outputs, warnings)


class Call:
    """One running call; ask :meth:`poll` now and then.

    Args:
        words: of :func:`command`.
        env: of :func:`environment`.

    Raises:
        CommandError: the program cannot be started.
    """

    def __init__(self, words: Sequence[str], env: Mapping[str, str]) -> None:
        self._words: list[str] = []
        self._output: list[str] = []
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._stopped = False
        flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)
        try:
            self._process = subprocess.Popen(
                list(words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, env=dict(env), text=True, encoding="utf-8",
                errors="replace", creationflags=flags,
            )  # fmt: skip
        except OSError as error:
            raise CommandError(
                f"{words[0]}: could not be started ({error.strerror}). Choose another file."
            ) from error
        self._threads = [
            threading.Thread(target=self._listen, daemon=True),
            threading.Thread(target=self._read, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def poll(self) -> tuple[list[Progress], Optional[Outcome]]:
        """Return the progress since the last call, and the outcome once it is over."""
        status = self._process.poll()
        if status is not None:
            for thread in self._threads:
                thread.join()
        new = []
        while not self._lines.empty():
            line = self._lines.get()
            self._words.append(line)
            progress = parse_progress(line)
            if progress is not None:
                new.append(progress)
        if status is None:
            return new, None
        return new, outcome(status, "".join(self._output), self._words, self._stopped)

    def cancel(self) -> None:
        """Ask the program to stop; :meth:`kill` does not ask."""
        self._stopped = True
        if self._process.poll() is None:
            if sys.platform == "win32":
                self._process.terminate()
            else:
                self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End the program at once."""
        self._stopped = True
        if self._process.poll() is None:
            self._process.kill()

    def _listen(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            for line in stream:
                self._lines.put(line)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            self._output.append(stream.read())
