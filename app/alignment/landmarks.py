"""Point pairs between the volume that moves and the one that stays; every change can be undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand

from app.alignment.aligner import Aligner, matrix_of
from app.state.pair import AlignedPair, Key, Pairs
from app.state.values import Vector
from core.registration.alignment import AlignError
from core.registration.landmarks import (
    Landmark,
    Point,
    align_by_landmarks,
    target_registration_error,
)

FIXED, MOVING = "fixed", "moving"


class Landmarks(QObject):
    """The pairs of the aligner's two volumes; those of other volumes are kept meanwhile.

    Attributes:
        half: of a pair that is being placed, the side that is there already (side → point).
        selected: number of the pair chosen in the list; -1 for none.
    """

    changed = Signal()

    def __init__(self, aligner: Aligner) -> None:
        super().__init__(aligner)
        self.aligner = aligner
        self._pair = aligner.session.pair
        self.half: dict[str, Point] = {}
        self.selected = -1
        self._gesture = 0
        aligner.changed.connect(self._refresh)
        self._pair.landmarks_changed.connect(self._refresh)

    @property
    def pairs(self) -> Pairs:
        """The pairs of the present two volumes: fixed ends in the case, moving at its header."""
        pair = self.aligner.pair()
        if pair is None:
            return ()
        key = (pair[0].id, pair[1].id)
        found = self._pair.landmarks.get(key)
        if found is None:  # the roles were exchanged since
            found = tuple(_exchanged(p) for p in self._pair.landmarks.get(key[::-1], ()))
        matrix = matrix_of(pair[1].placement)
        return tuple(replace(p, fixed=_through(matrix, p.fixed)) for p in found)

    def position(self, pair: Landmark, side: str) -> Vector:
        """Return where one end of a pair lies now: (3,) RAS mm in the case."""
        if side == FIXED:
            return np.array(pair.fixed)
        return self.to_case(pair.moving)

    def errors(self) -> tuple[list[float], float, float]:
        """Return every pair's residual, their mean and their maximum, mm; zeros without pairs."""
        if not self.pairs:
            return [], 0.0, 0.0
        each, mean, largest = target_registration_error(self.pairs, self.aligner.matrix)
        return [float(e) for e in each], mean, largest

    # ---- changes

    def set(self, pairs: Sequence[Landmark], what: str, gesture: int = 0) -> None:
        """Replace all pairs as one undo step; steps of one gesture are taken back together."""
        pair = self.aligner.pair()
        if pair is None:
            return
        key = (pair[0].id, pair[1].id)
        back = np.linalg.inv(matrix_of(pair[1].placement))
        raw = tuple(replace(p, fixed=_through(back, p.fixed)) for p in pairs)
        if key not in self._pair.landmarks and key[::-1] in self._pair.landmarks:
            key, raw = key[::-1], tuple(_exchanged(p) for p in raw)
        self.aligner.undo.push(EditLandmarks(self._pair, key, raw, what, gesture))

    def add_here(self, world: ArrayLike) -> None:
        """Add a pair with both ends at a (3,) position of the case, to be dragged apart."""
        if self.aligner.pair() is not None:
            self.half = {}
            self._add(_point(world), self._to_header(world))

    def click(self, side: str, world: ArrayLike) -> None:
        """Place one end of a new pair; the second end completes it."""
        if self.aligner.pair() is None:
            return
        self.half[side] = _point(world) if side == FIXED else self._to_header(world)
        if len(self.half) == 2:
            fixed, moving = self.half[FIXED], self.half[MOVING]
            self.half = {}
            self._add(fixed, moving)
        else:
            self.changed.emit()

    def begin(self) -> None:
        """Begin a drag; it is one step."""
        self._gesture += 1

    def drag(self, number: int, side: str, world: ArrayLike) -> None:
        """Move one end of a pair to a (3,) position of the case."""
        pair = self.pairs[number]
        if side == FIXED:
            new = replace(pair, fixed=_point(world))
        else:
            new = replace(pair, moving=self._to_header(world))
        self._change(number, new, f"Move landmark {pair.name}", self._gesture)

    def rename(self, number: int, name: str) -> None:
        """Give a pair another name."""
        pair = self.pairs[number]
        if name and name != pair.name:
            self._change(number, replace(pair, name=name), f"Rename landmark {pair.name}")

    def remove(self, number: int) -> None:
        """Take a pair away."""
        rest = [p for n, p in enumerate(self.pairs) if n != number]
        self.set(rest, f"Delete landmark {self.pairs[number].name}")

    def select(self, number: int) -> None:
        """Choose a pair."""
        if number != self.selected:
            self.selected = number
            self.changed.emit()

    def drop_half(self) -> None:
        """Forget a pair that was begun."""
        if self.half:
            self.half = {}
            self.changed.emit()

    # ---- what they are for

    def align(self, kind: str) -> None:
        """Move the moving volume so that the pairs meet (least squares), as one undo step."""
        try:
            found = align_by_landmarks(self.pairs, kind)
        except AlignError as error:
            self.aligner.messages.error(str(error))
            return
        if self.aligner.put_alignment(found, f"{kind} by landmarks"):
            _, mean, largest = self.errors()
            self.aligner.messages.info(
                f"Aligned by {len(self.pairs)} pairs ({kind}): they are {mean:.1f} mm apart in "
                f"the mean, {largest:.1f} mm at most. The error elsewhere may be larger."
            )

    def load(self, path: Path) -> None:
        """Read pairs from a file, in place of the present ones."""

        def work() -> Pairs:
            from core.registration.landmarks import read_landmarks

            return read_landmarks(path)

        def done(pairs: Pairs) -> None:
            self.set(pairs, f"Load landmarks {path.name}")
            self.aligner.messages.info(f"{path.name}: {len(pairs)} pairs.")

        self.aligner.jobs.submit(f"Reading {path.name}", work, done, self.aligner.messages.error)

    def save(self, path: Path) -> None:
        """Write the pairs to a file."""
        pairs = self.pairs

        def work() -> tuple[Path, ...]:
            from core.registration.landmarks import write_landmarks

            return write_landmarks(path, pairs)

        def done(written: tuple[Path, ...]) -> None:
            self.aligner.messages.info(f"Saved {' and '.join(p.name for p in written)}.")

        self.aligner.jobs.submit(f"Saving {path.name}", work, done, self.aligner.messages.error)

    # ---- inside

    def _add(self, fixed: Point, moving: Point) -> None:
        taken = {p.name for p in self.pairs}
        number = len(taken) + 1
        while str(number) in taken:
            number += 1
        self.set([*self.pairs, Landmark(str(number), fixed, moving)], f"Add landmark {number}")
        self.select(len(self.pairs) - 1)

    def _change(self, number: int, pair: Landmark, what: str, gesture: int = 0) -> None:
        pairs = list(self.pairs)
        pairs[number] = pair
        self.set(pairs, what, gesture)

    def to_case(self, point: ArrayLike) -> Vector:
        """Return where a (3,) RAS mm point of the moving volume's header space lies now."""
        return np.array(_through(self.aligner.matrix, point))

    def _to_header(self, world: ArrayLike) -> Point:
        return _through(np.linalg.inv(self.aligner.matrix), world)

    def _refresh(self) -> None:
        self.selected = min(self.selected, len(self.pairs) - 1)
        self.changed.emit()


