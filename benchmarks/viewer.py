"""Time from a slice change to its paint: three planes, twelve panes; napari's one plane beside it.

    python benchmarks/viewer.py [T2.nii.gz] [--napari-python PATH] [--steps 60]

Without a file a random volume of 256 x 256 x 192 voxels is used. Napari runs in a process of its
own, with the Python given (one that has napari installed), on the same display.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication

from app.state.session import Session
from app.state.values import Kind, Layout
from app.viewer.area import ViewerArea
from core.grid import Grid
from core.volume import Volume

SIZE = (1200, 800)

NAPARI = """
import sys, time, numpy as np, napari
from qtpy.QtWidgets import QApplication
voxels = np.load(sys.argv[1])
viewer = napari.Viewer(show=True)
viewer.window.resize({w}, {h})
viewer.add_image(voxels)
app = QApplication.instance()
canvas = viewer.window._qt_viewer.canvas.native
for _ in range(20):
    app.processEvents(); time.sleep(0.02)
times = []
for n in range({steps}):
    begin = time.perf_counter()
    viewer.dims.set_current_step(0, voxels.shape[0] // 2 - {steps} // 2 + n)
    app.processEvents()
    canvas.repaint() if hasattr(canvas, "repaint") else None
    app.processEvents()
    times.append(1000 * (time.perf_counter() - begin))
print("RESULT", np.median(times), np.percentile(times, 99))
"""


def volume(path: Path | None) -> Volume:
    if path is not None:
        from core.io import read

        return read(path)
    rng = np.random.default_rng(0)
    voxels = rng.gamma(2.0, 50.0, (256, 256, 192)).astype(np.float32)
    return Volume(voxels, Grid((256, 256, 192), np.diag([0.977, 0.977, 1.0, 1.0])), "T2", "random")


def fill(session: Session, real: Volume) -> None:
    """Add real, synthetic, difference and σ of one grid, as after a synthesis."""
    session.add_layer(real)
    made = Volume(real.voxels * np.float32(0.95), real.grid, real.modality, "made", True)
    gap = Volume(made.voxels - real.voxels, real.grid, real.modality, "made", True)
    spread = Volume(np.abs(gap.voxels), real.grid, real.modality, "made", True)
    session.add_layer(made)
    session.add_layer(gap, Kind.DIFFERENCE)
    session.add_layer(spread, Kind.SIGMA)


def wheel(area: ViewerArea, at: QPointF, notches: int) -> None:
    event = QWheelEvent(
        at,
        area.mapToGlobal(at),
        QPoint(),
        QPoint(0, 120 * notches),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(area, event)


def measure(area: ViewerArea, steps: int, *, all_planes: bool) -> list[float]:
    """Return ms per change, event to painted.

    One wheel notch in the first pane; with ``all_planes`` the cursor moves along all three axes,
    so every pane shows new voxels (a crosshair drag along a diagonal does the same).
    """
    session, app = area.session, QApplication.instance()
    assert app is not None
    frame = area.scene.frame
    assert frame is not None
    session.reset()
    app.processEvents()
    times = []
    for n in range(steps):
        way = 1 if n < steps / 2 else -1
        begin = time.perf_counter()
        if all_planes:
            session.set_cursor(session.cursor + frame.axes @ (way * frame.steps))
        else:
            wheel(area, QPointF(area.panes[0].rect.center()), way)
        app.processEvents()
        times.append(1000 * (time.perf_counter() - begin))
    return times


def napari(python: str, real: Volume, steps: int, folder: Path) -> tuple[float, float] | None:
    file = folder / "napari_volume.npy"
    np.save(file, np.ascontiguousarray(real.canonical().voxels.transpose(2, 1, 0)))
    code = NAPARI.format(w=SIZE[0], h=SIZE[1], steps=steps)
    done = subprocess.run(
        [python, "-c", code, str(file)], capture_output=True, text=True, check=False
    )
    file.unlink()
    for line in done.stdout.splitlines():
        if line.startswith("RESULT"):
            _, median, tail = line.split()
            return float(median), float(tail)
    print("napari did not run:", done.stderr.strip().splitlines()[-1:])
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--napari-python", default="")
    parser.add_argument("--steps", type=int, default=60)
    options = parser.parse_args()
    real = volume(options.file)
    app = QApplication(sys.argv[:1])
    session = Session()
    area = ViewerArea(session)
    area.resize(*SIZE)
    area.show()
    fill(session, real)
    print(f"{'':34}{'median ms':>10}{'p99 ms':>10}")
    medians = {}
    for layout, label in ((Layout.PLANES, "three planes"), (Layout.GRID, "twelve panes")):
        session.set_display(layout=layout)
        for every in (False, True):
            times = measure(area, options.steps, all_planes=every)
            name = f"{label}, {'all planes change' if every else 'wheel in one plane'}"
            medians[name] = float(np.median(times))
            print(f"{name:34}{medians[name]:10.1f}{np.percentile(times, 99):10.1f}")
    area.close()
    app.processEvents()
    if options.napari_python:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            other = napari(options.napari_python, real, options.steps, Path(folder))
        if other is not None:
            print(f"{'napari, one plane':34}{other[0]:10.1f}{other[1]:10.1f}")
            for name, value in medians.items():
                print(f"{name:34}{value / other[0]:9.2f}x")


if __name__ == "__main__":
    main()
