"""A screen nobody looks at: starts Xvfb, and as a script waits until something is drawn on one.

``python tests/virtual_screen.py PICTURE window|images PATIENCE`` runs on the screen in ``DISPLAY``:
it prints the moment (``time.time()``) at which that was first seen, and saves the screen.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

SIZE = "1500x950x24"


@contextmanager
def virtual_screen() -> Iterator[str]:
    """Start Xvfb on a free number; yields the value for ``DISPLAY``."""
    server = shutil.which("Xvfb")
    if server is None:
        pytest.skip("Xvfb is not installed")
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [server, "-displayfd", str(writer), "-screen", "0", SIZE, "-nolisten", "tcp"],
        pass_fds=[writer],
        stderr=subprocess.DEVNULL,
    )
    os.close(writer)
    try:
        with os.fdopen(reader) as pipe:
            yield f":{int(pipe.readline())}"
    finally:
        process.terminate()
        process.wait()


def start_watching(display: str, picture: Path, what: str, patience: int) -> subprocess.Popen[str]:
    """Start this file as a script on a screen; returns once it is looking."""
    watcher = subprocess.Popen(
        [sys.executable, __file__, str(picture), what, str(patience)],
        env={**os.environ, "DISPLAY": display, "QT_QPA_PLATFORM": "xcb"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watcher.stdout is not None
    assert watcher.stdout.readline() == "looking\n"
    return watcher


def shows(pixels: NDArray[np.uint32], what: str) -> bool:
    """Tell whether a screen, (row, column) of 0x00RRGGBB, shows a window, or images in it.

    The screen is black until there is a window. An empty window has no black in its middle; images
    have some, beside a head or behind one.
    """
    height, width = pixels.shape
    middle = pixels[height // 10 : height * 3 // 4 : 3, width // 4 : width * 2 // 3 : 3]
    shades, black = np.unique(middle).size, float((middle == 0).mean())
    if what == "window":
        return black < 0.5
    return shades > 100 and 0.005 < black < 0.95


def _watch(picture: str, what: str, patience: float) -> int:
    from PySide6.QtGui import QGuiApplication, QImage

    app = QGuiApplication(sys.argv[:1])
    screen = app.primaryScreen()
    print("looking", flush=True)
    end = time.monotonic() + patience
    while True:
        shown = screen.grabWindow(0).toImage().convertToFormat(QImage.Format.Format_RGB32)
        now = time.time()
        pixels = np.frombuffer(shown.constBits(), np.uint32).reshape(shown.height(), -1)
        seen = shows(pixels & np.uint32(0xFFFFFF), what)
        if seen or time.monotonic() > end:
            shown.save(picture)
            print(now if seen else "never", flush=True)
            return 0 if seen else 1
        time.sleep(0.02)


if __name__ == "__main__":
    sys.exit(_watch(sys.argv[1], sys.argv[2], float(sys.argv[3])))
