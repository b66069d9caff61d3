"""An error nobody caught is told once in the window and kept in the log, without names."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QObject, Signal
from pytestqt.qtbot import QtBot

from app.shell.log import BYTES, FILES, LOGGER, last_lines, start_log, stop_log
from app.shell.unexpected import REPEATS, UnexpectedErrors
from app.state.messages import Messages, Severity


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "state" / "log" / "window.log"
    start_log(path)
    yield path
    stop_log()


@pytest.fixture
def messages(qtbot: QtBot, log: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Messages]:
    """A list of messages with the hooks; what the hooks pass on is not the test's."""
    for module, name in ((sys, "excepthook"), (threading, "excepthook"), (sys, "unraisablehook")):
        monkeypatch.setattr(module, name, lambda *_: None)
    before = sys.excepthook, threading.excepthook, sys.unraisablehook
    found = Messages()
    hooks = UnexpectedErrors(found)
    yield found
    hooks.close()
    assert (sys.excepthook, threading.excepthook, sys.unraisablehook) == before


class _Bell(QObject):
    rung = Signal()


def fail() -> None:
    raise KeyError("Erika Mustermann /home/erika/scan.nii")


class _Broken:
    def __del__(self) -> None:
        fail()


def ring() -> None:
    bell = _Bell()
    bell.rung.connect(fail)
    bell.rung.emit()


def thread() -> None:
    worker = threading.Thread(target=fail)
    worker.start()
    worker.join()


def destroy() -> None:
    broken = _Broken()
    del broken


@pytest.mark.parametrize(
    ("how", "where"),
    [(ring, "in the window"), (thread, "in a thread"), (destroy, "where nobody could be told")],
)
def test_an_uncaught_error_is_told_and_kept(
    how: object, where: str, messages: Messages, log: Path, qtbot: QtBot
) -> None:
    assert callable(how)
    for _ in range(REPEATS + 3):
        how()
    qtbot.waitUntil(lambda: bool(messages.history))
    (note,) = messages.history
    assert note.severity is Severity.ERROR
    assert f"defect (KeyError at {__name__}.fail:" in note.sentence
    assert "Save your work" in note.sentence
    text = log.read_text()
    assert text.count(f"ERROR unexpected KeyError {where}: ") == REPEATS
    assert f"{__name__}.fail:" in text
    for secret in ("Erika", "Mustermann", "erika", str(log.parent), "/"):
        assert secret not in text + note.sentence


def test_leaving_is_no_defect(messages: Messages, log: Path, qtbot: QtBot) -> None:
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    sys.excepthook(ValueError, ValueError("x"), None)
    qtbot.waitUntil(lambda: bool(messages.history))
    assert ["ValueError at an unknown place" in n.sentence for n in messages.history] == [True]


def test_the_log_stays_small_and_its_folder_may_be_missing(log: Path, tmp_path: Path) -> None:
    for n in range(5000):
        LOGGER.info("a line of about one hundred and eighty letters %s %d", "x" * 120, n)
    files = sorted(log.parent.iterdir())
    assert len(files) == FILES + 1
    assert all(file.stat().st_size <= BYTES for file in files)
    assert last_lines(2, log)[1].endswith(" 4999")
    assert last_lines(2, tmp_path / "none") == []
    (tmp_path / "file").write_text("")
    start_log(tmp_path / "file" / "window.log")
    LOGGER.info("lost")


def test_the_program_itself_tells_and_goes_on(tmp_path: Path) -> None:
    code = """
import sys, pathlib, platformdirs
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication
here = pathlib.Path(sys.argv[1])
platformdirs.user_state_path = platformdirs.user_data_path = lambda *_, **__: here / "Erika"
from app.shell import window as w
from app.state.settings import Settings
w.Settings = lambda: Settings(here / "settings.ini")
told = []
class Window(w.MainWindow):
    def __init__(self, settings):
        super().__init__(settings, lambda: ["no such program"])
        self.context.messages.added.connect(lambda note: told.append(note.sentence))
        QTimer.singleShot(300, self, self.break_down)
        QTimer.singleShot(1500, self, self.close)
    def break_down(self):
        raise RuntimeError("Erika")
w.MainWindow = Window
status = w.main()
assert any("RuntimeError at __main__.break_down" in t for t in told), told
sys.exit(status)
"""
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "RuntimeError: Erika" in done.stderr  # the terminal still has all of it
    text = (tmp_path / "Erika" / "log" / "window.log").read_text()
    assert "INFO start of version" in text
    assert "unexpected RuntimeError in the window: __main__.break_down" in text
    assert "INFO end, status 0" in text
    assert "Erika" not in text
