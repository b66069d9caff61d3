"""The program's one style sheet. Distances are multiples of 4 pixels; colours are the palette's.

Widgets say what they are by an object name or a property; nothing else sets a style sheet.
"""

from __future__ import annotations

from string import Template

from PySide6.QtGui import QPalette

from app.shared.palette import Role, colours
from core.marks import SYNTHETIC_RGB

_SHEET = Template("""
QMainWindow::separator { background: $window; width: 4px; height: 4px; }
QMainWindow::separator:hover { background: $accent; }
QToolBar { border: 0; border-bottom: 1px solid $edge; padding: 4px; spacing: 0; }
QToolBar::separator { background: $edge; width: 1px; margin: 4px; }
QToolBar QToolButton { border: 1px solid transparent; border-radius: 4px; padding: 3px 5px; }
QToolBar QToolButton:hover { background: $hover; }
QToolBar QToolButton:pressed, QToolBar QToolButton:checked {
    background: $chosen; border-color: $accent; }
QDockWidget { font-weight: 600; }
QDockWidget::title { padding: 4px 8px; border-bottom: 1px solid $edge; text-align: left; }
QDockWidget > QWidget { font-weight: 400; }
QStatusBar { border-top: 1px solid $edge; }
QStatusBar::item { border: 0; }
QStatusBar QLabel { padding: 0 4px; }
QLabel[hint="true"], QCheckBox[hint="true"] { color: $hint; }
QLabel[bad="true"] { color: $warning; font-weight: 600; }
QLabel#step { color: $text; }
QLabel#sign { font-weight: 600; }
QFrame#messages { border: 0; border-top: 2px solid $edge; }
QFrame#messages[bad="true"] { border-top-color: $warning; }
QFrame#row { border: 0; border-left: 4px solid transparent; border-bottom: 1px solid $edge; }
QWidget[choices="true"] QToolButton:checked { border: 3px solid palette(highlight); }
QFrame#row[active="true"] { border-left-color: $accent; background: $chosen; }
QLabel#kind { padding: 0 4px; font-weight: 600; font-size: 10px; }
QLabel#kind[made="true"] { background: $synthetic; color: black; border-radius: 2px; }
QLabel#drop { background: rgba(20, 70, 130, 190); color: white; font-size: 22px;
    border: 4px dashed white; }
QPushButton#recent { text-align: left; padding: 8px; border: 1px solid $edge; border-radius: 4px;
    background: $base; }
QPushButton#recent:hover, QPushButton#recent:focus { border-color: $accent; background: $hover; }
QToolTip { color: $tip; background: $tipbase; border: 1px solid $edge; padding: 4px; }
""")


def sheet(palette: QPalette) -> str:
    """Return the style sheet in a palette's colours."""
    more = colours(palette)
    return _SHEET.substitute(
        window=palette.color(Role.Window).name(),
        base=palette.color(Role.Base).name(),
        text=palette.color(Role.WindowText).name(),
        tip=palette.color(Role.ToolTipText).name(),
        tipbase=palette.color(Role.ToolTipBase).name(),
        synthetic="#{:02x}{:02x}{:02x}".format(*SYNTHETIC_RGB),
        hint=more.hint,
        warning=more.warning,
        edge=more.edge,
        hover=more.hover,
        chosen=more.chosen,
        accent=more.accent,
    )
