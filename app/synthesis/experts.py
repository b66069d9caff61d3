"""How much each expert weighed in the fused posterior of one slice: asked for, and kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PySide6.QtCore import QObject, Signal

from app.processes.engine_job import EngineJob
from app.processes.protocol import Message
from app.processes.shared_memory import SharedArray
from app.shared.context import Context
from app.synthesis.request import task
from core.grid import Grid
from core.volume import Volume


@dataclass(frozen=True, eq=False)
class ExpertShares:
    """Precision shares of one slice of the model's grid.

    Attributes:
        grid: the model's grid (RAS+).
        axis: array axis along which slices are stacked.
        index: the slice.
        experts: ``"prior"`` first, then the input modalities.
        levels: level l → expert → (height, width) float32 in [0, 1]; over the experts they sum to
            1 where the model computed, and are 0 elsewhere.
        asked: the RAS mm position they were asked for.
    """

    grid: Grid
    axis: int
    index: int
    experts: tuple[str, ...]
    levels: Mapping[int, Mapping[str, NDArray[np.float32]]]
    asked: tuple[float, float, float]

    @classmethod
    def from_message(cls, message: Message, asked: tuple[float, float, float]) -> ExpertShares:
        """Attach what the engine sent."""
        experts = tuple(message["experts"])
        levels = {}
        for level, spec in message["levels"].items():
            maps = SharedArray.attach(spec).array
            levels[int(level)] = dict(zip(experts, maps, strict=True))
        shape = tuple(int(n) for n in message["shape"])
        grid = Grid((shape[0], shape[1], shape[2]), np.array(message["affine"]))
        return cls(grid, int(message["axis"]), int(message["index"]), experts, levels, asked)

    def answer(self, position: ArrayLike) -> bool:
        """Tell whether they are all there is to know of the slice at a RAS mm position.

        So they are for the slice they were asked for, too, where the model has another one or none.
        """
        here, there = (self.grid.to_voxel(p)[self.axis] for p in (position, self.asked))
        return self.holds(position) or round(float(here)) == round(float(there))

    def holds(self, position: ArrayLike) -> bool:
        """Tell whether a RAS mm position lies in this slice."""
        at = self.grid.to_voxel(position)
        return bool(self.grid.contains(position)) and round(float(at[self.axis])) == self.index

    def at(self, position: ArrayLike) -> dict[int, dict[str, float]]:
        """Return level → expert → share at a RAS mm position; empty outside what was computed."""
        if not self.holds(position):
            return {}
        pixel = np.round(np.delete(self.grid.to_voxel(position), self.axis)).astype(int)
        row, column = int(pixel[0]), int(pixel[1])
        found = {
            level: {expert: float(values[row, column]) for expert, values in maps.items()}
            for level, maps in self.levels.items()
        }
        computed = any(sum(shares.values()) > 0.5 for shares in found.values())
        return found if computed else {}

    def volume(self, level: int, expert: str) -> Volume:
        """Return one map as a volume that is one slice thick."""
        start = [0, 0, 0]
        start[self.axis] = self.index
        shape = list(self.grid.shape)
        shape[self.axis] = 1
        voxels = np.expand_dims(self.levels[level][expert], self.axis)
        return Volume(
            voxels,
            self.grid.crop(start, (shape[0], shape[1], shape[2])),
            f"{expert}, level {level}",
            "share of precision",
            synthetic=True,
        )


class Experts(QObject):
    """Asks the engine for the shares of one slice at a time.

    Args:
        context: the request, and the engine.
        running: tells whether a run is under way.
    """

    arrived = Signal(object)
    """:class:`ExpertShares` of a slice, or None."""

    def __init__(self, context: Context, running: Callable[[], bool]) -> None:
        super().__init__(context.session)
        self._context, self._running = context, running
        self._job: EngineJob | None = None

    def request(self) -> None:
        """Ask for the shares of the slice under the cursor, unless a run is under way."""
        context, asked = self._context, self._context.session.synthesis
        if self._running() or self._job or asked.blind() or not asked.draws_samples:
            return
        # Shares need no output; the request must name one.
        wanted = {**task(context), "targets": list(asked.subset())}
        x, y, z = (float(v) for v in wanted["focus"])
        job = context.engine.submit("shares", wanted, asked.volumes())
        self._job = job

        def done(message: Message) -> None:
            self._job = None
            shares = ExpertShares.from_message(message, (x, y, z))
            context.engine.release()
            self.arrived.emit(shares)

        def ended(*_: object) -> None:
            self._job = None
            self.arrived.emit(None)

        job.finished.connect(done)
        job.failed.connect(ended)
        job.cancelled.connect(ended)

    def cancel(self) -> None:
        """Make way for a run."""
        if self._job is not None:
            self._job.cancel()
