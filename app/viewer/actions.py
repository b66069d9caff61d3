"""What each named action of the key table does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from app.state.session import Session
from app.state.values import Compare, Convention, Interpolation, Layout, Plane, Tool
from app.viewer.compare import MODES
from app.viewer.mouse import step_cursor
from app.viewer.pane_geometry import PaneGeometry


class Viewers(Protocol):
    """What the actions need of the viewers."""

    session: Session

    @property
    def focus_pane(self) -> PaneGeometry | None:
        """The pane keys act on."""

    def show_plane(self, plane: Plane) -> None:
        """Make a plane the chosen one."""

    def toggle_maximised(self) -> None:
        """Maximise the focused pane, or go back."""


def actions(area: Viewers, ask_help: Callable[[], None]) -> dict[str, Callable[[], None]]:
    """Return the effect of every action in ``keys.ACTIONS``, by name."""
    session = area.session
    table: dict[str, Callable[[], None]] = {
        "layout_planes": lambda: session.set_display(layout=Layout.PLANES),
        "layout_columns": lambda: session.set_display(layout=Layout.COLUMNS),
        "layout_grid": lambda: session.set_display(layout=Layout.GRID),
        "maximise": area.toggle_maximised,
        "next_volume": lambda: session.cycle_active(1),
        "previous_volume": lambda: session.cycle_active(-1),
        "compare_off": lambda: session.set_display(compare=Compare.OFF),
        "leave": lambda: _leave(area),
        "mix_less": lambda: _mix(area, -1),
        "mix_more": lambda: _mix(area, 1),
        "reset": session.reset,
        "fit": session.fit,
        "centre": session.centre,
        "auto_window": lambda: _window(area, session.reset_window),
        "full_window": lambda: _window(area, session.full_window),
        "interpolation": lambda: _interpolation(area),
        "convention": lambda: _convention(area),
        "ruler": lambda: _ruler(area),
        "adjust_window": lambda: _adjust_window(area),
        "remove_rulers": lambda: session.set_rulers(()),
        "help": ask_help,
        "next_slice": lambda: _through(area, 1),
        "previous_slice": lambda: _through(area, -1),
    }
    for plane in Plane:
        table[plane.value] = lambda plane=plane: area.show_plane(plane)  # type: ignore[misc]
    for mode in MODES:
        table[mode.value] = lambda mode=mode: _compare(area, mode)  # type: ignore[misc]
    for count in (1, 5):
        tail = "" if count == 1 else str(count)
        table[f"left{tail}"] = lambda n=count: _across(area, -n)  # type: ignore[misc]
        table[f"right{tail}"] = lambda n=count: _across(area, n)  # type: ignore[misc]
        table[f"up{tail}"] = lambda n=count: _up(area, n)  # type: ignore[misc]
        table[f"down{tail}"] = lambda n=count: _up(area, -n)  # type: ignore[misc]
    for name in (
        "world_axes",
        "crosshair",
        "outlines",
        "lock_position",
        "lock_zoom",
        "lock_window",
    ):
        table[name] = lambda name=name: _toggle(area, name)  # type: ignore[misc]
    return table


def _across(area: Viewers, steps: int) -> None:
    """Step along the screen's horizontal; positive is right."""
    pane = area.focus_pane
    if pane is not None:
        step_cursor(pane, pane.axes.across, steps * pane.axes.across_sign)


def _up(area: Viewers, steps: int) -> None:
    pane = area.focus_pane
    if pane is not None:
        step_cursor(pane, pane.axes.up, steps)


def _through(area: Viewers, steps: int) -> None:
    pane = area.focus_pane
    if pane is not None:
        step_cursor(pane, pane.axes.through, steps)


def _leave(area: Viewers) -> None:
    """Leave the tool and the look back; without them, stop comparing."""
    session = area.session
    if session.tool is Tool.NONE and not session.peeked:
        session.set_display(compare=Compare.OFF)
    session.set_tool(Tool.NONE)
    session.peek({})


def _compare(area: Viewers, mode: Compare) -> None:
    """Switch a compare mode on; its key pressed again switches it off."""
    same = area.session.display.compare is mode
    area.session.set_display(compare=Compare.OFF if same else mode)


def _mix(area: Viewers, direction: int) -> None:
    """Show more or less of the counterpart: blend weight, swipe line or disc, as the mode asks."""
    shown = area.session.display
    mode = MODES.get(shown.compare, MODES[Compare.BLEND])
    area.session.set_display(**mode.change(shown, direction))


def _window(area: Viewers, change: Callable[[str], None]) -> None:
    """Change the window of the volume in the focused pane."""
    pane = area.focus_pane
    if pane is not None:
        change(pane.slot.layer_id)


def _ruler(area: Viewers) -> None:
    """Take the ruler, or put it away; one tool at a time has the left button."""
    if area.session.tool is Tool.WINDOW:
        area.session.set_tool(Tool.NONE)
    _toggle(area, "measuring")


def _adjust_window(area: Viewers) -> None:
    session = area.session
    session.set_display(measuring=False)
    session.set_tool(Tool.NONE if session.tool is Tool.WINDOW else Tool.WINDOW)


def _interpolation(area: Viewers) -> None:
    linear = area.session.display.interpolation is Interpolation.LINEAR
    mode = Interpolation.NEAREST if linear else Interpolation.LINEAR
    area.session.set_display(interpolation=mode)


def _convention(area: Viewers) -> None:
    radiological = area.session.display.convention is Convention.RADIOLOGICAL
    side = Convention.NEUROLOGICAL if radiological else Convention.RADIOLOGICAL
    area.session.set_display(convention=side)


def _toggle(area: Viewers, name: str) -> None:
    value = not getattr(area.session.display, name)
    area.session.set_display(**{name: value})  # type: ignore[arg-type]
