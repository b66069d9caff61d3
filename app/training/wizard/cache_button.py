"""Empties the cache of prepared cases: says how much that frees, and asks."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QMessageBox, QPushButton, QWidget

from app.processes.jobs import Jobs
from trainer.cohort.cache_size import Prepared, empty, prepared_in
from trainer.run.registry import known_runs
from trainer.run.state import describe_run


class CacheButton(QPushButton):
    """One button; looking and deleting happen in a thread.

    Args:
        jobs: threads.
        parent: owner, over which the question appears.
    """

    told = Signal(str, bool)
    """A sentence on how it went, and whether that is bad."""

    def __init__(self, jobs: Jobs, parent: QWidget) -> None:
        super().__init__("Empty the cache…", parent)
        self.setToolTip("Deletes the prepared cases after a question that says how much it frees")
        self._jobs = jobs
        self._job = -1
        self.cache: Path | None = None
        self.clicked.connect(self._look)
        self.show_cache("")

    def show_cache(self, cache: str) -> None:
        """Offer to empty a folder; nothing without one."""
        self.cache = Path(cache) if cache else None
        self.setEnabled(self.cache is not None)

    def leave(self) -> None:
        """Forget what is under way; nothing more is heard of it."""
        self._jobs.drop(self._job)
        self.setEnabled(self.cache is not None)

    # ---- inside

    def _look(self) -> None:
        cache = self.cache
        if cache is None:
            return
        self.setEnabled(False)
        self._job = self._jobs.submit(
            "Looking at prepared cases",
            lambda: (_training(), prepared_in(cache)),
            lambda found: self._ask(cache, *found),
            self._failed,
        )

    def _ask(self, cache: Path, training: str, there: Prepared) -> None:
        self.setEnabled(True)
        if training:
            self._failed(
                f"{training} is being trained and may read prepared cases. Empty the cache when it "
                "has ended."
            )
            return
        if not there.size:
            self.told.emit(f"{cache} holds no prepared cases; there is nothing to free.", False)
            return
        answer = QMessageBox.question(
            self,
            "Empty the cache",
            f"{size_of(there.size)} are freed: {there.cases} prepared cases in {cache}. The images "
            "themselves stay. The next check, estimate or training prepares the cases again, and a "
            "paused run does when it is resumed.\n\nDelete them?",
            QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.No,
            QMessageBox.StandardButton.No,
        )
        if answer != QMessageBox.StandardButton.Yes:
            return
        self.setEnabled(False)
        self._job = self._jobs.submit(
            "Emptying the cache", lambda: empty(cache), self._done, self._failed
        )

    def _done(self, freed: int) -> None:
        self.setEnabled(True)
        self.told.emit(
            f"{size_of(freed)} were freed. Estimate again to see how long preparing takes.",
            False,
        )

    def _failed(self, sentence: str) -> None:
        self.setEnabled(True)
        self.told.emit(sentence, True)


def _training() -> str:
    """Return the name of a run that is being trained now; empty when none is."""
    runs = (describe_run(path) for path in known_runs())
    return next((run.path.name for run in runs if run.alive), "")


def size_of(size: float) -> str:
    """Return bytes as people say them."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"
