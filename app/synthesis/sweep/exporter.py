"""Writes a synthesised sweep in a thread; it can be followed and stopped."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PySide6.QtCore import QObject, Signal

from app.processes.progress import Stage
from app.shared.context import Context
from app.state.record import Result
from app.state.values import Kind, Layer
from core.errors import Cancelled
from core.synthesis.sweep_plan import SweepPlan
from core.volume import Volume, VolumeError

PART = ".part"
"""Ends the name of a folder that is being filled."""


class SweepExporter(QObject):
    """One export at a time.

    Args:
        context: the ways to work and speak.
    """

    stage_changed = Signal(object)
    """:class:`Stage`; without a name when nothing is written."""
    _stepped = Signal(str, int, int)

    def __init__(self, context: Context) -> None:
        super().__init__(context.session)
        self._context = context
        self._stop: threading.Event | None = None
        self._stepped.connect(self._say)

    @property
    def running(self) -> bool:
        """Whether something is written."""
        return self._stop is not None

    def export(self, result: Result, labels: Layer | None, folder: Path) -> None:
        """Write a sweep into a new or empty folder, which is there only when it is whole.

        Args:
            result: of a virtual sweep, whole.
            labels: a label map to carry along, or None.
            folder: target.
        """
        session, messages = self._context.session, self._context.messages
        row = session.results.row(result, Kind.SYNTHETIC)
        if self.running or row is None:
            return
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            messages.error(
                f"{folder.name}: expected a new or empty folder for the sweep; it holds files. "
                "Choose another name."
            )
            return
        volume, field, marks = row.volume, row.field_of_view, dict(session.results.marks(row))
        table = None if labels is None else (labels.volume, labels.name)
        self._stop = stop = threading.Event()

        def work() -> Path | None:
            return _write(volume, field, marks, table, folder, self._stepped.emit, stop.is_set)

        def done(written: Path | None) -> None:
            self._end()
            if written is not None:
                frames = sum(len(s.offsets) for s in SweepPlan.from_dict(result.probe).laid())
                messages.info(
                    f"Exported the sweep to {written.name}: {frames} frames. Research use only."
                )

        def failed(sentence: str) -> None:
            self._end()
            messages.error(sentence)

        self._context.jobs.submit(f"Exporting {folder.name}", work, done, failed)
        self._say("exporting", 0, 0)

    def cancel(self) -> None:
        """Stop; nothing is left of the export."""
        if self._stop is not None:
            self._stop.set()

    # ---- inside

    def _say(self, what: str, done: int, total: int) -> None:
        if self.running:
            self.stage_changed.emit(Stage(what, done, total))

    def _end(self) -> None:
        self._stop = None
        self.stage_changed.emit(Stage(""))


def _write(
    volume: Volume,
    inside: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] | None,
    marks: dict[str, object],
    table: tuple[Volume, str] | None,
    folder: Path,
    progress: Callable[[str, int, int], None],
    stopped: Callable[[], bool],
) -> Path | None:
    """Write beside the target and move it there; None when it was stopped."""
    from core.synthesis.sweep_export import Watched, cut_out, export_sweep, labels_in

    shown = volume.voxels != 0 if inside is None else inside
    mask = Volume(shown.astype(np.float32), volume.grid, "", "field of view of the sweep")
    cut, field = cut_out(volume, mask)
    labels = None if table is None else labels_in(table[0], field, table[1])
    part = folder.with_name(folder.name + PART)
    plan = SweepPlan.from_dict(marks["probe"])  # type: ignore[arg-type]
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        watched = Watched(progress, stopped)
        export_sweep(plan, cut, part, marks=marks, labels=labels, watched=watched)
        if folder.is_dir():
            folder.rmdir()
        part.rename(folder)
    except Cancelled:
        shutil.rmtree(part, ignore_errors=True)
        return None
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise VolumeError(
            f"{folder.name}: the sweep could not be written there ({error.strerror}). Expected a "
            "folder you may write to, with room in it; choose another."
        ) from error
    except VolumeError:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return folder
