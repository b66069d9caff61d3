"""The docks around the viewers and where they lie at first."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDockWidget, QMainWindow, QWidget

from app.alignment.panel import AlignPanel
from app.shell.case_panel import CasePanel
from app.shell.messages import MessageList
from app.synthesis.experts_panel import ExpertsPanel
from app.synthesis.panel import SynthesisPanel
from app.synthesis.results_panel import ResultsPanel


@dataclass(frozen=True)
class Panels:
    """What goes into the docks."""

    case: CasePanel
    synthesis: SynthesisPanel
    results: ResultsPanel
    experts: ExpertsPanel
    align: AlignPanel
    messages: MessageList


@dataclass(frozen=True)
class Docks:
    """Every dock, and by name those that others raise."""

    all: tuple[QDockWidget, ...]
    experts: QDockWidget
    align: QDockWidget
    messages: QDockWidget


def build_docks(window: QMainWindow, panels: Panels) -> Docks:
    """Put the window's panels into docks: case and align left, synthesis and results right."""
    area = Qt.DockWidgetArea
    left, right, bottom = (
        area.LeftDockWidgetArea,
        area.RightDockWidgetArea,
        area.BottomDockWidgetArea,
    )
    case = _dock(window, "Case", panels.case, left)
    synthesis = _dock(window, "Synthesis", panels.synthesis, right)
    results = _dock(window, "Results", panels.results, right)
    experts = _dock(window, "Experts", panels.experts, right)
    align = _dock(window, "Align", panels.align, left)
    messages = _dock(window, "Messages", panels.messages, bottom)
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


def _dock(
    window: QMainWindow, title: str, widget: QWidget, where: Qt.DockWidgetArea
) -> QDockWidget:
    dock = QDockWidget(title, window)
    dock.setObjectName(f"dock {title.lower()}")
    dock.setWidget(widget)
    window.addDockWidget(where, dock)
    return dock
