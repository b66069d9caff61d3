"""Small pictures for the import table, read one after the other in a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QImage

from app.files.import_rules import ImportItem, Key
from app.processes.jobs import Jobs

if TYPE_CHECKING:
    from core.io import Header

SIZE = 44


class Pictures(QObject):
    """Makes a picture of every usable row, and finds out which cannot be read after all."""

    made = Signal(object, object)
    """(key of the row, QImage)."""
    failed = Signal(object, str)
    """(key of the row, sentence): its voxels cannot be read."""

    def __init__(self, jobs: Jobs, parent: QObject) -> None:
        super().__init__(parent)
        self._jobs = jobs
        self._waiting: list[ImportItem] = []
        self._asked: set[Key] = set()
        self._busy = False
        self._stopped = False

    def want(self, rows: list[ImportItem]) -> None:
        """Ask for pictures of rows that have none yet."""
        for row in rows:
            if row.usable and row.key not in self._asked:
                self._asked.add(row.key)
                self._waiting.append(row)
        self._next()

    def stop(self) -> None:
        """Make no more."""
        self._waiting, self._stopped = [], True

    def _next(self) -> None:
        if self._busy or not self._waiting:
            return
        row = self._waiting.pop(0)
        self._busy = True

        def done(picture: QImage | None) -> None:
            self._busy = False
            if picture is not None and not self._stopped:
                self.made.emit(row.key, picture)
            self._next()

        def failed(sentence: str) -> None:
            self._busy = False
            if not self._stopped:
                self.failed.emit(row.key, sentence)
            self._next()

        self._jobs.submit("Making pictures", lambda: _picture(row.header), done, failed)


def _picture(header: Header) -> QImage | None:
    from core.io.preview import middle_slice

    found = middle_slice(header)
    return picture(*found) if found else None


def picture(values: NDArray[np.float32], aspect: float) -> QImage:
    """Return a grey picture that fits into a square, from robust percentiles.

    Args:
        values: (row, column) in any units.
        aspect: height of a pixel over its width.
    """
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)  # as they are read
    low, high = np.percentile(values, (1, 99.5))
    grey = np.clip((values - low) * (255 / max(float(high - low), 1e-12)), 0, 255).astype(np.uint8)
    rows, columns = grey.shape
    image = QImage(
        np.ascontiguousarray(grey).data, columns, rows, columns, QImage.Format.Format_Grayscale8
    )
    scale = 2 * SIZE / max(columns, rows * aspect)  # twice: sharp on dense screens
    width, height = max(1, round(columns * scale)), max(1, round(rows * aspect * scale))
    small = image.scaled(
        width,
        height,
        Qt.AspectRatioMode.IgnoreAspectRatio,
        Qt.TransformationMode.SmoothTransformation,
    )
    small.setDevicePixelRatio(2)
    return small
