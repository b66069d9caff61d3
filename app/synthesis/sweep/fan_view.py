"""The probe's frame as a picture: the synthetic ultrasound, and what it is made from around it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, QTimer
from PySide6.QtGui import QColor, QImage, QPainter, QPaintEvent, QPen, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.shared.style import SYNTHETIC
from app.state.values import Window
from app.synthesis.sweep.fan_picture import FanPicture
from app.viewer.colormaps import label_colour
from app.viewer.overlay import write
from core.marks import SYNTHETIC_MARK

DIM = 0.45
"""How bright what is not synthesised is drawn."""
TINT, EDGE = 0.08, 0.7
"""How strongly labels cover the image, and their edges."""
BESIDE = QColor("#bebebe")
SOON_MS = 15


class FanView(QWidget):
    """Paints the frame; it is sampled anew when something changed, at most once a paint.

    Args:
        picture: returns the frame, None while no probe is placed.
        windows: returns the windows of the synthetic image and of what lies below.
        empty: what is said without a probe.
    """

    def __init__(
        self,
        picture: Callable[[], FanPicture | None],
        windows: Callable[[], tuple[Window, Window]],
        empty: str,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._picture, self._windows, self._empty = picture, windows, empty
        self.image: QImage | None = None
        self.synthetic = False
        self._timer = QTimer(self, singleShot=True, interval=SOON_MS)
        self._timer.timeout.connect(self.refresh)
        self.setAccessibleName("Live fan of the virtual probe")
        self.setToolTip(
            "What the probe sees in its present frame: bright where it is synthesised, dark the "
            "volume it is made from"
        )
        policy = QSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.setMinimumHeight(150)

    def sizeHint(self) -> QSize:
        """Be as large as a fan needs to be read."""
        return QSize(230, 170)

    def heightForWidth(self, width: int) -> int:
        """Return the height for a fan of 109 by 76 mm."""
        return round(0.72 * width)

    def refresh_soon(self) -> None:
        """Sample the frame anew when the present events are done."""
        if self.isVisible() and not self._timer.isActive():
            self._timer.start()

    def refresh(self) -> None:
        """Sample the frame anew."""
        picture = self._picture()
        self.synthetic = picture is not None and bool(picture.known.any())
        self.image = None if picture is None else as_image(picture, *self._windows())
        self.update()

    def showEvent(self, event: QShowEvent) -> None:
        """Show what changed meanwhile."""
        super().showEvent(event)
        self.refresh_soon()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Paint in the new size."""
        super().resizeEvent(event)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the frame with its mark."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), Qt.GlobalColor.black)
        rect = QRectF(self.rect())
        if self.image is None:
            painter.setPen(BESIDE)
            box = rect.adjusted(8, 8, -8, -8)
            painter.drawText(
                box, int(Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap), self._empty
            )
        else:
            room = rect.adjusted(4, 4, -4, -20)
            size = self.image.size().scaled(
                room.size().toSize(), Qt.AspectRatioMode.KeepAspectRatio
            )
            left = room.center().x() - size.width() / 2
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawImage(QRectF(left, room.top(), size.width(), size.height()), self.image)
            if self.synthetic:
                painter.setPen(QPen(SYNTHETIC, 3))
                painter.drawRect(rect.adjusted(1.5, 1.5, -1.5, -1.5))
                foot = QPointF(rect.center().x(), rect.bottom() - 3)
                write(painter, SYNTHETIC_MARK, foot, SYNTHETIC, 10, True, "b")
        painter.end()


def as_image(picture: FanPicture, made: Window, under: Window) -> QImage:
    """Return a frame in colour: grey the synthetic image, darker what lies below it, labels.

    Args:
        picture: the frame.
        made, under: values shown black and white, of the synthetic image and of what lies below.
    """
    grey = np.where(picture.known, _scaled(picture.made, made), DIM * _scaled(picture.under, under))
    colour = np.repeat(grey[..., None], 3, axis=2)
    for label in np.unique(picture.labels[picture.labels > 0]):
        edge = QColor(label_colour("labels", int(label)))
        tint = np.array([edge.redF(), edge.greenF(), edge.blueF()])
        here = picture.labels == label
        inner = here.copy()
        inner[1:-1, 1:-1] = (
            here[1:-1, 1:-1] & here[2:, 1:-1] & here[:-2, 1:-1] & here[1:-1, 2:] & here[1:-1, :-2]
        )
        for part, weight in ((inner, TINT), (here & ~inner, EDGE)):
            colour[part] = (1 - weight) * colour[part] + weight * tint
    bytes_ = np.zeros((*picture.inside.T.shape, 4), np.uint8)
    bytes_[..., :3] = np.rint(255 * colour).astype(np.uint8).transpose(1, 0, 2)[..., ::-1]
    bytes_[..., 3] = 255 * picture.inside.T
    height, width = bytes_.shape[:2]
    return QImage(bytes_.tobytes(), width, height, 4 * width, QImage.Format.Format_ARGB32).copy()


def _scaled(values: NDArray[np.float32], window: Window) -> NDArray[np.float32]:
    low, high = window
    return np.clip((values - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)
