"""Synthesises what the probe's frame shows as it is moved, and keeps what was made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal

from app.processes.engine_job import EngineJob, Failure
from app.processes.protocol import Message
from app.processes.shared_memory import SharedArray
from app.shared.context import Context
from app.state.values import Window
from app.synthesis.request import sweep_obstacle, sweep_roles, sweep_task
from app.synthesis.sweep.fan_picture import FanPicture
from app.synthesis.sweep.placement import ProbePlacement
from core.grid import Grid
from core.volume import Mask, Voxels

SETTLE_MS = 120
ENOUGH = 0.98
"""Share of the brain in a frame that is to be known; what the edges of masks leave is not asked
for again and again."""

UNITS: Window = (0.0, 255.0)
"""What a synthetic ultrasound is made in where no real one tells its unit."""
FIRST_TILES = 5
"""From so many on there is enough to tell black from white."""


@dataclass(eq=False)
class _Kept:
    """What was made: (i, j, k) float32 on the model's grid, 0 where nothing was."""

    key: tuple[Any, ...]
    grid: Grid
    voxels: Voxels
    window: Window = UNITS


@dataclass(eq=False)
class _Frame:
    """A frame under way, in arrays that the engine fills."""

    voxels: Voxels
    field: Mask


class LiveFan(QObject):
    """Asks the engine for the tiles under the frame that are not known yet, one frame at a time.

    Args:
        context: the request, and the engine.
        placement: of the probe.
        picture: returns what the frame shows now.
        running: tells whether a run is under way.

    Attributes:
        on: whether anything is asked for; change it with ``set_on``.
    """

    changed = Signal()
    """More is known, it was switched, or a frame began or ended."""

    def __init__(
        self,
        context: Context,
        placement: ProbePlacement,
        picture: Callable[[], FanPicture | None],
        running: Callable[[], bool],
    ) -> None:
        super().__init__(context.session)
        self._context, self._placement = context, placement
        self._picture, self._running = picture, running
        self.on = True
        self.wanted: Callable[[], bool] = lambda: True
        self._kept: _Kept | None = None
        self._frame: _Frame | None = None
        self._job: EngineJob | None = None
        self._asked: Any = None
        self._timer = QTimer(self, singleShot=True, interval=SETTLE_MS)
        self._timer.timeout.connect(self._look)
        placement.changed.connect(self.look_soon)
        context.session.layers_changed.connect(self._case_changed)
        context.session.synthesis.form_changed.connect(self.look_soon)

    @property
    def busy(self) -> bool:
        """Whether a frame is under way."""
        return self._job is not None

    def known(self) -> list[tuple[Grid, Voxels]]:
        """Return what was made of the present inputs, as :func:`fan_picture` takes it."""
        kept = self._kept
        return [(kept.grid, kept.voxels)] if kept is not None and kept.key == self._key() else []

    def window(self) -> Window:
        """Return black and white of what was made: of its first frame, so that nothing flickers."""
        kept = self._kept
        return UNITS if kept is None else kept.window

    def set_on(self, on: bool) -> None:
        """Follow the probe, or wait."""
        if on != self.on:
            self.on = on
            self._asked = None
            self.look_soon() if on else self.stop()
            self.changed.emit()

    def look_soon(self) -> None:
        """Ask for what is missing once the probe rests."""
        self._timer.start()

    def stop(self) -> None:
        """Ask no more, and end the frame under way."""
        self._timer.stop()
        if self._job is not None:
            self._job.cancel()

    # ---- inside

    def _case_changed(self) -> None:
        if not self._context.session.layers:
            self._kept = self._asked = None

    def _key(self) -> tuple[Any, ...]:
        """Name everything but the probe that decides what is made."""
        session = self._context.session
        asked, form = session.synthesis, session.synthesis.form
        volumes = asked.volumes()
        subset, made = sweep_roles(asked)
        given = tuple((m, id(volumes[m].voxels), volumes[m].grid.affine.tobytes()) for m in subset)
        return form.model, made, given, form.temperature, form.seed

    def _look(self) -> None:
        placement = self._placement
        if (
            not self.on or not self.wanted() or self._running() or placement.surface is None
            or placement.plan is None or sweep_obstacle(self._context.session.synthesis)
        ):  # fmt: skip
            return
        asked = (placement.plan, placement.slide, self._key())
        if asked == self._asked:
            return
        if self._job is not None:
            self._job.cancel()
        picture = self._picture()
        if picture is None:
            return
        brain = picture.inside & placement.surface.holds(picture.places)
        missing = brain & ~picture.known
        if not brain.any() or missing.sum() <= (1 - ENOUGH) * brain.sum():
            return
        self._asked = asked
        self._ask(picture.places[missing])

    def _ask(self, places: np.ndarray[Any, Any]) -> None:
        placement, context = self._placement, self._context
        assert placement.plan is not None
        about: dict[str, Any] = {"plan": placement.plan.to_dict(), "slide": placement.slide}
        for grid, _ in self.known():
            about["box"] = _box(grid, places)
        task = sweep_task(context, about)
        middle = places[np.linalg.norm(places - places.mean(axis=0), axis=1).argmin()]
        task["focus"] = [float(x) for x in middle]
        # All volumes, as every other job: what the engine is not told of it forgets.
        job = context.engine.submit("run", task, context.session.synthesis.volumes())
        self._job = job
        key = self._key()
        job.prepared.connect(lambda message: self._prepared(key, message))
        job.progressed.connect(self._progressed)
        job.finished.connect(self._finished)
        job.failed.connect(self._failed)
        job.cancelled.connect(self._end)
        self.changed.emit()

    def _prepared(self, key: tuple[Any, ...], message: Message) -> None:
        (array,) = message["arrays"].values()
        self._frame = _Frame(
            SharedArray.attach(array).array, SharedArray.attach(message["fov"]).array
        )
        kept = self._kept
        grid = Grid(tuple(message["shape"]), np.array(message["affine"]))
        if kept is None or kept.key != key or not kept.grid.same_as(grid):
            self._kept = _Kept(key, grid, np.zeros(grid.shape, np.float32))

    def _progressed(self, message: Message) -> None:
        frame, kept = self._frame, self._kept
        regions = message.get("regions", [])
        if frame is None or kept is None or not regions:
            return
        for region in regions:
            block = tuple(slice(int(a), int(b)) for a, b in region)
            new = frame.voxels[block]
            here = frame.field[block] & (new != 0)
            np.copyto(kept.voxels[block], new, where=here)
        if kept.window == UNITS and message["done"] >= FIRST_TILES:
            some = kept.voxels[::2, ::2, ::2]
            high = float(np.percentile(some[some != 0], 99.5))
            kept.window = (0.0, max(high, 1.0))
        self.changed.emit()

    def _finished(self, message: Message) -> None:
        if not self._running():  # else the engine holds arrays of a run that nobody attached yet
            self._context.engine.release()
        self._end()

    def _failed(self, failure: Failure) -> None:
        self._end()
        self.set_on(False)
        self._context.messages.error(f"The live fan was switched off. {failure.sentence}")

    def _end(self) -> None:
        self._job = self._frame = None
        self.changed.emit()


def _box(grid: Grid, places: np.ndarray[Any, Any]) -> list[list[int]]:
    """Return first and last + 1 voxel of each axis around (points, 3) RAS mm, and a voxel more."""
    at = grid.to_voxel(places)
    low = np.clip(np.floor(at.min(axis=0)).astype(int) - 1, 0, grid.shape)
    high = np.clip(np.ceil(at.max(axis=0)).astype(int) + 2, 0, grid.shape)
    return [[int(a), int(b)] for a, b in zip(low, high, strict=True)]
