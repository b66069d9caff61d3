"""The window: what is dropped, named, switched, run, undone, said and remembered."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QMimeData, QPoint, QSize, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot
from run_stage import line, make_run, start, step
from safetensors.numpy import save_file
from shell_stage import model, notes, open_files, put, ran, staged

from app.shell.shortcuts import shortcuts_html
from app.shell.window import MainWindow
from app.shell.window_state import first_size
from app.state.messages import Severity
from app.state.settings import Settings
from app.state.values import Kind, MousePreset
from app.synthesis.experts_panel import ASK_DELAY_MS
from app.training.models import store
from core.grid import Grid
from core.io import write
from core.models.bundle import KEY, Bundle
from core.models.mhvae.config import MHVAEConfig
from core.volume import Volume

# The offscreen platform has no window manager to tell sizes to.
pytestmark = pytest.mark.qt_log_ignore("does not support")


@pytest.fixture
def window(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MainWindow]:
    with staged(qtbot, tmp_path, monkeypatch) as made:
        yield made


def drop(window: MainWindow, *paths: Path) -> None:
    """Send the events the window system would send."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(p)) for p in paths])
    copy, left = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton
    none = Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(300, 300), copy, data, left, none)
    QApplication.sendEvent(window, enter)
    assert enter.isAccepted()
    assert window.drops.hint.isVisible()
    event = QDropEvent(QPoint(300, 300).toPointF(), copy, data, left, none)
    QApplication.sendEvent(window, event)
    assert event.isAccepted()


def test_first_start_says_what_to_drop(window: MainWindow) -> None:
    assert window.windowTitle().startswith("MHVAE Studio")
    assert window.stack.currentWidget() is window.empty
    assert window.empty.demo.text() == "Open the demo case"
    assert not window.panels.synthesis.button.isEnabled()