class EditLandmarks(QUndoCommand):
    """Replace the pairs of two volumes; what belongs to one drag is one step."""

    def __init__(
        self, pair: AlignedPair, key: Key, pairs: Pairs, text: str, gesture: int = 0
    ) -> None:
        super().__init__(text)
        self._pair, self._key, self._gesture = pair, key, gesture
        self._before, self._after = pair.landmarks.get(key, ()), pairs

    def redo(self) -> None:
        """Apply."""
        self._pair.put_landmarks(self._key, self._after)

    def undo(self) -> None:
        """Take back."""
        self._pair.put_landmarks(self._key, self._before)

    def id(self) -> int:
        """Return what kinds of steps may be merged."""
        return 2 if self._gesture else -1

    def mergeWith(self, other: QUndoCommand) -> bool:
        """Take over where a later step of the same drag went."""
        if isinstance(other, EditLandmarks) and other._gesture == self._gesture:
            self._after = other._after
            return True
        return False


def _exchanged(pair: Landmark) -> Landmark:
    return replace(pair, fixed=pair.moving, moving=pair.fixed)


def _through(matrix: NDArray[np.floating], point: ArrayLike) -> Point:
    """Return where a (4, 4) map takes a (3,) point."""
    return _point(matrix[:3, :3] @ np.asarray(point) + matrix[:3, 3])


def _point(values: ArrayLike) -> Point:
    x, y, z = (float(v) for v in np.asarray(values, dtype=np.float64))
    return x, y, z
