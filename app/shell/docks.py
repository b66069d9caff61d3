"""The docks around the viewers and where they lie at first."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import (
    QDockWidget,
    QFrame,
    QMainWindow,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.alignment.panel import AlignPanel
from app.shell.case_panel import CasePanel
from app.shell.messages import MessageList
from app.synthesis.experts_panel import ExpertsPanel
from app.synthesis.panel import SynthesisPanel
from app.synthesis.results_panel import ResultsPanel
from app.synthesis.sweep.panel import SweepPanel
from app.viewer.window_level import WindowLevel

WIDTH = 244
"""Pixels of a dock at first: at 1280 x 720 the viewers keep three fifths of the width."""


@dataclass(frozen=True)
class Panels:
    """What goes into the docks."""

    case: CasePanel
    levels: WindowLevel
    synthesis: SynthesisPanel
    results: ResultsPanel
    experts: ExpertsPanel
    align: AlignPanel
    sweep: SweepPanel
    messages: MessageList


@dataclass(frozen=True)
class Docks:
    """Every dock, and by name those that others raise."""

    all: tuple[QDockWidget, ...]
    experts: QDockWidget
    align: QDockWidget
    sweep: QDockWidget
    messages: QDockWidget


class Upright(QScrollArea):
    """Scrolls a panel up and down in a low window, and is always wide enough for it."""

    def __init__(self, panel: QWidget) -> None:
        super().__init__()
        self._panel = panel
        self.setWidget(panel)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def minimumSizeHint(self) -> QSize:
        """Ask for the panel's width and a few lines."""
        bar = self.verticalScrollBar().sizeHint().width()
        width = self._panel.minimumSizeHint().width() + bar
        return QSize(width, 4 * self.fontMetrics().lineSpacing())

    def sizeHint(self) -> QSize:
        """Be as tall as the panel wants to be."""
        return QSize(self.minimumSizeHint().width(), self._panel.sizeHint().height())


def build_docks(window: QMainWindow, panels: Panels) -> Docks:
    """Put the window's panels into docks: what is given left, what is made right."""
    area = Qt.DockWidgetArea
    left, right, bottom = (
        area.LeftDockWidgetArea,
        area.RightDockWidgetArea,
        area.BottomDockWidgetArea,
    )
    case = _dock(window, "Case", _above(panels.case, panels.levels), left)
    synthesis = _dock(window, "Synthesis", panels.synthesis, right)
    results = _dock(window, "Results", Upright(panels.results), right)
    experts = _dock(window, "Experts", Upright(panels.experts), right)
    align = _dock(window, "Align", panels.align, left)
    sweep = _dock(window, "Sweep", Upright(panels.sweep), left)
    messages = _dock(window, "Messages", panels.messages, bottom)
    window.tabifyDockWidget(results, experts)
    window.tabifyDockWidget(case, align)
    window.tabifyDockWidget(align, sweep)
    case.raise_()
    results.raise_()
    align.hide()
    sweep.hide()
    messages.hide()
    window.resizeDocks([case, synthesis], [WIDTH, WIDTH], Qt.Orientation.Horizontal)
    window.resizeDocks([synthesis, results], [430, 470], Qt.Orientation.Vertical)
    window.setCorner(Qt.Corner.BottomLeftCorner, left)
    window.setCorner(Qt.Corner.BottomRightCorner, right)
    docks = (case, synthesis, align, sweep, results, experts, messages)
    return Docks(docks, experts, align, sweep, messages)


def _above(upper: QWidget, lower: QWidget) -> QWidget:
    """Return a widget with one above the other; the upper one gets the height."""
    both = QWidget()
    column = QVBoxLayout(both)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(0)
    column.addWidget(upper, 1)
    column.addWidget(lower)
    return both


def _dock(
    window: QMainWindow, title: str, widget: QWidget, where: Qt.DockWidgetArea
) -> QDockWidget:
    dock = QDockWidget(title, window)
    dock.setObjectName(f"dock {title.lower()}")
    dock.setWidget(widget)
    window.addDockWidget(where, dock)
    return dock
