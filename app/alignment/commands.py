"""The commands under Align."""

from __future__ import annotations

from functools import partial

from app.alignment.controller import AlignmentController
from app.shared.commands import Command
from app.state.values import Tool

GROUP = "Align"


def alignment_commands(it: AlignmentController) -> list[Command]:
    """Return the commands of alignment and landmarks, in the order of the menu."""
    return [*_moving(it), *_landmarks(it)]


def _moving(it: AlignmentController) -> list[Command]:
    aligner, registrar, session = it.aligner, it.registrar, it.session

    def two() -> bool:
        return it.ready

    def was_moved() -> bool:
        return aligner.placement is not None

    def idle() -> bool:
        return it.ready and not registrar.running

    def from_file() -> bool:
        return bool(it.transforms.direction())

    return [
        Command("align_panel", "Show the Align panel", GROUP, GROUP, it.panel_wanted.emit,
                ("Ctrl+L",), "Bring one volume onto another"),
        Command("align_header", "Use header positions", GROUP, GROUP, aligner.use_header, (),
                "Put the moving volume where its file says", enabled=was_moved, separated=True),
        Command("align_load", "Load transform…", GROUP, GROUP, it.load_transform, (),
                "Apply an ITK transform (.tfm, .txt, .h5) to the moving volume", enabled=two),
        Command("align_turn", "Turn the transform round", GROUP, GROUP,
                it.transforms.invert, (),
                "Use the loaded transform in the other direction", enabled=from_file),
        Command("align_centre", "Centre", GROUP, GROUP, aligner.centre, (),
                "Bring the middles of both fields of view together", enabled=two),
        Command("align_rigid", "Register, rigid", GROUP, GROUP,
                partial(it.register, "rigid"), ("Ctrl+G",),
                "Search shifts and turns from where the volume is now",
                enabled=idle, separated=True),
        Command("align_affine", "Register, affine", GROUP, GROUP,
                partial(it.register, "affine"), ("Ctrl+Shift+G",),
                "Rigid first, then stretching and shearing too", enabled=idle),
        Command("align_cancel", "Cancel the registration", GROUP, GROUP, registrar.cancel, (),
                "Stop at once; nothing is moved", enabled=lambda: registrar.running),
        Command("align_move", "Move by hand in the viewers", GROUP, GROUP,
                partial(it.toggle_tool, Tool.MOVE), ("G",),
                "Drag moves in the plane, Ctrl+drag turns; Esc ends", enabled=two,
                checked=lambda: session.tool is Tool.MOVE, separated=True),
        Command("align_before", "Show the position before", GROUP, GROUP,
                aligner.toggle_before, ("V",),
                "Before the last alignment and after it", enabled=was_moved,
                checked=lambda: bool(session.peeked)),
        Command("align_checker", "Both volumes in a checkerboard", GROUP, GROUP,
                it.toggle_checker, (), "Whether edges run on from square to square",
                enabled=two, checked=lambda: it.checkered),
        Command("save_transform", "Save transform…", GROUP, GROUP, it.ask_save_transform, (),
                "The alignment as an ITK transform that 3D Slicer reads", enabled=was_moved,
                separated=True),
        Command("save_aligned", "Save aligned volume…", GROUP, GROUP, it.ask_save_volume, (),
                "Its own voxels at the new position, or resampled onto the fixed grid",
                enabled=two),
    ]  # fmt: skip


def _landmarks(it: AlignmentController) -> list[Command]:
    marks, session = it.landmarks, it.session

    def two() -> bool:
        return it.ready

    def some(count: int) -> bool:
        return len(marks.pairs) >= count

    return [
        Command("landmark_tool", "Place landmarks by clicking", GROUP, GROUP,
                partial(it.toggle_tool, Tool.LANDMARKS), ("L",),
                "Click the same point in both volumes; drag to correct; Esc ends", enabled=two,
                checked=lambda: session.tool is Tool.LANDMARKS, separated=True),
        Command("landmark_add", "Add a landmark at the cursor", GROUP, GROUP, it.add_landmark,
                ("P",), "In both volumes; then drag each end to its place", enabled=two),
        Command("landmarks_rigid", "Align by landmarks, rigid", GROUP, GROUP,
                partial(marks.align, "rigid"), (), "Needs three pairs",
                enabled=partial(some, 3)),
        Command("landmarks_affine", "Align by landmarks, affine", GROUP, GROUP,
                partial(marks.align, "affine"), (), "Needs four pairs",
                enabled=partial(some, 4)),
        Command("landmarks_load", "Load landmarks…", GROUP, GROUP, it.ask_landmarks, (),
                "JSON, CSV, or a pair of 3D Slicer lists", enabled=two),
        Command("landmarks_save", "Save landmarks…", GROUP, GROUP, it.ask_save_landmarks, (),
                "JSON, CSV, or a pair of 3D Slicer lists", enabled=partial(some, 1)),
    ]  # fmt: skip
