"""kill -9 of the window while it writes a project or a volume: the old stays, a copy is offered."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from shell_stage import FAKE, notes, put, staged

from app.files.project import load, results_folder
from app.shell.window import MainWindow
from app.state.values import Kind
from core.io import read

pytestmark = [
    pytest.mark.qt_log_ignore("does not support propagateSizeHints"),
    pytest.mark.skipif(os.name == "nt", reason="no kill -9 there"),
]

CHILD = """
import os, sys, time
from pathlib import Path
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication
import core.files, core.io.writer as writer, core.models.bundle, platformdirs
sys.path.insert(0, {tests!r})
from shell_stage import model
platformdirs.user_data_path = lambda *_, **__: Path({data!r})
core.models.bundle.available = lambda: [model("ok")]
app = QApplication([])
from app.shell.window import MainWindow
from app.state.settings import Settings
w = MainWindow(Settings(Path({settings!r})), lambda: {fake!r})
w.open_when_shown([Path({volume!r})])
phase, project, volume = {phase!r}, Path({project!r}), Path({saved!r})
session, results = w.context.session, w.context.session.results
steps = []

def hang(*_, **__):
    print("middle", flush=True)
    time.sleep(60)

def half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    hang()

def arm():
    if phase == "result":
        whole = writer._write_nifti
        def write(volume, draft, *rest):
            whole(volume, draft, *rest)
            half(draft)
        writer._write_nifti = write
    elif phase == "project":
        whole_text = Path.write_text
        def write_text(path, *args, **more):
            whole_text(path, *args, **more)
            if path.name.endswith("kept.mhvae.json"):
                half(path)
        Path.write_text = write_text
    else:
        writer._compare = hang

def step():
    "Run, save, run again; the second save is the one that is killed."
    idle = not w.context.jobs.busy and not w.synthesis.running
    copied = list(Path({data!r}).glob("recovery/*/case.mhvae.json"))
    if w.context.engine.state != "ready" or not idle or not session.layers:
        return
    done = len(results.all)
    if done == 0 and not session.synthesis.obstacle():
        w.synthesis.run()
    elif done == 1 and not steps:
        steps.append("saved")
        w.files.projects.save(project)
    elif done == 1 and w.files.projects.path and not copied:
        w.files.saver.save_volume(
            session.layer(results.all[0].layer_id), volume, None, lambda _: steps.append("volume")
        ) if len(steps) == 1 else w.synthesis.run()
    elif done == 2 and copied:
        timer.stop()
        arm()
        if phase == "volume":
            w.files.saver.save_volume(
                session.layer(results.all[1].layer_id), volume, None, lambda _: None)
        else:
            w.files.projects.save(project)

timer = QTimer(w); timer.timeout.connect(step); timer.start(50)
w.show()
app.exec()
"""


@pytest.fixture
def window(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MainWindow]:
    with staged(qtbot, tmp_path, monkeypatch) as made:
        yield made


@pytest.mark.parametrize("phase", ["result", "project", "volume"])
def test_what_was_saved_stays_whole_and_the_rest_is_offered(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, phase: str
) -> None:
    project, saved = tmp_path / "kept.mhvae.json", tmp_path / "volume.nii.gz"
    code = CHILD.format(
        tests=str(Path(__file__).parents[2]), data=str(tmp_path / "user"), fake=FAKE, phase=phase,
        settings=str(tmp_path / "child.ini"), volume=str(put(tmp_path, "T2.nii.gz")),
        project=str(project), saved=str(saved),
    )  # fmt: skip
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "middle\n"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()

    # The first save is there, whole: one result, and every file it names can be read.
    old = load(project)
    assert len(old.results) == 1
    for entry in old.entries:
        assert read(entry.path).voxels.any()
    assert saved.exists()
    assert read(saved).synthetic or read(saved).voxels.any()
    for file in results_folder(project).glob("*.nii.gz"):
        assert read(file).voxels.size

    # What was not saved is offered, with both results.
    window.files.offer_unsaved()
    qtbot.waitUntil(lambda: not window.context.jobs.busy, timeout=10_000)
    assert any("with 2 results was kept" in sentence for sentence in notes(window))
    window.files.restore_unsaved()
    qtbot.waitUntil(lambda: not window.context.jobs.busy, timeout=10_000)
    session = window.context.session
    assert [x.kind for x in session.layers] == [Kind.REAL, Kind.SYNTHETIC, Kind.SYNTHETIC]
    assert window.files.projects.path == project
    assert window.isWindowModified()

    # Saving now makes the project whole again.
    window.files.save_project()
    qtbot.waitUntil(lambda: not window.context.jobs.busy, timeout=10_000)
    new = load(project)
    assert len(new.results) == 2
    for result in session.results.all:
        kept = next(e for e in new.entries if e.id == result.layer_id)
        voxels = session.layer(result.layer_id).volume.voxels
        np.testing.assert_allclose(read(kept.path).voxels, voxels)
