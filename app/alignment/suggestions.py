"""What the program offers by itself: to align what was opened, to centre what lies far away."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject

from app.alignment.aligner import Aligner
from app.alignment.transform_files import TURNED_ROUND, TransformFiles, inverted, read
from app.files.opener import FileOpener, Origin
from app.state.messages import Action
from app.state.values import Kind, Layer, Placement
from core.case import box_distance
from core.modalities import SWEPT
from core.registration.alignment import Alignment, moved
from core.volume import Volume


class AlignmentSuggestions(QObject):
    """Listens to the opener, and answers with notes that have buttons.

    Args:
        opener: reads files and says what it found.
        aligner: moves volumes.
        transforms: applies transform files.
        show: shows the Align panel.
        ask: asks for a transform file and hands over its path.
    """

    def __init__(
        self,
        opener: FileOpener,
        aligner: Aligner,
        transforms: TransformFiles,
        show: Callable[[], None],
        ask: Callable[[Callable[[Path], None]], None],
    ) -> None:
        super().__init__(aligner)
        self.opener, self.aligner, self.transforms = opener, aligner, transforms
        self._show, self._ask = show, ask
        self._offered: set[frozenset[str]] = set()
        opener.offers = self.far
        opener.opened.connect(self._opened)
        opener.transform_found.connect(self.transform_found)

    # ---- a volume that overlaps nothing

    def far(self, volume: Volume, origin: Origin, kind: Kind | None) -> list[Action]:
        """Return what can be done with a volume that was refused for lying elsewhere."""
        if kind not in (None, Kind.REAL) or volume.synthetic:
            return []
        centre = partial(self._centre, volume, origin, kind)
        load = partial(self._ask, partial(self._place, volume, origin, kind))
        return [Action("Centre it here", centre), Action("Load a transform…", load)]

    def _centre(self, volume: Volume, origin: Origin, kind: Kind | None) -> None:
        fixed = self._anchor()
        if fixed is None:
            self._add(volume, origin, kind, None)
            return

        def work() -> Alignment:
            from core.registration.register import centred

            return centred(fixed.volume, volume)

        self.aligner.jobs.submit(
            "Centring",
            work,
            lambda found: self._add(volume, origin, kind, found),
            self.aligner.messages.error,
        )

    def _place(self, volume: Volume, origin: Origin, kind: Kind | None, path: Path) -> None:
        """Add a refused volume where a transform file puts it."""
        self.aligner.jobs.submit(
            f"Reading {path.name}",
            lambda: read(path),
            lambda found: self._try(volume, origin, kind, found),
            self.aligner.messages.error,
        )

    def _try(self, volume: Volume, origin: Origin, kind: Kind | None, alignment: Alignment) -> None:
        fixed = self._anchor()
        there = moved(volume, alignment.matrix)
        gap = 0.0 if fixed is None else box_distance(there, fixed.volume)
        if fixed is None or gap == 0:
            self._add(volume, origin, kind, alignment)
            return
        source, turned = alignment.source, inverted(alignment)
        words = "Use it as it is" if source.endswith(TURNED_ROUND) else "Turn it round"
        other = Action(words, partial(self._try, volume, origin, kind, turned))
        self.aligner.messages.error(
            f"With {source}, {volume.source} would be {gap:.0f} mm apart from {fixed.name}. "
            "Expected the transform between these two; use it in the other direction, or centre "
            "the volume.",
            [other, *self.far(volume, origin, kind)],
        )

    def _add(
        self, volume: Volume, origin: Origin, kind: Kind | None, alignment: Alignment | None
    ) -> None:
        fixed = self._anchor()
        placement = None if alignment is None else Placement(volume.grid, alignment)
        layer_id = self.opener.add(volume, origin, kind, placement=placement)
        if layer_id is None or fixed is None:
            return
        self._offered.add(frozenset((layer_id, fixed.id)))
        self.aligner.session.pair.choose(moving=layer_id, fixed=fixed.id)
        self.aligner.session.set_active(fixed.id)
        self.aligner.session.set_secondary(layer_id)
        self._show()

    def _anchor(self) -> Layer | None:
        """Return the volume others are brought to: the ultrasound, else the first."""
        real = sorted(self.aligner.candidates(), key=lambda x: x.modality not in SWEPT)
        return real[0] if real else None

    # ---- two volumes that were not aligned yet

    def _opened(self, layer_id: str) -> None:
        """Offer to align what was opened, once for two volumes."""
        pair = self.aligner.pair()
        if pair is None or layer_id not in (pair[0].id, pair[1].id):
            return
        moving, fixed = pair
        key = frozenset((moving.id, fixed.id))
        untouched = moving.placement is None and fixed.placement is None
        if key in self._offered or not untouched or moving.header.same_as(fixed.header):
            return
        self._offered.add(key)
        names = [x.modality or x.name for x in pair]
        self.aligner.messages.info(
            f"{names[0]} and {names[1]} lie where their files say. If they do not match, align "
            "them.",
            [Action("Align…", self._show)],
        )

    # ---- a transform that was dropped

    def transform_found(self, path: Path) -> None:
        """Apply a transform to what moves; ask only when that was never said."""
        aligner = self.aligner
        pair = aligner.pair()
        if pair is None:
            aligner.messages.error(
                f"{path.name}: a transform brings one volume onto another. Open both volumes "
                "first, then drop it again."
            )
        elif aligner.session.pair.chosen or len(aligner.candidates()) < 2:
            self._apply(path, pair[0].id)
        else:
            actions = [
                Action(f"Move {x.modality or x.name}", partial(self._apply, path, x.id))
                for x in aligner.candidates()[:3]
            ]
            aligner.messages.warning(f"{path.name}: which volume does it move?", actions)

    def _apply(self, path: Path, layer_id: str) -> None:
        if layer_id in self.aligner.session:
            self.aligner.session.pair.choose(moving=layer_id)
            self.transforms.load(path)
            self._show()
