"""Asks the user for files and folders, and hands them to those who read and write."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtGui import QImage, QPainter
from PySide6.QtWidgets import QFileDialog

from app.files.open import PROJECT_SUFFIX
from app.files.project import Entry, ProjectError
from app.files.save_dialog import SaveVolume
from app.state.messages import Action
from app.state.values import Kind
from core.assets import DEMO_CASE
from core.files import replacing

if TYPE_CHECKING:
    from app.shell.window import MainWindow

PROJECT_FILTER = f"MHVAE Studio project (*{PROJECT_SUFFIX})"
VOLUME_FILTER = (
    "Volumes, projects, models (*.nii *.nii.gz *.nrrd *.nhdr *.mha *.mhd *.mnc *.dcm *.hdr *.img "
    f"*{PROJECT_SUFFIX} *.safetensors);;All files (*)"
)
NOTICE = "Contains simulated data made by a model. Research use only."


class Files(QObject):
    """The file side of the window's commands."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.window = window
        self.folder = ""

    # ---- opening

    def ask_files(self) -> None:
        """Ask for files and open them."""
        found, _ = QFileDialog.getOpenFileNames(
            self.window, "Open files", self.folder, VOLUME_FILTER
        )
        self._open([Path(name) for name in found])

    def ask_folder(self) -> None:
        """Ask for a folder and open what is in it."""
        found = QFileDialog.getExistingDirectory(self.window, "Open folder", self.folder)
        self._open([Path(found)] if found else [])

    def ask_import(self) -> None:
        """Open the import table, to fill it."""
        self.window.importer.begin()

    def show_import(self) -> None:
        """Open the import table, or bring it to the front."""
        from app.files.import_table import ImportTable

        open_one = next(iter(self.window.findChildren(ImportTable)), None)
        table = open_one or ImportTable(self.window.importer, self._modalities, self.window)
        table.show()
        if open_one and self.window.isActiveWindow():
            table.activateWindow()

    def has_demo(self) -> bool:
        """Tell whether the demo case is installed."""
        return DEMO_CASE.is_dir()

    def open_demo(self) -> None:
        """Open the demo case."""
        self.window.opener.open([DEMO_CASE])

    def open_project(self, path: Path) -> None:
        """Replace the case by a project's."""
        self.window.synthesiser.cancel()
        self.window.projects.open(path, self._missing)

    def close_case(self) -> None:
        """Take everything out of the window."""
        window = self.window
        window.synthesiser.cancel()
        window.undo.clear()
        window.opener.stop()
        window.session.clear()
        window.opener.origins.clear()
        window.projects.path = None
        window.session.name = ""
        window.synthesiser.forget_results()
        window.show_title()

    # ---- saving

    def ask_save_active(self) -> None:
        """Ask how and where to save a volume, beginning with the active one."""
        active = self.window.session.active
        self.ask_save(active.id if active else "")

    def ask_save(self, layer_id: str) -> None:
        """Ask how and where to save a volume."""
        dialog = SaveVolume(self.window.session.layers, layer_id, self.window)
        if dialog.exec() != SaveVolume.DialogCode.Accepted:
            return
        layer = dialog.layer
        stem = (
            f"{layer.kind}-{layer.modality}" if layer.kind is not Kind.REAL else layer.modality
        ) or "volume"
        chosen, _ = QFileDialog.getSaveFileName(
            self.window, "Save volume", str(Path(self.folder) / (stem + dialog.suffix))
        )
        if chosen:
            path = Path(chosen)
            if not path.name.lower().endswith(dialog.suffix):
                path = path.with_name(path.name + dialog.suffix)
            self.folder = str(path.parent)
            self.window.saver.save_volume(layer, path, dialog.grid, lambda _: None)

    def ask_screenshot(self) -> None:
        """Ask where to save a picture of the viewers."""
        image = self.window.area.render_image()
        chosen, _ = QFileDialog.getSaveFileName(
            self.window, "Save screenshot", str(Path(self.folder) / "view.png"), "PNG (*.png)"
        )
        if chosen:
            path = Path(chosen)
            path = path if path.suffix.lower() == ".png" else path.with_name(path.name + ".png")
            self.folder = str(path.parent)
            self.save_picture(image, path)

    def save_picture(self, image: QImage, path: Path) -> None:
        """Write a picture of the viewers, with its marks also in the file's text."""
        window = self.window
        made = any(x.made_by_model for x in window.session.layers)
        marked = with_footer(image, made)

        def work() -> Path:
            with replacing(path) as part:
                if not marked.save(str(part)):
                    raise ProjectError(
                        f"{path.name}: the picture could not be written. Choose a folder you may "
                        "write to, with free space."
                    )
            return path

        window.jobs.submit(
            f"Saving {path.name}",
            work,
            lambda written: window.notes.info(f"Saved {written.name}."),
            window.notes.error,
        )

    def save_project(self) -> None:
        """Save where the project lies, or ask."""
        if self.window.projects.path is None:
            self.ask_save_project()
        else:
            self.window.projects.save(self.window.projects.path)

    def ask_save_project(self) -> None:
        """Ask where to save the project."""
        first = str(Path(self.folder) / f"case{PROJECT_SUFFIX}")
        chosen, _ = QFileDialog.getSaveFileName(self.window, "Save project", first, PROJECT_FILTER)
        if chosen:
            path = Path(chosen)
            if not path.name.endswith(PROJECT_SUFFIX):
                path = path.with_name(path.name.removesuffix(".json") + PROJECT_SUFFIX)
            self.folder = str(path.parent)
            self.window.projects.save(path)

    # ---- inside

    def _modalities(self) -> tuple[str, ...]:
        bundle = self.window.synthesiser.bundle
        return tuple(bundle.config.modalities) if bundle else ()

    def _open(self, paths: list[Path]) -> None:
        if paths:
            self.folder = str(paths[0].parent)
            self.window.opener.open(paths)

    def _missing(self, entry: Entry, found: Callable[[Path], None]) -> None:
        what = entry.modality or "volume"
        self.window.notes.error(
            f"{entry.path.name}: the project's {what} is not where it was. Say where it is now, "
            "or go on without it.",
            [Action("Locate…", partial(self._locate, entry, found))],
        )

    def _locate(self, entry: Entry, found: Callable[[Path], None]) -> None:
        title = f"Where is {entry.path.name} now?"
        if entry.series:
            chosen = QFileDialog.getExistingDirectory(self.window, title, self.folder)
        else:
            chosen, _ = QFileDialog.getOpenFileName(self.window, title, self.folder, VOLUME_FILTER)
        if chosen:
            found(Path(chosen))


def with_footer(image: QImage, made_by_model: bool) -> QImage:
    """Return a picture with its marks in the file's text fields too.

    Panes that show a model's work carry their mark already; when the case holds any, a strip under
    the picture says so as well, so that no crop of whole panes goes without.
    """
    marked = image.copy()
    marked.setText("Software", "MHVAE Studio")
    if not made_by_model:
        return marked
    marked.setText("Description", NOTICE)
    ratio = image.devicePixelRatio()
    strip = round(22 * ratio)
    taller = QImage(image.width(), image.height() + strip, QImage.Format.Format_RGB32)
    taller.setDevicePixelRatio(ratio)
    taller.fill("#000000")
    painter = QPainter(taller)
    painter.drawImage(0, 0, marked)
    painter.setPen("#ff9114")
    top = image.height() / ratio
    painter.drawText(8, round(top + 15), NOTICE)
    painter.end()
    for key in marked.textKeys():
        taller.setText(key, marked.text(key))
    return taller
