"""Everything about alignment that a window has: put together here, asked for by commands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QFileDialog

from app.alignment.by_hand import Hand
from app.alignment.landmarks import Landmarks
from app.alignment.marks import AlignMarks
from app.alignment.offers import Offers
from app.alignment.pose import Aligner
from app.alignment.registration import Registrar, Wish
from app.alignment.tools import LandmarkTool, MoveTool
from app.alignment.transform_files import Transforms
from app.state.values import Compare, Tool
from core.registration.alignment import DEFAULT_METHOD, THROUGH_THE_MODEL

if TYPE_CHECKING:
    from app.shell.window import MainWindow

TRANSFORMS = "ITK transforms (*.tfm *.txt *.mat *.h5 *.hdf5);;All files (*)"
LANDMARKS = "Landmarks (*.json *.csv *.fcsv);;All files (*)"


class AlignDesk(QObject):
    """Builds the parts and asks for files.

    Args:
        window: whose case is aligned.

    Attributes:
        method: how registrations compare images; the panel chooses it.
    """

    wanted = Signal()
    """The Align panel should be shown."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.window, self.session = window, window.session
        self.aligner = Aligner(window.session, window.jobs, window.notes, window.undo)
        self.hand = Hand(self.aligner)
        self.transforms = Transforms(self.aligner)
        self.registrar = Registrar(self.aligner)
        self.landmarks = Landmarks(self.aligner)
        self.method = DEFAULT_METHOD
        self.offers = Offers(
            window.opener, self.aligner, self.transforms, self.wanted.emit, self.ask_transform
        )
        self.session.display_changed.connect(self._display_changed)
        self.session.layers_changed.connect(self._case_changed)

    def furnish(self) -> None:
        """Give the viewers their tools and marks, the panel its buttons; show what changes."""
        area, commands, dock = self.window.area, self.window.commands, self.window.align_dock
        self.window.align_panel.use(commands.actions)
        self.wanted.connect(dock.show)
        self.wanted.connect(dock.raise_)
        for signal in (self.aligner.changed, self.landmarks.changed, self.registrar.stage_changed):
            signal.connect(lambda *_: commands.refresh())
        area.mouse.tools[Tool.MOVE] = MoveTool(self.hand)
        area.mouse.tools[Tool.LANDMARKS] = LandmarkTool(self.landmarks)
        area.scene.extras.append(AlignMarks(self.hand, self.landmarks).paint)
        self.landmarks.changed.connect(area.update)
        self.hand.pivot_found.connect(area.update)

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
        wish = Wish(kind, self.method)
        if self.method == THROUGH_THE_MODEL:
            bundle = self.window.synthesiser.bundle
            if bundle is None or bundle.path is None:
                self.window.notes.error(
                    "Registration through the model needs a model, and none is chosen. Choose one "
                    "under Synthesis, or register by another method."
                )
                return
            wish = replace(wish, model=str(bundle.path))
        self.registrar.start(wish)

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
        self.wanted.emit()

    def ask_transform(self, use: Callable[[Path], None]) -> None:
        """Ask for a transform file."""
        self._ask_open("Load a transform", TRANSFORMS, use)

    def ask_landmarks(self) -> None:
        """Ask for a file of landmarks and read it."""
        self._ask_open("Load landmarks", LANDMARKS, self.landmarks.load)

    def ask_save_transform(self) -> None:
        """Ask where to save the alignment."""
        moving, fixed = self._names()
        name = f"{moving}-to-{fixed}.tfm"
        self._ask_save("Save transform", name, TRANSFORMS, self.transforms.save)

    def ask_save_landmarks(self) -> None:
        """Ask where to save the landmarks."""
        self._ask_save("Save landmarks", "landmarks.json", LANDMARKS, self.landmarks.save)

    def ask_save_volume(self) -> None:
        """Ask how and where to save the moving volume."""
        if self.aligner.moving is not None:
            self.window.files.ask_save(self.aligner.moving.id)

    # ---- inside

    def _names(self) -> tuple[str, str]:
        pair = self.aligner.pair()
        moving, fixed = (x.modality for x in pair) if pair else ("", "")
        return moving or "moving", fixed or "fixed"

    def _ask_open(self, title: str, pattern: str, use: Callable[[Path], None]) -> None:
        files = self.window.files
        chosen, _ = QFileDialog.getOpenFileName(self.window, title, files.folder, pattern)
        if chosen:
            files.folder = str(Path(chosen).parent)
            use(Path(chosen))

    def _ask_save(self, title: str, name: str, pattern: str, save: Callable[[Path], None]) -> None:
        files = self.window.files
        first = str(Path(files.folder) / name)
        chosen, _ = QFileDialog.getSaveFileName(self.window, title, first, pattern)
        if chosen:
            path = Path(chosen)
            path = path if path.suffix else path.with_suffix(Path(name).suffix)
            files.folder = str(path.parent)
            save(path)

    def _case_changed(self) -> None:
        """Put tools away that have nothing to work on."""
        if not self.ready:
            self.session.set_tool(Tool.NONE)
            self.session.peek({})

    def _display_changed(self, field: str) -> None:
        if field == "tool" and self.session.tool is not Tool.LANDMARKS:
            self.landmarks.drop_half()


def load_command(desk: AlignDesk) -> Callable[[], None]:
    """Return what asks for a transform and applies it to the moving volume."""
    return partial(desk.ask_transform, desk.transforms.load)
