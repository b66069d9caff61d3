"""Every key and mouse gesture of the viewers, as data: the help sheet lists these tables."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent, QKeySequence

from app.state.values import MousePreset
from app.viewer.compare import MODES


@dataclass(frozen=True)
class Action:
    """One thing the viewers can do.

    Attributes:
        name: what ``ViewerArea.perform`` takes.
        keys: portable key sequences, as QKeySequence reads them; the first is the one shown.
        text: what it does, for menus and the help sheet.
        group: heading in the help sheet.
    """

    name: str
    keys: tuple[str, ...]
    text: str
    group: str


ACTIONS: tuple[Action, ...] = (
    Action("left", ("Left",), "Cursor one voxel left", "Cursor"),
    Action("right", ("Right",), "Cursor one voxel right", "Cursor"),
    Action("up", ("Up",), "Cursor one voxel up", "Cursor"),
    Action("down", ("Down",), "Cursor one voxel down", "Cursor"),
    Action("left5", ("Shift+Left",), "Cursor five voxels left", "Cursor"),
    Action("right5", ("Shift+Right",), "Cursor five voxels right", "Cursor"),
    Action("up5", ("Shift+Up",), "Cursor five voxels up", "Cursor"),
    Action("down5", ("Shift+Down",), "Cursor five voxels down", "Cursor"),
    Action("next_slice", ("PgUp",), "Next slice (towards S, A, R)", "Cursor"),
    Action("previous_slice", ("PgDown",), "Previous slice (towards I, P, L)", "Cursor"),
    Action("axial", ("A",), "Axial plane", "Planes and layouts"),
    Action("coronal", ("C",), "Coronal plane", "Planes and layouts"),
    Action("sagittal", ("S",), "Sagittal plane", "Planes and layouts"),
    Action("layout_planes", ("1",), "Three planes of one volume", "Planes and layouts"),
    Action("layout_columns", ("2",), "One plane, a column per volume", "Planes and layouts"),
    Action("layout_grid", ("3",), "Three planes by columns", "Planes and layouts"),
    Action("maximise", ("4",), "Maximise one view, or go back", "Planes and layouts"),
    Action("next_volume", ("]",), "Next volume", "Planes and layouts"),
    Action("previous_volume", ("[",), "Previous volume", "Planes and layouts"),
    Action("compare_off", ("0",), "No comparison", "Compare"),
    Action("leave", ("Esc",), "Leave the tool, else stop comparing", "Compare"),
    *(Action(mode.value, (it.key,), it.text, "Compare") for mode, it in MODES.items()),
    Action("mix_less", ("-",), "Less foreground (blend, swipe, reveal)", "Compare"),
    Action("mix_more", ("+", "="), "More foreground (blend, swipe, reveal)", "Compare"),
    Action("reset", ("R",), "Reset the view, cursor and window/level", "View"),
    Action("fit", ("Shift+R",), "Fit the volume to the view", "View"),
    Action("centre", (".",), "Centre the cursor", "View"),
    Action("auto_window", ("T",), "Auto window/level", "View"),
    Action("full_window", ("Shift+T",), "Window/level of the full range", "View"),
    Action("adjust_window", ("Y",), "Adjust window/level by dragging", "View"),
    Action("interpolation", ("I",), "Interpolate", "View"),
    Action("convention", ("X",), "Radiological convention", "View"),
    Action("world_axes", ("O",), "Slice along the patient's axes", "View"),
    Action("crosshair", ("H",), "Show the crosshair", "View"),
    Action("outlines", ("U",), "Show outlines", "View"),
    Action("ruler", ("M",), "Ruler", "View"),
    Action("remove_rulers", ("Shift+M",), "Remove all rulers", "View"),
    Action("lock_position", ("Shift+P",), "Link cursor positions", "Locks"),
    Action("lock_zoom", ("Shift+Z",), "Link zoom and pan", "Locks"),
    Action("lock_window", ("Shift+W",), "Link window/level", "Locks"),
    Action("help", ("?",), "Sheet of all keys", "Help"),
)


def action_of(event: QKeyEvent) -> str | None:
    """Return the name of the action of a key press, None if the viewers have none."""
    keys = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
    combined = QKeySequence(int(keys.value) | int(event.key()))
    name = _BY_KEY.get(combined.toString(QKeySequence.SequenceFormat.PortableText))
    return name or _BY_KEY.get(event.text())  # "?" and "+" need Shift on most keyboards


_BY_KEY = {key: action.name for action in ACTIONS for key in action.keys}


class Gesture(StrEnum):
    """What a drag or a wheel turn does."""

    CROSSHAIR = "move the crosshair"
    PAN = "pan"
    ZOOM = "zoom"
    WINDOW = "window (across) and level (up)"
    SLICE = "change slice"


DRAGS: dict[MousePreset, dict[str, Gesture]] = {
    MousePreset.SLICER: {
        "Left": Gesture.CROSSHAIR,
        "Shift+Left": Gesture.PAN,
        "Middle": Gesture.PAN,
        "Right": Gesture.ZOOM,
        "Ctrl+Right": Gesture.WINDOW,
        "Shift+Move": Gesture.CROSSHAIR,
        "Wheel": Gesture.SLICE,
        "Ctrl+Wheel": Gesture.ZOOM,
    },
    MousePreset.ITK_SNAP: {
        "Left": Gesture.CROSSHAIR,
        "Shift+Left": Gesture.PAN,
        "Middle": Gesture.PAN,
        "Right": Gesture.ZOOM,
        "Ctrl+Right": Gesture.WINDOW,
        "Wheel": Gesture.SLICE,
        "Ctrl+Wheel": Gesture.ZOOM,
    },
    MousePreset.PACS: {
        "Left": Gesture.WINDOW,
        "Ctrl+Left": Gesture.CROSSHAIR,
        "Shift+Left": Gesture.PAN,
        "Middle": Gesture.PAN,
        "Right": Gesture.ZOOM,
        "Wheel": Gesture.SLICE,
        "Ctrl+Wheel": Gesture.ZOOM,
    },
}
"""Preset → gesture name → effect. With the tool "adjust window/level" the left button does that
in every preset. In the PACS preset a left click without a drag places the crosshair. Double click
maximises a pane in all."""
