"""What is written over a pane: letters, badge, crosshair, ruler, and the mark of synthetic images.

The screen and a screenshot go through the same code, so a screenshot carries every mark.
"""

from __future__ import annotations

from functools import lru_cache

from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter, QPen

from app.shared.style import SYNTHETIC
from app.state.values import Compare, Kind, Layer
from app.viewer.colormaps import table
from app.viewer.column_titles import has_columns
from app.viewer.compare import mode_of
from app.viewer.geometry import LETTERS, Projection, edge_letters
from app.viewer.pane_geometry import PaneGeometry
from app.viewer.pictures import difference_reach
from app.viewer.slice_slider import WIDTH as SLIDER
from core.marks import SYNTHETIC_MARK, spread_words
from core.synthesis.input_warning import told_short

CROSS = QColor(120, 255, 120, 170)
RULER = QColor(255, 230, 80)
PALE = QColor(235, 235, 235)
DIM = QColor(190, 190, 190)
FRAME_WIDTH = 3
SMALLEST = 6
"""Pixels of the smallest letters."""
NARROW = 210
"""Panes of fewer pixels do not say which plane they are: their letters do."""
GAP = 9
"""Half the opening of the crosshair, in pixels."""


def paint(
    painter: QPainter,
    pane: PaneGeometry,
    projection: Projection,
    shown: list[Layer],
    pointer: QPointF | None,
) -> None:
    """Write a pane's marks.

    Args:
        painter: in pixels of the viewer area, clipped to the pane.
        pane: what is shown.
        projection: its mm → pixel map.
        shown: the layers that can be seen, the pane's own first.
        pointer: the mouse, for the reveal mode's ring.
    """
    display = pane.scene.session.display
    if display.crosshair:
        _crosshair(painter, pane, projection)
    _compare_marks(painter, pane, pointer)
    _rulers(painter, pane, projection)
    if any(x.made_by_model for x in shown):
        _synthetic(painter, QRectF(pane.rect))
    _words(painter, pane, shown)
    _scale(painter, pane)


def _scale(painter: QPainter, pane: PaneGeometry) -> None:
    """Draw the colours' key, with the values at its ends, where colours mean amounts."""
    layer, other = pane.layer, pane.counterpart()
    name, (low, high) = layer.colormap, layer.window
    if other is not None and pane.scene.session.display.compare is Compare.DIFFERENCE:
        name, high = "diverging", difference_reach(layer, other, pane.scene.session)
        low = -high
    elif name.startswith("gray"):
        return
    colours = table(name)
    size, width, height = 9, min(70, pane.rect.width() // 5), 6
    strip = QImage(colours.tobytes(), 256, 1, 1024, QImage.Format.Format_ARGB32_Premultiplied)
    y = pane.rect.top() + FRAME_WIDTH + 4
    right = pane.rect.right() - FRAME_WIDTH - 3
    bar = QRectF(right - width, y + 3, width, height)
    painter.drawImage(bar, strip)
    below = QPointF(bar.right(), bar.bottom() + 1)
    write(painter, f"{low:.3g} … {high:.3g}", below, PALE, size, at="rt")


def _crosshair(painter: QPainter, pane: PaneGeometry, projection: Projection) -> None:
    cursor = pane.cursor()
    x = round(projection.x(float(cursor[projection.axes.across]))) + 0.5
    y = round(projection.y(float(cursor[projection.axes.up]))) + 0.5
    r = pane.rect
    painter.setPen(QPen(CROSS, 1))
    painter.drawLines(
        [
            QLineF(r.left(), y, x - GAP, y),
            QLineF(x + GAP, y, r.right() + 1, y),
            QLineF(x, r.top(), x, y - GAP),
            QLineF(x, y + GAP, x, r.bottom() + 1),
        ]
    )


def _compare_marks(painter: QPainter, pane: PaneGeometry, pointer: QPointF | None) -> None:
    if pane.counterpart() is not None:
        painter.setPen(QPen(PALE, 1))
        mode_of(pane.scene.session.display).mark(painter, pane, pointer)


def _rulers(painter: QPainter, pane: PaneGeometry, projection: Projection) -> None:
    """Draw the rulers whose ends both lie within a voxel of the plane."""
    frame, axes = pane.frame, projection.axes
    for ruler in pane.scene.session.rulers:
        if not (pane.on_plane(ruler.start) and pane.on_plane(ruler.end)):
            continue
        ends = (frame.to_frame(ruler.start), frame.to_frame(ruler.end))
        a, b = (
            QPointF(projection.x(float(p[axes.across])), projection.y(float(p[axes.up])))
            for p in ends
        )
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(RULER, 1.5))
        painter.drawLine(a, b)
        for p in (a, b):
            painter.drawEllipse(p, 3, 3)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        write(painter, f"{ruler.length:.1f} mm", b + QPointF(8, -8), RULER, 13, True)


