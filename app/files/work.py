"""What would be lost if the case were closed now."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from app.files.project import RESULT_KINDS
from app.files.projects import Projects
from app.shared.context import Context
from app.state.values import Kind

KEPT_FIELDS = ("window", "colormap", "opacity", "visible", "available", "modality", "outline",
               "position")  # fmt: skip
"""Properties of layers that a project holds and a person sets."""


class Work(QObject):
    """Follows the case; cursor, zoom and layout are no work.

    Args:
        context: the case.
        projects: which project file it has, and what is in files.
    """

    changed = Signal()
    """The case is modified now, or no longer."""
    touched = Signal()
    """Something changed that a project holds."""

    def __init__(self, context: Context, projects: Projects) -> None:
        super().__init__(context.session)
        self.session, self.projects = context.session, projects
        self.modified = False
        context.undo.indexChanged.connect(lambda _: self.touch())
        self.session.layer_changed.connect(self._layer_changed)
        self.session.results.changed.connect(self.touch)
        self.session.pair.landmarks_changed.connect(self.touch)
        self.session.display_changed.connect(self._display_changed)
        projects.settled.connect(self.settle)
        projects.path_changed.connect(self.changed)

    def settle(self) -> None:
        """Say that everything is kept, or that there is nothing."""
        self._set(False)

    def touch(self) -> None:
        """Say that something changed that a project holds."""
        if not self.projects.restoring and self.session.layers:
            self._set(True)
            self.touched.emit()

    def unsaved(self) -> int:
        """Return how many results have a row that lies in no file of the project."""
        files = self.projects.files if self.projects.path else {}
        rows = (x for x in self.session.layers if x.kind in RESULT_KINDS and x.result)
        return len({x.result.id for x in rows if not x.live and x.id not in files and x.result})

    def at_stake(self) -> list[str]:
        """Return what would be lost, each in a few words; empty for nothing."""
        found = []
        if any(x.live for x in self.session.layers):
            found.append("a run under way, which will be stopped")
        unsaved = self.unsaved()
        if unsaved:
            found.append(f"{unsaved} unsaved result{'s' if unsaved > 1 else ''}")
        elif self.projects.path and self.modified:
            found.append(f"changes of {self.projects.path.name}")
        if not self.projects.path and self._aligned():
            found.append("how the volumes were aligned")
        return found

    # ---- inside

    def _aligned(self) -> bool:
        real = (x for x in self.session.layers if x.kind is Kind.REAL)
        return any(x.placement for x in real) or any(self.session.pair.landmarks.values())

    def _layer_changed(self, layer_id: str, field: str) -> None:
        if field in KEPT_FIELDS and not self.session.layer(layer_id).live:
            self.touch()

    def _display_changed(self, field: str) -> None:
        if field == "rulers":
            self.touch()

    def _set(self, modified: bool) -> None:
        if modified != self.modified:
            self.modified = modified
            self.changed.emit()
