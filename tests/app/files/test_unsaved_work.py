"""Unsaved work is asked for once, marked in the title, and survives a window that was killed."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from shell_stage import FAKE, model, notes, open_files, put, ran, staged

import core.files
from app.files import recovery
from app.files.dialogs import FileDialogs, Keep
from app.shell.window import MainWindow
from app.state.values import Kind

pytestmark = pytest.mark.qt_log_ignore("does not support propagateSizeHints")


@pytest.fixture
def window(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MainWindow]:
    with staged(qtbot, tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, window: MainWindow) -> Iterator[list[list[str]]]:
    """What was asked for; every question is answered with Cancel."""
    questions: list[list[str]] = []
    answer(monkeypatch, Keep.CANCEL, questions)
    yield questions
    answer(monkeypatch, Keep.DISCARD, [])


def answer(monkeypatch: pytest.MonkeyPatch, what: Keep, questions: list[list[str]]) -> None:
    def keep(_: FileDialogs, lost: list[str]) -> Keep:
        questions.append(lost)
        return what

    monkeypatch.setattr(FileDialogs, "keep", keep)


def idle(qtbot: QtBot, window: MainWindow) -> None:
    qtbot.waitUntil(lambda: not window.context.jobs.busy, timeout=10_000)


def one_result(qtbot: QtBot, window: MainWindow, folder: Path) -> None:
    open_files(qtbot, window, put(folder, "T2.nii.gz"))
    window.synthesis.run()
    ran(qtbot, window)
    assert window.context.session.results.all


def test_every_way_out_asks_once_and_cancel_keeps_everything(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, asked: list[list[str]]
) -> None:
    one_result(qtbot, window, tmp_path)
    session, steps = window.context.session, window.context.undo.count()
    rows = [x.id for x in session.layers]
    project = tmp_path / "other.mhvae.json"
    project.write_text(json.dumps({"schema": 3, "entries": []}))
    for n, leave in enumerate(
        (
            window.close,
            lambda: window.commands.run("quit"),
            lambda: window.commands.run("close_case"),
            lambda: window.files.opener.open([project]),
        ),
        1,
    ):
        leave()
        assert len(asked) == n
        assert asked[-1] == ["1 unsaved result"]
        assert window.isVisible()
        assert [x.id for x in session.layers] == rows
        assert window.context.undo.count() == steps


def test_a_run_under_way_is_asked_for(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, asked: list[list[str]]
) -> None:
    open_files(qtbot, window, put(tmp_path, "T2.nii.gz"))
    window.context.session.synthesis.use_model(model("slow"))
    window.synthesis.run()
    qtbot.waitUntil(lambda: bool(window.context.session.results.live), timeout=10_000)
    window.close()
    assert "a run under way" in asked[0][0]
    assert window.synthesis.running
    ran(qtbot, window)
    assert len(window.context.session.results.all) == 1


def test_nothing_is_asked_when_nothing_would_be_lost(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, asked: list[list[str]]
) -> None:
    one_result(qtbot, window, tmp_path)
    window.files.projects.save(tmp_path / "p.mhvae.json")
    idle(qtbot, window)
    window.commands.run("close_case")
    assert asked == []
    assert window.context.session.layers == []


def test_save_saves_and_then_leaves(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_result(qtbot, window, tmp_path)
    answer(monkeypatch, Keep.SAVE, [])
    path = tmp_path / "kept.mhvae.json"
    monkeypatch.setattr(FileDialogs, "target", lambda *_: path)
    window.close()
    qtbot.waitUntil(lambda: not window.isVisible(), timeout=10_000)
    assert len(json.loads(path.read_text())["results"]) == 1
    assert not recovery.home().exists() or not any(recovery.home().iterdir())


def test_the_title_says_that_something_changed(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    one_result(qtbot, window, tmp_path)
    assert window.isWindowModified()
    window.files.projects.save(tmp_path / "p.mhvae.json")
    idle(qtbot, window)
    assert not window.isWindowModified()
    assert window.context.undo.canUndo()
    window.context.session.set_cursor((1.0, 1.0, 1.0))  # looking is no work
    assert not window.isWindowModified()
    window.context.session.update_layer(window.context.session.layers[0].id, colormap="magma")
    assert window.isWindowModified()
    assert "[*]" in window.windowTitle()


def kept_copy(qtbot: QtBot, window: MainWindow) -> Path:
    window.files.recovery.write()
    idle(qtbot, window)
    folder = window.files.recovery.folder
    assert folder is not None
    return folder


def test_a_copy_is_kept_by_itself_and_goes_with_the_save(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    one_result(qtbot, window, tmp_path)
    copies = recovery.home()
    qtbot.waitUntil(lambda: any(copies.glob("*/case.mhvae.json")), timeout=10_000)
    (folder,) = copies.iterdir()
    assert any(folder.glob("case-results/synthetic-*.nii.gz"))
    assert recovery.left_behind() == []  # its window is there
    window.files.projects.save(tmp_path / "p.mhvae.json")
    idle(qtbot, window)
    assert not folder.exists()


def test_work_of_a_window_that_is_gone_is_restored(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, asked: list[list[str]]
) -> None:
    one_result(qtbot, window, tmp_path)
    session = window.context.session
    result = session.results.all[0]
    voxels = session.layer(result.layer_id).volume.voxels.copy()
    folder = kept_copy(qtbot, window)
    owner = json.loads((folder / "owner.json").read_text())
    window.files.recovery.folder = None  # as after kill -9: nobody removes it
    (folder / "owner.json").write_text(json.dumps({**owner, "started": 1.0}))
    window.files._clear()
    window.files.offer_unsaved()
    idle(qtbot, window)
    assert "ended without saving" in notes(window)[-1]
    assert "1 result was kept" in notes(window)[-1]
    with qtbot.assertNotEmitted(window.synthesis.running_changed, wait=500):
        window.message_bar.buttons[0].click()
        idle(qtbot, window)
    assert session.results.all[0].id == result.id
    np.testing.assert_array_equal(session.layer(result.layer_id).volume.voxels, voxels)
    assert window.isWindowModified()
    assert window.files.projects.path is None
    window.close()
    assert asked[-1] == ["1 unsaved result"]
    path = tmp_path / "now.mhvae.json"
    window.files.projects.save(path)
    idle(qtbot, window)
    assert not folder.exists()
    assert any((tmp_path / "now-results").glob("synthetic-*.nii.gz"))


def test_a_full_disk_leaves_the_copy_before(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_result(qtbot, window, tmp_path)
    folder = kept_copy(qtbot, window)
    before = (folder / "case.mhvae.json").read_text()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(core.files.os, "replace", full)  # type: ignore[attr-defined]
    window.synthesis.run()
    ran(qtbot, window)
    window.files.recovery.write()
    idle(qtbot, window)
    assert (folder / "case.mhvae.json").read_text() == before
    assert "could not be brought up to date" in notes(window)[-1]
    assert "No space left on device" in notes(window)[-1]
    assert window.files.work.unsaved() == 2


CHILD = """
import sys
from pathlib import Path
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication
import core.models.bundle, platformdirs
sys.path.insert(0, {tests!r})
from shell_stage import model
platformdirs.user_data_path = lambda *_, **__: Path({data!r})
core.models.bundle.available = lambda: [model("ok")]
app = QApplication([])
from app.shell.window import MainWindow
from app.state.settings import Settings
w = MainWindow(Settings(Path({settings!r})), lambda: {fake!r})
w.open_when_shown([Path({volume!r})])
def look():
    state = w.context.session.synthesis
    if w.context.engine.state == "ready" and not state.obstacle() and not w.synthesis.running:
        done = len(w.context.session.results.all)
        copied = list(Path({data!r}).glob("recovery/*/case.mhvae.json"))
        if not done or (done == 1 and copied):
            state.use_model(model("slow" if done else "ok"))
            w.synthesis.run()
            if done:
                print("second run", flush=True)
                timer.stop()
timer = QTimer(w); timer.timeout.connect(look); timer.start(50)
w.show()
app.exec()
"""


def test_killing_the_window_in_the_middle_of_a_run_loses_no_result(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    code = CHILD.format(
        tests=str(Path(__file__).parents[2]),
        data=str(tmp_path / "user"),
        settings=str(tmp_path / "child.ini"),
        fake=FAKE,
        volume=str(put(tmp_path, "T2.nii.gz")),
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "second run\n"
    time.sleep(0.3)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    window.files.offer_unsaved()
    idle(qtbot, window)
    window.files.restore_unsaved()
    idle(qtbot, window)
    session = window.context.session
    assert [x.kind for x in session.layers] == [Kind.REAL, Kind.SYNTHETIC]
    assert session.results.all[0].provenance["model"]["name"] == "ok"
