"""What a pane consists of below its marks: pictures and outlines, as values that can be compared.

A pane whose strokes are the same as last time need not be composed again.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from PySide6.QtCore import QLineF, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPen, QRegion

from app.viewer.geometry import Projection
from app.viewer.sampling import Raster

BACKGROUND = QColor(0, 0, 0)
CHECKER = 48
"""Side of a checkerboard square in pixels."""
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Swipe:
    """The part right of a line: the pane's (x, y, width, height) cut at pixel column ``line``."""

    pane: Box
    line: int

    def region(self) -> QRegion:
        """Return the pixels."""
        x, y, w, h = self.pane
        return QRegion(self.line, y, x + w - self.line, h)


@dataclass(frozen=True)
class Disc:
    """A disc of ``radius`` pixels about (x, y)."""

    x: int
    y: int
    radius: int

    def region(self) -> QRegion:
        """Return the pixels."""
        r = self.radius
        square = QRect(self.x - r, self.y - r, 2 * r, 2 * r)
        return QRegion(square, QRegion.RegionType.Ellipse)


@dataclass(frozen=True)
class Squares:
    """Every other square of a checkerboard over the pane's (x, y, width, height)."""

    pane: Box

    def region(self) -> QRegion:
        """Return the pixels."""
        x, y, w, h = self.pane
        region = QRegion()
        for row in range(-(-h // CHECKER)):
            for column in range(1 - row % 2, -(-w // CHECKER), 2):
                region += QRect(x + column * CHECKER, y + row * CHECKER, CHECKER, CHECKER)
        return region


Part = Swipe | Disc | Squares


@dataclass(frozen=True, eq=False)
class Picture:
    """A scaled picture.

    Attributes:
        image: the pixels; never changed once made.
        rect: where it goes, in pixels: x, y, width, height.
        opacity: 0..1.
        smooth: whether pixels are interpolated.
        part: the only part of the pane it covers; None for everywhere.
    """

    image: QImage
    rect: tuple[float, float, float, float]
    opacity: float
    smooth: bool
    part: Part | None = None

    @property
    def key(self) -> Hashable:
        """Equal keys paint equal pixels, while this stroke is alive to hold its image."""
        return id(self.image), self.rect, self.opacity, self.smooth, self.part

    def paint(self, painter: QPainter) -> None:
        """Paint it."""
        if self.part is not None:
            painter.save()
            painter.setClipRegion(self.part.region(), Qt.ClipOperation.IntersectClip)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, self.smooth)
        painter.setOpacity(self.opacity)
        painter.drawImage(QRectF(*self.rect), self.image)
        painter.setOpacity(1.0)
        if self.part is not None:
            painter.restore()


@dataclass(frozen=True, eq=False)
class Outline:
    """Lines in pixel edges of a raster of ``columns`` x ``rows`` that fills ``rect``."""

    lines: list[QLineF]
    rect: tuple[float, float, float, float]
    columns: int
    rows: int
    colour: str

    @property
    def key(self) -> Hashable:
        """Equal keys paint equal pixels, while this stroke is alive to hold its lines."""
        return id(self.lines), self.rect, self.columns, self.rows, self.colour

    def paint(self, painter: QPainter) -> None:
        """Paint it."""
        x, y, width, height = self.rect
        painter.save()
        painter.translate(x, y)
        painter.scale(width / self.columns, height / self.rows)
        pen = QPen(QColor(self.colour), 1.5)
        pen.setCosmetic(True)
        painter.setPen(pen)
        painter.drawLines(self.lines)
        painter.restore()


Stroke = Picture | Outline


class Backing:
    """A pane's composed pixels, painted anew only when its strokes change."""

    def __init__(self) -> None:
        self._image = QImage()
        self._strokes: list[Stroke] = []  # holds what the key names
        self._key: Hashable = None

    def paint(self, painter: QPainter, rect: QRect, strokes: list[Stroke]) -> None:
        """Paint strokes into ``rect`` of the painter's device."""
        ratio = painter.device().devicePixelRatioF()
        size = rect.size() * ratio
        key = (rect.getRect(), ratio, *(s.key for s in strokes))
        if key != self._key:
            if self._image.size() != size:
                self._image = QImage(size, QImage.Format.Format_RGB32)
            self._image.setDevicePixelRatio(ratio)
            self._image.fill(BACKGROUND)
            inner = QPainter(self._image)
            inner.translate(-rect.topLeft())
            for stroke in strokes:
                stroke.paint(inner)
            inner.end()
            self._key, self._strokes = key, strokes
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
        painter.drawImage(rect.topLeft(), self._image)


def place(projection: Projection, cells: Raster) -> tuple[float, float, float, float]:
    """Return where a cut's raster lies on screen, in pixels: x, y, width, height."""
    return (
        projection.x(cells.left),
        projection.y(cells.top),
        cells.columns * cells.width * projection.scale,
        cells.rows * cells.height * projection.scale,
    )
