"""Which volume is brought onto which, and where it is put; each step can be undone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal

from app.shared.context import Context
from app.state.undo import MoveLayers
from app.state.values import Kind, Layer, Placement
from core.case import box_distance
from core.registration.alignment import Alignment, Matrix, moved
from core.volume import Volume

T = TypeVar("T")

SETTLE_MS = 350
"""How long a volume must lie still before its similarity is measured."""


class Aligner(QObject):
    """The one owner of alignments; panel, viewers and commands ask it.

    Args:
        context: where the volumes are, and the ways to work, speak and undo.
    """

    changed = Signal()
    """The choice, an alignment or what is known about it changed."""

    def __init__(self, context: Context) -> None:
        super().__init__(context.session)
        self.session, self.jobs = context.session, context.jobs
        self.messages, self.undo = context.messages, context.undo
        self.held = False
        self._previous: dict[str, Placement | None] = {}
        self._last_gesture = 0
        self._settle = QTimer(self, singleShot=True, interval=SETTLE_MS)
        self._settle.timeout.connect(self._compare)
        self.session.pair.changed.connect(self.changed)
        self.session.layers_changed.connect(self.changed)
        self.session.layer_changed.connect(self._layer_changed)

    # ---- what moves, and what stays

    def candidates(self) -> list[Layer]:
        """Return the volumes that can move or stay."""
        return self.session.pair.candidates()

    def pair(self) -> tuple[Layer, Layer] | None:
        """Return (moving, fixed); None while the case has no two volumes."""
        return self.session.pair.pair()

    @property
    def moving(self) -> Layer | None:
        """The volume that moves; None while the case has no two volumes."""
        pair = self.pair()
        return pair[0] if pair else None

    @property
    def placement(self) -> Placement | None:
        """How the moving volume was moved; None at its header's position."""
        return self.moving.placement if self.moving else None

    @property
    def matrix(self) -> Matrix:
        """(4, 4) RAS mm, the moving volume's header space → the case's space."""
        return matrix_of(self.placement)

    def at_header(self) -> Volume:
        """Return the moving volume where its file says.

        Raises:
            ValueError: nothing moves.
        """
        moving = self.moving
        if moving is None:
            raise ValueError("nothing moves")
        return replace(moving.volume, grid=moving.header)

    # ---- moving it

    def put(self, placement: Placement | None, what: str, gesture: int = 0) -> bool:
        """Move the moving volume, and label maps that lie on its voxels, as one undo step.

        Args:
            placement: where to; None is the position in the file.
            what: for the Edit menu.
            gesture: steps of one number are taken back together. A step without one is refused
                where the volume would not overlap the one that stays.

        Returns:
            Whether it was moved.
        """
        pair = self.pair()
        if pair is None:
            return False
        moving, fixed = pair
        if not gesture:
            there = moved(self.at_header(), matrix_of(placement))
            gap = box_distance(there, fixed.volume)
            if gap > 0:
                self.messages.error(
                    f"{moving.name} was left where it is: with this ({what.lower()}) it would be "
                    f"{gap:.0f} mm apart from {fixed.name}. Centre it, use the transform in the "
                    "other direction, or check that both are of one patient."
                )
                return False
        if not gesture or gesture != self._last_gesture:
            self._previous[moving.id] = moving.placement
        self._last_gesture = gesture
        self.session.set_reference(fixed.id)
        together = [moving, *self._companions(moving)]
        text = f"Align {moving.modality or moving.name}: {what.lower()}"
        step = MoveLayers(self.session, {x.id: placement for x in together}, text, gesture)
        self.undo.push(step)
        return True

    def put_alignment(self, alignment: Alignment, what: str, gesture: int = 0) -> bool:
        """Move the moving volume by an alignment, as :meth:`put` does."""
        moving = self.moving
        return moving is not None and self.put(Placement(moving.header, alignment), what, gesture)

    def use_header(self) -> None:
        """Put the moving volume where its file says."""
        if self.placement is not None:
            self.put(None, "Header positions")

    def centre(self) -> None:
        """Bring the middles of both fields of view together."""

        def work(moving: Volume, fixed: Volume) -> Alignment:
            from core.registration.register import centred

            return centred(fixed, moving)

        def done(found: Alignment) -> None:
            self.put_alignment(found, "Centred")

        self._in_thread("Centring", work, done, self.messages.error)

    # ---- before and after

    def before(self) -> Placement | None:
        """Return where the moving volume was before the last step, else at its header."""
        moving = self.moving
        found = self._previous.get(moving.id) if moving else None
        return None if moving is None or found is moving.placement else found

    def toggle_before(self) -> None:
        """Show the moving volume where it was before the last step, or as it is again."""
        moving = self.moving
        if self.session.peeked or moving is None or moving.placement is None:
            self.session.peek({})
            return
        matrix = matrix_of(self.before())
        layers = [moving, *self._companions(moving)]
        headers = {x.id: replace(x.volume, grid=x.header) for x in layers}
        self.session.peek({i: moved(v, matrix).grid for i, v in headers.items()})

    def close(self) -> None:
        """Stop the timer; jobs end with the window's."""
        self._settle.stop()

    # ---- inside

    def settle(self) -> None:
        """Measure the similarity once nothing moves any more."""
        if self.placement is not None:
            self._settle.start()

    def _companions(self, moving: Layer) -> list[Layer]:
        """Return label maps that lie on the moving volume's voxels."""
        labels = [x for x in self.session.layers if x.kind is Kind.LABEL]
        return [x for x in labels if x.volume.grid.same_as(moving.volume.grid)]

    def _layer_changed(self, layer_id: str, field: str) -> None:
        if field == "position":
            self.session.peek({})
            self.settle()
        if field in ("position", "modality", "available", "name"):
            self.changed.emit()

    def _compare(self) -> None:
        moving, placement = self.moving, self.placement
        if moving is None or placement is None or placement.after is not None or self.held:
            return
        before = self.before()
        known = before.after if before is not None else None
        matrix = placement.alignment.matrix

        def work(volume: Volume, fixed: Volume) -> tuple[float, float]:
            from core.registration.similarity import similarity

            first = similarity(fixed, volume, matrix_of(before)) if known is None else known
            return first, similarity(fixed, volume, matrix)

        def done(found: tuple[float, float]) -> None:
            if moving.id in self.session and self.placement is placement:
                told = replace(placement, before=found[0], after=found[1])
                for x in [moving, *self._companions(moving)]:
                    self.session.place(x.id, told)

        self._in_thread("Comparing", work, done, lambda _: None)

    def _in_thread(
        self,
        title: str,
        work: Callable[[Volume, Volume], T],
        done: Callable[[T], None],
        failed: Callable[[str], None],
    ) -> None:
        """Run something on (moving at its header, fixed) and hand over the answer."""
        pair = self.pair()
        if pair is not None:
            volume, fixed = self.at_header(), pair[1].volume
            self.jobs.submit(title, lambda: work(volume, fixed), done, failed)


def matrix_of(placement: Placement | None) -> Matrix:
    """Return a placement's (4, 4) RAS mm map from header space; None is the identity."""
    return np.eye(4) if placement is None else placement.alignment.matrix
