"""A file dragged from another program onto the real window, through the X server (XDND)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from shell_stage import FAKE, put

TOOLS = ("Xvfb", "openbox", "xdotool")
pytestmark = pytest.mark.skipif(
    not all(shutil.which(tool) for tool in TOOLS), reason=f"needs {', '.join(TOOLS)}"
)

WINDOW = """
import sys
from pathlib import Path
from PySide6.QtWidgets import QApplication
from app.state.settings import Settings
from app.shell.window import MainWindow
app = QApplication([])
window = MainWindow(Settings(Path(sys.argv[1])), lambda: sys.argv[2:])
session = window.context.session
window.files.opener.opened.connect(lambda i: print("OPENED", session.layer(i).name, flush=True))
window.painted.connect(lambda: print("PAINTED", flush=True))
window.setGeometry(300, 100, 900, 600)
window.show()
app.exec()
"""
SOURCE = """
import sys
from PySide6.QtCore import QMimeData, QUrl, Qt
from PySide6.QtGui import QDrag
from PySide6.QtWidgets import QApplication, QLabel
class Source(QLabel):
    def mouseMoveEvent(self, event):
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(sys.argv[1])])
        drag = QDrag(self)
        drag.setMimeData(data)
        print("DROPPED", drag.exec(Qt.DropAction.CopyAction).name, flush=True)
app = QApplication([])
source = Source("drag me")
source.setWindowFlag(Qt.WindowType.FramelessWindowHint)
source.setGeometry(20, 20, 120, 60)
source.show()
print("PAINTED", flush=True)
app.exec()
"""


@pytest.fixture
def screen() -> Iterator[dict[str, str]]:
    """The environment of a screen with a window manager."""
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1280x800x24", "-nolisten", "tcp"],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    with os.fdopen(reading) as pipe:
        number = pipe.readline().strip()
    root = str(Path(__file__).parents[3])
    environment = {
        **os.environ, "DISPLAY": f":{number}", "QT_QPA_PLATFORM": "xcb", "PYTHONPATH": root,
    }  # fmt: skip
    manager = subprocess.Popen(["openbox"], env=environment, stderr=subprocess.DEVNULL)
    yield environment
    for process in (manager, server):
        process.terminate()
        process.wait(10)


def line(process: subprocess.Popen[str], word: str) -> str:
    """Return the next line that begins with a word."""
    assert process.stdout is not None
    for text in process.stdout:
        if text.startswith(word):
            return text.strip()
    raise AssertionError(f"the process ended without saying {word}")


def test_a_file_is_dropped_through_the_window_system(
    screen: dict[str, str], tmp_path: Path
) -> None:
    path = put(tmp_path, "T2.nii.gz")

    def start(code: str, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            env=screen,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def mouse(*command: object) -> None:
        subprocess.run(["xdotool", *map(str, command)], env=screen, check=True)
        time.sleep(0.05)

    with ExitStack() as stack:
        window = stack.enter_context(start(WINDOW, str(tmp_path / "s.ini"), *FAKE))
        stack.callback(window.terminate)
        line(window, "PAINTED")
        source = stack.enter_context(start(SOURCE, str(path)))
        stack.callback(source.terminate)
        line(source, "PAINTED")
        time.sleep(0.5)
        mouse("mousemove", 60, 50)
        mouse("mousedown", 1)
        for step in range(1, 13):  # slowly, as a hand does: XDND is a conversation
            mouse("mousemove", 60 + 55 * step, 50 + 28 * step)
        time.sleep(0.3)
        mouse("mouseup", 1)
        assert line(source, "DROPPED") == "DROPPED CopyAction"
        assert line(window, "OPENED") == "OPENED T2 (T2.nii.gz)"
