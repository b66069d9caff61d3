"""Work is kept: reopening, closing with unsaved results, undo, and no result over another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from shell_stage import model, open_files, put, ran, staged

from app.files.project import load
from app.shell.window import MainWindow
from app.state.record import Result
from app.state.session import Session
from app.state.values import Kind, Layer
from core.grid import Grid
from core.io import read
from core.volume import Volume

pytestmark = pytest.mark.qt_log_ignore("does not support propagateSizeHints")


@pytest.fixture
def window(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MainWindow]:
    with staged(qtbot, tmp_path, monkeypatch) as made:
        yield made


def saved(qtbot: QtBot, window: MainWindow) -> None:
    qtbot.waitUntil(lambda: not window.context.jobs.busy, timeout=10_000)


def synthesised(qtbot: QtBot, window: MainWindow, folder: Path, samples: int = 2) -> Path:
    """Open a pair, hold the ultrasound back, wait for its synthesis; returns a project path."""
    open_files(qtbot, window, put(folder, "T2.nii.gz"), put(folder, "iUS.nii.gz", seed=1))
    session = window.context.session
    session.synthesis.set_form(samples=samples, seed=7)
    truth = session.find(Kind.REAL, "iUS")
    assert truth is not None
    window.panels.case.rows[truth.id].available.click()
    qtbot.waitUntil(lambda: "iUS" in session.results.by_target, timeout=15_000)
    ran(qtbot, window)
    return folder / "study.mhvae.json"


def kinds(session: Session) -> list[Kind]:
    return [x.kind for x in session.layers]


def test_a_project_reopens_as_saved_and_runs_nothing(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    path = synthesised(qtbot, window, tmp_path)
    session = window.context.session
    before, asked = kinds(session), session.synthesis.form
    window.files.projects.save(path)
    saved(qtbot, window)
    first = json.loads(path.read_text())
    window.files.close_case()
    session.synthesis.set_form(samples=1, seed=0, temperature=0.0)
    with qtbot.assertNotEmitted(window.synthesis.running_changed, wait=1200):
        open_files(qtbot, window, path)
    assert kinds(session) == before
    assert session.synthesis.form == asked
    result = session.results.by_target["iUS"]
    assert (result.seed, result.samples, result.temperature) == (7, 2, 1.0)
    assert result.subset == ("T2",)
    assert result.provenance["model"]["name"] == "ok"
    window.files.save_project()
    saved(qtbot, window)
    assert json.loads(path.read_text()) == first


def test_a_saved_result_is_never_overwritten_by_another(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    path = synthesised(qtbot, window, tmp_path)
    session = window.context.session
    window.files.projects.save(path)
    saved(qtbot, window)
    folder = tmp_path / "study-results"
    files = {p.name: p.read_bytes() for p in folder.iterdir()}
    session.synthesis.set_form(seed=8)
    window.synthesis.run()
    ran(qtbot, window)
    window.files.save_project()
    saved(qtbot, window)
    assert {p.name: p.read_bytes() for p in folder.iterdir() if p.name in files} == files
    marks = [json.loads(p.read_text()) for p in sorted(folder.glob("synthetic-iUS-2*.json"))]
    assert len(marks) == 2
    assert len({m["id"] for m in marks}) == 2
    entries = json.loads(path.read_text())["entries"]
    for entry in entries:
        if entry["kind"] != "real":
            assert entry["marks"]["model"]["name"] == "ok"
            assert entry["marks"]["subset"] == ["T2"]


def test_removing_a_result_and_undoing_brings_its_record_back(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    synthesised(qtbot, window, tmp_path)
    session = window.context.session
    result = session.results.by_target["iUS"]
    marks = dict(session.results.marks(session.layer(result.layer_id)))
    window.panels.case.rows[result.layer_id].remove.click()
    assert "iUS" not in session.results.by_target
    window.commands.run("undo")
    assert dict(session.results.marks(session.layer(result.layer_id))) == marks
    target = tmp_path / "alone.nii.gz"
    window.files.saver.save_volume(session.layer(result.layer_id), target, None, lambda _: None)
    saved(qtbot, window)
    written = json.loads((tmp_path / "alone.json").read_text())
    assert written["model"]["name"] == "ok"
    assert written["samples"] == 2


def test_the_menu_says_what_it_undoes(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    path = put(tmp_path, "T2.nii.gz")
    assert window.commands.actions["undo"].text() == "Undo"
    open_files(qtbot, window, path)
    assert window.commands.actions["undo"].text() == "Undo “Open T2.nii.gz”"
    window.commands.run("undo")
    assert window.commands.actions["redo"].text() == "Redo “Open T2.nii.gz”"


def test_undoing_an_import_leaves_no_result_of_it(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    synthesised(qtbot, window, tmp_path)
    session, undo = window.context.session, window.context.undo
    order = [x.id for x in session.layers]
    with qtbot.assertNotEmitted(window.synthesis.running_changed, wait=900):
        while undo.canUndo():
            undo.undo()
            real = {x.modality for x in session.layers if x.kind is Kind.REAL}
            made = [x for x in session.layers if x.kind is not Kind.REAL]
            assert not made or real == {"T2", "iUS"}
        assert session.layers == []
        while undo.canRedo():
            undo.redo()
    assert [x.id for x in session.layers] == order


def test_undo_of_a_removal_restores_the_columns_and_keeps_the_display(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    open_files(qtbot, window, put(tmp_path, "T2.nii.gz"), put(tmp_path, "iUS.nii.gz", seed=1))
    session = window.context.session
    first, second = (x.id for x in session.layers)
    session.set_columns([second, first])
    window.panels.case.rows[first].remove.click()
    session.set_window(second, 10, 20)
    window.commands.run("undo")
    assert [x.id for x in session.columns()] == [second, first]
    assert session.layer(second).window == (10, 20)


def test_an_undone_import_stops_the_run_made_from_it(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    open_files(qtbot, window, put(tmp_path, "T2.nii.gz"))
    session = window.context.session
    session.synthesis.use_model(model("slow"))
    window.synthesis.run()
    qtbot.waitUntil(lambda: Kind.SYNTHETIC in kinds(session), timeout=10_000)
    window.commands.run("undo")
    ran(qtbot, window)
    assert session.layers == []


def test_a_remembered_window_does_not_make_a_result_white(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    session = window.context.session
    open_files(qtbot, window, put(tmp_path, "T2.nii.gz"))
    t2 = session.layers[0].id
    low, high = session.layer(t2).auto
    session.set_window(t2, low + 0.1 * (high - low), low + 0.6 * (high - low))
    window.files.close_case()
    open_files(qtbot, window, put(tmp_path, "iUS.nii.gz", seed=1))
    session.synthesis.use_model(model("slow"))  # its first voxels come after the layer is shown
    window.synthesis.run()
    ran(qtbot, window)
    made = session.layer(session.results.by_target["T2"].layer_id)
    assert made.window[1] - made.window[0] > 0.3 * (made.volume.voxels.max())
    assert white(made) < 0.5


def test_a_remembered_window_that_does_not_fit_is_forgotten() -> None:
    session = Session()
    grid = Grid((8, 9, 5), np.eye(4))
    session.remembered_windows["T2"] = (-9.0, -8.0)
    voxels = np.random.default_rng(0).uniform(10, 100, grid.shape).astype(np.float32)
    layer = session.layer(session.add_layer(Volume(voxels, grid, "T2")))
    assert layer.window == layer.auto
    assert "T2" not in session.remembered_windows


def white(layer: Layer) -> float:
    """Share of voxels at or above the top of the window."""
    return float((layer.volume.voxels >= layer.window[1]).mean())


def test_two_ultrasounds_the_one_held_back_is_the_truth(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    session = window.context.session
    open_files(qtbot, window, put(tmp_path, "T2.nii.gz"), put(tmp_path, "iUS-1.nii.gz", seed=1))
    open_files(qtbot, window, put(tmp_path / "b", "iUS-2.nii.gz", seed=2))
    later = session.layers[-1]
    assert later.modality == "iUS"
    session.synthesis.set_form(rerun=False)
    window.panels.case.rows[later.id].available.click()
    session.synthesis.set_form(rerun=True)
    window.panels.case.rows[later.id].available.click()  # held back: this one is to be judged by
    qtbot.waitUntil(lambda: "iUS" in session.results.by_target, timeout=15_000)
    ran(qtbot, window)
    result = session.results.by_target["iUS"]
    made = session.layer(result.layer_id)
    difference = session.find(Kind.DIFFERENCE, "iUS")
    assert difference is not None
    np.testing.assert_allclose(
        difference.volume.voxels, made.volume.voxels - later.volume.voxels, atol=1e-3
    )
    assert result.truth == later.id
    assert "iUS-2.nii.gz" in difference.name
    assert later.id in [x.id for x in session.columns()]
    table = window.panels.results.table
    tip = table.item(0, 0).toolTip()  # type: ignore[union-attr]
    assert "iUS-2.nii.gz" in tip


def test_a_file_left_by_another_project_is_not_overwritten(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    path = synthesised(qtbot, window, tmp_path)
    window.files.projects.save(path)
    saved(qtbot, window)
    (made,) = (tmp_path / "study-results").glob("synthetic-iUS-2*.nii.gz")
    before = read(made).voxels.copy()
    window.files.close_case()
    synthesised(qtbot, window, tmp_path)
    window.files.projects.save(path)
    saved(qtbot, window)
    np.testing.assert_array_equal(read(made).voxels, before)
    assert len(list((tmp_path / "study-results").glob("synthetic-iUS-2*.nii.gz"))) == 2


def test_a_project_of_format_2_gets_records_and_ids(tmp_path: Path) -> None:
    marks = {"kind": "synthesis", "seed": 4, "model": {"name": "old"}}
    made = {"path": "a.nii.gz", "modality": "iUS", "marks": marks}
    path = tmp_path / "old.mhvae.json"
    path.write_text(
        json.dumps(
            {
                "schema": 2,
                "entries": [
                    {"path": "T2.nii.gz", "kind": "real", "modality": "T2"},
                    {**made, "kind": "synthetic", "subset": ["T2"], "metrics": {"PSNR": 20.0}},
                    {**made, "kind": "difference"},
                ],
            }
        )
    )
    project = load(path)
    (result,) = (Result.from_dict(r) for r in project.results)
    assert (result.model, result.seed, result.subset) == ("old", 4, ("T2",))
    assert [e.result for e in project.entries] == ["", result.id, result.id]
    assert project.entries[1].id == result.layer_id
