"""What a window keeps in the settings when it closes, and takes from them when it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.state import Display

if TYPE_CHECKING:
    from app.window import MainWindow

DISPLAY = ("convention", "interpolation", "mouse", "world_axes", "crosshair", "outlines")


def keep(window: MainWindow) -> None:
    """Keep docks, display and window/level."""
    settings, session = window.settings, window.session
    settings.keep_window_state(window.saveGeometry(), window.saveState())
    shown = session.display.to_dict()
    settings.keep_display({name: shown[name] for name in DISPLAY})
    settings.keep_windows(session.remembered_windows)
    settings.sync()


def restore_display(window: MainWindow) -> None:
    """Look at volumes as the last window did."""
    try:
        shown = Display.from_dict(window.settings.display())
    except (ValueError, TypeError):
        shown = Display()
    window.session.set_display(**{n: getattr(shown, n) for n in DISPLAY})
    window.session.remembered_windows.update(window.settings.windows())


def restore_window(window: MainWindow) -> None:
    """Put the docks where the last window had them."""
    window.resize(1440, 900)
    state = window.settings.window_state()
    if state is not None:
        window.restoreGeometry(state[0])
        window.restoreState(state[1])
