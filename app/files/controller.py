"""The file side of the window: asks for files and folders, hands them on, and offers commands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QWidget

from app.files.dialogs import FileDialogs, Keep
from app.files.importer import Importer
from app.files.opener import PROJECT_SUFFIX, FileOpener
from app.files.project import Entry
from app.files.projects import Projects
from app.files.recovery import Recovery
from app.files.save import Saver
from app.files.save_dialog import DICOM, SaveVolume
from app.files.screenshot import save_picture, with_footer
from app.files.work import Work
from app.shared.commands import Command
from app.shared.context import Context
from app.state.messages import Action
from app.state.values import Kind, Layer
from core.assets import DEMO_CASE
from core.io import ENDINGS

PROJECT_FILTER = f"MHVAE Studio project (*{PROJECT_SUFFIX})"
VOLUME_FILTER = (
    f"Volumes, projects, models ({' '.join(f'*{e}' for e in ENDINGS)} *.dcm *.hdr *.img "
    f"*{PROJECT_SUFFIX} *.safetensors);;All files (*)"
)
ALL_FILES = ""


class FilesController(QObject):
    """Opening, importing and saving.

    Args:
        context: the case, and the ways to work and speak.
        parent: the window that dialogs belong to.
        render: returns a picture of the viewers.
    """

    case_closing = Signal()
    """The case is about to be replaced or closed: end what works on it."""

    def __init__(self, context: Context, parent: QWidget, render: Callable[[], QImage]) -> None:
        super().__init__(parent)
        self.context, self._parent, self._render = context, parent, render
        self.dialogs = FileDialogs(parent)
        self.opener = FileOpener(context)
        self.importer = Importer(self.opener, context.jobs)
        self.saver = Saver(context)
        self.projects = Projects(context, self.opener)
        self.work = Work(context, self.projects)
        self.recovery = Recovery(context, self.projects, self.work)
        self.opener.project_found.connect(self.open_project)
        self.opener.instead_wanted.connect(self.open_instead)
        self.importer.table_wanted.connect(self.show_import)

    def commands(self) -> list[Command]:
        """Return the commands of the menu File."""
        session, menu = self.context.session, "File"

        def any_layer() -> bool:
            return bool(session.layers)

        return [
            Command("open", "Open files…", menu, menu, self.ask_files, ("Ctrl+O",)),
            Command("open_folder", "Open folder…", menu, menu, self.ask_folder,
                    ("Ctrl+Shift+O",), "A folder of volumes, or of DICOM images"),
            Command("import", "Import…", menu, menu, self.importer.begin, ("Ctrl+I",),
                    "A table of everything found, to correct and choose from"),
            Command("demo", "Open the demo case", menu, menu, self.open_demo,
                    enabled=DEMO_CASE.is_dir),
            Command("save_volume", "Save volume…", menu, menu, self.ask_save_active, ("Ctrl+E",),
                    "The active volume, on its own grid or an input's", enabled=any_layer,
                    separated=True),
            Command("screenshot", "Save screenshot…", menu, menu, self.ask_screenshot,
                    ("Ctrl+Shift+S",), "The viewers as they are, with all marks",
                    enabled=any_layer),
            Command("save_project", "Save project", menu, menu, self.save_project, ("Ctrl+S",),
                    "The case, how it is looked at, and its results", enabled=any_layer,
                    separated=True),
            Command("save_project_as", "Save project as…", menu, menu, self.ask_save_project,
                    enabled=any_layer),
            Command("restore_unsaved", "Restore unsaved work", menu, menu, self.restore_unsaved,
                    tip="What was open when the program last ended without asking",
                    enabled=lambda: bool(self.recovery.found)),
            Command("close_case", "Close case", menu, menu, self.close_case, ("Ctrl+W",),
                    enabled=any_layer),
        ]  # fmt: skip

    def names(self) -> list[str]:
        """Return every file name and path the case and the import table hold."""
        names = [str(origin.path) for origin in self.opener.origins.values()]
        for row in self.importer.rows:
            names += [row.header.source, str(row.header.path)]
        return [*names, str(self.projects.path or "")]

    # ---- opening

    def ask_files(self) -> None:
        """Ask for files and open them."""
        self._open(self.dialogs.files("Open files", VOLUME_FILTER))

    def ask_folder(self) -> None:
        """Ask for a folder and open what is in it."""
        found = self.dialogs.directory("Open folder")
        self._open([found] if found else [])

    def show_import(self) -> None:
        """Open the import table, or bring it to the front."""
        from app.files.import_table import ImportTable

        def modalities() -> tuple[str, ...]:
            return self.context.session.synthesis.modalities

        open_one = next(iter(self._parent.findChildren(ImportTable)), None)
        table = open_one or ImportTable(self.importer, modalities, self._parent)
        table.show()
        if open_one and self._parent.isActiveWindow():
            table.activateWindow()

    def open_demo(self) -> None:
        """Open the demo case."""
        self.opener.open([DEMO_CASE])

    def open_project(self, path: Path) -> None:
        """Replace the case by a project's."""

        def go_on() -> None:
            self.case_closing.emit()
            self.projects.open(path, self._missing)

        self.keep_first(go_on)

    def open_instead(self, path: Path) -> None:
        """Close the case, unless that is cancelled, and open another patient's volume."""
        self.close_case(partial(self.opener.open, [path]))

    def close_case(self, then: Callable[[], None] = lambda: None) -> None:
        """Take everything out of the window; unsaved work is asked for."""

        def go_on() -> None:
            self._clear()
            then()

        self.keep_first(go_on)

    def keep_first(self, then: Callable[[], None]) -> None:
        """Ask whether to save when something would be lost, and go on unless that is cancelled."""
        if self.may_leave(then):
            then()

    def may_leave(self, later: Callable[[], None]) -> bool:
        """Ask whether to save when something would be lost.

        Args:
            later: called once the case is saved, if that was chosen.

        Returns:
            Whether the case may be left now.
        """
        what = self.work.at_stake()
        answer = self.dialogs.keep(what) if what else Keep.DISCARD
        if answer is Keep.SAVE:
            self.save_project(later)
        return answer is Keep.DISCARD

    def _clear(self) -> None:
        session = self.context.session
        self.case_closing.emit()
        self.context.undo.clear()
        self.opener.stop()
        session.clear()
        self.opener.origins.clear()
        session.name = ""
        self.projects.forget()
        self.work.settle()
        self.recovery.discard()

    def close(self) -> None:
        """End what is under way."""
        self.importer.dismiss()

    def offer_unsaved(self) -> None:
        """Offer the unsaved work of a window that ended without asking."""
        self.recovery.look(self._missing)

    def restore_unsaved(self) -> None:
        """Bring back the newest copy of unsaved work."""
        found = self.recovery.found[-1]
        self.keep_first(partial(self.recovery.restore, found, self._missing))

    # ---- saving

    def ask_save_active(self) -> None:
        """Ask how and where to save a volume, beginning with the active one."""
        active = self.context.session.active
        self.ask_save(active.id if active else "")

    def ask_save(self, layer_id: str) -> None:
        """Ask how and where to save a volume."""
        layers = self.context.session.layers
        origins = [o for x in layers if (o := self.opener.origins.get(x.id)) and o.series]
        patient = origins[0] if origins else None
        dialog = SaveVolume(
            layers, layer_id, self._parent, patient=patient is not None, samples=self._samples
        )
        if dialog.exec() != SaveVolume.DialogCode.Accepted:
            return
        layer = dialog.layer
        stem = (
            f"{layer.kind}-{layer.modality}" if layer.kind is not Kind.REAL else layer.modality
        ) or "volume"
        if dialog.suffix == DICOM:
            folder = self.dialogs.target("Save as a DICOM series, in a new folder", stem, ALL_FILES)
            if folder is not None:
                keep = dialog.keep_patient
                self.saver.save_series(
                    layer, folder, dialog.grid, patient, keep=keep, samples=dialog.samples
                )
            return
        path = self.dialogs.target("Save volume", stem + dialog.suffix, ALL_FILES, dialog.suffix)
        if path is not None:
            if not path.name.lower().endswith(dialog.suffix):
                path = path.with_name(path.name + dialog.suffix)
            self.saver.save_volume(layer, path, dialog.grid, lambda _: None, dialog.samples)

    def _samples(self, layer: Layer) -> Sequence[Layer]:
        """Return the single samples that a layer is the mean of."""
        if layer.result is None or layer.id != layer.result.layer_id:
            return ()
        return self.context.session.results.samples(layer.result)

    def ask_screenshot(self) -> None:
        """Ask where to save a picture of the viewers."""
        image = self._render()
        path = self.dialogs.target("Save screenshot", "view.png", "PNG (*.png)", ".png")
        if path is not None:
            if path.suffix.lower() != ".png":
                path = path.with_name(path.name + ".png")
            self.save_picture(image, path)

    def save_picture(self, image: QImage, path: Path) -> None:
        """Write a picture of the viewers, with its marks also in the file's text."""
        made = any(x.made_by_model for x in self.context.session.layers)
        marked, messages = with_footer(image, made), self.context.messages
        self.context.jobs.submit(
            f"Saving {path.name}",
            lambda: save_picture(marked, path),
            lambda written: messages.info(f"Saved {written.name}."),
            messages.error,
        )

    def save_project(self, then: Callable[[], None] = lambda: None) -> None:
        """Save where the project lies, or ask; ``then`` is called when it is saved."""
        if self.projects.path is None:
            self.ask_save_project(then)
        else:
            self.projects.save(self.projects.path, then)

    def ask_save_project(self, then: Callable[[], None] = lambda: None) -> None:
        """Ask where to save the project; ``then`` is called when it is saved."""
        path = self.dialogs.target(
            "Save project", f"case{PROJECT_SUFFIX}", PROJECT_FILTER, PROJECT_SUFFIX
        )
        if path is not None:
            if not path.name.endswith(PROJECT_SUFFIX):
                path = path.with_name(path.name.removesuffix(".json") + PROJECT_SUFFIX)
            self.projects.save(path, then)

    # ---- inside

    def _open(self, paths: list[Path]) -> None:
        if paths:
            self.opener.open(paths)

    def _missing(self, entry: Entry, found: Callable[[Path], None]) -> None:
        what = entry.modality or "volume"
        self.context.messages.error(
            f"{entry.path.name}: the project's {what} is not where it was. Say where it is now, "
            "or go on without it.",
            [Action("Locate…", partial(self._locate, entry, found))],
        )

    def _locate(self, entry: Entry, found: Callable[[Path], None]) -> None:
        title = f"Where is {entry.path.name} now?"
        chosen = (
            self.dialogs.directory(title)
            if entry.series
            else self.dialogs.file(title, VOLUME_FILTER)
        )
        if chosen is not None:
            found(chosen)
