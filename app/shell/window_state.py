"""What a window keeps in the settings when it closes, and takes from them when it is made."""

from __future__ import annotations

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QMainWindow

from app.shared.context import Context
from app.state.values import Display

FIRST_SIZE = QSize(1440, 900)
SMALLEST = QSize(1024, 700)
"""No word is clipped in a window of this size."""
FRAME = QSize(8, 48)
"""Room for what a desktop draws around a window; its real size is known only once it is shown."""
DISPLAY = ("convention", "interpolation", "mouse", "world_axes", "crosshair", "outlines")


def save_window(window: QMainWindow, context: Context) -> None:
    """Keep docks, display and window/level."""
    settings, session = context.settings, context.session
    settings.keep_window_state(window.saveGeometry(), window.saveState())
    shown = session.display.to_dict()
    settings.keep_display({name: shown[name] for name in DISPLAY})
    settings.keep_windows(session.remembered_windows)
    settings.sync()


def restore_display(context: Context) -> None:
    """Look at volumes as the last window did."""
    settings, session = context.settings, context.session
    try:
        shown = Display.from_dict(settings.display())
    except (ValueError, TypeError):
        shown = Display()
    session.set_display(**{n: getattr(shown, n) for n in DISPLAY})
    session.remembered_windows.update(settings.windows())


def restore_window(window: QMainWindow, context: Context) -> None:
    """Put the docks where the last window had them; the first window fits on the screen."""
    available = window.screen().availableSize()
    window.setMinimumSize(SMALLEST.boundedTo(available - FRAME))
    window.resize(first_size(available))
    state = context.settings.window_state()
    if state is not None:
        window.restoreGeometry(state[0])
        window.restoreState(state[1])


def first_size(available: QSize) -> QSize:
    """Size of a window that no settings know, on a screen with so much room, in pixels."""
    return FIRST_SIZE.boundedTo(available - FRAME)
