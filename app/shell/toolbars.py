"""Menus and the toolbar, made from the commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDockWidget, QMenu, QToolBar

if TYPE_CHECKING:
    from app.shell.window import MainWindow

TOOLBAR = (
    ("layout_planes", "Planes"),
    ("layout_columns", "Columns"),
    ("layout_grid", "Grid"),
    ("", ""),
    ("axial", "Axial"),
    ("coronal", "Coronal"),
    ("sagittal", "Sagittal"),
    ("", ""),
    ("blend", "Blend"),
    ("swipe", "Swipe"),
    ("reveal", "Reveal"),
    ("checker", "Checker"),
    ("flicker", "Flicker"),
    ("difference", "Difference"),
    ("", ""),
    ("ruler", "Ruler"),
    ("reset", "Reset"),
)


def build_bars(window: MainWindow, docks: Sequence[QDockWidget]) -> None:
    """Fill the menu bar and add the toolbar.

    Args:
        window: whose commands and recent files.
        docks: offered under View, Panels.
    """
    window.commands.fill(window.menuBar())
    actions = window.commands.actions
    menus = {a.text().removeprefix("&"): a.menu() for a in window.menuBar().actions()}
    files, view = menus["File"], menus["View"]
    assert isinstance(files, QMenu)
    assert isinstance(view, QMenu)
    files.insertMenu(actions["save_volume"], window.recent)
    panels = view.addMenu("Panels")
    for dock in docks:
        panels.addAction(dock.toggleViewAction())
    bar = QToolBar("Viewers")
    bar.setObjectName("viewers toolbar")
    bar.setMovable(False)
    bar.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
    for name, short in TOOLBAR:
        if name:
            actions[name].setIconText(short)
            bar.addAction(actions[name])
        else:
            bar.addSeparator()
    window.addToolBar(bar)
    panels.addAction(bar.toggleViewAction())
