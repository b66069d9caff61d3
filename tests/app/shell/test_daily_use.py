"""Small things of every day: the wheel, the next patient, the grid of a saved result, the note."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PySide6.QtCore import QPoint, QPointF, QRect, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot
from shell_stage import model, notes, open_files, put, ran, staged

from app.files.opener import Origin
from app.files.save_dialog import DICOM, SaveVolume
from app.shell.window import MainWindow
from app.state.session import Session
from app.state.values import Kind, Layout, View
from app.viewer.layouts import arrange
from core.grid import Grid
from core.io import find, read, write_dicom
from core.models.bundle import Bundle
from core.models.mhvae.config import MHVAEConfig
from core.volume import Volume

pytestmark = pytest.mark.qt_log_ignore("does not support")


@pytest.fixture
def window(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MainWindow]:
    with staged(qtbot, tmp_path, monkeypatch) as made:
        yield made


def turn_wheel(widget: QWidget) -> None:
    at = QPointF(widget.rect().center())
    none = Qt.MouseButton.NoButton
    keys = Qt.KeyboardModifier.NoModifier
    event = QWheelEvent(
        at, widget.mapToGlobal(at), QPoint(), QPoint(0, 120), none, keys,
        Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(widget, event)


def test_the_wheel_changes_no_number_box_without_focus(window: MainWindow) -> None:
    panel = window.panels.synthesis
    assert not panel.samples.hasFocus()
    turn_wheel(panel.samples)
    turn_wheel(panel.device)
    assert panel.samples.value() == 1


def test_a_second_patient_can_take_the_place_of_the_first(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    open_files(qtbot, window, put(tmp_path, "T2.nii.gz"))
    open_files(qtbot, window, put(tmp_path / "b", "T2-next.nii.gz", shift=500))
    (button,) = (b for b in window.message_bar.buttons if b.text() == "Close this case and open it")
    button.click()
    qtbot.waitUntil(lambda: bool(window.context.session.layers), timeout=10_000)
    qtbot.waitUntil(lambda: not window.context.jobs.busy)
    assert [x.volume.source for x in window.context.session.layers] == ["T2-next.nii.gz"]


def test_save_volume_proposes_the_grid_it_was_made_from() -> None:
    from app.state.record import Given, Result

    session = Session()
    grids = [Grid((4, 5, 6 + n), np.eye(4)) for n in range(3)]

    def volume(n: int, modality: str) -> Volume:
        return Volume(np.ones(grids[n].shape, np.float32), grids[n], modality)

    session.add_layer(volume(1, "iUS"))
    t2 = session.add_layer(volume(2, "T2"))
    result = Result("x", 1, "iUS", "synthesis", ("T2",), {}, {}, {"T2": Given(t2, "T2", grids[2])})
    made = session.add_layer(volume(0, "iUS"), Kind.SYNTHETIC, result=result)
    assert SaveVolume(session.layers, made).grid is grids[2]


def test_a_volume_is_saved_as_a_series_of_the_dicom_input_or_of_nobody(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    volume = Volume(np.arange(120, dtype=np.float32).reshape(4, 5, 6), Grid((4, 5, 6), np.eye(4)))
    write_dicom(volume, tmp_path / "T2")
    session, files = window.context.session, window.files
    layer = session.layer(session.add_layer(volume, Kind.REAL))
    origin = Origin(tmp_path / "T2", find(tmp_path / "T2").series, "")
    dialog = SaveVolume(session.layers, layer.id, patient=True)
    qtbot.addWidget(dialog)
    dialog._format.setCurrentIndex(dialog._format.count() - 1)
    assert (dialog.suffix, dialog.keep_patient) == (DICOM, True)
    theirs = pydicom.dcmread(tmp_path / "T2" / "IM00001.dcm").PatientID
    for keep in (True, False):
        out = tmp_path / f"keep-{keep}"
        files.saver.save_series(layer, out, None, origin, keep=keep)
        qtbot.waitUntil(lambda: not window.context.jobs.busy, timeout=10_000)
        ours = pydicom.dcmread(out / "IM00001.dcm").PatientID
        assert (ours == theirs) is keep


def test_a_case_of_the_check_opens_beside_the_alignment_tools_with_a_way_back(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    files = [put(tmp_path, "T2.nii.gz"), put(tmp_path, "iUS.nii.gz", seed=1)]
    window.training.wizard.case_wanted.emit("Case1", files)
    qtbot.waitUntil(lambda: len(window.context.session.layers) == 2, timeout=10_000)
    qtbot.waitUntil(lambda: not window.context.jobs.busy, timeout=10_000)
    assert window.docks.align.isVisible()
    last = window.context.messages.history[-1]
    assert last.sentence.startswith("Case1 is open to be aligned")
    assert [action.label for action in last.actions] == ["Back to the training"]


def test_the_pictures_do_not_move_when_a_note_comes(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    open_files(qtbot, window, put(tmp_path, "T2.nii.gz"))
    window.message_bar.clear()
    QApplication.processEvents()
    before = window.viewers.geometry()
    window.context.messages.error("A long sentence. " * 12)
    QApplication.processEvents()
    assert window.message_bar.isVisible()
    assert window.viewers.geometry() == before


def test_columns_wrap_where_that_shows_more(window: MainWindow) -> None:
    session, grid = Session(), Grid((8, 9, 5), np.eye(4))
    for n in range(4):
        session.add_layer(Volume(np.full(grid.shape, n + 1, np.float32), grid, f"M{n}"))
    session.set_display(layout=Layout.COLUMNS)
    wide = arrange(session, QRect(0, 0, 1600, 300), None, 1.0)
    assert len({s.rect.top() for s in wide}) == 1
    tall = arrange(session, QRect(0, 0, 700, 650), None, 1.0)
    assert len({s.rect.top() for s in tall}) == 2
    sizes = {(s.rect.width(), s.rect.height()) for s in tall}
    assert len(sizes) == 1


def test_reset_returns_to_the_opening_view_and_its_parts_are_commands() -> None:
    session, grid = Session(), Grid((8, 9, 5), np.eye(4))
    session.add_layer(Volume(np.ones(grid.shape, np.float32), grid, "T2"))
    home = View(2.0, (1.0, 0.0, 0.0))
    session.look_from(home, (2.0, 2.0, 2.0))
    session.set_view(View(5.0))
    session.set_cursor((1.0, 1.0, 1.0))
    session.fit()
    assert session.view_of("") == View()
    assert session.cursor.tolist() == [1.0, 1.0, 1.0]
    session.reset()
    assert session.view_of("") == home
    assert session.cursor.tolist() == [2.0, 2.0, 2.0]


def test_known_limits_of_the_model_stand_with_its_result(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    bundle: Bundle = Bundle(
        MHVAEConfig(modalities=("iUS", "T2")), name="ok", path=Path("ok"),
        card={"limits": "Tumours often come out as grey as brain."},
    )  # fmt: skip
    assert model("ok").path == bundle.path
    window.context.session.synthesis.use_model(bundle)
    open_files(qtbot, window, put(tmp_path, "T2.nii.gz"))
    window.synthesis.run()
    ran(qtbot, window)
    assert "grey as brain" in window.panels.results.limits.text()
    assert window.panels.results.limits.isVisible()
    with qtbot.waitSignal(window.panels.results.card_wanted) as asked:
        window.panels.results.limits.linkActivated.emit("card")
    assert asked.args == ["ok"]
    models = window.training._models
    assert models is not None
    assert models.isVisible()
    models.close()


def test_every_sample_of_a_mean_is_saved(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_files(qtbot, window, put(tmp_path, "T2.nii.gz"))
    session, files = window.context.session, window.files
    session.synthesis.set_form(samples=3, temperature=1.0, seed=4)
    window.commands.run("run")
    ran(qtbot, window)
    mean = session.find(Kind.SYNTHETIC, "iUS")
    (result,) = session.results.all
    assert mean is not None
    dialog = SaveVolume(session.layers, result.layer_id, samples=files._samples)
    qtbot.addWidget(dialog)
    assert not dialog._every.isHidden()
    assert len(dialog.samples) == 0
    dialog._every.setChecked(True)
    assert [x.sample for x in dialog.samples] == [1, 2, 3]
    real = next(x.id for x in session.layers if x.kind is Kind.REAL)
    dialog._which.setCurrentIndex(dialog._which.findData(real))
    dialog._which.activated.emit(dialog._which.currentIndex())
    assert dialog._every.isHidden()
    assert len(dialog.samples) == 0

    # The whole way, with the dialog answered.
    def accept(self: SaveVolume) -> int:
        self._every.setChecked(True)
        return int(SaveVolume.DialogCode.Accepted)

    monkeypatch.setattr(SaveVolume, "exec", accept)
    monkeypatch.setattr(files.dialogs, "target", lambda *_: tmp_path / "out.nii.gz")
    files.ask_save(result.layer_id)
    qtbot.waitUntil(lambda: not window.context.jobs.busy, timeout=10_000)
    assert notes(window)[-1] == "Saved out.nii.gz and 3 samples; read back and compared."
    base = read(tmp_path / "out.nii.gz").voxels
    for n in (1, 2, 3):
        name = f"out-sample-0{n}"
        marks = json.loads((tmp_path / f"{name}.json").read_text())
        assert (marks["sample"], marks["seed"]) == (n, 4)
        np.testing.assert_allclose(read(tmp_path / f"{name}.nii.gz").voxels, base + n, atol=1e-3)
    assert "sample" not in json.loads((tmp_path / "out.json").read_text())
    dicom = tmp_path / "series"
    rows = session.results.samples(result)
    files.saver.save_series(mean, dicom, None, None, keep=False, samples=rows)
    qtbot.waitUntil(lambda: not window.context.jobs.busy, timeout=10_000)
    assert sorted(p.name for p in tmp_path.glob("series*")) == [
        "series", "series-sample-01", "series-sample-02", "series-sample-03",
    ]  # fmt: skip
