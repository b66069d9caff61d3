"""Moving a volume by hand: six shifts and turns, or a drag; what belongs together is one step."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from app.alignment.aligner import Aligner
from app.state.values import Vector
from core.registration.alignment import Alignment, Matrix, from_parameters, to_parameters

PAUSE_S = 1.0
"""Changes of the same value closer together than this are one undo step."""


class ManualAlignment(QObject):
    """Moves the aligner's moving volume live."""

    pivot_found = Signal()
    """It is known now what the moving volume turns about."""

    def __init__(self, aligner: Aligner) -> None:
        super().__init__(aligner)
        self.aligner = aligner
        self._pivots: dict[str, Vector] = {}
        self._gesture = 0
        self._start: Matrix = np.eye(4)
        self._last = 0.0

    def pivot(self) -> Vector:
        """Return what the moving volume turns about: (3,) RAS mm in its header space."""
        moving = self.aligner.moving
        if moving is None:
            return np.zeros(3)
        return self._pivots.get(moving.id, moving.header.centre)

    def find_pivot(self) -> None:
        """Find the middle of the moving volume's field of view, once a volume, in a thread."""
        moving = self.aligner.moving
        if moving is None or moving.id in self._pivots:
            return
        key, volume = moving.id, self.aligner.at_header()
        self._pivots[key] = moving.header.centre

        def work() -> Vector:
            from core.registration.register import middle

            return middle(volume)

        def done(found: Vector) -> None:
            self._pivots[key] = found
            self.pivot_found.emit()

        self.aligner.jobs.submit("Finding the middle", work, done, lambda _: None)

    def begin(self, hold: bool = False) -> None:
        """Begin a movement; with ``hold`` it lasts until :meth:`end`."""
        self._gesture += 1
        self._start, self._last = self.aligner.matrix, time.monotonic()
        self.aligner.held = hold

    def end(self) -> None:
        """End a movement that was held."""
        self.aligner.held = False
        self._last = 0.0
        self.aligner.settle()

    def shift(self, world: Matrix) -> None:
        """Move by a (4, 4) RAS mm map of the case, counted from where the movement began."""
        self._put(world @ self._start)

    def parameters(self) -> NDArray[np.float64]:
        """Return the (6,) shifts (mm along R, A, S) and turns (degrees about R, A, S)."""
        return to_parameters(self.aligner.matrix, self.pivot())

    def set_parameters(self, values: Sequence[float]) -> None:
        """Move to (6,) shifts and turns; what an affine alignment adds to them is kept."""
        if not self.aligner.held and time.monotonic() - self._last > PAUSE_S:
            self.begin()
        pivot = self.pivot()
        rigid = from_parameters(self.parameters(), pivot)
        rest = np.linalg.inv(rigid) @ self.aligner.matrix
        self._put(from_parameters(values, pivot) @ rest)
        self._last = time.monotonic()

    def _put(self, matrix: Matrix) -> None:
        self.aligner.put_alignment(Alignment(matrix, "manual"), "By hand", self._gesture)
