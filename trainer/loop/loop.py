"""The training loop."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.files import write_text
from trainer.cohort.split import Split
from trainer.loop.distributed import ProcessGroup
from trainer.loop.session import Session
from trainer.plan.schema import Plan
from trainer.run.crash import clean
from trainer.run.folder import RunFolder, discard

Say = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended.

    Attributes:
        state: ``"finished"``, ``"paused"``, ``"terminated"`` or ``"discarded"``.
        step: steps done in all.
        model: the delivered bundle, when there is one.
    """

    state: str
    step: int
    model: Path | None


def train(
    plan: Plan,
    path: Path,
    *,
    resume: bool = False,
    split: Split | None = None,
    say: Say = print,
) -> Outcome:
    """Train by a plan in a run folder, from the start or from its last checkpoint.

    Args:
        plan: what to do; ignored on resume, when the run's own plan counts.
        path: the run folder; new or empty, unless ``resume``.
        resume: continue the run in ``path``.
        split: part → cases, of a new run whose cases were placed by hand; drawn without it.
        say: receives lines for the terminal.

    Raises:
        TrainerError: the cohort, the plan or the folder cannot be used, another process owns the
            run, or the training diverged.
    """
    team = ProcessGroup.join()
    try:
        if team.leads:
            folder = RunFolder.open(path) if resume else RunFolder.create(path, plan)
            if split and not resume:
                write_text(path / "split.json", json.dumps(split, indent=1))
            with folder:
                outcome = _attempt(folder, team, say)
            if outcome.state == "discarded":
                discard(path)
            return outcome
        return _attempt(RunFolder.follow(path), team, lambda _: None)
    finally:
        team.leave()


def _attempt(folder: RunFolder, team: ProcessGroup, say: Say) -> Outcome:
    """Do one attempt in an open run folder."""
    with _Signals() as signals:
        team.wait()  # the leader has made and locked the folder, and preprocesses first
        if team.leads:
            session = Session(folder.plan(), folder, say, team)
        team.wait()
        if not team.leads:
            session = Session(folder.plan(), folder, say, team)
        try:
            state = _loop(session, signals)
        except Exception as error:
            kind, reason = type(error).__name__, clean(str(error))
            folder.log("failed", step=session.step, reason=reason, kind=kind)
            raise
        model = session.deliver() if state != "discarded" else None
        session.journal.close()
        folder.log("end", step=session.step, state=state)
        say(f"{state} at step {session.step}")
    return Outcome(state, session.step, model)


def _loop(session: Session, signals: _Signals) -> str:
    """Step until the plan is fulfilled or somebody asks to stop."""
    if session.step == 0 and session.begins:
        session.validate()  # what the training has to be better than
    with closing(session.batches()) as upcoming:
        while not session.complete:
            session.train_step(upcoming)
            session.report()
            wish = session.wish(signals.stop)
            if wish == "discard":
                return "discarded"
            if wish in ("pause", "terminate"):
                session.save(last=True)
                return "paused" if wish == "pause" else "terminated"
            if wish == "finish":
                break
    session.validate()
    session.save(last=True)
    return "finished"


class _Signals:
    """Turns SIGTERM and Ctrl+C into a wish to stop at the next step's end."""

    def __init__(self) -> None:
        self.stop = False
        self.old: dict[int, Any] = {}

    def __enter__(self) -> _Signals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self.old[number] = signal.signal(number, self._ask)
        return self

    def _ask(self, *_: object) -> None:
        self.stop = True

    def __exit__(self, *_: object) -> None:
        for number, handler in self.old.items():
            signal.signal(number, handler)
