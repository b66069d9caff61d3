"""One request to the engine, and how it can fail."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal

from app.processes.protocol import Message
from core.volume import Volume


@dataclass(frozen=True)
class Failure:
    """Why a job did not end well.

    Attributes:
        kind: ``"user"``, ``"memory"``, ``"killed"``, ``"crashed"`` or ``"defect"``.
        sentence: for people.
    """

    kind: str
    sentence: str

    @property
    def about_memory(self) -> bool:
        """Whether less memory may help."""
        return self.kind in ("memory", "killed")


class EngineJob(QObject):
    """One request to the engine; exactly one of the last three signals ends it."""

    prepared = Signal(object)
    progressed = Signal(object)
    finished = Signal(object)
    failed = Signal(object)
    cancelled = Signal()

    def __init__(
        self,
        number: int,
        kind: str,
        task: Message,
        cancel: Callable[[EngineJob], None],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self.number, self.kind, self.task = number, kind, task
        self.volumes: dict[str, Volume] = {}
        self.sent = self.over = False
        self._cancel = cancel

    def cancel(self) -> None:
        """End this job now; ``cancelled`` is emitted before this returns."""
        self._cancel(self)


def volume_key(volume: Volume) -> str:
    """Name a volume by where its voxels lie, in memory and in space; unique while held."""
    pointer = volume.voxels.__array_interface__["data"][0]
    # A moved volume is another one: what was computed at the old position is not its result.
    place = hashlib.sha256(volume.grid.affine.tobytes()).hexdigest()[:12]
    return f"{pointer:x}-{'x'.join(str(n) for n in volume.grid.shape)}-{place}"


def same_voxels(key: str, other: str) -> bool:
    """Tell whether two keys name the same voxels, perhaps in different places."""
    return key.rpartition("-")[0] == other.rpartition("-")[0]
