"""Saving: the project file, volumes with their marks, pictures with theirs."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot
from shell_stage import notes, open_files, put, ran, staged

from app.files.project import Entry, Project, ProjectError, load, save
from app.shell.commands import toggle_available
from app.shell.window import MainWindow
from app.state.values import COLORMAPS, Kind, Label, Layout
from app.viewer.colormaps import NAMES
from core.grid import Grid
from core.io import read, write
from core.volume import Volume

pytestmark = pytest.mark.qt_log_ignore("does not support propagateSizeHints")


@pytest.fixture
def window(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MainWindow]:
    with staged(qtbot, tmp_path, monkeypatch) as made:
        yield made


def saved(qtbot: QtBot, window: MainWindow) -> None:
    qtbot.waitUntil(lambda: not window.context.jobs.busy, timeout=10_000)


numbers = st.floats(-1e6, 1e6)
entries = st.builds(
    Entry,
    path=st.sampled_from([Path("/data/a b/T2.nii.gz"), Path("/elsewhere/üs.nrrd")]),
    kind=st.sampled_from([str(k) for k in Kind]),
    modality=st.text(max_size=5),
    available=st.booleans(),
    window=st.tuples(numbers, numbers),
    opacity=st.floats(0, 1),
    metrics=st.dictionaries(st.sampled_from(["PSNR", "SSIM"]), numbers),
    subset=st.lists(st.sampled_from(["T2", "iUS"]), max_size=2).map(tuple),
)
projects = st.builds(
    Project,
    name=st.text(max_size=8),
    entries=st.lists(entries, max_size=4).map(tuple),
    active=st.integers(-1, 3),
    cursor=st.tuples(numbers, numbers, numbers),
    zoom=st.floats(0.1, 20),
)


@given(projects)
def test_a_project_file_gives_back_what_was_put_in(project: Project) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = save(project, Path(folder) / "case.mhvae.json")
        assert load(path) == project
        assert [p.name for p in Path(folder).iterdir()] == ["case.mhvae.json"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "damaged"),
        ("[]", "damaged"),
        ('{"entries": []}', "schema"),
        ('{"schema": 99}', "version 99"),
        ('{"schema": 1, "entries": [{"kind": "real"}]}', "damaged"),
        ('{"schema": 1, "entries": [{"path": "a", "kind": "x"}]}', r"entries\[0\].kind: invalid"),
        ('{"schema": 1, "entries": [{"path": "a", "subset": "T2"}]}', r"subset: expected array"),
        (
            '{"schema": 1, "entries": [], "cursor": [1, 2]}',
            "cursor: expected array of length 3",
        ),
        ('{"schema": 1, "entries": [], "zoom": "wide"}', "zoom: expected float, got str"),
        ('{"schema": 3, "entries": [], "zoom": NaN}', "NaN is no number"),
        ('{"schema": 3, "entries": [], "zoom": 0}', "zoom: expected 0.001"),
        ('{"schema": 3, "entries": [], "zoom": 1e999}', "zoom: expected 0.001"),
        ('{"schema": 3, "entries": [], "cursor": [0, 0, 1e999]}', "too large"),
        ('{"schema": 3, "entries": [{"path": "a", "window": [0, -1e999]}]}', "too large"),
        ("[" * 100_000, "damaged"),
    ],
)
def test_damaged_projects_are_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "case.mhvae.json"
    path.write_text(text)
    with pytest.raises(ProjectError, match=words) as caught:
        load(path)
    assert "case.mhvae.json" in str(caught.value)


def test_a_colour_map_of_a_later_version_does_not_cost_the_case(tmp_path: Path) -> None:
    path = tmp_path / "case.mhvae.json"
    entries = [{"path": "a", "kind": "sigma", "colormap": "octarine"}, {"path": "b"}]
    path.write_text(json.dumps({"schema": 3, "entries": entries}))
    assert [e.colormap for e in load(path).entries] == ["inferno", "gray"]
    assert set(COLORMAPS) == set(NAMES)


def test_a_failed_save_leaves_the_old_project(tmp_path: Path) -> None:
    path = save(Project(name="old"), tmp_path / "case.mhvae.json")
    (tmp_path / ".part-case.mhvae.json").mkdir()
    with pytest.raises((ProjectError, OSError)):
        save(Project(name="new"), path)
    assert load(path).name == "old"


def test_the_case_comes_back_as_it_was(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    folder = tmp_path / "case"
    open_files(qtbot, window, put(folder, "T2.nii.gz"), put(folder, "iUS.nii.gz", seed=1))
    window.context.session.synthesis.set_form(rerun=False)
    truth = window.context.session.find(Kind.REAL, "iUS")
    assert truth is not None
    toggle_available(window.context, truth.id)
    window.synthesis.run()
    ran(qtbot, window)
    session = window.context.session
    session.set_display(layout=Layout.GRID)
    session.set_cursor((3.0, 4.5, 6.0))
    session.set_window(truth.id, 20, 120)
    session.update_layer(truth.id, colormap="magma", opacity=0.5)
    synthetic = session.layer(window.context.session.results.by_target["iUS"].layer_id)
    voxels = synthetic.volume.voxels.copy()
    path = folder / "study.mhvae.json"
    window.files.projects.save(path)
    saved(qtbot, window)
    text = path.read_text()
    assert str(tmp_path) not in text  # relative, so that the folder may move
    (written,) = (folder / "study-results").glob("synthetic-iUS-*.json")
    marks = json.loads(written.read_text())
    assert marks["synthetic"] is True

    moved = tmp_path / "moved"
    shutil.move(folder, moved)
    window.files.close_case()
    assert session.layers == []
    open_files(qtbot, window, moved / "study.mhvae.json")
    qtbot.waitUntil(lambda: not window.context.jobs.busy)
    assert [x.kind for x in session.layers] == [
        Kind.REAL, Kind.REAL, Kind.SYNTHETIC, Kind.DIFFERENCE,
    ]  # fmt: skip
    assert session.subset() == ("T2",)
    assert session.display.layout is Layout.GRID
    assert session.cursor.tolist() == [3.0, 4.5, 6.0]
    back = session.find(Kind.REAL, "iUS")
    assert back is not None
    assert (back.window, back.colormap, back.opacity) == ((20, 120), "magma", 0.5)
    result = window.context.session.results.by_target["iUS"]
    assert result.metrics["PSNR"] == 20.0
    layer = session.layer(result.layer_id)
    assert layer.made_by_model
    np.testing.assert_array_equal(layer.volume.voxels, voxels)
    assert "study.mhvae.json" in window.windowTitle()


def test_names_and_switches_of_labels_come_back(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    grid = Grid((12, 10, 8), np.eye(4))
    voxels = np.zeros(grid.shape, np.float32)
    voxels[2:5], voxels[6:9] = 1, 4
    write(Volume(voxels, grid), tmp_path / "labels.nii.gz")
    (tmp_path / "labels.tsv").write_text("index\tname\n1\tVentricle\n")
    open_files(qtbot, window, put(tmp_path, "T2.nii.gz"), tmp_path / "labels.nii.gz")
    session = window.context.session
    (layer,) = session.label_layers() or [x for x in session.layers if x.kind is Kind.LABEL]
    assert layer.labels == (Label(1, "Ventricle"), Label(4, "Label 4"))
    edited = (Label(1, "Ventricle", False), Label(4, "Cavity"))
    session.update_layer(layer.id, labels=edited)
    path = tmp_path / "labelled.mhvae.json"
    window.files.projects.save(path)
    saved(qtbot, window)
    window.files.close_case()
    open_files(qtbot, window, path)
    qtbot.waitUntil(lambda: not window.context.jobs.busy)
    (back,) = (x for x in session.layers if x.kind is Kind.LABEL)
    assert back.labels == edited


def test_a_missing_file_can_be_located(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = put(tmp_path, "T2.nii.gz"), put(tmp_path, "iUS.nii.gz", seed=1)
    open_files(qtbot, window, first, second)
    window.files.projects.save(tmp_path / "p.mhvae.json")
    saved(qtbot, window)
    second.rename(tmp_path / "renamed.nii.gz")
    open_files(qtbot, window, tmp_path / "p.mhvae.json")
    assert [x.modality for x in window.context.session.layers] == ["T2"]
    assert "iUS.nii.gz: the project's iUS is not where it was" in notes(window)[-1]
    assert [b.text() for b in window.message_bar.buttons] == ["Locate…"]
    monkeypatch.setattr(
        QFileDialog, "getOpenFileName", lambda *_: (str(tmp_path / "renamed.nii.gz"), "")
    )
    window.message_bar.buttons[0].click()
    saved(qtbot, window)
    assert [x.modality for x in window.context.session.layers] == ["T2", "iUS"]
    assert set(window.context.session.subset()) == {"T2", "iUS"}


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_a_result_is_saved_on_an_inputs_grid_with_its_marks(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, suffix: str
) -> None:
    open_files(qtbot, window, put(tmp_path, "T2.nii.gz"))
    window.synthesis.run()
    ran(qtbot, window)
    layer = window.context.session.layer(window.context.session.results.by_target["iUS"].layer_id)
    real = window.context.session.find(Kind.REAL, "T2")
    assert real is not None
    path = tmp_path / f"out{suffix}"
    window.files.saver.save_volume(layer, path, real.volume.grid, lambda _: None)
    saved(qtbot, window)
    back = read(path)
    assert back.grid.same_as(real.volume.grid)
    assert back.synthetic
    np.testing.assert_allclose(back.voxels, layer.volume.voxels, atol=1e-4)
    assert json.loads((tmp_path / "out.json").read_text())["synthetic"] is True
    assert "out" in notes(window)[-1]


def test_a_screenshot_carries_the_marks(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    open_files(qtbot, window, put(tmp_path, "T2.nii.gz"))
    window.synthesis.run()
    ran(qtbot, window)
    picture = window.viewers.render_image(1.0)
    window.files.save_picture(picture, tmp_path / "view.png")
    saved(qtbot, window)
    read_back = QImage(str(tmp_path / "view.png"))
    assert "Research use only" in read_back.text("Description")
    assert read_back.height() > picture.height()
    orange = [
        read_back.pixelColor(x, y).name()
        for x in range(0, picture.width(), 3)
        for y in (picture.height() - 2, 1)
    ]
    assert "#ff9114" in orange
