"""The import table in the window: shown when there is something to decide, and what it does."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from dicom_factory import MR, base, save, write_series
from pydicom.uid import generate_uid
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox
from pytestqt.qtbot import QtBot
from shell_stage import notes, open_files, put, staged

import app.files.importer
from app.files.import_rules import KEEP, LABEL_MAP, OTHER, SKIP
from app.files.import_table import ImportTable
from app.files.import_table_model import Column
from app.shell.window import MainWindow
from app.state.values import Kind
from core.grid import Grid
from core.io import write
from core.io.dicom_tags import Image, read_tags
from core.volume import Volume

# The offscreen platform has no window manager to tell sizes to.
pytestmark = pytest.mark.qt_log_ignore("does not support")


@pytest.fixture
def window(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MainWindow]:
    with staged(qtbot, tmp_path, monkeypatch) as made:
        yield made


def tables(window: MainWindow) -> list[ImportTable]:
    return [table for table in window.findChildren(ImportTable) if table.isVisible()]


def table_of(qtbot: QtBot, window: MainWindow, *paths: Path) -> ImportTable:
    """Open paths and return the table that asks about them, once its pictures are made."""
    open_files(qtbot, window, *paths)
    (table,) = tables(window)
    return table


def accept(qtbot: QtBot, window: MainWindow, table: ImportTable) -> None:
    table.go.click()
    qtbot.waitUntil(lambda: not window.context.jobs.busy, timeout=10_000)
    assert tables(window) == []


def text(table: ImportTable, row: int, column: Column) -> str:
    return str(table.model.index(row, column).data())


def two_series(folder: Path) -> Path:
    write_series(folder, SeriesDescription="AX T2", SeriesNumber=2, shape=(9, 8))
    write_series(folder, SeriesDescription="AX FLAIR", SeriesNumber=5, name="b", shape=(7, 8))
    return folder


def test_two_series_in_one_folder_are_asked_about(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    table = table_of(qtbot, window, two_series(tmp_path / "d"))
    assert not table.isModal()
    assert [text(table, n, Column.VOLUME) for n in (0, 1)] == [
        "2 AX T2\nDICOM series, 6 files",
        "5 AX FLAIR\nDICOM series, 6 files",
    ]
    assert [text(table, n, Column.MODALITY) for n in (0, 1)] == ["T2", "FLAIR"]
    assert text(table, 0, Column.WHY) == "series description contains “t2”"
    assert text(table, 0, Column.VERDICT) == "6 slices, evenly spaced."
    assert text(table, 0, Column.SIZE) == "8×9×6\n0.5×0.8×2 mm"
    assert len(table.model.pictures) == 2
    window.files.importer.edit([1], action=SKIP)
    assert table.about.text() == "1 to open, 1 to skip."
    accept(qtbot, window, table)
    (layer,) = window.context.session.layers
    assert (layer.modality, layer.volume.source) == ("T2", "2 AX T2")
    assert window.context.settings.recent() == [tmp_path / "d"]
    assert "SECRET" not in repr(vars(layer)).upper()


def test_lists_open_with_a_click_and_change_the_row(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    table = table_of(qtbot, window, two_series(tmp_path / "d"))

    def choose(row: int, column: Column, words: str) -> None:
        index = table.model.index(row, column)
        at = table.table.visualRect(index).center()
        qtbot.mouseClick(table.table.viewport(), Qt.MouseButton.LeftButton, pos=at)
        box = table.table.viewport().findChild(QComboBox)
        assert box is not None
        qtbot.waitUntil(lambda: box.view().isVisible())
        box.view().setCurrentIndex(box.model().index(box.findText(words), 0))
        qtbot.keyClick(box.view(), Qt.Key.Key_Return)
        qtbot.waitUntil(lambda: table.table.viewport().findChild(QComboBox) is None)

    choose(1, Column.ACTION, "Skip")
    choose(0, Column.MODALITY, "iUS")
    assert [(r.modality, r.action) for r in window.files.importer.rows] == [
        ("iUS", KEEP),
        ("FLAIR", SKIP),
    ]
    assert text(table, 0, Column.WHY) == "you said so"
    table.table.selectAll()
    assert table.skip.isEnabled()
    table.skip.click()
    assert not table.go.isEnabled()
    table.keep.click()
    assert all(row.kept for row in window.files.importer.rows)
    table.reject()
    assert window.context.session.layers == []


def test_rows_with_problems_say_so_and_are_never_opened(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    write_series(tmp_path / "gap", drop=[2], SeriesDescription="T2 gap")
    write_series(tmp_path / "good", SeriesDescription="T2 good", SeriesNumber=4)
    mixed = {2: {"pixels": np.ones((3, 3), np.int16)}}
    write_series(tmp_path / "mixed", each=mixed, SeriesDescription="T2 mixed")
    colour = base(MR, np.zeros((4, 5, 6), np.uint8), generate_uid())
    colour.SamplesPerPixel, colour.PhotometricInterpretation = 3, "RGB"
    save(colour, tmp_path / "colour.dcm")
    (tmp_path / "torn.nii.gz").write_bytes(b"\x1f\x8b\x08 not really")
    table = table_of(qtbot, window, tmp_path / "gap", *tmp_path.glob("[!gs]*"), tmp_path / "good")
    rows = window.files.importer.rows
    assert [row.usable for row in rows] == [True, False, False, False, False]
    said = " ".join(row.verdict for row in rows)
    for words in ("1 is missing", "5 of 4×5, 1 of 3×3", "colour.dcm", "torn.nii.gz"):
        assert words in said
    assert text(table, 1, Column.ACTION) == "Cannot use"
    assert not table.model.flags(table.model.index(1, Column.ACTION)) & Qt.ItemFlag.ItemIsEditable
    table.table.selectAll()
    table.keep.click()
    accept(qtbot, window, table)
    assert [x.volume.source for x in window.context.session.layers] == ["4 T2 good"]
    assert notes(window) == []


def test_voxels_that_turn_out_unreadable_are_a_problem_before_opening(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    (tmp_path / "z").mkdir()
    write(
        Volume(np.zeros((3, 4, 5), np.float32), Grid((3, 4, 5), np.eye(4))), tmp_path / "z/T2.nii"
    )
    put(tmp_path / "z", "x.nii.gz", seed=3)
    table_of(qtbot, window, tmp_path / "z")
    assert "every voxel is zero" in window.files.importer.rows[0].verdict
    window.files.importer.dismiss()


def test_duplicates_are_set_to_be_skipped_and_an_import_is_one_step(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    first = put(tmp_path, "T2.nii.gz")
    shutil.copy(first, tmp_path / "T2-copy.nii.gz")
    table = table_of(
        qtbot, window, first, tmp_path / "T2-copy.nii.gz", put(tmp_path, "iUS.nii.gz", seed=1)
    )
    assert [row.action for row in window.files.importer.rows] == [KEEP, SKIP, KEEP]
    accept(qtbot, window, table)
    assert [x.modality for x in window.context.session.layers] == ["T2", "iUS"]
    assert window.context.undo.count() == 1
    window.commands.run("undo")
    assert window.context.session.layers == []
    window.commands.run("redo")
    assert [x.modality for x in window.context.session.layers] == ["T2", "iUS"]


def test_a_volume_may_replace_the_one_in_the_case(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    open_files(qtbot, window, put(tmp_path, "T2.nii.gz"), put(tmp_path, "iUS.nii.gz", seed=1))
    old = window.context.session.find(Kind.REAL, "T2")
    assert old is not None
    window.files.opener.open([put(tmp_path, "T2-new.nii.gz", shift=400, seed=2)], ask=True)
    qtbot.waitUntil(lambda: bool(tables(window)) and not window.context.jobs.busy)
    (row,) = window.files.importer.rows
    words = [text for _, text in tables(window)[0].model.actions(row)]
    assert words == ["Keep", "Replace T2 (T2.nii.gz)", "Skip"]
    # It does not overlap with the iUS: nothing may be lost.
    window.files.importer.edit([0], action=old.id)
    accept(qtbot, window, tables(window)[0])
    assert old.id in window.context.session
    assert "apart in space" in notes(window)[-1]
    window.files.opener.open([put(tmp_path, "T2-better.nii.gz", seed=4)], ask=True)
    qtbot.waitUntil(lambda: bool(tables(window)) and not window.context.jobs.busy)
    window.files.importer.edit([0], action=old.id)
    accept(qtbot, window, tables(window)[0])
    assert [x.volume.source for x in window.context.session.layers] == [
        "iUS.nii.gz",
        "T2-better.nii.gz",
    ]
    assert set(window.context.session.subset()) == {"T2", "iUS"}
    window.commands.run("undo")
    assert [x.volume.source for x in window.context.session.layers] == ["T2.nii.gz", "iUS.nii.gz"]
    assert set(window.context.session.subset()) == {"T2", "iUS"}
    window.commands.run("redo")
    assert [x.volume.source for x in window.context.session.layers] == [
        "iUS.nii.gz",
        "T2-better.nii.gz",
    ]


def test_what_the_user_says_is_what_it_becomes(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    files = [put(tmp_path, f"{name}.nii.gz", seed=n) for n, name in enumerate("abc")]
    table = table_of(qtbot, window, *files)
    assert text(table, 0, Column.MODALITY) == "modality?"
    window.files.importer.edit([0], modality=LABEL_MAP)
    window.files.importer.edit([1], modality=OTHER)
    window.files.importer.edit([2], modality="iUS")
    accept(qtbot, window, table)
    made = {x.volume.source: (x.kind, x.modality) for x in window.context.session.layers}
    assert made == {
        "a.nii.gz": (Kind.LABEL, ""),
        "b.nii.gz": (Kind.REAL, ""),
        "c.nii.gz": (Kind.REAL, "iUS"),
    }


def test_the_import_command_always_shows_the_table(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    window.commands.run("import")
    (table,) = tables(window)
    assert not table.go.isEnabled()
    assert "Drop files" in table.hint.text()
    # More may be added; what was said about the first stays.
    open_files(qtbot, window, put(tmp_path, "T2.nii.gz"))
    window.files.importer.edit([0], modality="ceT1", action=SKIP)
    open_files(qtbot, window, put(tmp_path, "iUS.nii.gz", seed=1))
    assert [(r.modality, r.action) for r in window.files.importer.rows] == [
        ("ceT1", SKIP),
        ("iUS", KEEP),
    ]
    assert tables(window) == [table]
    accept(qtbot, window, table)
    assert [x.modality for x in window.context.session.layers] == ["iUS"]


def test_a_long_search_shows_progress_and_stops(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window.files.importer._slow.setInterval(0)
    monkeypatch.setattr(app.files.importer, "_TELL_S", 0.0)
    write_series(tmp_path / "many", count=90, SeriesDescription="T2")
    looked: list[Path] = []
    gate = threading.Event()

    def slowly(path: Path) -> Image | None:
        looked.append(path)
        if len(looked) > 50:
            gate.wait(10)
        return read_tags(path)

    monkeypatch.setattr("core.io.search.read_tags", slowly)
    window.files.opener.open([tmp_path / "many"])
    qtbot.waitUntil(lambda: bool(tables(window)), timeout=10_000)
    (table,) = tables(window)
    qtbot.waitUntil(lambda: table.count.text() == "40 of 90 files", timeout=10_000)
    assert table.progress.isVisible()
    table.stop.click()
    assert not window.files.importer.scanning
    gate.set()
    qtbot.waitUntil(lambda: not window.context.jobs.busy, timeout=10_000)
    assert len(looked) <= 60
    assert window.files.importer.rows == []
    assert window.context.session.layers == []
    table.reject()
    # A long search without anything to decide closes its progress and opens.
    window.files.opener.open([tmp_path / "many"])
    qtbot.waitUntil(lambda: len(window.context.session.layers) == 1, timeout=20_000)
    assert tables(window) == []


def test_closing_the_window_ends_a_search(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    write_series(tmp_path / "many", count=150)
    window.files.importer._slow.setInterval(0)
    window.files.opener.open([tmp_path / "many"])
    qtbot.waitUntil(lambda: bool(tables(window)), timeout=10_000)
    # The stage closes the window, and fails when a thread or the table is left.


def test_two_imports_at_once_both_arrive_and_closing_the_case_stops_them(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    files = [put(tmp_path, f"{n}-{m}.nii.gz", seed=n) for n, m in enumerate(["T2", "iUS", "T1"])]
    window.files.opener.open(files[:2])
    qtbot.waitUntil(lambda: not window.files.importer.scanning)
    window.files.opener.open(files[2:])
    qtbot.waitUntil(lambda: len(window.context.session.layers) == 3, timeout=10_000)
    window.files.close_case()
    window.files.opener.open(files)
    qtbot.waitUntil(lambda: not window.files.importer.scanning)
    window.files.close_case()
    qtbot.waitUntil(lambda: not window.context.jobs.busy, timeout=10_000)
    assert window.context.session.layers == []
    assert not window.context.undo.canUndo()
