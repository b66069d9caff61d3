"""Makes the pictures of README and guide: the real window, the demo case, a real synthesis.

``python docs/pictures.py [MODEL]`` needs a screen (or Xvfb) of at least 1500 x 950 pixels.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QEventLoop, QPointF, Qt, QTimer
from PySide6.QtWidgets import QApplication

from app.files.import_table import ImportTable
from app.shell.window import MainWindow
from app.state.settings import Settings
from app.state.values import Compare, Kind, Layout
from core.assets import DEMO_CASE
from core.io import read

IMAGES = Path(__file__).parent / "images"
PATIENCE_S = 3600
WIDTH = 1100


def wait(milliseconds: int) -> None:
    """Let the window work."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def until(what: str, done: Callable[[], bool]) -> None:
    """Let the window work until something is so."""
    end = time.monotonic() + PATIENCE_S
    while not done():
        if time.monotonic() > end:
            raise SystemExit(f"gave up waiting: {what}")
        wait(100)
    wait(800)


def keep_window(window: MainWindow, name: str) -> None:
    """Keep a picture of the whole window."""
    wait(500)
    smooth = Qt.TransformationMode.SmoothTransformation
    picture = window.grab().toImage().scaledToWidth(WIDTH, smooth)
    picture.save(str(IMAGES / f"{name}.png"))


def simulated_study(folder: Path) -> Path:
    """Write the demo case as a study: DICOM series, one of them faulty, and an ultrasound."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    from dicom_factory import write_series

    t2 = read(next(DEMO_CASE.glob("*T2.nii*"))).canonical()
    slices = np.clip(t2.voxels, 0, 32767).astype(np.int16)[::-1, ::-1].transpose(2, 1, 0)
    count = len(slices)
    each = {n: {"pixels": plane} for n, plane in enumerate(slices)}
    sides = [float(s) for s in t2.grid.spacing]
    common: dict[str, Any] = {
        "count": count, "each": each, "spacing": (sides[1], sides[0]), "step": (0, 0, sides[2]),
        "RepetitionTime": 3200, "EchoTime": 95,
    }  # fmt: skip
    scout = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    middle = [n for n in range(count) if abs(n - count // 2) > 3]
    for number, name, more in (
        (1, "scout", {"ImageType": scout, "drop": middle}),
        (2, "t2_space_ax", {}),
        (3, "ax", {"drop": [count // 2]}),
        (4, "t2_space_ax again", {}),
    ):
        about: dict[str, Any] = {"SeriesNumber": number, "SeriesDescription": name, **more}
        write_series(folder / f"SE{number:03d}", **common, **about)
    shutil.copyfile(next(DEMO_CASE.glob("*iUS.nii*")), folder / "iUS.nii.gz")
    return folder


def import_table(window: MainWindow, study: Path) -> None:
    """Keep a picture of the import table."""
    window.files.opener.open([study])
    until(
        "the import table",
        lambda: bool(window.files.importer.rows) and not window.context.jobs.busy,
    )
    table = window.findChildren(ImportTable)[0]
    table.resize(1000, 360)
    wait(800)
    table.grab().save(str(IMAGES / "import.png"))
    window.files.importer.dismiss()


def main(model: str = "") -> None:
    """Drive the window and keep what it shows."""
    app = QApplication(sys.argv[:1])
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        window = MainWindow(Settings(Path(folder) / "settings.ini"))
        window.resize(1440, 900)
        window.show()

        keep = partial(keep_window, window)
        until("the engine", lambda: window.context.engine.state == "ready")
        keep("start")
        session, it = window.context.session, window.synthesis
        import_table(window, simulated_study(Path(folder) / "study"))
        if model:
            window.files.opener.open([Path(model)])
        window.files.opener.open([DEMO_CASE])
        until("the demo case", lambda: len(session.layers) >= 2 and not window.context.jobs.busy)
        keep("planes")
        truth = session.find(Kind.REAL, "iUS")
        assert truth is not None
        session.synthesis.set_form(temperature=0.7, samples=2)
        window.panels.case.rows[truth.id].available.click()
        until("the first tiles", lambda: it.running and len(session.layers) >= 4)
        wait(3000)
        keep("running")
        until("the synthesis", lambda: "iUS" in session.results.by_target)
        window.message_bar.clear()
        session.set_display(layout=Layout.COLUMNS)
        keep("columns")
        session.set_display(layout=Layout.GRID)
        keep("grid")
        session.set_display(layout=Layout.PLANES)
        session.set_active(truth.id)
        for mode in Compare:
            if mode not in (Compare.OFF, Compare.FLICKER):
                session.set_display(compare=mode)
                if mode is Compare.REVEAL:
                    window.viewers._move_pointer(QPointF(window.viewers.panes[0].rect.center()))
                keep(f"compare-{mode}")
        session.set_display(compare=Compare.OFF, layout=Layout.COLUMNS)
        window.docks.experts.raise_()
        until("the experts", lambda: window.panels.experts.shares is not None)
        keep("experts")
        window.commands.run("look_dark")
        keep("dark")
        window.commands.run("look_system")
        window.help.show_keys()
        wait(800)
        sheet = app.activeWindow() or app.topLevelWidgets()[-1]
        sheet.grab().save(str(IMAGES / "keys.png"))
        sheet.close()
        session.clear()  # or it would be asked for
        window.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
