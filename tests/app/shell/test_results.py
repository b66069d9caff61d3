"""Several results side by side: rows, columns, samples, names, comparisons, deletion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest
from fake_engine import CALIBRATED, STRANGE
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QImage
from PySide6.QtWidgets import QApplication, QMenu
from pytestqt.qtbot import QtBot
from shell_stage import model, notes, open_files, put, ran, staged

from app.shell.window import MainWindow
from app.state.messages import Severity
from app.state.values import Compare, Kind, Layout
from app.viewer.column_titles import layer_data, title_rect
from app.viewer.pictures import difference_reach

pytestmark = pytest.mark.qt_log_ignore("does not support")


@pytest.fixture
def window(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MainWindow]:
    with staged(qtbot, tmp_path, monkeypatch) as made:
        folder = tmp_path / "case"
        open_files(qtbot, made, put(folder, "T2.nii.gz"), put(folder, "iUS.nii.gz", seed=1))
        truth = made.context.session.find(Kind.REAL, "iUS")
        assert truth is not None
        made.panels.case.rows[truth.id].available.click()
        qtbot.waitUntil(lambda: bool(made.context.session.results.all), timeout=15_000)
        ran(qtbot, made)
        yield made


def again(qtbot: QtBot, window: MainWindow, **form: object) -> None:
    window.context.session.synthesis.set_form(**form)
    window.synthesis.run()
    ran(qtbot, window)


def column_ids(window: MainWindow) -> list[str]:
    return [x.id for x in window.context.session.columns()]


def test_the_view_this_program_is_for(window: MainWindow) -> None:
    columns = window.context.session.columns()
    assert [(x.kind, x.modality) for x in columns] == [
        (Kind.REAL, "T2"), (Kind.REAL, "iUS"), (Kind.SYNTHETIC, "iUS"), (Kind.DIFFERENCE, "iUS"),
    ]  # fmt: skip


def test_what_the_engine_says_of_the_inputs_is_said_once(qtbot: QtBot, window: MainWindow) -> None:
    for _ in range(2):
        again(qtbot, window, seed=77)
    said = [note for note in window.context.messages.history if "3 outliers" in note.sentence]
    assert [note.severity for note in said] == [Severity.WARNING]


def test_a_spread_map_says_whether_it_was_calibrated(
    qtbot: QtBot, window: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed, words in (
        (3, "model variability, not error"),
        (CALIBRATED, "spread of samples, calibrated on simulated cases"),
    ):
        again(qtbot, window, temperature=1.0, samples=2, seed=seed)
        (sigma,) = (x for x in window.context.session.columns() if x.kind is Kind.SIGMA)
        assert sigma.name.endswith(f"σ iUS: {words}")
        written = Mock()
        with monkeypatch.context() as patch:
            patch.setattr("app.viewer.overlay.write", written)
            picture_of(window)
        assert words in [call.args[1] for call in written.call_args_list]


def test_an_input_unlike_the_training_is_said_before_and_beside_the_result(
    qtbot: QtBot, window: MainWindow
) -> None:
    warning = window.panels.results.warning
    assert not warning.isVisibleTo(window)
    window.context.session.set_cursor((5, 6, 8))  # where the fake engine has shares
    before = picture_of(window)
    window.context.session.synthesis.set_form(seed=STRANGE)
    said = "The T2 does not look like a T2."
    qtbot.waitUntil(lambda: said in notes(window), timeout=10_000)  # before it is run
    again(qtbot, window)
    assert notes(window).count(said) == 1
    assert warning.isVisibleTo(window)
    assert "T2, score 7.5, limit 1.5" in warning.text()
    assert window.context.session.results.current is not None
    # The pane says it too: without its record the same result has fewer words in its picture.
    told = picture_of(window)
    for layer in window.context.session.layers:
        if layer.result is not None and layer.result.seed == STRANGE:
            plain = replace(layer.result, provenance={})
            window.context.session.update_layer(layer.id, result=plain)
    assert told != before
    assert picture_of(window) != told
    assert not warning.isVisibleTo(window)


def picture_of(window: MainWindow) -> QImage:
    """The viewers as they are painted now."""
    QApplication.processEvents()
    return window.viewers.grab().toImage()


def test_two_results_are_listed_chosen_named_compared_and_deleted(
    qtbot: QtBot, window: MainWindow
) -> None:
    session, panel = window.context.session, window.panels.results
    again(qtbot, window, temperature=0.5, seed=3)
    first, second = session.results.all
    assert (first.number, second.number, second.seed) == (1, 2, 3)
    assert panel.table.rowCount() == 2
    assert second.layer_id in column_ids(window)
    panel.table.selectRow(0)
    assert session.results.current == first
    assert first.layer_id in column_ids(window)
    assert second.layer_id not in column_ids(window)
    panel.compare_with(second)
    assert session.active is not None
    assert session.secondary is not None
    assert (session.active.id, session.secondary.id) == (first.layer_id, second.layer_id)
    assert session.display.compare is not Compare.OFF
    for mode in Compare:
        session.set_display(compare=mode)
        assert not window.viewers.render_image(1.0).isNull()
    panel.table.item(0, 0).setText("#1 before dura")  # type: ignore[union-attr]
    assert session.layer(first.layer_id).name == "#1 before dura"
    rows = [x.id for x in session.layers]
    panel.delete.click()
    assert [r.number for r in session.results.all] == [2]
    assert not any(x.result and x.result.id == first.id for x in session.layers)
    window.commands.run("undo")
    assert [x.id for x in session.layers] == rows
    assert session.results.all[0].name == "before dura"


def test_a_known_result_is_shown_instead_of_made_again(qtbot: QtBot, window: MainWindow) -> None:
    session = window.context.session
    again(qtbot, window, temperature=0.5)
    session.synthesis.set_form(temperature=0.0)
    truth = session.find(Kind.REAL, "iUS")
    assert truth is not None
    row = window.panels.case.rows[truth.id]
    row.available.click()
    with qtbot.assertNotEmitted(window.synthesis.running_changed, wait=800):
        row.available.click()
    assert session.results.current == session.results.all[0]


def test_single_samples_are_stepped_through_and_saved(
    qtbot: QtBot, window: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, panel = window.context.session, window.panels.results
    again(qtbot, window, samples=3)
    result = session.results.all[-1]
    assert "mean of 3" in panel.sample.text()
    rows = len(window.panels.case.rows)
    panel.next.click()
    assert panel.sample.text() == "sample 1 of 3"
    sample = session.results.samples(result)[0]
    assert sample.id in column_ids(window)
    assert result.layer_id not in column_ids(window)
    assert len(window.panels.case.rows) == rows + 1
    asked: list[str] = []
    monkeypatch.setattr(panel, "_save", asked.append)
    panel.save.click()
    assert asked == [sample.id]
    panel.previous.click()
    assert result.layer_id in column_ids(window)


def test_a_result_under_way_is_marked_and_has_no_metrics(qtbot: QtBot, window: MainWindow) -> None:
    session, panel = window.context.session, window.panels.results
    session.synthesis.use_model(model("slow"))
    window.synthesis.run()
    qtbot.waitUntil(lambda: bool(session.results.live), timeout=10_000)
    (live,) = session.results.live
    assert "under way" in panel.table.item(1, 0).text()  # type: ignore[union-attr]
    assert panel.table.item(1, 1).text() == "–"  # type: ignore[union-attr]
    assert "under way" in panel.about.text()
    shown = session.columns()
    assert live.layer_id in [x.id for x in shown]
    assert not [x for x in shown if x.kind is Kind.DIFFERENCE]  # that one is the old result's
    window.synthesis.cancel()
    ran(qtbot, window)
    assert session.results.current == session.results.all[0]


def test_a_table_without_truth_says_why(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    window.files.close_case()
    open_files(qtbot, window, put(tmp_path / "alone", "T2.nii.gz"))
    window.synthesis.run()
    ran(qtbot, window)
    panel = window.panels.results
    assert panel.table.rowCount() == 1
    assert "the case holds no real iUS" in panel.about.text()


def test_difference_column_and_difference_mode_have_one_scale(
    qtbot: QtBot, window: MainWindow
) -> None:
    session = window.context.session
    again(qtbot, window, temperature=0.5)
    maps = [x for x in session.layers if x.kind is Kind.DIFFERENCE]
    assert len(maps) == 2
    session.set_window(maps[0].id, -30, 90)
    assert [session.layer(x.id).window for x in maps] == [(-60, 60), (-60, 60)]
    made, truth = session.find(Kind.SYNTHETIC, "iUS"), session.find(Kind.REAL, "iUS")
    assert made is not None
    assert truth is not None
    assert difference_reach(truth, made, session) == 60


def test_a_click_on_the_title_chooses_a_column(qtbot: QtBot, window: MainWindow) -> None:
    session, area = window.context.session, window.viewers
    assert session.display.layout is Layout.COLUMNS
    before = column_ids(window)
    qtbot.mouseClick(area, Qt.MouseButton.LeftButton, pos=title_rect(area.panes[0]).center())
    menu = next(w for w in QApplication.topLevelWidgets() if isinstance(w, QMenu) and w.isVisible())
    made = session.find(Kind.SYNTHETIC, "iUS")
    assert made is not None
    next(a for a in menu.actions() if a.text() == made.name).trigger()
    menu.close()
    assert column_ids(window) == [before[2], before[1], before[0], before[3]]


def test_a_row_dropped_on_a_column_is_shown_there(qtbot: QtBot, window: MainWindow) -> None:
    session, area = window.context.session, window.viewers
    again(qtbot, window, temperature=0.5)
    first = session.results.all[0]
    pane = area.panes[1]
    none = Qt.KeyboardModifier.NoModifier
    data = layer_data(first.layer_id)  # the event does not keep it
    enter = QDragEnterEvent(
        pane.rect.center(), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, none
    )
    QApplication.sendEvent(area, enter)
    assert enter.isAccepted()
    event = QDropEvent(
        QPointF(pane.rect.center()), Qt.DropAction.CopyAction, data,
        Qt.MouseButton.LeftButton, none,
    )  # fmt: skip
    QApplication.sendEvent(area, event)
    assert event.isAccepted()
    assert column_ids(window)[1] == first.layer_id
    assert area.pane_at(QPointF(QPoint(pane.rect.center()))).slot.layer_id == first.layer_id  # type: ignore[union-attr]


def test_a_map_of_shares_is_shown_at_once(qtbot: QtBot, window: MainWindow) -> None:
    session = window.context.session
    session.set_columns(column_ids(window)[:2])
    window.synthesis.experts.request()
    qtbot.waitUntil(lambda: window.panels.experts.shares is not None, timeout=10_000)
    window.panels.experts.show_map.click()
    (share,) = (x for x in session.layers if x.kind is Kind.SHARE)
    assert share.id in column_ids(window)
    assert share.id in [p.slot.layer_id for p in window.viewers.panes]
    window.panels.experts.show_map.click()
    assert share.id not in column_ids(window)


def test_a_sigma_map_is_shown_at_once(qtbot: QtBot, window: MainWindow) -> None:
    session = window.context.session
    session.set_columns(column_ids(window)[:2])
    again(qtbot, window, samples=2)
    (sigma,) = (x for x in session.layers if x.kind is Kind.SIGMA)
    assert sigma.id in [p.slot.layer_id for p in window.viewers.panes]
