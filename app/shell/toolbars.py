"""Menus and the toolbar, made from the commands."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDockWidget, QMainWindow, QMenu, QToolBar

from app.shared.commands import Commands
from app.viewer.compare import MODES

TOOLBAR = (
    ("layout_planes", "Planes"),
    ("layout_columns", "Columns"),
    ("layout_grid", "Grid"),
    ("", ""),
    ("axial", "Axial"),
    ("coronal", "Coronal"),
    ("sagittal", "Sagittal"),
    ("", ""),
    *((mode.value, it.short) for mode, it in MODES.items()),
    ("", ""),
    ("ruler", "Ruler"),
    ("reset", "Reset"),
)


def build_toolbars(
    window: QMainWindow, commands: Commands, recent: QMenu, docks: Sequence[QDockWidget]
) -> None:
    """Fill the menu bar and add the toolbar.

    Args:
        window: gets the bars.
        commands: what the bars offer.
        recent: the menu of recent files.
        docks: offered under View, Panels.
    """
    commands.fill(window.menuBar())
    actions = commands.actions
    menus = {a.text().removeprefix("&"): a.menu() for a in window.menuBar().actions()}
    files, view = menus["File"], menus["View"]
    assert isinstance(files, QMenu)
    assert isinstance(view, QMenu)
    files.insertMenu(actions["save_volume"], recent)
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
