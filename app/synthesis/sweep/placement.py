"""Where the virtual probe stands, and the brain it stands on."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand

from app.shared.context import Context
from app.state.values import Layer, Vector
from app.synthesis.request import sweep_roles
from core.synthesis.brain_surface import BrainSurface, surface_of
from core.synthesis.sweep_plan import LIMITS, SweepPlan
from core.synthesis.virtual_sweep import VirtualSweep

NEAR = 8.0
"""mm from the surface within which a point means the surface."""
DEEP = 30.0
"""mm from a new entry to its first target."""
LEAST = 1.0
"""mm between entry and target."""


class ProbePlacement(QObject):
    """The probe of the case, with undo; ``slide`` is only looked through, and has none.

    Attributes:
        plan: the probe and its sweeps; None while none is placed.
        slide: mm along the first sweep of the frame that is shown.
        surface: of the brain; None until it was found.
    """

    changed = Signal()
    """The plan, the slide or the surface changed."""

    def __init__(self, context: Context) -> None:
        super().__init__(context.session)
        self.context, self.session = context, context.session
        self.plan: SweepPlan | None = None
        self.form = SweepPlan((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
        self.slide = 0.0
        self.surface: BrainSurface | None = None
        self._of: Any = None  # the volume whose surface it is
        self._finding = 0
        self._gestures = itertools.count(1)
        self._gesture = 0
        self.session.layers_changed.connect(self._case_changed)
        self.session.layer_changed.connect(lambda *_: self._case_changed())

    # ---- the brain

    def source(self) -> Layer | None:
        """Return the volume that shows the brain: the first input of a sweep."""
        subset, _ = sweep_roles(self.session.synthesis)
        layers = self.session.case_layers()
        return next((layers[m] for m in subset if m in layers), None)

    def with_surface(self, then: Callable[[BrainSurface], None] = lambda _: None) -> None:
        """Find the surface in a thread, unless it is known, and go on with it."""
        source = self.source()
        if source is None:
            return
        volume = source.volume
        if self.surface is not None and self._of is volume:
            then(self.surface)
            return
        if self._finding:
            self.context.jobs.drop(self._finding)

        def found(surface: BrainSurface) -> None:
            self._finding = 0
            now = self.source()
            if now is not None and now.volume is volume:
                self.surface, self._of = surface, volume
                self.changed.emit()
                then(surface)

        def failed(sentence: str) -> None:
            self._finding = 0
            self.context.messages.error(sentence)

        self._finding = self.context.jobs.submit(
            "Finding the brain's surface", lambda: surface_of(volume).ready(), found, failed
        )

    # ---- the probe

    def sweep(self) -> VirtualSweep | None:
        """Return the first sweep; None while no probe is placed."""
        return self.plan.laid()[0] if self.plan else None

    def frame(self) -> VirtualSweep | None:
        """Return the frame that is shown, as a sweep of one."""
        sweep = self.sweep()
        return replace(sweep, offsets=np.array([self.slide])) if sweep else None

    def begin(self) -> None:
        """Begin a gesture: what follows is one step of undo, until the next begins."""
        self._gesture = next(self._gestures)

    def enter(self, point: Vector) -> None:
        """Stand on the surface nearest to a point; a first probe looks into the brain."""
        surface = self.surface
        if surface is None:
            return
        entry = surface.nearest(point)
        if self.plan is not None:
            self._put(replace(self.plan, entry_ras=_place(entry)), "Move the probe")
            return
        inward = surface.middle - entry
        target = entry + DEEP * inward / max(float(np.linalg.norm(inward)), 1.0)
        self._put(replace(self.form, entry_ras=_place(entry), target_ras=_place(target)),
                  "Place the probe")  # fmt: skip

    def aim(self, point: Vector) -> None:
        """Look at a point; too near to the entry, nothing changes."""
        if self.plan is not None and _apart(point, self.plan.entry_ras) >= LEAST:
            self._put(replace(self.plan, target_ras=_place(point)), "Aim the probe")

    def stand_above(self, target: Vector) -> None:
        """Look at a point from the nearest place of the surface.

        Raises:
            SweepError: the point is outside the brain, or on its surface.
        """
        if self.surface is None:
            return
        entry = self.surface.above(target)
        plan = replace(self.plan or self.form, entry_ras=_place(entry), target_ras=_place(target))
        plan.laid()
        self._put(plan, "Place the probe")

    def edit(self, **numbers: Any) -> None:
        """Change the probe or its sweeps: fields of :class:`SweepPlan`; kept in their limits."""
        for name, value in numbers.items():
            if name in LIMITS:
                low, high = LIMITS[name]
                numbers[name] = type(value)(min(max(value, low), high))
        self.form = replace(self.form, **numbers)
        if self.plan is not None:
            self._put(replace(self.plan, **numbers), "Change the probe")
        else:
            self.changed.emit()

    def set_slide(self, slide: float) -> None:
        """Show another frame, no further out than the ends of the sweep."""
        half = (self.plan or self.form).length_mm / 2
        slide = min(max(slide, -half), half)
        if slide != self.slide:
            self.slide = slide
            self.changed.emit()

    def remove(self) -> None:
        """Take the probe away."""
        if self.plan is not None:
            self.begin()
            self._put(None, "Remove the probe")

    def show(self, plan: SweepPlan | None) -> None:
        """Put the probe somewhere without a step of undo."""
        if plan == self.plan:
            return
        self.plan = plan
        if plan is not None:
            self.form = plan
            half = plan.length_mm / 2
            self.slide = min(max(self.slide, -half), half)
        self.changed.emit()

    # ---- inside

    def _put(self, plan: SweepPlan | None, text: str) -> None:
        if plan != self.plan:
            self.context.undo.push(_PlaceProbe(self, plan, text, self._gesture))

    def _case_changed(self) -> None:
        source = self.source()
        if source is None or source.volume is not self._of:
            had, self.surface, self._of = self.surface, None, None
            if source is None and not self.session.layers:
                self.show(None)
            if had is not None:
                self.changed.emit()
                if self.plan is not None:
                    self.with_surface()


class _PlaceProbe(QUndoCommand):
    """Put the probe somewhere; what belongs to one gesture is one step."""

    def __init__(
        self, placement: ProbePlacement, plan: SweepPlan | None, text: str, gesture: int
    ) -> None:
        super().__init__(text)
        self._placement, self._after, self._gesture = placement, plan, gesture
        self._before = placement.plan

    def redo(self) -> None:
        """Put it there."""
        self._placement.show(self._after)

    def undo(self) -> None:
        """Put it back."""
        self._placement.show(self._before)

    def id(self) -> int:
        """Return what kinds of steps may be merged."""
        return 2 if self._gesture else -1

    def mergeWith(self, other: QUndoCommand) -> bool:
        """Take over where a later step of the same gesture went."""
        if not isinstance(other, _PlaceProbe) or other._gesture != self._gesture:
            return False
        self._after = other._after
        return True


def near_surface(surface: BrainSurface, point: NDArray[np.float64]) -> bool:
    """Tell whether a RAS mm position means the surface: outside the brain, or close to its edge."""
    return bool(not surface.holds(point) or _apart(point, surface.nearest(point)) <= NEAR)


def _apart(one: Any, other: Any) -> float:
    return float(np.linalg.norm(np.subtract(one, other)))


def _place(point: Any) -> tuple[float, float, float]:
    right, anterior, superior = (round(float(x), 3) for x in point)
    return right, anterior, superior
