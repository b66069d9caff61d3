"""The viewers' own actions as commands, with check marks where they are states."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from app.shared.commands import Command
from app.state.session import Session
from app.state.values import Compare, Convention, Interpolation, Layout, MousePreset, Plane, Tool
from app.viewer.area import ViewerArea
from app.viewer.compare import MODES
from app.viewer.key_bindings import ACTIONS

_MENUS = {
    "Cursor": "View/Cursor",
    "Planes and layouts": "View",
    "Compare": "Compare",
    "View": "View",
    "Locks": "View/Link volumes",
}


def viewer_commands(viewers: ViewerArea) -> list[Command]:
    """Return the commands of the menus View and Compare."""
    shows = partial(_shows, viewers.session)
    states = {
        **{p.value: shows("plane", p) for p in Plane},
        "layout_planes": shows("layout", Layout.PLANES),
        "layout_columns": shows("layout", Layout.COLUMNS),
        "layout_grid": shows("layout", Layout.GRID),
        "maximise": shows("layout", Layout.SINGLE),
        "compare_off": shows("compare", Compare.OFF),
        **{mode.value: shows("compare", mode) for mode in MODES},
        "interpolation": shows("interpolation", Interpolation.LINEAR),
        "convention": shows("convention", Convention.RADIOLOGICAL),
        "world_axes": shows("world_axes", True),
        "crosshair": shows("crosshair", True),
        "outlines": shows("outlines", True),
        "ruler": shows("measuring", True),
        "adjust_window": lambda: viewers.session.tool is Tool.WINDOW,
        "lock_position": shows("lock_position", True),
        "lock_zoom": shows("lock_zoom", True),
        "lock_window": shows("lock_window", True),
    }
    found: list[Command] = []
    seen: set[str] = set()
    for action in ACTIONS:
        if action.name == "help":
            continue
        menu = _MENUS[action.group]
        found.append(
            Command(
                action.name,
                action.text,
                action.group,
                menu,
                partial(viewers.perform, action.name),
                action.keys,
                checked=states.get(action.name),
                local=action.group == "Cursor",
                separated=action.group not in seen and bool(seen) and menu == "View",
            )
        )
        seen.add(action.group)
    return found


def mouse_commands(session: Session) -> list[Command]:
    """Return the choice between the mouse presets."""
    return [
        Command(
            f"mouse_{p.name.lower()}", f"Mouse as in {p}", "Mouse", "View/Mouse",
            partial(session.set_display, mouse=p), checked=_shows(session, "mouse", p),
        )
        for p in MousePreset
    ]  # fmt: skip


def _shows(session: Session, field: str, value: object) -> Callable[[], bool]:
    """Return a question: has this display setting this value?"""
    return lambda: bool(getattr(session.display, field) == value)
