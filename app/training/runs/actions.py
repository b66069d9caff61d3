"""What a user can do to a run: ask first where something would be lost, then do it."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFileDialog, QInputDialog, QMessageBox, QWidget

from app.processes.jobs import Jobs
from app.training.runs import launch
from app.training.runs.export import export_run
from core.errors import UserError
from trainer.cohort.listing import is_csv
from trainer.run.folder import RunFolder, ask, discard, lock_owner


class RunActions(QObject):
    """The commands of the runs window.

    Args:
        jobs: threads for what takes long.
        widget: parent of questions.
    """

    reported = Signal(str)
    """A sentence about what was done."""
    failed = Signal(str)
    """A sentence about what was not."""
    changed = Signal()
    """A run changed: look again."""

    def __init__(self, jobs: Jobs, widget: QWidget) -> None:
        super().__init__(widget)
        self.jobs, self.widget = jobs, widget

    def pause(self, run: Path) -> None:
        """Ask a run to save and stop after its current step."""
        if self._ask(run, "pause"):
            self.reported.emit(f"{run.name} pauses after the step it is doing.")

    def finish(self, run: Path) -> bool:
        """Ask a run to save, validate and deliver its model now; tell whether it was asked."""
        asked = self._ask(run, "finish")
        if asked:
            self.reported.emit(f"{run.name} finishes: it saves its model, then it is evaluated.")
        return asked

    def resume(self, run: Path) -> None:
        """Continue a run from its last checkpoint; ask for its cases where they were moved."""
        try:
            cohort = Path(RunFolder.open(run).plan().cohort)
            settings: dict[str, str] = {}
            if not cohort.exists():
                found = self._ask_cohort(run, cohort)
                if found is None:
                    self.failed.emit(
                        f"{run.name} was not resumed: its cases are not at {cohort} any more."
                    )
                    return
                settings["cohort"] = str(found)
            launch.resume(run, settings)
        except UserError as error:
            self.failed.emit(str(error))
        else:
            self.reported.emit(f"{run.name} goes on in a process of its own.")
        self.changed.emit()

    def discard(self, run: Path) -> None:
        """Stop a run and delete it, once its name was typed."""
        text, given = QInputDialog.getText(
            self.widget,
            "Discard the run",
            f"This stops {run.name} and deletes its checkpoints, curves and model. It cannot be "
            f"undone.\nType the run's name to discard it:",
        )
        if not given:
            return
        if text.strip() != run.name:
            self.failed.emit(f"The name did not match; {run.name} was kept.")
            return
        if lock_owner(run) is not None:
            if self._ask(run, "discard"):
                self.reported.emit(f"{run.name} is deleted after the step it is doing.")
        else:
            self._delete(run)

    def delete(self, run: Path) -> None:
        """Delete a run nobody is training, after a question."""
        answer = QMessageBox.question(
            self.widget,
            "Delete the run",
            f"Delete {run.name} with its checkpoints, curves and report?\nModels that were put "
            "into the model list stay. This cannot be undone.",
            QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.No,
            QMessageBox.StandardButton.No,
        )
        if answer == QMessageBox.StandardButton.Yes:
            self._delete(run)

    def export(self, run: Path) -> None:
        """Ask where to, and write the run as a zip without names and paths."""
        chosen, _ = QFileDialog.getSaveFileName(
            self.widget, "Export the run", f"{run.name}.zip", "Zip archive (*.zip)"
        )
        if not chosen:
            return
        place = Path(chosen)
        place = place if place.suffix.lower() == ".zip" else place.with_name(place.name + ".zip")
        self.jobs.submit(
            f"Exporting {run.name}",
            lambda: export_run(run, place),
            lambda _: self.reported.emit(
                f"Exported {place.name}: plan, log, previews, report and model, without case names "
                "and paths; checkpoints, notes and the split stay here."
            ),
            self.failed.emit,
        )

    def open_folder(self, run: Path) -> None:
        """Show the run's folder in the system's file manager."""
        self.open_file(run)

    def open_file(self, path: Path) -> None:
        """Open a file or folder with the program the system has for it."""
        if not QDesktopServices.openUrl(QUrl.fromLocalFile(str(path))):
            self.failed.emit(f"The system has no program to open {path.name} with.")

    # ---- inside

    def _ask_cohort(self, run: Path, cohort: Path) -> Path | None:
        """Ask where a run's cases are now; return None when nobody says."""
        csv = is_csv(cohort)
        answer = QMessageBox.question(
            self.widget,
            "Where are the cases?",
            f"{run.name} was trained on {cohort}, which is not there any more. Were the cases "
            f"moved? Choose the {'CSV file' if csv else 'folder'} as it is now; the run "
            "goes on only if it holds its cases.",
            QMessageBox.StandardButton.Open | QMessageBox.StandardButton.Cancel,
        )
        if answer != QMessageBox.StandardButton.Open:
            return None
        title = f"The cases of {run.name}"
        if csv:
            chosen, _ = QFileDialog.getOpenFileName(self.widget, title, "", "CSV (*.csv)")
        else:
            chosen = QFileDialog.getExistingDirectory(self.widget, title)
        return Path(chosen) if chosen else None

    def _ask(self, run: Path, word: str) -> bool:
        try:
            if lock_owner(run) is None:
                raise UserError(f"{run.name} is not being trained now; nothing was asked of it.")
            ask(run, word)
        except (UserError, OSError) as error:
            self.failed.emit(str(error))
            return False
        return True

    def _delete(self, run: Path) -> None:
        def done(_: None) -> None:
            self.reported.emit(f"{run.name} was deleted.")
            self.changed.emit()

        self.jobs.submit(f"Deleting {run.name}", lambda: discard(run), done, self.failed.emit)
