"""A run's curves for other programs: a CSV, and event files for TensorBoard."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from core.files import write_text
from trainer.errors import TrainerError
from trainer.run.events import read_events

CSV, BOARD = "curves.csv", "tensorboard"
"""What they are called, beside the run's log."""
KINDS = {"step": "train", "validation": "validation"}
"""Event → what stands in front of its curves' names."""
_NO_CURVES = {"v", "attempt", "time", "event", "step", "part", "seconds_left"}


@dataclass(frozen=True)
class Point:
    """The numbers of one line of the log.

    Attributes:
        step: optimiser steps done.
        time: when it was written, seconds since the epoch.
        values: curve → value.
    """

    step: int
    time: float
    values: Mapping[str, float]


def point_of(event: Mapping[str, Any]) -> Point | None:
    """Return the numbers of an event; None for one that is part of no curve."""
    kind = KINDS.get(str(event.get("event")))
    if kind is None:
        return None
    values = {
        f"{kind}/{name}": float(value)
        for name, value in event.items()
        if name not in _NO_CURVES and isinstance(value, int | float) and not isinstance(value, bool)
    }
    return Point(int(event["step"]), float(event["time"]), values)


def curves(run: Path) -> list[Point]:
    """Return all points of a run, in the order in which they were written."""
    return [point for event in read_events(run) if (point := point_of(event)) is not None]


def write_csv(run: Path) -> Path:
    """Write ``curves.csv``: a row per line of the log, a column per curve, empty where it has none.

    Raises:
        OSError: it cannot be written.
    """
    points = curves(run)
    names = sorted({name for point in points for name in point.values})
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["step", "time", *names])
    for point in points:
        row = [point.values.get(name, "") for name in names]
        table.writerow([point.step, f"{point.time:.3f}", *row])
    write_text(run / CSV, text.getvalue())
    return run / CSV


def board_name(name: str) -> str:
    """Return a curve's name in letters that TensorBoard keeps: ``iUS+T2>T2``: iUS-and-T2-to-T2."""
    return name.replace("+", "-and-").replace(">", "-to-")


class TensorBoard:
    """Writes event files into ``run/tensorboard`` while a run goes on.

    Args:
        run: the run's folder.
        step: where the run stands; what an earlier attempt wrote beyond it is taken back.

    Raises:
        TrainerError: tensorboardX is not installed.
    """

    def __init__(self, run: Path, step: int = 0) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise TrainerError(
                "Event files for TensorBoard need the package tensorboardX, which is not "
                "installed. Install it with pip install 'mhvae-studio[tensorboard]', or set "
                "log.tensorboard to false."
            ) from error
        self._writer = SummaryWriter(str(run / BOARD), purge_step=step or None, flush_secs=30)

    def __enter__(self) -> TensorBoard:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def add(self, point: Point) -> None:
        """Write the numbers of one line of the log."""
        for name, value in point.values.items():
            name = board_name(name)
            self._writer.add_scalar(name, value, point.step, walltime=point.time)

    def close(self) -> None:
        """Write what is held back."""
        self._writer.close()


def write_tensorboard(run: Path) -> Path:
    """Write the event files of a whole run anew.

    Raises:
        TrainerError: tensorboardX is not installed.
        OSError: they cannot be written.
    """
    shutil.rmtree(run / BOARD, ignore_errors=True)
    with TensorBoard(run) as board:
        for point in curves(run):
            board.add(point)
    return run / BOARD