def _synthetic(painter: QPainter, rect: QRectF) -> None:
    half = FRAME_WIDTH / 2
    pen = QPen(SYNTHETIC, FRAME_WIDTH)
    pen.setJoinStyle(Qt.PenJoinStyle.MiterJoin)
    painter.setPen(pen)
    painter.drawRect(rect.adjusted(half, half, -half, -half))
    size = 12 if rect.width() > 260 else 9
    while size > SMALLEST and _width(SYNTHETIC_MARK, size) + 12 > rect.width():
        size -= 1
    label = _glyphs(SYNTHETIC_MARK, size, True, "#000000", "", _ratio(painter))
    w, h = label.width() / label.devicePixelRatio(), label.height() / label.devicePixelRatio()
    strip = QRectF(rect.center().x() - w / 2 - 6, rect.bottom() - h - 5, w + 12, h + 5)
    painter.fillRect(strip, SYNTHETIC)
    painter.drawImage(QPointF(strip.left() + 6, strip.top() + 2), label)


def _words(painter: QPainter, pane: PaneGeometry, shown: list[Layer]) -> None:
    """Write letters at the edges, what is shown, the badge and the position."""
    session, frame, rect = pane.scene.session, pane.frame, QRectF(pane.rect)
    small = 11 if rect.width() > 260 else 9
    big = 20 if min(rect.width(), rect.height()) > 260 else 15
    inset = FRAME_WIDTH + 3
    made = any(x.made_by_model for x in shown)

    left, right, top, bottom = edge_letters(frame, pane.axes)
    lift = small + 14 if made else 0
    middle = rect.center()
    write(painter, left, QPointF(rect.left() + inset, middle.y()), PALE, big, True, "l")
    beside = QPointF(rect.right() - inset - SLIDER, middle.y())
    write(painter, right, beside, PALE, big, True, "r")
    write(painter, top, QPointF(middle.x(), rect.top() + inset), PALE, big, True, "t")
    write(painter, bottom, QPointF(middle.x(), rect.bottom() - inset - lift), PALE, big, True, "b")

    line = small + 6
    x, y = rect.left() + inset, rect.top() + inset
    names = [x.name for x in shown]
    if len(shown) > 1:
        names[1] = f"{session.display.compare}: {names[1]}"
    spreads = [layer.result for layer in shown if layer.kind is Kind.SIGMA]
    names += dict.fromkeys(spread_words(one.provenance if one else {}) for one in spreads)
    unlike = {told_short(x.result.provenance) for x in shown if x.result is not None} - {""}
    names += sorted(unlike)
    for n, name in enumerate(names):
        # The first line stops before the letter at the top edge, the others begin below it.
        room = rect.width() / 2 - big - inset if n == 0 else rect.width() - 2 * inset
        below = big + 4 + (n - 1) * line if n else 0
        chosen = n == 0 and has_columns(session)
        text = _elide(name, small, room - 2 * small if chosen else room)
        if chosen:
            text += " ▾"  # a click on it chooses another volume
        write(painter, text, QPointF(x, y + below), PALE, small)

    badge = session.display.convention.value.capitalize()
    foot = rect.bottom() - inset - lift
    if frame.oblique >= 0.5:
        write(
            painter, f"oblique {frame.oblique:.0f}°", QPointF(x, foot - line), DIM, small, at="lb"
        )
    write(painter, badge, QPointF(x, foot), DIM, small, at="lb")

    axis = pane.axes.through
    world = frame.to_world(pane.cursor())
    side = LETTERS[axis][int(world[axis] >= 0)]
    where = f"{side} {abs(world[axis]):.1f} mm"
    if rect.width() > NARROW:
        where = f"{pane.slot.plane} {where}"
    _plain(painter, where, QPointF(rect.right() - inset, foot), small)


