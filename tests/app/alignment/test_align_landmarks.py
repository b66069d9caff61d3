"""Landmarks in the window, and alignments in saved files: placed, dragged, listed, kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QPointF, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot
from shell_stage import notes, open_files, put, ran, staged
from viewer_stage import drag

from app.files.project import Entry, Project, ProjectError, load, save
from app.files.project_alignment import described, placement_of
from app.files.save_dialog import SaveVolume
from app.shell.commands import toggle_available
from app.shell.window import MainWindow
from app.state.values import Kind, Layout, Placement, Tool
from core.grid import Grid
from core.io import read
from core.registration.alignment import Alignment, Matrix, from_parameters
from core.registration.landmarks import Landmark, read_landmarks
from core.registration.transforms import read_transform

pytestmark = pytest.mark.qt_log_ignore("does not support propagateSizeHints")
SHIFT = from_parameters((2.0, 1.0, -1.0, 0, 0, 0), (0, 0, 0))
TURN = from_parameters((1.0, 2.0, -1.5, 3.0, -2.0, 4.0), (5.0, 6.0, 7.0))


@pytest.fixture
def window(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MainWindow]:
    with staged(qtbot, tmp_path, monkeypatch) as made:
        made.context.session.synthesis.set_form(rerun=False)
        open_files(qtbot, made, put(tmp_path, "T2.nii.gz"))
        open_files(qtbot, made, put(tmp_path, "iUS.nii.gz", seed=1, shift=2))
        yield made


def idle(qtbot: QtBot, window: MainWindow) -> None:
    qtbot.waitUntil(lambda: not window.context.jobs.busy, timeout=10_000)


def place_pairs(window: MainWindow, matrix: Matrix, count: int = 4) -> None:
    """Set pairs that a map brings together exactly."""
    corners = ((2.0, 3.0, 4.0), (9.0, 3.0, 5.0), (3.0, 10.0, 4.0), (4.0, 5.0, 12.0))
    pairs = []
    for n, corner in enumerate(corners[:count]):
        x, y, z, _ = (float(v) for v in np.linalg.inv(matrix) @ (*corner, 1.0))
        pairs.append(Landmark(f"p{n}", corner, (x, y, z)))
    window.alignment.landmarks.set(pairs, "Set")


def test_a_pair_is_placed_with_a_key_and_dragged_apart(qtbot: QtBot, window: MainWindow) -> None:
    area, marks = window.viewers, window.alignment.landmarks
    window.context.session.set_display(layout=Layout.COLUMNS)
    QTest.keyClick(area, Qt.Key.Key_P)
    assert window.context.session.tool is Tool.LANDMARKS
    assert [p.fixed for p in marks.pairs] == [p.moving for p in marks.pairs]
    assert marks.errors()[1] == 0
    t2 = next(p for p in area.panes if p.layer.modality == "T2")
    cursor, projection = t2.cursor(), t2.projection()
    at = QPointF(projection.x(cursor[0]), projection.y(cursor[1]))
    steps = window.context.undo.count()
    drag(qtbot, area, at, at + QPointF(0, -4 * projection.scale))
    assert marks.pairs[0].moving[1] - marks.pairs[0].fixed[1] == pytest.approx(4)
    table = window.panels.align.landmarks.table
    row = table.topLevelItem(0)
    assert row is not None
    assert row.text(1) == "4.0"
    assert "4.0 mm mean" in window.panels.align.landmarks.summary.text()
    assert window.context.undo.count() == steps + 1
    before = area.render_image(1.0)
    window.commands.run("undo")
    assert marks.errors()[1] == 0
    assert area.render_image(1.0) != before
    table.setFocus()
    table.setCurrentItem(row)
    QTest.keyClick(table, Qt.Key.Key_Delete)
    assert not marks.pairs
    assert len(window.context.session.layers) == 2
    window.commands.run("undo")
    row = table.topLevelItem(0)
    assert row is not None
    row.setText(0, "sulcus")
    assert marks.pairs[0].name == "sulcus"


def test_clicks_in_both_volumes_make_a_pair(qtbot: QtBot, window: MainWindow) -> None:
    area, marks = window.viewers, window.alignment.landmarks
    window.context.session.set_display(layout=Layout.COLUMNS)
    QTest.keyClick(area, Qt.Key.Key_L)
    qtbot.wait(500)  # the panel that opens takes its width from the viewers
    ius = next(p for p in area.panes if p.layer.modality == "iUS")
    t2 = next(p for p in area.panes if p.layer.modality == "T2")
    for pane, across in ((ius, 20), (t2, 40)):
        at = QPointF(pane.rect.center()) + QPointF(across, 0)
        drag(qtbot, area, at, at)
        if pane is ius:
            assert "moving" in window.panels.align.landmarks.summary.text()
    assert len(marks.pairs) == 1
    apart = np.subtract(marks.pairs[0].moving, marks.pairs[0].fixed)
    # Radiological: 20 pixels further right on the screen is further to the patient's left.
    assert apart[0] == pytest.approx(-20 / t2.projection().scale)
    QTest.mouseClick(area, Qt.MouseButton.LeftButton, pos=ius.rect.center())
    assert marks.half
    QTest.keyClick(area, Qt.Key.Key_Escape)
    assert not marks.half
    assert window.context.session.tool is Tool.NONE


def test_pairs_align_and_say_how_far_apart_they_stay(window: MainWindow) -> None:
    marks, aligner = window.alignment.landmarks, window.alignment.aligner
    place_pairs(window, TURN)
    assert marks.errors()[2] > 1
    window.commands.run("landmarks_rigid")
    assert np.allclose(aligner.matrix, TURN)
    assert marks.errors()[2] == pytest.approx(0, abs=1e-9)
    assert "T2 is aligned by landmarks (4 pairs, rigid)." in window.panels.align.state.text()
    window.commands.run("undo")
    assert aligner.placement is None
    window.commands.run("landmarks_affine")
    assert np.allclose(aligner.matrix, TURN)
    place_pairs(window, TURN, count=2)
    assert not window.commands.actions["landmarks_rigid"].isEnabled()
    marks.align("rigid")
    assert "at least 3 pairs" in notes(window)[-1]


def test_landmarks_stay_in_the_anatomy_when_roles_are_exchanged(window: MainWindow) -> None:
    marks, aligner = window.alignment.landmarks, window.alignment.aligner
    t2, ius = window.context.session.layers
    place_pairs(window, TURN)
    before, errors = marks.pairs, marks.errors()[0]
    aligner.session.pair.choose(moving=ius.id)
    assert np.allclose(marks.errors()[0], errors)
    window.commands.run("landmarks_rigid")
    assert np.allclose(aligner.matrix, np.linalg.inv(TURN))
    assert marks.errors()[2] == pytest.approx(0, abs=1e-9)
    aligner.session.pair.choose(
        moving=t2.id
    )  # now the fixed one lies elsewhere, its landmarks with it
    assert marks.errors()[2] == pytest.approx(0, abs=1e-9)
    marks.remove(3)
    window.commands.run("undo")
    window.commands.run("undo")
    assert all(np.allclose(a.fixed, b.fixed) for a, b in zip(marks.pairs, before, strict=True))
    window.context.session.set_tool(Tool.LANDMARKS)
    window.files.close_case()
    assert str(window.context.session.tool) == ""


def test_landmarks_transform_and_volume_are_saved_and_read_back(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place_pairs(window, TURN)
    window.alignment.aligner.put_alignment(Alignment(TURN, "rigid", "mutual information"), "rigid")
    for name, command in (("pairs.json", "landmarks_save"), ("found.tfm", "save_transform")):
        path = str(tmp_path / name)
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a, p=path, **k: (p, ""))
        window.commands.run(command)
        idle(qtbot, window)
    assert read_landmarks(tmp_path / "pairs.json") == window.alignment.landmarks.pairs
    assert np.allclose(read_transform(tmp_path / "found.tfm").matrix, TURN)
    t2 = window.context.session.layers[0]
    dialog = SaveVolume(window.context.session.layers, t2.id)
    assert "where it was moved to" in dialog._grid.itemText(0)
    grids = {"own.nii.gz": None, "on-ius.nii.gz": window.context.session.layers[1].volume.grid}
    for name, grid in grids.items():
        window.files.saver.save_volume(t2, tmp_path / name, grid, lambda _: None)
        idle(qtbot, window)
    own, resampled = (read(tmp_path / name) for name in grids)
    assert own.grid.same_as(t2.volume.grid)
    assert (own.voxels == t2.volume.voxels).all()
    assert resampled.grid.same_as(window.context.session.layers[1].volume.grid)
    told = json.loads((tmp_path / "own.json").read_text())
    assert told["registration"]["kind"] == "rigid"
    assert not own.synthetic
    window.alignment.landmarks.set((), "Clear")
    monkeypatch.setattr(
        QFileDialog, "getOpenFileName", lambda *a, **k: (str(tmp_path / "pairs.json"), "")
    )
    window.commands.run("landmarks_load")
    idle(qtbot, window)
    assert len(window.alignment.landmarks.pairs) == 4


def test_a_project_keeps_alignments_and_landmarks(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    t2, ius = window.context.session.layers
    window.context.session.pair.choose(moving=ius.id)
    place_pairs(window, TURN)
    window.alignment.aligner.put_alignment(Alignment(TURN, "file", "found.tfm"), "file")
    qtbot.waitUntil(lambda: window.panels.align.gain.text() != "", timeout=10_000)
    moved, pairs = window.context.session.layer(ius.id), window.alignment.landmarks.pairs
    assert moved.placement is not None
    path = tmp_path / "case.mhvae.json"
    window.files.projects.save(path)
    idle(qtbot, window)
    window.files.close_case()
    open_files(qtbot, window, path)
    idle(qtbot, window)
    again = window.context.session.layers[1]
    assert again.placement is not None
    assert again.volume.grid.same_as(moved.volume.grid, 1e-9)
    assert again.header.same_as(ius.header)
    assert again.placement.alignment.source == "found.tfm"
    assert again.placement.after == moved.placement.after
    assert window.alignment.aligner.moving is again
    assert window.alignment.landmarks.pairs == pairs
    window.commands.run("align_header")
    assert window.context.session.layers[1].volume.grid.same_as(ius.header)
    assert window.context.session.layers[0].volume.grid.same_as(t2.header)


@given(
    st.lists(st.floats(-300, 300), min_size=6, max_size=6),
    st.tuples(*[st.floats(-1e3, 1e3)] * 3),
    st.none() | st.floats(0, 9),
    st.text(max_size=9),
)
def test_an_alignment_comes_back_from_a_project_as_it_was(
    params: list[float], centre: tuple[float, float, float], before: float | None, source: str
) -> None:
    alignment = Alignment(from_parameters(params, centre), "manual", source)
    grid = Grid((3, 4, 5), np.eye(4))
    told = json.loads(json.dumps(described(Placement(grid, alignment, before, before, source))))
    again = placement_of(told, grid)
    assert again is not None
    assert (again.alignment.matrix == alignment.matrix).all()
    assert (again.alignment.kind, again.alignment.source) == ("manual", source)
    assert (again.before, again.after, again.doubtful) == (before, before, source)
    assert placement_of(described(None), grid) is None


def test_older_projects_open_and_damaged_alignments_are_a_sentence(tmp_path: Path) -> None:
    path = save(Project(entries=(Entry(tmp_path / "T2.nii.gz"),)), tmp_path / "a.mhvae.json")
    values = json.loads(path.read_text())
    first = {k: v for k, v in values.items() if k not in ("aligning", "landmarks")}
    first["entries"][0].pop("alignment")
    path.write_text(json.dumps({**first, "schema": 1}))
    assert load(path) == Project(entries=(Entry(tmp_path / "T2.nii.gz"),))
    flat = {"matrix": np.zeros((4, 4)).tolist(), "kind": "rigid"}
    damages: list[dict[str, object]] = [
        {"entries": [{"path": "T2.nii.gz", "alignment": flat}]},
        {"landmarks": [{"moving": 0, "fixed": 1, "pairs": [{"name": "1"}]}]},
        {"landmarks": [{"pairs": []}]},
    ]
    for damage in damages:
        path.write_text(json.dumps({**values, **damage}))
        with pytest.raises(ProjectError, match=r"a\.mhvae\.json: the project is damaged"):
            load(path)


def test_results_made_before_a_move_say_so_or_are_made_again(
    qtbot: QtBot, window: MainWindow
) -> None:
    t2, ius = window.context.session.layers
    toggle_available(window.context, t2.id)
    window.commands.run("run")
    ran(qtbot, window)
    window.context.session.pair.choose(moving=ius.id, fixed=t2.id)
    made = [x for x in window.context.session.layers if x.kind is Kind.SYNTHETIC]
    window.alignment.aligner.put_alignment(Alignment(SHIFT, "rigid"), "rigid")
    qtbot.waitUntil(
        lambda: "outdated" in window.context.session.layer(made[0].id).name, timeout=5000
    )
    assert "iUS was moved: the synthetic volumes show the position before." in notes(window)
    window.commands.run("undo")
    qtbot.waitUntil(
        lambda: "outdated" not in window.context.session.layer(made[0].id).name, timeout=5000
    )
    window.context.session.synthesis.set_form(rerun=True)
    with qtbot.assertNotEmitted(window.synthesis.running_changed, wait=900):
        window.commands.run("redo")
    window.commands.run("undo")
    window.alignment.aligner.put_alignment(Alignment(SHIFT, "rigid"), "rigid")
    qtbot.waitUntil(lambda: window.synthesis.running, timeout=5000)
    assert "outdated" in window.context.session.layer(made[0].id).name  # until the new one is whole
    ran(qtbot, window)
    result = window.context.session.results.by_target["T2"]
    made_on = window.context.session.layer(result.layer_id).volume.grid
    assert made_on.same_as(window.context.session.layer(ius.id).volume.grid)  # the engine was told
    assert result.given["iUS"].grid.same_as(window.context.session.layer(ius.id).volume.grid)
    assert "outdated" not in window.context.session.layer(result.layer_id).name
