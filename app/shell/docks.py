"""The docks around the viewers and where they lie at first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDockWidget, QWidget

from app.shell.messages import MessageList

if TYPE_CHECKING:
    from app.shell.window import MainWindow


@dataclass(frozen=True)
class Docks:
    """Every dock, and by name those that others raise."""

    all: tuple[QDockWidget, ...]
    experts: QDockWidget
    align: QDockWidget
    messages: QDockWidget


def build_docks(window: MainWindow) -> Docks:
    """Put the window's panels into docks: case and align left, synthesis and results right."""
    area = Qt.DockWidgetArea
    left, right, bottom = (
        area.LeftDockWidgetArea,
        area.RightDockWidgetArea,
        area.BottomDockWidgetArea,
    )
    case = _dock(window, "Case", window.case, left)
    synthesis = _dock(window, "Synthesis", window.synthesis, right)
    results = _dock(window, "Results", window.results, right)
    experts = _dock(window, "Experts", window.experts, right)
    align = _dock(window, "Align", window.align_panel, left)
    messages = _dock(window, "Messages", MessageList(window.notes), bottom)
    window.tabifyDockWidget(results, experts)
    window.tabifyDockWidget(case, align)
    case.raise_()
    results.raise_()
    align.hide()
    messages.hide()
    window.resizeDocks([case, synthesis], [290, 300], Qt.Orientation.Horizontal)
    window.resizeDocks([synthesis, results], [430, 470], Qt.Orientation.Vertical)
    window.setCorner(Qt.Corner.BottomLeftCorner, left)
    window.setCorner(Qt.Corner.BottomRightCorner, right)
    return Docks((case, synthesis, align, results, experts, messages), experts, align, messages)


def _dock(window: MainWindow, title: str, widget: QWidget, where: Qt.DockWidgetArea) -> QDockWidget:
    dock = QDockWidget(title, window)
    dock.setObjectName(f"dock {title.lower()}")
    dock.setWidget(widget)
    window.addDockWidget(where, dock)
    return dock