def write(
    painter: QPainter,
    text: str,
    at_point: QPointF,
    colour: QColor,
    size: int,
    bold: bool = False,
    at: str = "lt",
) -> None:
    """Draw kept glyphs with a dark edge; ``at`` names the sides of the text that touch the point.

    A lone ``"l"`` or ``"r"`` centres vertically, a lone ``"t"`` or ``"b"`` horizontally.
    """
    image = _glyphs(text, size, bold, colour.name(), "#000000", _ratio(painter))
    w, h = image.width() / image.devicePixelRatio(), image.height() / image.devicePixelRatio()
    x = at_point.x() - (0 if "l" in at else w if "r" in at else w / 2)
    y = at_point.y() - (0 if "t" in at else h if "b" in at else h / 2)
    painter.drawImage(QPointF(round(x), round(y)), image)


def _plain(painter: QPainter, text: str, right_bottom: QPointF, size: int) -> None:
    """Draw text that changes with every slice, without keeping it."""
    painter.setFont(_font(size, False))
    box = QRectF(right_bottom.x() - 300, right_bottom.y() - size - 8, 300, size + 8)
    flags = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignBottom
    for shift, colour in ((1, QColor(0, 0, 0)), (0, DIM)):
        painter.setPen(colour)
        painter.drawText(box.translated(shift, shift), flags, text)


@lru_cache(maxsize=16)
def _font(size: int, bold: bool) -> QFont:
    font = QFont()
    font.setPixelSize(size)
    font.setBold(bold)
    return font


@lru_cache(maxsize=64)
def _width(text: str, size: int) -> float:
    """Return the pixels of bold words."""
    return QFontMetricsF(_font(size, True)).horizontalAdvance(text) + 5


@lru_cache(maxsize=256)
def _elide(text: str, size: int, room: float) -> str:
    return QFontMetricsF(_font(size, False)).elidedText(
        text, Qt.TextElideMode.ElideRight, max(room, 30)
    )


@lru_cache(maxsize=512)
def _glyphs(text: str, size: int, bold: bool, colour: str, edge: str, ratio: float) -> QImage:
    """Return text as a picture: drawing glyphs anew for every pane and frame costs more."""
    font = _font(size, bold)
    box = QFontMetricsF(font).boundingRect(text)
    w, h = int(box.width()) + 5, int(QFontMetricsF(font).height()) + 3
    image = QImage(round(w * ratio), round(h * ratio), QImage.Format.Format_ARGB32_Premultiplied)
    image.setDevicePixelRatio(ratio)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    painter.setFont(font)
    flags = Qt.AlignmentFlag.AlignCenter
    if edge:
        painter.setPen(QColor(edge))
        for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            painter.drawText(QRectF(dx, dy, w, h), flags, text)
    painter.setPen(QColor(colour))
    painter.drawText(QRectF(0, 0, w, h), flags, text)
    painter.end()
    return image


def _ratio(painter: QPainter) -> float:
    return painter.device().devicePixelRatioF()
