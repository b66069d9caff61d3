"""A copy of unsaved work, kept while the window is open and offered when it ended without asking.

Every window has a folder of its own under the user's data. It holds a project file and the results
that are in no other file; both are moved into place whole, so a kill or a full disk at any moment
leaves the copy before. Closing the window, saving and discarding remove the folder.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, QTimer

from app.files.project import SUFFIX, Entry, ProjectError, load
from app.files.projects import Projects
from app.files.work import Work
from app.shared.context import Context
from app.state.messages import Action
from core.files import write_text

DELAY_MS = 1500
"""Changes in a row lead to one copy."""
COPY, OWNER = f"case{SUFFIX}", "owner.json"

Missing = Callable[[Entry, Callable[[Path], None]], None]


@dataclass(frozen=True)
class Found:
    """Unsaved work of a window that is gone.

    Attributes:
        folder: where it lies.
        when: seconds since the epoch.
        results: how many results it holds.
        project: the project file the case had, or None.
    """

    folder: Path
    when: float
    results: int
    project: Path | None

    @property
    def sentence(self) -> str:
        """What it is, for people."""
        what = f" with {self.results} result{'s' * (self.results != 1)}" if self.results else ""
        day = time.strftime("%d %B, %H:%M", time.localtime(self.when))
        return f"The program ended without saving ({day}). A copy of the case{what} was kept."


class Recovery(QObject):
    """Writes the copy in threads, and offers those it finds.

    Args:
        context: the case.
        projects: writes and opens.
        work: says when something changed, and whether anything would be lost.
    """

    def __init__(self, context: Context, projects: Projects, work: Work) -> None:
        super().__init__(context.session)
        self.context, self.projects, self.work = context, projects, work
        self.folder: Path | None = None
        self.found: list[Found] = []
        self._files: dict[str, Path] = {}
        self._writing = self._again = self._told = False
        self._timer = QTimer(self, singleShot=True, interval=DELAY_MS)
        self._timer.timeout.connect(self.write)
        work.touched.connect(self._timer.start)
        projects.settled.connect(self.discard)

    def write(self) -> None:
        """Bring the copy up to date, or remove it when nothing would be lost."""
        if self._writing:
            self._again = True
            return
        if not self.work.at_stake():
            self.discard()
            return
        self.folder = folder = self.folder or home() / f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        known = {**self.projects.files, **self._files}
        copy = self.projects.writing(folder / COPY, known, copy=True)
        import psutil  # not needed to show a window

        owner = json.dumps(
            {
                "pid": os.getpid(),
                "started": psutil.Process().create_time(),
                "project": str(self.projects.path or ""),
            }
        )

        def work() -> dict[str, Path]:
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_text(folder / OWNER, owner)
            except OSError as error:
                raise ProjectError(f"{error.strerror}.") from error
            return copy()[1]

        def done(files: dict[str, Path]) -> None:
            self._files, self._told = files, False
            ended()

        def failed(sentence: str) -> None:
            if not self._told:
                self.context.messages.warning(
                    f"The copy of your unsaved work could not be brought up to date: {sentence} "
                    "Save the project."
                )
            self._told = True
            ended()

        def ended() -> None:
            self._writing = False
            if self._again or not self.work.at_stake():
                self._again = False
                self._timer.start()

        self._writing = True
        self.context.jobs.submit("Keeping a copy of unsaved work", work, done, failed)

    def discard(self) -> None:
        """Remove the copy: everything is saved, or was given up."""
        self._timer.stop()
        if self._writing:
            self._again = True  # looked at again when the thread is done
            return
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder, self._files = None, {}

    def close(self) -> None:
        """The window closes in good order; what its threads still write is removed too."""
        self._timer.stop()
        self._writing = False
        self.discard()

    def look(self, missing: Missing) -> None:
        """Look for work of windows that are gone, in a thread, and offer it."""

        def offer(found: list[Found]) -> None:
            self.found = found
            for one in found:
                actions = [
                    Action("Restore", partial(self.restore, one, missing)),
                    Action("Delete the copy", partial(self._delete, one)),
                ]
                self.context.messages.warning(one.sentence, actions)

        context = self.context
        context.jobs.submit("Looking for unsaved work", left_behind, offer, context.messages.error)

    def restore(self, found: Found, missing: Missing) -> None:
        """Bring work back: the case is as it was, and still unsaved."""
        self.found = [f for f in self.found if f != found]
        self.discard()
        self.folder = found.folder

        def done() -> None:
            self._files = dict(self.projects.files)
            if found.project is not None:
                self.projects.set_path(found.project)
            self.work.touch()

        self.projects.open(found.folder / COPY, missing, recovered=done)

    def _delete(self, found: Found) -> None:
        self.found = [f for f in self.found if f != found]
        shutil.rmtree(found.folder, ignore_errors=True)


def home() -> Path:
    """Return the folder of all copies."""
    from platformdirs import user_data_path

    return user_data_path("mhvae-studio", appauthor=False) / "recovery"


def left_behind() -> list[Found]:
    """Return the copies whose windows are gone, the newest last; damaged ones are passed over."""
    found = []
    folders = home().iterdir() if home().is_dir() else ()
    for folder in folders:
        try:
            owner = json.loads((folder / OWNER).read_text(encoding="utf-8"))
            if _runs(int(owner["pid"]), float(owner["started"])):
                continue
            copy = folder / COPY
            project = Path(owner["project"]) if owner["project"] else None
            found.append(Found(folder, copy.stat().st_mtime, len(load(copy).results), project))
        except (OSError, ValueError, KeyError, TypeError, ProjectError):
            continue
    return sorted(found, key=lambda f: f.when)


def _runs(pid: int, started: float) -> bool:
    """Tell whether that very process runs; numbers of processes come again."""
    import psutil

    try:
        return abs(psutil.Process(pid).create_time() - started) < 2
    except psutil.Error:
        return False
