"""Evaluates a run on its locked test cases, in a child process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from app.processes.jobs import ChildProcess, Outcome, program_command
from app.processes.protocol import JsonLines, Message
from core.errors import UserError
from core.models.bundle import find
from trainer.errors import TrainerError
from trainer.plan.schema import load_plan
from trainer.run.folder import start_model

FOLDER = "report"
SIMULATED = "The cases are simulated: see the model's card."


class EvaluationProcess(QObject):
    """One evaluation at a time.

    Args:
        run: the run's folder.
        parent: owner.
    """

    progressed = Signal(int, int)
    """Models times cases done, and in all."""
    finished = Signal()
    """A whole report lies in the run."""
    failed = Signal(str)
    cancelled = Signal()

    def __init__(self, run: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.run = run
        self._child: ChildProcess | None = None
        self._done = False

    @property
    def running(self) -> bool:
        """Whether an evaluation is under way."""
        return self._child is not None

    def start(self, slices: int = 0, lpips: Sequence[Path] = ()) -> None:
        """Begin.

        Args:
            slices: at most so many per case; 0 for all.
            lpips: local files of LPIPS weights, one or two.

        Raises:
            TrainerError: the run has no model or no split yet.
        """
        if self._child is not None:
            return
        child = ChildProcess(program_command(arguments(self.run, slices, lpips)), self, JsonLines())
        child.message.connect(self._heard)
        child.ended.connect(self._ended)
        self._child, self._done = child, False
        child.start()

    def cancel(self) -> None:
        """Stop; an earlier report stays."""
        if self._child is not None:
            self._child.kill()
            self._child.close()
            self._drop()
            self.cancelled.emit()

    def close(self) -> None:
        """Stop without a word."""
        if self._child is not None:
            self._child.kill()
            self._child.close()
            self._drop()

    def _heard(self, message: Message) -> None:
        if message["event"] == "progress":
            self.progressed.emit(int(message["done"]), int(message["total"]))
        elif message["event"] == "done":
            self._done = True

    def _ended(self, outcome: Outcome) -> None:
        self._drop()
        if outcome.status == "finished" and self._done:
            self.finished.emit()
            return
        words = outcome.error_lines[-1] if outcome.error_lines else ""
        told = words.removeprefix("mhvae-studio: ")
        is_sentence = outcome.code == 2 and told != words
        self.failed.emit(told if is_sentence else outcome.sentence("The evaluation"))

    def _drop(self) -> None:
        if self._child is not None:
            self._child.deleteLater()
            self._child = None


def arguments(run: Path, slices: int = 0, lpips: Sequence[Path] = ()) -> list[str]:
    """Return the arguments of ``mhvae-studio`` that evaluate a run.

    Raises:
        TrainerError: the run has no model or no split yet.
    """
    if not (run / "model.safetensors").is_file() or not (run / "split.json").is_file():
        raise TrainerError(f"{run.name} has no model yet; train it until its first checkpoint.")
    words = ["evaluate", str(run), "--out", str(run / FOLDER), "--events"]
    before = before_model(run)
    words += ["--before", str(before)] if before else []
    words += ["--slices", str(slices)] if slices else []
    for path in lpips:
        words += ["--lpips-weights", str(path)]
    return words


NOTHING_LOCKED = (
    "This run kept no cases for a test (its share was 0), so none can be scored here. The command "
    "mhvae-studio evaluate scores its model on other cases."
)


def locked_away(run: Path) -> bool:
    """Tell whether a run kept cases for its test; also where its split does not say."""
    try:
        return bool(json.loads((run / "split.json").read_text(encoding="utf-8"))["test"])
    except (OSError, ValueError, KeyError, TypeError):
        return True


def before_model(run: Path) -> Path | None:
    """Return what to compare with: the model the run began with, else a built-in one that fits."""
    plan = load_plan(run / "plan.json")
    begun_with = start_model(run, plan)
    if begun_with is not None:
        return begun_with
    try:
        bundle = find()
    except UserError:
        return None
    fits = set(bundle.config.modalities) == set(plan.model.modalities)
    return bundle.path if fits else None
