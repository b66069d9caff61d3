"""Transform files: loading one in either direction, and saving the alignment as one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PySide6.QtCore import QObject

from app.alignment.aligner import Aligner
from app.state.messages import Action
from core.registration.alignment import Alignment

TURNED_ROUND = ", turned round"
"""Added to a transform file's name while it is used in the other direction."""


class TransformFiles(QObject):
    """Applies transform files to the aligner's moving volume."""

    def __init__(self, aligner: Aligner) -> None:
        super().__init__(aligner)
        self.aligner = aligner

    def load(self, path: Path) -> None:
        """Apply a transform file in the direction ITK programs use it, and say which that is."""
        aligner = self.aligner

        def done(alignment: Alignment) -> None:
            if aligner.put_alignment(alignment, f"Transform {path.name}"):
                aligner.messages.info(self.direction(), [Action("Turn round", self.invert)])

        aligner.jobs.submit(
            f"Reading {path.name}", lambda: read(path), done, aligner.messages.error
        )

    def direction(self) -> str:
        """Say in which direction the loaded transform is used; empty without one."""
        placement, pair = self.aligner.placement, self.aligner.pair()
        if placement is None or pair is None or placement.alignment.kind != "file":
            return ""
        moving, fixed = (x.modality or x.name for x in pair)
        source = placement.alignment.source
        name = source.removesuffix(TURNED_ROUND)
        if source != name:
            return f"{name}, turned round: it takes points of {moving} to {fixed}."
        return f"{name}, as ITK programs use it: it takes points of {fixed} to {moving}."

    def invert(self) -> None:
        """Use the loaded transform in the other direction."""
        placement = self.aligner.placement
        if placement is None or placement.alignment.kind != "file":
            return
        turned = inverted(placement.alignment)
        self.aligner.put_alignment(turned, "Transform turned round")

    def save(self, path: Path) -> None:
        """Write the moving volume's alignment as an ITK transform."""
        aligner, matrix = self.aligner, self.aligner.matrix
        kind = aligner.placement.alignment.kind if aligner.placement else "header"

        def work() -> Path:
            from core.registration.transforms import write_transform

            return write_transform(path, Alignment(matrix, kind))

        def done(written: Path) -> None:
            aligner.messages.info(f"Saved {written.name}; read back and compared.")

        aligner.jobs.submit(f"Saving {path.name}", work, done, aligner.messages.error)


def inverted(alignment: Alignment) -> Alignment:
    """Return a transform file's alignment in the other direction."""
    source = alignment.source
    name = source.removesuffix(TURNED_ROUND)
    matrix = np.asarray(np.linalg.inv(alignment.matrix), dtype=np.float64)
    return Alignment(matrix, "file", name if source != name else name + TURNED_ROUND)


def read(path: Path) -> Alignment:
    """Read a transform file.

    Raises:
        AlignError: it cannot be used, see :func:`core.registration.transforms.read_transform`.
    """
    from core.registration.transforms import read_transform

    return read_transform(path)
