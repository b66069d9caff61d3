"""Shows the middle slices of one case in three planes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from app.training.wizard.pair_picture import compose

PLANES = (("axial", "A", "P", "R", "L"), ("coronal", "S", "I", "R", "L"),
          ("sagittal", "S", "I", "A", "P"))  # fmt: skip
"""Name, and the letters at the top, bottom, left and right."""


class PairView(QWidget):
    """Draws a picture that the check made; empty until there is one."""

    def __init__(self) -> None:
        super().__init__()
        self.setMinimumSize(480, 200)
        self.image: QImage | None = None
        self.setAccessibleName("Middle slices of the case")

    def sizeHint(self) -> QSize:
        """Three squares side by side."""
        return QSize(780, 270)

    def show_case(self, path: Path | None, count: int, mode: int | str, other: int) -> None:
        """Show a picture in one of the modes of :func:`.pair_picture.compose`."""
        self.image = None
        found = QImage(str(path)) if path is not None else QImage()
        if not found.isNull() and found.height() % (count + 1) == 0:
            grey = found.convertToFormat(QImage.Format.Format_Grayscale8)
            data = np.frombuffer(grey.constBits(), np.uint8)
            pixels = data.reshape(grey.height(), grey.bytesPerLine())[:, : grey.width()]
            made = compose(pixels, count, mode, other)
            high, wide = made.shape[:2]
            self.image = QImage(
                made.tobytes(), wide, high, 3 * wide, QImage.Format.Format_RGB888
            ).copy()
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the planes as large as they fit, with their letters."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor("black"))
        if self.image is None:
            painter.setPen(QColor("#9a9da3"))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, "No picture")
            painter.end()
            return
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        side = min(self.width() / 3, float(self.height()))
        left, top = (self.width() - 3 * side) / 2, (self.height() - side) / 2
        target = QRectF(left, top, 3 * side, side)
        painter.drawImage(target, self.image, QRectF(self.image.rect()))
        centre, middle = Qt.AlignmentFlag.AlignHCenter, Qt.AlignmentFlag.AlignVCenter
        at_top, at_bottom = Qt.AlignmentFlag.AlignTop, Qt.AlignmentFlag.AlignBottom
        at_left, at_right = Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight
        for n, (name, up, down, start, end) in enumerate(PLANES):
            box = QRectF(left + n * side, top, side, side).adjusted(5, 3, -5, -3)
            painter.setPen(QColor("#e8e9ec"))
            for flags, text in (
                (centre | at_top, up),
                (centre | at_bottom, down),
                (at_left | middle, start),
                (at_right | middle, end),
            ):
                painter.drawText(box, flags, text)
            painter.setPen(QColor("#9a9da3"))
            painter.drawText(box, at_left | at_top, name)
        painter.end()
