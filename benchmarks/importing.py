"""How long a folder of 4,000 DICOM files takes to look through, and what the window feels of it.

``python benchmarks/importing.py SERIES`` copies a folder of one DICOM series under new identifiers
into a temporary folder, then searches it twice: alone, and from the window while a timer measures
how late the event loop is. Needs a screen, or ``QT_QPA_PLATFORM=offscreen``.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PySide6.QtCore import QEventLoop, Qt, QTimer
from PySide6.QtWidgets import QApplication

from app.shell.window import MainWindow
from app.state.settings import Settings
from core.io import survey

FILES = 4000
TICK_MS = 10


def copies(source: Path, folder: Path, count: int) -> None:
    """Write ``count`` slices: the series again and again, each time as a series of its own."""
    from pydicom import dcmread
    from pydicom.uid import generate_uid

    slices = [dcmread(path) for path in sorted(source.iterdir())]
    for n in range(count):
        turn, k = divmod(n, len(slices))
        ds = slices[k]
        if k == 0:
            uid = generate_uid()
            (folder / f"study{turn % 3}" / f"series{turn}").mkdir(parents=True)
        ds.SeriesInstanceUID, ds.SeriesNumber = uid, turn + 1
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        ds.save_as(folder / f"study{turn % 3}" / f"series{turn}" / f"{k:04d}.dcm")


def alone(folder: Path) -> None:
    """Search without a window."""
    wall, used = time.perf_counter(), time.process_time()
    found = survey([folder])
    files = sum(header.files for header in found)
    print(
        f"alone: {files} files in {len(found)} series, {time.process_time() - used:.1f} "
        f"processor seconds, {time.perf_counter() - wall:.1f} s"
    )


def in_the_window(folder: Path, settings: Path) -> None:
    """Search from the window, and measure the delays of its event loop, before and during."""
    app = QApplication(sys.argv[:1])
    window = MainWindow(Settings(settings), lambda: ["no-engine"])
    window.show()
    late: list[float] = []
    last = time.perf_counter()

    def tick() -> None:
        nonlocal last
        now = time.perf_counter()
        late.append(1000 * (now - last) - TICK_MS)
        last = now

    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.setInterval(TICK_MS)
    timer.timeout.connect(tick)

    def told(what: str) -> None:
        p99 = np.percentile(late[1:], 99)
        print(
            f"{what}: event loop late by {p99:.1f} ms at the 99th percentile, "
            f"{max(late[1:]):.0f} ms at most, of {len(late)} ticks"
        )
        late.clear()

    loop = QEventLoop()
    QTimer.singleShot(3000, loop.quit)
    loop.exec()
    timer.start()
    QTimer.singleShot(5000, loop.quit)
    loop.exec()
    told("window at rest")
    wall, used = time.perf_counter(), time.process_time()
    window.files.opener.open([folder])
    while window.files.importer.scanning:
        app.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)
    print(
        f"from the window: {time.process_time() - used:.1f} processor seconds, "
        f"{time.perf_counter() - wall:.1f} s"
    )
    told("while searching")
    window.close()


def main(source: str) -> None:
    """Make the folder, and measure."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "study"
        copies(Path(source), folder, FILES)
        alone(folder)
        in_the_window(folder, Path(scratch) / "settings.ini")


if __name__ == "__main__":
    main(sys.argv[1])
