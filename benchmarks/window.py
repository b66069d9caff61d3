"""The window's figures: start to painted, to a volume shown, memory, stalls, the first tile.

    python benchmarks/window.py [T2.nii.gz] [--model FILE] [--repeats 5] [--napari-python PATH]

Each start is a process of its own; the clock begins before it is spawned. Without a file a random
volume of 256 x 256 x 192 voxels is used. Needs a screen (Xvfb and a window manager will do).
Napari runs on the same display with the Python given (one that has napari installed), opens a
window of the same size and shows the same volume. The run needs a model: the first known one
unless one is named.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

SIZE = (1440, 900)
TICK_MS = 5
WATCH_S = 20.0

NAPARI = """
import os, sys, time
begin = float(os.environ["BENCH_T0"])
import napari, psutil
from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QApplication
viewer = napari.Viewer(show=True)
viewer.window.resize({w}, {h})
app = QApplication.instance()
app.processEvents()
painted = time.time() - begin
import nibabel, numpy as np
image = nibabel.load(sys.argv[1])
viewer.add_image(np.asarray(image.dataobj, dtype=np.float32))
app.processEvents()
shown = time.time() - begin
time.sleep(0.3)
print("RESULT", painted, shown, psutil.Process().memory_info().rss / 1e6)
"""


def child(path: str, model: str, run: bool) -> None:
    """Open the window on a file; print what was measured as JSON."""
    begin = float(os.environ["BENCH_T0"])
    from PySide6.QtCore import QEvent, QObject, QTimer
    from PySide6.QtWidgets import QApplication

    from app.shell.window import MainWindow
    from app.state.settings import Settings

    found: dict[str, Any] = {}
    app = QApplication(sys.argv[:1])
    window = MainWindow(Settings(Path(os.environ["BENCH_SETTINGS"])))
    window.resize(*SIZE)
    window.open_when_shown([Path(path)])

    class Painted(QObject):
        """Notices the first paint of the viewers."""

        def eventFilter(self, watched: QObject, event: QEvent) -> bool:
            if event.type() == QEvent.Type.Paint and "shown_s" not in found:
                QTimer.singleShot(0, self, self.after)
            return False

        def after(self) -> None:
            if "shown_s" not in found:
                found["shown_s"] = time.time() - begin
                QTimer.singleShot(6000 if not run else 500, self, measure)

    watcher = Painted()
    window.painted.connect(lambda: found.__setitem__("painted_s", time.time() - begin))
    window.viewers.installEventFilter(watcher)

    def measure() -> None:
        import psutil

        found["idle_mb"] = psutil.Process().memory_info().rss / 1e6
        found["torch"] = "torch" in sys.modules
        if run:
            synthesis(window, model, found, app.quit)
        else:
            app.quit()

    window.show()
    app.exec()
    window.close()
    print("RESULT", json.dumps(found))


def synthesis(window: Any, model: str, found: dict[str, Any], done: Any) -> None:
    """Run the model; note first tile, first slice, stalls of the event loop and the cancel."""
    from PySide6.QtCore import QTimer

    it, session = window.synthesis, window.context.session
    if model:
        window.files.opener.open([Path(model)])
    ticks: list[float] = []
    clock = QTimer(window, interval=TICK_MS)
    clock.timeout.connect(lambda: ticks.append(time.perf_counter()))
    state: dict[str, float] = {}
    tiles: list[int] = []

    def touched(_: str, region: Any) -> None:
        spans = [s.stop - s.start for s in region]
        axis = spans.index(1) if 1 in spans else 2
        tiles.append(region[axis].start)
        now = time.perf_counter() - state["begin"]
        if "first_tile_s" not in found:
            # Painted in the same turn of the loop as it is announced.
            QTimer.singleShot(0, window, lambda: found.setdefault("first_tile_s", now))
        if tiles[-1] != tiles[0] and "first_slice_s" not in found:
            found["first_slice_s"] = now

    def stop() -> None:
        gaps = [1000 * (b - a) for a, b in pairwise(ticks)]
        clock.stop()
        found["stall_p99_ms"] = statistics.quantiles(gaps, n=100)[98] if len(gaps) > 100 else 0.0
        found["stall_max_ms"] = max(gaps, default=0.0)
        if it.running:
            state["cancel"] = time.perf_counter()
            it.running_changed.connect(
                lambda on: on or found.setdefault("cancel_s", time.perf_counter() - state["cancel"])
            )
            it.cancel()
        QTimer.singleShot(2500, window, done)

    def begin() -> None:
        session.voxels_touched.connect(touched)
        clock.start()
        state["begin"] = time.perf_counter()
        it.run()
        QTimer.singleShot(round(1000 * WATCH_S), window, stop)

    def ready() -> None:
        # Warm: the preflight has loaded the model and laid the volume out, as it does for users.
        estimate = it.cost.latest
        if estimate is not None and not isinstance(estimate, str):
            begin()
        elif time.perf_counter() - state["asked"] > 300:
            found["error"] = str(estimate)
            done()
        else:
            QTimer.singleShot(200, window, ready)

    state["asked"] = time.perf_counter()
    ready()


def spawn(command: list[str], settings: str) -> str:
    """Run a process whose clock has started; return its result line."""
    environment = {**os.environ, "BENCH_T0": repr(time.time()), "BENCH_SETTINGS": settings}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=600, check=False, env=environment
    )
    lines = [x for x in done.stdout.splitlines() if x.startswith("RESULT ")]
    if not lines:
        raise SystemExit(done.stderr[-2000:] or "the process said nothing")
    return lines[-1].removeprefix("RESULT ")


def random_volume(folder: Path) -> Path:
    """Write a volume of the size of a head MRI."""
    import numpy as np

    from core.grid import Grid
    from core.io import write
    from core.volume import Volume

    voxels = np.random.default_rng(0).gamma(2.0, 50.0, (256, 256, 192)).astype(np.float32)
    grid = Grid((256, 256, 192), np.diag([0.977, 0.977, 1.0, 1.0]))
    return Path(write(Volume(np.rint(voxels), grid, "T2", "random"), folder / "T2.nii.gz"))


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("volume", nargs="?", default="")
    parser.add_argument("--model", default="")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--napari-python", default="")
    parser.add_argument("--no-run", action="store_true", help="leave the synthesis out")
    parser.add_argument("--child", choices=("start", "run"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.volume, args.model, args.child == "run")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = args.volume or str(random_volume(folder))
        me = [sys.executable, __file__, path]
        starts = []
        for n in range(args.repeats):
            text = spawn([*me, "--child", "start"], str(folder / f"{n}.ini"))
            starts.append(json.loads(text))
        ours = {key: statistics.median(s[key] for s in starts) for key in starts[0]}
        print(f"window painted     {ours['painted_s']:.2f} s")
        print(f"volume shown       {ours['shown_s']:.2f} s")
        print(f"idle, own process  {ours['idle_mb']:.0f} MB; torch imported: {starts[0]['torch']}")
        if args.napari_python:
            script = NAPARI.format(w=SIZE[0], h=SIZE[1])
            theirs = []
            for _ in range(args.repeats):
                text = spawn([args.napari_python, "-c", script, path], "")
                theirs.append([float(v) for v in text.split()])
            painted, shown, memory = (statistics.median(v) for v in zip(*theirs, strict=True))
            print(f"napari             {painted:.2f} s, {shown:.2f} s, {memory:.0f} MB")
            ratios = ours["painted_s"] / painted, ours["shown_s"] / shown
            print(f"ratios             painted {ratios[0]:.2f}, shown {ratios[1]:.2f}")
        if not args.no_run:
            model = ["--model", args.model] if args.model else []
            found = json.loads(spawn([*me, "--child", "run", *model], str(folder / "run.ini")))
            for key in (
                "first_tile_s",
                "first_slice_s",
                "cancel_s",
                "stall_p99_ms",
                "stall_max_ms",
                "error",
            ):
                if key in found:
                    value = found[key]
                    print(f"{key:<18} {value if isinstance(value, str) else round(value, 3)}")


if __name__ == "__main__":
    root = str(Path(__file__).resolve().parent.parent)
    sys.path.insert(0, root)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    main()
