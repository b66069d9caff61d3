"""The folder of one run: who owns it, what happened, what the user asks of it."""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from core.files import write_text
from trainer.errors import TrainerError
from trainer.plan.schema import Plan, load_plan
from trainer.run.crash import CrashReport
from trainer.run.events import VERSION, read_events
from trainer.run.lock import give_up, lock_attempt, lock_for, lock_owner, take

__all__ = [
    "ASKS",
    "RunFolder",
    "ask",
    "discard",
    "is_run",
    "lock_attempt",
    "lock_for",
    "lock_owner",
    "read_events",
    "start_model",
]

ASKS = ("pause", "finish", "discard")
START = "start"
"""Folder of the run's own copy of the model it begins with."""


class RunFolder:
    """A folder with ``plan.json``, ``events.jsonl``, checkpoints, previews and the result.

    Use as a context manager: it holds the lock, and keeps what an error or a crash says. One
    process owns a run at a time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.attempt = uuid.uuid4().hex[:12]
        self.checkpoints = path / "checkpoints"
        self.previews = path / "previews"
        self.silent = False
        self._words = CrashReport(path)

    @classmethod
    def create(cls, path: Path, plan: Plan) -> RunFolder:
        """Make a new run folder.

        Raises:
            TrainerError: the folder holds something, or cannot be written.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
            if any(path.iterdir()):
                raise TrainerError(
                    f"{path.name} is not empty. Choose a new folder, or resume the run in it."
                )
            (path / "checkpoints").mkdir()
            (path / "previews").mkdir()
            plan.save(path / "plan.json")
            if plan.start_from and Path(plan.start_from).is_file():
                (path / START).mkdir()
                shutil.copyfile(plan.start_from, path / START / Path(plan.start_from).name)
            (path / "run.json").write_text(json.dumps({"kind": "mhvae-studio run", "version": 1}))
        except OSError as error:
            raise TrainerError(
                f"The run folder {path.name} cannot be written ({error.strerror}). "
                "Choose another place."
            ) from error
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open an existing run folder.

        Raises:
            TrainerError: the folder is not a run.
        """
        if not is_run(path):
            raise TrainerError(f"{path.name} is not a training run: it has no run.json.")
        return cls(path)

    @classmethod
    def follow(cls, path: Path) -> RunFolder:
        """Open a run another process of the team owns: nothing is locked or logged."""
        folder = cls(path)
        folder.silent = True
        return folder

    def plan(self) -> Plan:
        """Return the run's plan."""
        return load_plan(self.path / "plan.json")

    def beginning(self, plan: Plan) -> Plan:
        """Return the plan with the run's own copy of the model it begins with, if it has one.

        The model may be deleted or moved while the run is under way, a parent run's above all.
        """
        start = start_model(self.path, plan)
        return replace(plan, start_from=str(start)) if start else plan

    # -- the lock

    def __enter__(self) -> RunFolder:
        take(self.path, self.attempt)
        self.answered()  # a wish from before this attempt is not meant for it
        self._words.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._words.__exit__(kind, error, traceback)
        self.answered()
        give_up(self.path, self.attempt)

    # -- what happened

    def log(self, event: str, **facts: Any) -> None:
        """Append one event; a full disk loses the line, not the run."""
        if self.silent:
            return
        line = {"v": VERSION, "attempt": self.attempt, "time": round(time.time(), 3)}
        text = json.dumps({**line, "event": event, **facts}) + "\n"
        try:
            with (self.path / "events.jsonl").open("r+b" if self._has_events() else "wb") as stream:
                if stream.seek(0, os.SEEK_END):
                    stream.seek(-1, os.SEEK_END)
                    if stream.read(1) != b"\n":  # the last attempt died in the middle of a line
                        stream.write(b"\n")
                stream.write(text.encode())
        except OSError:
            pass

    def _has_events(self) -> bool:
        return (self.path / "events.jsonl").exists()

    # -- what the user asks

    def asked(self) -> str:
        """Return ``"pause"``, ``"finish"`` or ``"discard"`` when the control file says so."""
        if self.silent:
            return ""
        try:
            word = (self.path / "control").read_text(encoding="utf-8").strip()
        except OSError:
            return ""
        return word if word in ASKS else ""

    def answered(self) -> None:
        """Remove the control file."""
        (self.path / "control").unlink(missing_ok=True)


def ask(path: Path, word: str) -> None:
    """Ask the process that owns a run to pause, finish or discard.

    Raises:
        TrainerError: not a run, or an unknown word.
    """
    if not is_run(path) or word not in ASKS:
        raise TrainerError(f"{path.name}: cannot ask a run to {word!r}.")
    write_text(path / "control", word)


def start_model(run: Path, plan: Plan) -> Path | None:
    """Return the model a run began with: the run's own copy, else where it was; None if gone."""
    if not plan.start_from:
        return None
    there = Path(plan.start_from)
    return next((p for p in (run / START / there.name, there) if p.is_file()), None)


def is_run(path: Path) -> bool:
    """Tell whether a folder is marked as a training run."""
    try:
        marker = json.loads((path / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(marker, dict) and marker.get("kind") == "mhvae-studio run"


def discard(path: Path) -> None:
    """Delete a run folder, and only a folder marked as a run that nobody is training.

    Raises:
        TrainerError: not a run, or a process owns it.
    """
    if not is_run(path):
        raise TrainerError(f"{path.name} is not a training run; nothing was deleted.")
    if lock_owner(path) not in (None, os.getpid()):
        raise TrainerError(f"The run {path.name} is being trained; stop it first.")
    shutil.rmtree(path)