def test_a_dropped_folder_opens_with_a_guess(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    folder = tmp_path / "case"
    put(folder, "patient-T2.nii.gz")
    put(folder, "patient-iUS.nrrd", seed=1)
    drop(window, folder)
    qtbot.waitUntil(lambda: len(window.context.session.layers) == 2, timeout=10_000)
    qtbot.waitUntil(lambda: not window.context.jobs.busy)
    assert set(window.context.session.subset()) == {"T2", "iUS"}
    assert window.stack.currentWidget() is window.viewers
    row = next(r for r in window.panels.case.rows.values() if r.modality.currentText() == "iUS")
    assert "file name" in row.modality.toolTip()


def test_a_file_that_cannot_be_read_is_one_sentence(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    torn = tmp_path / "torn.nii.gz"
    torn.write_bytes(b"\x1f\x8b\x08 not really")
    drop(window, torn)
    qtbot.waitUntil(lambda: bool(window.context.messages.history), timeout=10_000)
    errors = [n for n in window.context.messages.history if n.severity is Severity.ERROR]
    assert len(errors) == 1
    assert "torn.nii.gz" in errors[0].sentence
    assert window.message_bar.isVisible()
    assert QApplication.activeModalWidget() is None


def test_volumes_that_do_not_overlap_are_refused_with_the_distance(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    open_files(qtbot, window, put(tmp_path, "T2.nii.gz"))
    open_files(qtbot, window, put(tmp_path, "iUS.nii.gz", shift=500))
    assert [x.modality for x in window.context.session.layers] == ["T2"]
    assert "488 mm apart" in notes(window)[-1]


def test_modality_toggle_and_removal_can_be_undone(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    window.context.session.synthesis.set_form(rerun=False)
    open_files(qtbot, window, put(tmp_path, "T2.nii.gz"), put(tmp_path, "T2-b.nii.gz", seed=1))
    session = window.context.session
    first, second = (x.id for x in session.layers)
    before = {x.id: (x.modality, x.available, x.name) for x in session.layers}
    assert session.subset() == ("T2",)
    window.panels.case.rows[second].modality_edited.emit(second, "iUS")
    assert session.layer(second).name == "iUS (T2-b.nii.gz)"
    window.panels.case.rows[second].available.click()
    assert session.subset() == ("T2", "iUS")
    window.panels.case.rows[first].remove.click()
    assert session.subset() == ("iUS",)
    window.commands.run("undo")
    assert [x.id for x in session.layers] == [first, second]
    window.commands.run("undo")
    window.commands.run("undo")
    assert {x.id: (x.modality, x.available, x.name) for x in session.layers} == before
    for _ in range(3):
        window.commands.run("redo")
    assert session.subset() == ("iUS",)
    while window.context.undo.canUndo():
        window.context.undo.undo()
    assert session.layers == []


def test_holding_an_input_back_runs_and_judges(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    open_files(qtbot, window, put(tmp_path, "T2.nii.gz"), put(tmp_path, "iUS.nii.gz", seed=1))
    truth = window.context.session.find(Kind.REAL, "iUS")
    assert truth is not None
    window.context.session.synthesis.set_form(samples=3)
    assert window.context.session.synthesis.form.temperature > 0  # draws at 0 would all be one
    window.panels.case.rows[truth.id].available.click()
    qtbot.waitUntil(lambda: "iUS" in window.context.session.results.by_target, timeout=15_000)
    ran(qtbot, window)
    result = window.context.session.results.by_target["iUS"]
    assert result.subset == ("T2",)
    assert result.kind == "synthesis"
    rows = window.context.session.results.rows(result)
    assert {x.kind for x in rows if not x.sample} == {
        Kind.SYNTHETIC, Kind.DIFFERENCE, Kind.SIGMA,
    }  # fmt: skip
    sigma = window.context.session.find(Kind.SIGMA, "iUS")
    assert sigma is not None
    assert "model variability, not error" in sigma.name
    cell = window.panels.results.table.item(0, 1)
    assert cell is not None
    assert cell.text() == "20.0"
    assert [(x.kind, x.modality) for x in window.context.session.columns()] == [
        (Kind.REAL, "T2"), (Kind.REAL, "iUS"), (Kind.SYNTHETIC, "iUS"), (Kind.DIFFERENCE, "iUS"),
        (Kind.SIGMA, "iUS"),
    ]  # fmt: skip
    # A second run is a second result.
    window.synthesis.run()
    ran(qtbot, window)
    assert result.layer_id in window.context.session
    assert [r.number for r in window.context.session.results.all] == [1, 2]
    assert not any("running" in x.name for x in window.context.session.layers)


@pytest.mark.parametrize(
    ("behaviour", "words"), [("memory", "did not fit"), ("killed", "memory ran out")]
)
def test_too_little_memory_is_one_click(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, behaviour: str, words: str
) -> None:
    open_files(qtbot, window, put(tmp_path, "T2.nii.gz"))
    window.synthesis.run()
    ran(qtbot, window)
    kept = window.context.session.results.by_target["iUS"]
    window.context.session.synthesis.use_model(model(behaviour))
    window.synthesis.cost.stop()
    window.synthesis.run()
    ran(qtbot, window)
    assert words in notes(window)[-1]
    assert window.context.session.results.by_target["iUS"] is kept  # the old result stays
    assert kept.layer_id in window.context.session
    assert not any("running" in x.name for x in window.context.session.layers)
    (button,) = window.message_bar.buttons
    assert button.text() == "Smaller batch (2)"
    window.context.session.synthesis.use_model(model("ok"))
    window.synthesis.cost.stop()
    button.click()
    assert window.context.session.synthesis.form.batch == 2
    ran(qtbot, window)
    assert window.context.session.results.by_target["iUS"] is not kept


def test_cancel_leaves_nothing_half_done(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    open_files(qtbot, window, put(tmp_path, "T2.nii.gz"))
    window.context.session.synthesis.use_model(model("slow"))
    touched: list[str] = []
    window.context.session.voxels_touched.connect(lambda layer_id, _: touched.append(layer_id))
    window.commands.run("run")
    qtbot.waitUntil(lambda: len(touched) > 2, timeout=10_000)
    assert "left" in window.panels.synthesis.stage.text()
    live = window.context.session.layer(touched[-1])
    assert live.made_by_model
    assert live.volume.voxels[:, :, 1].max() == 10
    window.commands.run("cancel")
    ran(qtbot, window)
    assert [x.kind for x in window.context.session.layers] == [Kind.REAL]
    assert window.panels.synthesis.button.text() == "Run"


def test_preflight_says_memory_and_time_and_remembers(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    open_files(qtbot, window, put(tmp_path, "T2.nii.gz"))
    qtbot.waitUntil(lambda: "tiles" in window.panels.synthesis.cost.text(), timeout=10_000)
    assert "40 tiles on CPU: 4 s to 8 s, about 0.5 GB" in window.panels.synthesis.cost.text()
    assert window.context.settings._paces() != {}


def test_experts_under_the_cursor_and_as_a_map(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    open_files(qtbot, window, put(tmp_path, "T2.nii.gz"))
    window.synthesis.experts.request()
    qtbot.waitUntil(lambda: window.panels.experts.shares is not None, timeout=10_000)
    shares = window.panels.experts.shares
    assert shares is not None
    found = shares.at(window.context.session.cursor)
    assert set(found) == set(range(1, 8))
    assert found[7] == {"prior": 0.5, "T2": 0.5}
    window.context.session.set_cursor((0, 0, 0))
    assert shares.at(window.context.session.cursor) == {}
    window.panels.experts.show_map.click()
    share = window.context.session.find(Kind.SHARE, "prior, level 1")
    assert share is not None
    assert share.made_by_model
    assert share.volume.voxels.shape == (12, 10, 1)


def test_experts_are_asked_once_for_a_slice_that_the_model_does_not_have(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    open_files(qtbot, window, put(tmp_path, "T2.nii.gz"))
    panel, session = window.panels.experts, window.context.session
    window.docks.experts.raise_()
    qtbot.waitUntil(lambda: panel.isVisible() and panel.shares is not None, timeout=10_000)
    came: list[object] = []
    window.synthesis.experts.arrived.connect(came.append)
    x, y, z = session.cursor
    session.set_cursor((x, y, z + 4))  # the fake engine has shares of the middle slice alone
    qtbot.waitUntil(lambda: len(came) == 1, timeout=10_000)
    session.set_cursor((x + 1, y, z + 4))
    qtbot.wait(4 * ASK_DELAY_MS)
    assert len(came) == 1
    session.set_cursor((x, y, z + 8))
    qtbot.waitUntil(lambda: len(came) == 2, timeout=10_000)


def test_every_command_is_in_a_menu_and_on_the_sheet(window: MainWindow) -> None:
    html = unescape(shortcuts_html(window.commands, MousePreset.SLICER))
    guide = Path(__file__).parents[3].joinpath("docs/guide.md").read_text(encoding="utf-8")
    menus = window.menuBar().actions()
    titles = [m.text().removeprefix("&") for m in menus]
    assert titles == [
        "File", "Edit", "View", "Compare", "Align", "Synthesis", "Sweep", "Training", "Help",
    ]  # fmt: skip
    for command in window.commands.all:
        action = window.commands.actions[command.name]
        assert action.associatedObjects(), command.name
        assert action.toolTip(), command.name
        if command.keys:
            assert command.text.rstrip("…") in html, command.name
            assert all(f"`{key}`" in guide for key in command.keys), command.name
    with pytest.raises(ValueError, match="is taken"):
        window.commands.add([window.commands.all[0].__class__("x", "X", "", "", print, ("A",))])


def test_recent_files_can_be_turned_off(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    path = put(tmp_path, "T2.nii.gz")
    open_files(qtbot, window, path)
    assert window.context.settings.recent() == [path]
    window.recent.fill()
    switch = next(a for a in window.recent.actions() if a.isCheckable())
    switch.trigger()
    assert window.context.settings.recent() == []
    open_files(qtbot, window, put(tmp_path, "T2-b.nii.gz", seed=1))
    assert window.context.settings.recent() == []
    window.context.settings.sync()
    text = (tmp_path / "settings.ini").read_text()
    assert ".nii.gz" not in text


@pytest.mark.parametrize(
    ("room", "size"), [((2560, 1400), (1440, 900)), ((1366, 728), (1358, 680))]
)
def test_the_first_window_fits_on_the_screen(room: tuple[int, int], size: tuple[int, int]) -> None:
    assert first_size(QSize(*room)) == QSize(*size)


def test_in_a_small_window_no_control_is_cut_off(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    window.resize(1024, 700)
    assert window.width() == 1024  # nothing asks for more
    open_files(qtbot, window, put(tmp_path, "T2.nii.gz"))
    (row,) = window.panels.case.rows.values()
    inside = window.panels.case.viewport()
    qtbot.waitUntil(lambda: inside.width() >= row.width() >= row.minimumSizeHint().width())
    window.commands.run("align_panel")
    panel = window.panels.align
    qtbot.waitUntil(lambda: panel.width() >= panel.minimumSizeHint().width())
    assert window.width() == 1024


def test_the_notice_is_readable_when_the_window_turns_dark(window: MainWindow) -> None:
    try:
        window.commands.run("look_dark")
        QApplication.processEvents()
        palette = window.panels.results.notice.palette()
        assert palette.color(palette.ColorRole.WindowText).lightness() > 128
    finally:
        window.commands.run("look_system")


def test_undoing_an_import_does_not_synthesise_anew(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    open_files(qtbot, window, put(tmp_path, "T2.nii.gz"), put(tmp_path, "iUS.nii.gz", seed=1))
    truth = window.context.session.find(Kind.REAL, "iUS")
    assert truth is not None
    window.panels.case.rows[truth.id].available.click()
    qtbot.waitUntil(lambda: "iUS" in window.context.session.results.by_target, timeout=15_000)
    open_files(qtbot, window, put(tmp_path / "more", "T2-later.nii.gz", seed=2))
    window.commands.run("undo")
    with qtbot.assertNotEmitted(window.synthesis.running_changed, wait=700):
        pass


def test_window_state_survives(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with staged(qtbot, tmp_path, monkeypatch) as window:
        window.docks.messages.show()
        window.commands.run("convention")
        window.resize(1100, 740)
    settings = Settings(tmp_path / "settings.ini")
    assert settings.window_state() is not None
    with staged(qtbot, tmp_path, monkeypatch) as window:
        assert window.docks.messages.isVisible()
        assert window.context.session.display.convention == "neurological"
        assert window.size().height() == 740


def test_the_window_never_imports_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from PySide6.QtWidgets import QApplication;"
        "app = QApplication([]); from pathlib import Path;"
        "from app.state.settings import Settings; from app.shell.window import MainWindow;"
        f"w = MainWindow(Settings(Path({str(tmp_path / 's.ini')!r})), lambda: ['/nowhere']);"
        "w.show(); import core.models.bundle; core.models.bundle.available();"
        f"w.files.opener.open([Path({str(put(tmp_path, 'T2.nii.gz'))!r})]);"
        "import time; end = time.monotonic() + 20\n"
        "while not w.context.session.layers and time.monotonic() < end: app.processEvents()\n"
        "assert w.context.session.layers; w.close()\n"
        "assert 'torch' not in sys.modules, 'torch'"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def test_an_opened_ultrasound_is_looked_at(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    voxels = np.zeros((60, 50, 40), np.float32)
    voxels[30:42, 21:30, 6:15] = 80
    affine = np.diag((1.0, 1.5, 2.0, 1.0))
    write(Volume(voxels, Grid(voxels.shape, affine)), tmp_path / "iUS.nii.gz")
    whole = np.random.default_rng(0).random((60, 50, 40), dtype=np.float32)
    write(Volume(whole, Grid(voxels.shape, affine)), tmp_path / "T2.nii.gz")
    open_files(qtbot, window, tmp_path / "T2.nii.gz", tmp_path / "iUS.nii.gz")
    assert np.abs(window.context.session.cursor - (35.5, 1.5 * 25, 2 * 10)).max() < 4
    view = window.context.session.view_of("")
    assert 3 < view.zoom <= 5


def test_a_runs_model_is_put_into_the_list_used_and_remembered(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Bundle(MHVAEConfig(), name="my run")
    path = tmp_path / "run" / "model.safetensors"
    path.parent.mkdir()
    save_file({"a": np.zeros(2, np.float32)}, path, metadata={KEY: made.to_json()})
    monkeypatch.setattr(store, "user_models", lambda: tmp_path / "models")
    window.training.use_model(path)
    qtbot.waitUntil(lambda: not window.context.jobs.busy, timeout=10_000)
    bundle = window.context.session.synthesis.bundle
    assert bundle is not None
    assert bundle.path == tmp_path / "models" / "my-run.safetensors"
    assert window.panels.synthesis.model.currentText() == "my run"
    assert window.context.settings.form()["model"] == "my run"
    assert any("Using the model my run" in sentence for sentence in notes(window))


def test_runs_under_way_are_told_at_the_start(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused = [start(), step(30), line("end", step=30, state="paused")]
    runs = [make_run(tmp_path / "first", paused), make_run(tmp_path / "second", [start(), step(3)])]
    monkeypatch.setattr("trainer.run.registry.known_runs", lambda: runs)
    window.training.report_runs()
    qtbot.waitUntil(lambda: not window.context.jobs.busy, timeout=10_000)
    told = notes(window)[-2:]
    assert told[0] == "The training first is paused at 10%."
    assert told[1].startswith("The training second crashed. The process is gone")
    assert QApplication.activeModalWidget() is None
    window.context.messages.history[-1].actions[0].run()
    shown = window.training._runs_window()
    assert shown.isVisible()
    assert shown.page is not None
    assert shown.page.path == runs[1]
