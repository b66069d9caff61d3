"""A real window with a fake engine, for the tests of the shell."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
from PySide6.QtCore import QEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

import core.models.bundle
from app.files.dialogs import FileDialogs, Keep
from app.processes.client import EngineClient
from app.shell import window_state
from app.shell.window import MainWindow
from app.state.settings import Settings
from core.grid import Grid
from core.io import write
from core.models.bundle import Bundle
from core.models.mhvae.config import MHVAEConfig
from core.volume import Volume

FAKE = [sys.executable, str(Path(__file__).with_name("fake_engine.py"))]
SHAPE = (12, 10, 8)


def model(behaviour: str) -> Bundle:
    """A bundle that the fake engine takes as an order."""
    return Bundle(MHVAEConfig(modalities=("iUS", "T2")), name=behaviour, path=Path(behaviour))


def put(folder: Path, name: str, *, shift: float = 0.0, seed: int = 0) -> Path:
    """Write a small volume and return its path."""
    folder.mkdir(exist_ok=True)
    voxels = np.random.default_rng(seed).integers(1, 250, SHAPE).astype(np.float32)
    affine = np.diag((1.0, 1.5, 2.0, 1.0))
    affine[0, 3] = shift
    return Path(write(Volume(voxels, Grid(SHAPE, affine)), folder / name))


@contextmanager
def staged(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behaviour: str = "ok"
) -> Iterator[MainWindow]:
    """Show a window; when it is closed no thread, child process or widget may be left."""
    monkeypatch.setattr(core.models.bundle, "available", lambda: [model(behaviour)])
    # Nobody answers a question of a test that does not ask for one.
    monkeypatch.setattr(FileDialogs, "keep", lambda *_: Keep.DISCARD)
    # What a developer has trained is not told to tests, nor are theirs remembered.
    monkeypatch.setattr("platformdirs.user_data_path", lambda *_, **__: tmp_path / "user")
    monkeypatch.setattr("platformdirs.user_state_path", lambda *_, **__: tmp_path / "state")
    # The offscreen platform's screen is small; people's are not.
    monkeypatch.setattr(window_state, "first_size", lambda _: window_state.FIRST_SIZE)
    threads = set(threading.enumerate())
    children = {p.pid for p in psutil.Process().children()}
    old = {p.name for p in Path("/dev/shm").glob("mhvae-*")}  # process ids come again
    window = MainWindow(Settings(tmp_path / "settings.ini"), lambda: FAKE)
    pids = watch_pids(window.context.engine)
    with qtbot.waitSignal(window.painted, timeout=10_000):
        window.show()
    qtbot.waitUntil(lambda: window.context.engine.state == "ready", timeout=10_000)
    qtbot.waitUntil(lambda: bool(window.context.session.synthesis.models))
    yield window
    window.close()
    assert not window.context.jobs.busy
    assert set(left_behind(pids)) <= old
    assert set(threading.enumerate()) <= threads
    assert {p.pid for p in psutil.Process().children()} <= children
    window.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert [w for w in QApplication.topLevelWidgets() if w.isVisible()] == []


def open_files(qtbot: QtBot, window: MainWindow, *paths: Path) -> None:
    """Open files and wait until they are read."""
    window.files.opener.open(list(paths))
    qtbot.waitUntil(lambda: not window.context.jobs.busy, timeout=10_000)


def ran(qtbot: QtBot, window: MainWindow) -> None:
    """Wait until a run that was asked for has ended."""
    qtbot.waitUntil(lambda: not window.synthesis.running, timeout=15_000)


def notes(window: MainWindow) -> list[str]:
    """Every sentence said so far."""
    return [note.sentence for note in window.context.messages.history]


def watch_pids(client: EngineClient) -> set[int]:
    """Return a set that will hold this process's id and those of every engine it starts."""
    pids = {os.getpid()}
    client.state_changed.connect(lambda _: pids.add(client.pid))
    return pids


def left_behind(pids: set[int]) -> list[str]:
    """Names of shared memory (Linux) made by these processes; none elsewhere."""
    names = [p.name for p in Path("/dev/shm").glob("mhvae-*")]
    return [name for name in names if int(name.split("-")[1]) in pids]
