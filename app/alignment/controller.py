"""Alignment in the window: its parts put together, and what its commands ask for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from app.alignment.aligner import Aligner
from app.alignment.landmarks import Landmarks
from app.alignment.manual import ManualAlignment
from app.alignment.overlay import AlignmentOverlay
from app.alignment.registration_process import RegistrationProcess, RegistrationRequest
from app.alignment.suggestions import AlignmentSuggestions
from app.alignment.tools import LandmarkTool, MoveTool
from app.alignment.transform_files import TransformFiles
from app.files.controller import FilesController
from app.shared.context import Context
from app.state.values import Compare, Tool
from app.viewer.area import ViewerArea
from core.registration.methods import DEFAULT_METHOD, THROUGH_THE_MODEL

TRANSFORMS = "ITK transforms (*.tfm *.txt *.mat *.h5 *.hdf5);;All files (*)"
LANDMARKS = "Landmarks (*.json *.csv *.fcsv);;All files (*)"


class AlignmentController(QObject):
    """Brings one volume of the case onto another.

    Args:
        context: the case, and the ways to work, speak and undo.
        files: asks for files, and opens volumes that may need to be aligned.
        viewers: get the tools and marks of alignment.

    Attributes:
        method: how registrations compare images; the panel chooses it.
    """

    panel_wanted = Signal()
    """The Align panel should be shown."""
    changed = Signal()
    """What the commands may do changed."""

    def __init__(self, context: Context, files: FilesController, viewers: ViewerArea) -> None:
        super().__init__(files)
        self.context, self.files, self.session = context, files, context.session
        self.aligner = Aligner(context)
        self.hand = ManualAlignment(self.aligner)
        self.transforms = TransformFiles(self.aligner)
        self.registrar = RegistrationProcess(self.aligner)
        self.landmarks = Landmarks(self.aligner)
        self.method = DEFAULT_METHOD
        self.suggestions = AlignmentSuggestions(
            files.opener,
            self.aligner,
            self.transforms,
            self.panel_wanted.emit,
            self.ask_transform,
        )
        self._add_to(viewers)
        self.session.display_changed.connect(self._display_changed)
        self.session.layers_changed.connect(self._case_changed)
        for signal in (self.aligner.changed, self.landmarks.changed, self.registrar.stage_changed):
            signal.connect(lambda *_: self.changed.emit())

    def _add_to(self, viewers: ViewerArea) -> None:
        """Give the viewers the tools and marks of alignment."""
        viewers.mouse.tools[Tool.MOVE] = MoveTool(self.hand)
        viewers.mouse.tools[Tool.LANDMARKS] = LandmarkTool(self.landmarks)
        viewers.extras.append(AlignmentOverlay(self.hand, self.landmarks).paint)
        self.landmarks.changed.connect(viewers.update)
        self.hand.pivot_found.connect(viewers.update)

    def close(self) -> None:
        """End what runs; call it when the window's threads have ended."""
        self.aligner.close()
        self.registrar.close()

    # ---- what commands ask for

    @property
    def ready(self) -> bool:
        """Whether the case has two volumes."""
        return self.aligner.pair() is not None

    def register(self, kind: str) -> None:
        """Register the moving volume by the method chosen in the panel."""
        wanted = RegistrationRequest(kind, self.method)
        if self.method == THROUGH_THE_MODEL:
            bundle = self.session.synthesis.bundle
            if bundle is None or bundle.path is None:
                self.context.messages.error(
                    "Registration through the model needs a model, and none is chosen. Choose one "
                    "under Synthesis, or register by another method."
                )
                return
            wanted = replace(wanted, model=str(bundle.path))
        self.registrar.start(wanted)

    def toggle_tool(self, tool: Tool) -> None:
        """Begin or end a tool; beginning shows both volumes over each other."""
        session, pair = self.session, self.aligner.pair()
        if session.tool is tool or pair is None:
            session.set_tool(Tool.NONE)
            return
        moving, fixed = pair
        session.set_reference(fixed.id)
        if tool is Tool.MOVE or session.display.compare is not Compare.OFF:
            session.set_active(fixed.id)
            session.set_secondary(moving.id)
        if tool is Tool.MOVE:
            self.hand.find_pivot()
            if session.display.compare is Compare.OFF:
                session.set_display(compare=Compare.BLEND)
        session.set_tool(tool)

    @property
    def checkered(self) -> bool:
        """Whether the moving and the fixed volume are seen in a checkerboard."""
        session, pair = self.session, self.aligner.pair()
        seen = (session.active, session.secondary)
        return (
            session.display.compare is Compare.CHECKER
            and pair is not None
            and all(any(x is y for y in seen) for x in pair)
        )

    def toggle_checker(self) -> None:
        """Show the moving and the fixed volume in a checkerboard, or end that."""
        session, pair = self.session, self.aligner.pair()
        if pair is None:
            return
        off = self.checkered
        if not off:
            moving, fixed = pair
            session.set_active(fixed.id)
            session.set_secondary(moving.id)
        session.set_display(compare=Compare.OFF if off else Compare.CHECKER)

    def add_landmark(self) -> None:
        """Add a pair at the cursor, to be dragged apart."""
        self.landmarks.add_here(self.session.cursor)
        self.session.set_tool(Tool.LANDMARKS)
        self.panel_wanted.emit()

    def ask_transform(self, use: Callable[[Path], None]) -> None:
        """Ask for a transform file."""
        path = self.files.dialogs.file("Load a transform", TRANSFORMS)
        if path is not None:
            use(path)

    def load_transform(self) -> None:
        """Ask for a transform and apply it to the moving volume."""
        self.ask_transform(self.transforms.load)

    def ask_landmarks(self) -> None:
        """Ask for a file of landmarks and read it."""
        path = self.files.dialogs.file("Load landmarks", LANDMARKS)
        if path is not None:
            self.landmarks.load(path)

    def ask_save_transform(self) -> None:
        """Ask where to save the alignment."""
        moving, fixed = self._names()
        name = f"{moving}-to-{fixed}.tfm"
        path = self.files.dialogs.target("Save transform", name, TRANSFORMS, ".tfm")
        if path is not None:
            self.transforms.save(path)

    def ask_save_landmarks(self) -> None:
        """Ask where to save the landmarks."""
        path = self.files.dialogs.target("Save landmarks", "landmarks.json", LANDMARKS, ".json")
        if path is not None:
            self.landmarks.save(path)

    def ask_save_volume(self) -> None:
        """Ask how and where to save the moving volume."""
        if self.aligner.moving is not None:
            self.files.ask_save(self.aligner.moving.id)

    # ---- inside

    def _names(self) -> tuple[str, str]:
        pair = self.aligner.pair()
        moving, fixed = (x.modality for x in pair) if pair else ("", "")
        return moving or "moving", fixed or "fixed"

    def _case_changed(self) -> None:
        """Put tools away that have nothing to work on."""
        if not self.ready:
            self.session.set_tool(Tool.NONE)
            self.session.peek({})

    def _display_changed(self, field: str) -> None:
        if field == "tool" and self.session.tool is not Tool.LANDMARKS:
            self.landmarks.drop_half()
