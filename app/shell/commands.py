"""What the commands of the window are."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from app.alignment.commands import align_commands
from app.state.values import Compare, Convention, Interpolation, Kind, Layout, MousePreset, Plane
from app.viewer.keys import ACTIONS
from app.widgets.commands import Command

if TYPE_CHECKING:
    from app.shell.window import MainWindow

_MENUS = {
    "Cursor": "View/Cursor",
    "Planes and layouts": "View",
    "Compare": "Compare",
    "View": "View",
    "Locks": "View/Link volumes",
}


def window_commands(window: MainWindow) -> list[Command]:
    """Return every command of the window, in the order of its menus."""
    return [
        *_file(window),
        *_edit(window),
        *_viewers(window),
        *align_commands(window),
        *_rest(window),
    ]


def _file(window: MainWindow) -> list[Command]:
    def any_layer() -> bool:
        return bool(window.session.layers)

    files, menu = window.files, "File"
    return [
        Command("open", "Open files…", menu, menu, files.ask_files, ("Ctrl+O",), separated=False),
        Command("open_folder", "Open folder…", menu, menu, files.ask_folder, ("Ctrl+Shift+O",),
                "A folder of volumes, or of DICOM images"),
        Command("import", "Import…", menu, menu, files.ask_import, ("Ctrl+I",),
                "A table of everything found, to correct and choose from"),
        Command("demo", "Open the demo case", menu, menu, files.open_demo,
                enabled=files.has_demo),
        Command("save_volume", "Save volume…", menu, menu, files.ask_save_active, ("Ctrl+E",),
                "The active volume, on its own grid or an input's", enabled=any_layer,
                separated=True),
        Command("screenshot", "Save screenshot…", menu, menu, files.ask_screenshot,
                ("Ctrl+Shift+S",), "The viewers as they are, with all marks", enabled=any_layer),
        Command("save_project", "Save project", menu, menu, files.save_project, ("Ctrl+S",),
                "The case, how it is looked at, and its results", enabled=any_layer,
                separated=True),
        Command("save_project_as", "Save project as…", menu, menu, files.ask_save_project,
                enabled=any_layer),
        Command("close_case", "Close case", menu, menu, files.close_case, ("Ctrl+W",),
                enabled=any_layer),
        Command("quit", "Quit", menu, menu, window.leave, ("Ctrl+Q",), separated=True),
    ]  # fmt: skip


def _edit(window: MainWindow) -> list[Command]:
    def remove() -> None:
        if window.session.active is not None:
            window.remove_layer(window.session.active.id)

    def toggle() -> None:
        if window.session.active is not None:
            window.toggle_available(window.session.active.id)

    def real() -> bool:
        active = window.session.active
        return active is not None and active.kind is Kind.REAL and bool(active.modality)

    def used() -> bool:
        active = window.session.active
        return real() and active is not None and active.available

    undo, menu = window.undo, "Edit"
    return [
        Command("undo", "Undo", menu, menu, undo.undo, ("Ctrl+Z",), enabled=undo.canUndo),
        Command("redo", "Redo", menu, menu, undo.redo, ("Ctrl+Shift+Z", "Ctrl+Y"),
                enabled=undo.canRedo),
        Command("toggle_available", "Use the active volume as input", menu, menu, toggle, ("J",),
                "Hold it back, or give it to the model again", separated=True, enabled=real,
                checked=used),
        Command("remove", "Remove the active volume", menu, menu, remove, ("Del",),
                enabled=lambda: window.session.active is not None),
    ]  # fmt: skip


def _viewers(window: MainWindow) -> list[Command]:
    """Return the viewers' own actions, with check marks where they are states."""
    shows = partial(_shows, window)
    states = {
        **{p.value: shows("plane", p) for p in Plane},
        "layout_planes": shows("layout", Layout.PLANES),
        "layout_columns": shows("layout", Layout.COLUMNS),
        "layout_grid": shows("layout", Layout.GRID),
        "maximise": shows("layout", Layout.SINGLE),
        "compare_off": shows("compare", Compare.OFF),
        **{c.value: shows("compare", c) for c in Compare if c is not Compare.OFF},
        "interpolation": shows("interpolation", Interpolation.LINEAR),
        "convention": shows("convention", Convention.RADIOLOGICAL),
        "world_axes": shows("world_axes", True),
        "crosshair": shows("crosshair", True),
        "outlines": shows("outlines", True),
        "ruler": shows("measuring", True),
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
                partial(window.area.perform, action.name),
                action.keys,
                checked=states.get(action.name),
                local=action.group == "Cursor",
                separated=action.group not in seen and bool(seen) and menu == "View",
            )
        )
        seen.add(action.group)
    return found


def _shows(window: MainWindow, field: str, value: object) -> Callable[[], bool]:
    """Return a question: has this display setting this value?"""
    return lambda: bool(getattr(window.session.display, field) == value)


def _rest(window: MainWindow) -> list[Command]:
    it = window.synthesiser
    mouse = [
        Command(f"mouse_{p.name.lower()}", f"Mouse as in {p}", "Mouse", "View/Mouse",
                partial(window.session.set_display, mouse=p), checked=_shows(window, "mouse", p))
        for p in MousePreset
    ]  # fmt: skip
    looks = [
        Command(f"look_{name}", text, "Appearance", "View/Appearance",
                partial(window.set_appearance, name),
                checked=partial(lambda n: window.settings.appearance == n, name))
        for name, text in (("system", "As the system"), ("light", "Light"), ("dark", "Dark"))
    ]  # fmt: skip
    return [
        *mouse,
        *looks,
        Command("run", "Run", "Synthesis", "Synthesis", it.run, ("Ctrl+R",),
                "Synthesise; the tile under the cursor comes first",
                enabled=lambda: not it.obstacle()),
        Command("cancel", "Cancel the run", "Synthesis", "Synthesis", it.cancel, ("Ctrl+.",),
                enabled=lambda: it.running),
        *window.door.commands(),
        *window.training.commands(),
        Command("guide", "User guide", "Help", "Help", window.help.show_guide, ("F1",)),
        Command("keys", "Keys and mouse", "Help", "Help", window.help.show_keys, ("?",)),
        Command("report", "Diagnostic report…", "Help", "Help", window.help.show_report,
                tip="Versions, settings and messages without names, to send to those who help"),
        Command("about", "About MHVAE Studio", "Help", "Help", window.help.show_about),
    ]  # fmt: skip
