"""What every room of the window is handed: the state, and the ways to work, speak and undo."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtGui import QUndoStack

from app.processes.client import EngineClient
from app.processes.jobs import Jobs
from app.state.messages import Messages
from app.state.session import Session
from app.state.settings import Settings


@dataclass(frozen=True)
class Context:
    """The parts a room may use; no room is handed the window.

    Attributes:
        session: what is shown, and how.
        jobs: threads.
        messages: sentences for the user.
        settings: what is remembered between starts.
        undo: steps that can be taken back.
        engine: the process that runs the model.
    """

    session: Session
    jobs: Jobs
    messages: Messages
    settings: Settings
    undo: QUndoStack
    engine: EngineClient
