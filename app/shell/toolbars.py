"""Menus and the toolbar, made from the commands."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import QDockWidget, QMainWindow, QMenu, QSizePolicy, QToolBar, QWidget

from app.shared.commands import Commands
from app.shared.style import icon
from app.state.session import Session
from app.viewer.blend_slider import BlendSlider
from app.viewer.compare import MODES

TOOLBAR = (
    ("open", "Open"),
    ("save_project", "Save"),
    ("undo", "Undo"),
    ("redo", "Redo"),
    ("", ""),
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
    ("adjust_window", "Window"),
    ("ruler", "Ruler"),
    ("reset", "Reset"),
)
WORDLESS = ("open", "save_project", "undo", "redo")
"""Everybody knows these by their icon."""


class ViewerBar(QToolBar):
    """The toolbar: words stand beside the icons where the window has room for them.

    Args:
        commands: what the buttons do.
        session: what the blend slider is about.
    """

    def __init__(self, commands: Commands, session: Session) -> None:
        super().__init__("Toolbar")
        self.setObjectName("viewers toolbar")
        self.setMovable(False)
        self.setIconSize(QSize(16, 16))
        self._actions = commands.actions
        self._need = 0
        for name, short in TOOLBAR:
            if name:
                self._actions[name].setIconText(short)
                self._actions[name].setIconVisibleInMenu(False)
                self.addAction(self._actions[name])
            else:
                self.addSeparator()
        between = QWidget()
        between.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.addWidget(between)
        self.blend = BlendSlider(session)
        self.addWidget(self.blend)
        self._draw()

    def changeEvent(self, event: QEvent) -> None:
        """Draw the icons in the colour of the words."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._draw()

    def showEvent(self, event: QShowEvent) -> None:
        """Find out how much room the words need."""
        super().showEvent(event)
        self._need = 0
        self._choose()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Show words where they fit."""
        super().resizeEvent(event)
        self._choose()

    def _choose(self) -> None:
        beside = Qt.ToolButtonStyle.ToolButtonTextBesideIcon
        if not self._need:
            self._set_style(beside)
            self._need = self.sizeHint().width()
        self._set_style(
            beside if self.width() >= self._need else Qt.ToolButtonStyle.ToolButtonIconOnly
        )

    def _set_style(self, style: Qt.ToolButtonStyle) -> None:
        if self.toolButtonStyle() is not style:
            self.setToolButtonStyle(style)
        for name in WORDLESS:
            button = self.widgetForAction(self._actions[name])
            button.setToolButtonStyle(  # type: ignore[attr-defined]
                Qt.ToolButtonStyle.ToolButtonIconOnly
            )

    def _draw(self) -> None:
        for name, _ in TOOLBAR:
            if name:
                self._actions[name].setIcon(icon(name))


def build_toolbars(
    window: QMainWindow,
    commands: Commands,
    recent: QMenu,
    docks: Sequence[QDockWidget],
    session: Session,
) -> ViewerBar:
    """Fill the menu bar and add the toolbar.

    Args:
        window: gets the bars.
        commands: what the bars offer.
        recent: the menu of recent files.
        docks: offered under View, Panels.
        session: what the blend slider is about.
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
    bar = ViewerBar(commands, session)
    window.addToolBar(bar)
    panels.addAction(bar.toggleViewAction())
    return bar
