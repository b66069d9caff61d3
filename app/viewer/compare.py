"""The ways to lay the counterpart over the active volume; a new one is a value of ``Compare``
and an entry of :data:`MODES`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QPointF
from PySide6.QtGui import QPainter

from app.state.values import Compare, Display, DisplayEdit, Layer
from app.viewer.pane_geometry import PaneGeometry
from app.viewer.strokes import Disc, Part, Squares, Stroke, Swipe

SMALLEST_DISC, LARGEST_DISC = 20, 400
"""Radius of the reveal disc, pixels."""


@dataclass(frozen=True, eq=False)
class Compared:
    """What a mode works with in one pane.

    Attributes:
        pane: where.
        layer: the pane's own.
        other: its counterpart.
        pointer: where the mouse is; None outside the viewers.
        flicker: whether the flicker mode shows the counterpart now.
        alone: paints one of the two.
        over: paints the counterpart with a weight (0..1), in a part of the pane or everywhere.
        difference: paints the difference of the two.
    """

    pane: PaneGeometry
    layer: Layer
    other: Layer
    pointer: QPointF | None
    flicker: bool
    alone: Callable[[Layer], list[Stroke]]
    over: Callable[[float, Part | None], list[Stroke]]
    difference: Callable[[], list[Stroke]]

    @property
    def display(self) -> Display:
        """The settings all views share."""
        return self.pane.scene.session.display

    @property
    def box(self) -> tuple[int, int, int, int]:
        """The pane's x, y, width and height, pixels."""
        r = self.pane.rect
        return r.x(), r.y(), r.width(), r.height()


Composed = tuple[list[Stroke], list[Layer]]
"""What to paint, from bottom to top, and the layers that can be seen."""


def _mark_nothing(painter: QPainter, pane: PaneGeometry, pointer: QPointF | None) -> None:
    """Draw no mark of its own."""


def _change_mix(shown: Display, direction: int) -> DisplayEdit:
    mix = min(max(shown.mix + 0.1 * direction, 0.0), 1.0)
    return {"mix": round(mix, 3)}


@dataclass(frozen=True)
class Mode:
    """One way to compare.

    Attributes:
        key: switches it on and off.
        text: what the menu says.
        short: what the toolbar says.
        compose: says what to paint.
        mark: draws what belongs to the mode over the pane.
        change: what less (-1) or more (1) of the counterpart means.
        follows_pointer: whether the picture changes with the mouse.
        flickers: whether it changes by itself.
    """

    key: str
    text: str
    short: str
    compose: Callable[[Compared], Composed]
    mark: Callable[[QPainter, PaneGeometry, QPointF | None], None] = _mark_nothing
    change: Callable[[Display, int], DisplayEdit] = _change_mix
    follows_pointer: bool = False
    flickers: bool = False


def _both(it: Compared, weight: float, part: Part | None) -> Composed:
    return it.alone(it.layer) + it.over(weight, part), [it.layer, it.other]


def _blend(it: Compared) -> Composed:
    return _both(it, it.display.mix, None)


def _swipe(it: Compared) -> Composed:
    return _both(it, 1.0, Swipe(it.box, it.pane.swipe_x()))


def _swipe_line(painter: QPainter, pane: PaneGeometry, pointer: QPointF | None) -> None:
    x = pane.swipe_x()
    painter.drawLine(x, pane.rect.top(), x, pane.rect.bottom())


def _move_line(shown: Display, direction: int) -> DisplayEdit:
    swipe = min(max(shown.swipe - 0.05 * direction, 0.0), 1.0)
    return {"swipe": round(swipe, 3)}


def _reveal(it: Compared) -> Composed:
    if it.pointer is None:
        return it.alone(it.layer), [it.layer, it.other]
    return _both(it, 1.0, Disc(round(it.pointer.x()), round(it.pointer.y()), it.display.reveal))


def _ring(painter: QPainter, pane: PaneGeometry, pointer: QPointF | None) -> None:
    if pointer is not None:
        radius = pane.scene.session.display.reveal
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.drawEllipse(pointer, radius, radius)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)


def _change_disc(shown: Display, direction: int) -> DisplayEdit:
    disc = shown.reveal + 15 * direction
    return {"reveal": min(max(disc, SMALLEST_DISC), LARGEST_DISC)}


def _checker(it: Compared) -> Composed:
    return _both(it, 1.0, Squares(it.box))


def _flicker(it: Compared) -> Composed:
    shown = it.other if it.flicker else it.layer
    return it.alone(shown), [shown]


def _difference(it: Compared) -> Composed:
    return it.difference(), [it.layer, it.other]


def _off(it: Compared) -> Composed:
    return it.alone(it.layer), [it.layer]


OFF = Mode("0", "No comparison", "", _off)
MODES: dict[Compare, Mode] = {
    Compare.BLEND: Mode("B", "Blend the foreground over the background", "Blend", _blend),
    Compare.SWIPE: Mode(
        "W", "Swipe: drag the line", "Swipe", _swipe, mark=_swipe_line, change=_move_line
    ),
    Compare.REVEAL: Mode(
        "E", "Reveal under the mouse", "Reveal", _reveal, mark=_ring, change=_change_disc,
        follows_pointer=True,
    ),
    Compare.CHECKER: Mode("K", "Checkerboard", "Checker", _checker),
    Compare.FLICKER: Mode("F", "Flicker", "Flicker", _flicker, flickers=True),
    Compare.DIFFERENCE: Mode("D", "Difference", "Difference", _difference),
}  # fmt: skip
"""Every mode but ``OFF``, in the order of menu and toolbar."""


def mode_of(shown: Display) -> Mode:
    """Return the mode that is on."""
    return OFF if shown.compare is Compare.OFF else MODES[shown.compare]
