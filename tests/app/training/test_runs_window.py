"""The runs window: lists, follows, asks, compares, evaluates; leaves nothing behind."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from PySide6.QtCore import QEvent, QPoint, Qt, QTimer
from PySide6.QtGui import QColor, QDesktopServices, QImage
from PySide6.QtWidgets import (
    QApplication,
    QFileDialog,
    QInputDialog,
    QLabel,
    QMessageBox,
    QTableWidget,
)
from pytestqt.qtbot import QtBot
from run_stage import Line, line, make_run, start, step, write_log

import app.training.runs.evaluation_process
from app.training.runs import launch
from app.training.runs.charts import charts_for
from app.training.runs.export import export_run
from app.training.runs.filmstrip import chosen, sheet_columns
from app.training.runs.history import History
from app.training.runs.window import RunsWindow
from app.training.runs.wording import duration, time_left
from core.models.mhvae.config import MHVAEConfig
from core.models.pix2pix.config import Pix2PixConfig
from trainer.plan.schema import load_plan
from trainer.run.balance import assess_balance
from trainer.run.folder import lock_for
from trainer.run.registry import known_runs

# The offscreen platform has no window manager.
pytestmark = pytest.mark.qt_log_ignore("does not support")


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of runs, empty."""
    monkeypatch.setattr("trainer.run.state.default_folder", lambda: tmp_path / "data" / "runs")
    monkeypatch.setattr("trainer.run.registry.default_folder", lambda: tmp_path / "data" / "runs")
    monkeypatch.setattr(
        "app.training.runs.fine_tune.default_folder", lambda: tmp_path / "data" / "runs"
    )
    folder = tmp_path / "data" / "runs"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def window(qtbot: QtBot, runs: Path) -> Iterator[RunsWindow]:
    """A window; when it is closed no timer, thread or child may be left."""
    threads = set(threading.enumerate())
    children = {p.pid for p in psutil.Process().children()}
    made = RunsWindow()
    made.show()
    yield made
    made.close()
    assert not made.jobs.busy
    assert [t for t in made.findChildren(QTimer) if t.isActive()] == []
    assert set(threading.enumerate()) <= threads
    assert {p.pid for p in psutil.Process().children()} <= children
    made.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture
def sleeper() -> Iterator[int]:
    """A process that stands in for a training; returns its id."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield child.pid
    child.kill()
    child.wait()
    assert child.stdin is not None
    child.stdin.close()


def cell(table: QTableWidget, row: int, column: int) -> str:
    """What a table shows."""
    item = table.item(row, column)
    assert item is not None
    return item.text()


def shown(qtbot: QtBot, window: RunsWindow, run: Path) -> None:
    """Show a run and wait until its log is read and its charts stand."""
    window.show_run(run)
    page = window.page
    assert page is not None
    qtbot.waitUntil(lambda: page.follower.loaded, timeout=10_000)
    if len(page.follower.history.steps):
        qtbot.waitUntil(lambda: len(page.curves.views) >= 5, timeout=20_000)


def test_runs_are_listed_wherever_they_were_started(
    qtbot: QtBot, window: RunsWindow, runs: Path, tmp_path: Path
) -> None:
    window.look()
    qtbot.waitUntil(lambda: window.watcher._timer.isActive())
    assert window.stack.currentWidget() is window.empty
    make_run(runs / "one", [start(), step(1), line("end", step=1, state="paused")])
    elsewhere = make_run(tmp_path / "elsewhere" / "two", [start(), step(2)])
    window.show_run(elsewhere)
    assert set(known_runs()) == {runs / "one", elsewhere}
    qtbot.waitUntil(lambda: window.list.count() == 2, timeout=10_000)
    assert window.list.selected() == [elsewhere]
    states = {info.path.name: info.state for info in window.watcher.runs}
    assert states == {"one": "paused", "two": "interrupted"}


def test_an_added_folder_can_be_forgotten(
    qtbot: QtBot, window: RunsWindow, runs: Path, tmp_path: Path
) -> None:
    make_run(runs / "one", [start(), step(1)])
    elsewhere = make_run(tmp_path / "elsewhere" / "two", [start(), step(2)])
    window.look()
    assert not window.forget.isEnabled()
    window.show_run(elsewhere)
    qtbot.waitUntil(lambda: window.list.count() == 2, timeout=10_000)
    (action,) = window.forget.menu().actions()
    assert action.text() == str(elsewhere)
    action.trigger()
    assert known_runs() == [runs / "one"]
    assert window.page is None
    assert not window.forget.isEnabled()
    qtbot.waitUntil(lambda: window.list.count() == 1, timeout=10_000)
    assert known_runs() == [runs / "one"]
    assert elsewhere.is_dir()


def test_a_page_follows_its_run_and_shows_a_crash(
    qtbot: QtBot, window: RunsWindow, runs: Path, sleeper: int
) -> None:
    run = make_run(runs / "one", [line("preparing", done=1, total=1)])
    lock_for(run, sleeper)
    shown(qtbot, window, run)
    page = window.page
    assert page is not None
    assert page.info.state == "waiting"
    lock = json.loads((run / "lock.json").read_text())
    (run / "lock.json").write_text(json.dumps({**lock, "attempt": "a"}))
    write_log(run, [start(), *(step(n) for n in range(1, 40))])
    qtbot.waitUntil(lambda: page.info.state == "running", timeout=10_000)
    qtbot.waitUntil(lambda: "l1" in page.curves.views, timeout=20_000)
    view = page.curves.views["l1"]
    qtbot.waitUntil(lambda: view.lines[0].data.length == 39, timeout=10_000)
    assert "Epoch 1 of 3" in page.sentence.text()
    assert page.pause.isVisible()
    assert not page.resume.isVisible()
    page.pause.click()
    assert (run / "control").read_text() == "pause"
    write_log(run, [step(40)])
    qtbot.waitUntil(lambda: view.lines[0].data.length == 40, timeout=10_000)
    psutil.Process(sleeper).kill()
    qtbot.waitUntil(lambda: page.info.state == "interrupted", timeout=10_000)
    assert "The process is gone; it was stopped by the system or killed" in page.sentence.text()
    assert page.resume.isVisible()
    assert not page.pause.isVisible()
    (run / "crash.txt").write_text("trainer.loop.step, line 3\nMemoryError: no memory\n")
    qtbot.waitUntil(lambda: page.info.state == "failed", timeout=10_000)
    assert "no memory" in page.sentence.text()
    assert "trainer.loop.step" in page.words.text()


def test_a_page_says_how_held_out_and_training_slices_compare(
    qtbot: QtBot, window: RunsWindow, runs: Path
) -> None:
    scores = [(10.0, 10.0), (12.0, 12.0), (11.7, 13.0), (11.6, 14.0), (11.5, 15.0)]
    lines = [
        line("validation", step=60 * n, score=held, train_score=seen, on="held-out")
        for n, (held, seen) in enumerate(scores)
    ]
    run = make_run(runs / "one", [start(), *(step(n) for n in range(1, 40)), *lines])
    shown(qtbot, window, run)
    page = window.page
    assert page is not None
    qtbot.waitUntil(lambda: "Overfitting: since step 60" in page.learning.text(), timeout=10_000)
    qtbot.waitUntil(lambda: "fit" in page.curves.views, timeout=20_000)
    curves = page.curves.views["fit"].lines
    assert [c.curve.label for c in curves] == ["held-out slices", "training slices"]
    assert [c.data.length for c in curves] == [5, 5]
    alone = History()
    alone.add([start(), step(1), line("validation", step=1, score=9, on="training")])
    assert alone.validation_events == []
    assert "fit" not in {chart.key for chart in charts_for(alone.names)}


def test_curves_can_be_chosen_smoothed_zoomed_and_read(
    qtbot: QtBot, window: RunsWindow, runs: Path
) -> None:
    lines = [{**step(n), "d/iUS/real": 0.9, "d/iUS/fake": 0.1} for n in range(1, 200)]
    scores = {**line("validation", step=100, score=20.0), "psnr/T2>iUS": 20.0, "ssim/T2>iUS": 0.5}
    run = make_run(runs / "one", [start(), *lines, scores])
    shown(qtbot, window, run)
    page = window.page
    assert page is not None
    curves = page.curves
    qtbot.waitUntil(lambda: {"psnr", "ssim", "d", "pace"} <= set(curves.views), timeout=20_000)
    view = curves.views["l1"]
    assert page.light.isVisible()
    assert "discriminator is ahead" in page.light.toolTip()
    raw = view.lines[0].item.yData.copy()
    curves.smoothing.setValue(4)
    smoothed = view.lines[0].item.yData
    assert smoothed[[0, -1]] == pytest.approx(raw[[0, -1]])  # the ends are not bent
    assert smoothed[1] == pytest.approx(raw[:3].mean())
    view.log.setChecked(True)
    assert view.lines[0].item.yData.max() < 0.01
    view.box.setXRange(50, 60, padding=0)
    view._zoomed()
    assert len(view.lines[0].item.xData) < 20
    write_log(run, [step(200)])
    qtbot.waitUntil(lambda: view.lines[0].data.length == 200, timeout=10_000)
    assert view.box.viewRange()[0] == [50, 60]  # new numbers do not take the user's view away
    view.show_whole()
    assert 200 <= view.box.viewRange()[0][1] <= 210
    centre = view.box.mapViewToScene(view.box.viewRect().center())
    place = view.view.mapFromScene(centre)
    view._hover(QPoint(place).toPointF())
    assert view.readout.isVisible()
    assert "T2 → iUS" in view.readout.text()
    top = curves.tree.topLevelItem(0)
    assert top is not None
    first = top.child(0)
    assert first is not None
    first.setCheckState(0, Qt.CheckState.Unchecked)
    assert not view.lines[0].item.isVisible()
    top.setCheckState(0, Qt.CheckState.Unchecked)
    assert view.isHidden()


def test_discard_asks_for_the_name_and_deletes_runs_only(
    qtbot: QtBot, window: RunsWindow, runs: Path, monkeypatch: pytest.MonkeyPatch, sleeper: int
) -> None:
    run = make_run(runs / "one", [start(), step(1)])
    shown(qtbot, window, run)
    page = window.page
    assert page is not None
    typed = iter([("wrong", True), ("one", False), ("one", True), ("one", True)])
    monkeypatch.setattr(QInputDialog, "getText", lambda *_, **__: next(typed))
    page.discard.click()
    assert "was kept" in window.message.text()
    page.discard.click()
    lock_for(run, sleeper)
    page.discard.click()
    assert (run / "control").read_text() == "discard"  # its process deletes it
    psutil.Process(sleeper).kill()
    psutil.Process(sleeper).wait()
    page.discard.click()
    qtbot.waitUntil(lambda: not run.exists(), timeout=10_000)
    qtbot.waitUntil(lambda: window.page is None, timeout=10_000)
    other = runs / "not-a-run"
    other.mkdir()
    (other / "precious.txt").write_text("keep")
    yes = QMessageBox.StandardButton.Yes
    monkeypatch.setattr(QMessageBox, "question", lambda *_, **__: yes)
    window.actions_.delete(other)
    qtbot.waitUntil(lambda: not window.jobs.busy)
    assert (other / "precious.txt").exists()


def test_resume_asks_where_moved_cases_are(
    qtbot: QtBot,
    window: RunsWindow,
    runs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sleeper: int,
) -> None:
    started: list[list[str]] = []

    def fake(command: list[str], errors: Path) -> int:
        started.append(command)
        return sleeper

    monkeypatch.setattr(launch, "detach", fake)
    run = make_run(runs / "one", [start(), step(1), line("end", step=1, state="paused")])
    plan = load_plan(run / "plan.json").override({"cohort": str(tmp_path / "gone")})
    plan.save(run / "plan.json")
    shown(qtbot, window, run)
    answers = iter([QMessageBox.StandardButton.Cancel, QMessageBox.StandardButton.Open])
    monkeypatch.setattr(QMessageBox, "question", lambda *_, **__: next(answers))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_, **__: str(tmp_path))
    window.actions_.resume(run)
    assert not started
    assert "not at" in window.message.text()
    window.actions_.resume(run)
    assert started[0][-2:] == ["--set", f'cohort="{tmp_path}"']


def test_when_the_shown_run_is_deleted_another_is_shown(
    qtbot: QtBot, window: RunsWindow, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [start(), step(1), line("end", step=1, state="finished")]
    one, other = make_run(runs / "one", lines), make_run(runs / "other", lines)
    shown(qtbot, window, one)
    yes = QMessageBox.StandardButton.Yes
    monkeypatch.setattr(QMessageBox, "question", lambda *_, **__: yes)
    window.actions_.delete(one)
    qtbot.waitUntil(lambda: window.page is not None and window.page.path == other, timeout=10_000)
    assert window.stack.currentWidget() is window.page


def test_resume_starts_a_process_of_its_own_once(
    qtbot: QtBot, window: RunsWindow, runs: Path, monkeypatch: pytest.MonkeyPatch, sleeper: int
) -> None:
    started: list[list[str]] = []

    def fake(command: list[str], errors: Path) -> int:
        started.append(command)
        assert errors.parent == run
        return sleeper

    monkeypatch.setattr(launch, "detach", fake)
    run = make_run(runs / "one", [start(), step(1), line("end", step=1, state="paused")])
    shown(qtbot, window, run)
    page = window.page
    assert page is not None
    assert page.state.text().endswith("Paused")
    page.resume.click()
    qtbot.waitUntil(lambda: page.info.state == "waiting", timeout=10_000)
    assert started[0][-4:] == ["--resume", "--quiet", "--out", str(run)]
    window.actions_.resume(run)
    assert "being trained already" in window.message.text()
    assert len(started) == 1


def test_closing_leaves_the_run_going_and_keeps_the_notes(
    qtbot: QtBot, window: RunsWindow, runs: Path, sleeper: int
) -> None:
    run = make_run(runs / "one", [start(), step(1)])
    lock_for(run, sleeper)
    shown(qtbot, window, run)
    page = window.page
    assert page is not None
    page.notes.notes.setPlainText("β was too high")
    window.close()
    assert psutil.pid_exists(sleeper)
    assert not (run / "control").exists()
    assert (run / "notes.txt").read_text(encoding="utf-8") == "β was too high"
    window.show()
    shown(qtbot, window, run)
    assert window.page is not None
    assert window.page.notes.notes.toPlainText() == "β was too high"


def test_runs_are_compared_by_curve_and_by_plan(
    qtbot: QtBot, window: RunsWindow, runs: Path
) -> None:
    for name, seed in (("one", 1), ("two", 2)):
        make_run(runs / name, [start(), *(step(n) for n in range(1, 9))], seed=seed)
    window.look()
    qtbot.waitUntil(lambda: window.list.count() == 2, timeout=10_000)
    window.list.selectAll()
    page = window.compared
    assert page is not None
    qtbot.waitUntil(lambda: page.chart is not None, timeout=20_000)
    qtbot.waitUntil(lambda: all(f.loaded for f in page.followers), timeout=10_000)
    assert page.chart is not None
    assert [x.data.length for x in page.chart.lines] == [8, 8]
    rows = [n for n in range(page.table.rowCount()) if not page.table.isRowHidden(n)]
    assert [cell(page.table, n, 0) for n in rows] == ["seed"]
    page.everything.setChecked(True)
    assert not page.table.isRowHidden(0)


# ---- the report


FAKE_EVALUATE = """
import json, pathlib, sys
mode, run = sys.argv[1], pathlib.Path(sys.argv[2])
print(json.dumps({"event": "progress", "done": 1, "total": 2}), flush=True)
if mode == "wait": input()
if mode == "fail":
    sys.exit("mhvae-studio: cohort holds no test case of this split; nothing to evaluate.") \
        if False else (sys.stderr.write("mhvae-studio: cohort holds no test case.\\n"), sys.exit(2))
(run / "report").mkdir(exist_ok=True)
change = {"direction": "T2 → iUS", "reconstruction": False, "metric": "PSNR, dB",
          "before": "14.00 (1.00)", "after": "15.00 (1.00)", "change": "+1.00 (+0.50 … +1.50)",
          "p": "0.008", "verdict": "better"}
report = {"schema": 1, "rows": [{"case": "a"}, {"case": "b"}], "lpips": "LPIPS not computed",
          "pair": {"before": "built-in", "after": "one"}, "before_after": [change],
          "best_last": [{"direction": "T2 → iUS", "reconstruction": False, "metric": "PSNR, dB",
                         "best": "15.00 (1.00)", "last": "14.50 (1.00)", "difference": "-0.50"}],
          "best_last_steps": "Delivered is step 2.",
          "learning": {"file": "learning.png", "caption": "Held-out slices were best at step 2."},
          "pictures": [{"file": "worst-1.png", "caption": "one, a, T2 → iUS: 9.00 dB."}],
          "cautions": ["Only the test cases of <one>."],
          "problems": ["<b>a</b>: left out"], "data": ""}
(run / "report" / "report.json").write_text(json.dumps(report))
print(json.dumps({"event": "done", "cases": 2}), flush=True)
"""


def fake_evaluation(monkeypatch: pytest.MonkeyPatch, run: Path, mode: str) -> None:
    command = [sys.executable, "-c", FAKE_EVALUATE, mode, str(run)]
    monkeypatch.setattr(app.training.runs.evaluation_process, "program_command", lambda _: command)


def test_a_finished_run_is_evaluated_and_its_model_used(
    qtbot: QtBot, window: RunsWindow, runs: Path, monkeypatch: pytest.MonkeyPatch, sleeper: int
) -> None:
    run = make_run(runs / "one", [start(), step(1)])
    for name in ("model.safetensors", "split.json"):
        (run / name).write_text("{}")
    (run / "report").mkdir()
    picture = QImage(40, 20, QImage.Format.Format_RGB32)
    picture.fill(QColor("grey"))
    picture.save(str(run / "report" / "worst-1.png"))
    picture.save(str(run / "report" / "learning.png"))
    used: list[Path] = []
    window.use_model = used.append
    lock_for(run, sleeper)
    text = json.loads((run / "lock.json").read_text())
    (run / "lock.json").write_text(json.dumps({**text, "attempt": "a"}))
    shown(qtbot, window, run)
    page = window.page
    assert page is not None
    qtbot.waitUntil(lambda: page.info.state == "running")
    assert not page.report.begin.isEnabled()
    fake_evaluation(monkeypatch, run, "ok")
    page.finish.click()
    assert (run / "control").read_text() == "finish"
    write_log(run, [line("end", step=1, state="finished")])
    psutil.Process(sleeper).kill()
    qtbot.waitUntil(lambda: page.report.has_report, timeout=20_000)
    qtbot.waitUntil(lambda: not page.report.evaluation.running, timeout=10_000)
    assert page.tabs.currentWidget() is page.report
    table = page.report.findChild(QTableWidget)
    assert table is not None
    assert cell(table, 0, 3) == "15.00 (1.00)"
    texts = [label.text() for label in page.report.body.findChildren(QLabel)]
    assert any("Only the test cases of &lt;one&gt;." in text for text in texts)
    assert any("&lt;b&gt;a&lt;/b&gt;: left out" in text for text in texts)
    beside = page.report.findChildren(QTableWidget)[1]
    assert [cell(beside, 0, n) for n in (2, 3, 4)] == ["15.00 (1.00)", "14.50 (1.00)", "-0.50"]
    words = [label.text() for label in page.report.body.findChildren(QLabel)]
    assert "<h3>Best and last weights</h3>Delivered is step 2." in words
    assert "Held-out slices were best at step 2." in words
    page.report.use.click()
    assert used == [run / "model.safetensors"]


def test_an_evaluation_can_be_cancelled_and_says_why_it_failed(
    qtbot: QtBot, window: RunsWindow, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(runs / "one", [start(), step(1), line("end", step=1, state="finished")])
    shown(qtbot, window, run)
    assert window.page is not None
    report = window.page.report
    report.evaluate()
    assert "no model yet" in report.message.text()
    for name in ("model.safetensors", "split.json"):
        (run / name).write_text("{}")
    fake_evaluation(monkeypatch, run, "wait")
    report.evaluate()
    qtbot.waitUntil(lambda: report.bar.value() == 1, timeout=20_000)
    assert not report.cancel.isHidden()
    report.cancel.click()
    assert not report.evaluation.running
    assert not report.has_report
    fake_evaluation(monkeypatch, run, "fail")
    report.evaluate()
    qtbot.waitUntil(lambda: not report.evaluation.running, timeout=20_000)
    assert report.message.text() == "cohort holds no test case."
    fake_evaluation(monkeypatch, run, "wait")
    report.evaluate()  # and the window is closed over it


def test_the_weights_of_lpips_may_be_two_files(
    qtbot: QtBot, window: RunsWindow, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(runs / "one", [start(), step(1), line("end", step=1, state="finished")])
    for name in ("model.safetensors", "split.json"):
        (run / name).write_text("{}")
    shown(qtbot, window, run)
    assert window.page is not None
    report = window.page.report
    assert "Without weights LPIPS is not computed." in report.lpips.toolTip()
    assert "weights/v0.1/alex.pth" in report.lpips.toolTip()
    asked: list[list[str]] = []

    def command(words: list[str]) -> list[str]:
        asked.append(words)
        return [sys.executable, "-c", FAKE_EVALUATE, "ok", str(run)]

    monkeypatch.setattr(app.training.runs.evaluation_process, "program_command", command)
    chosen: list[str] = []
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: (chosen, ""))
    report.lpips.click()  # and the dialog is left without a choice
    assert report.lpips.text() == "LPIPS weights…"
    chosen += ["/w/backbone.pth", "/w/heads.pth"]
    report.lpips.click()
    assert report.lpips.text() == "LPIPS: backbone.pth + heads.pth"
    report.evaluate()
    qtbot.waitUntil(lambda: report.has_report and not report.evaluation.running, timeout=20_000)
    assert asked[0][:2] == ["evaluate", str(run)]
    given = [asked[0][n + 1] for n, word in enumerate(asked[0]) if word == "--lpips-weights"]
    assert given == chosen


# ---- smaller things


def test_an_exported_run_holds_no_names_and_no_paths(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs" / "one", [start(), step(1)])
    split = {"training": ["Anna-Miller"], "validation": [], "test": ["Bo"]}
    (run / "split.json").write_text(json.dumps(split))
    write_log(run, [line("warning", step=1, text="Anna-Miller: /data/x/Anna-Miller-T2.nii.gz bad")])
    (run / "report").mkdir()
    (run / "report" / "scores.csv").write_text("model,case\none,Anna-Miller\none,Bo\n")
    (run / "report" / "report.html").write_text(
        "<td>Bo</td><img src='data:image/png;base64,Bo+Bo/'>"
    )
    (run / "notes.txt").write_text("Anna")
    (run / "checkpoints" / "step-1.pt").write_text("x")
    place = export_run(run, tmp_path / "one.zip")
    with zipfile.ZipFile(place) as archive:
        texts = {n: archive.read(n).decode() for n in archive.namelist()}
    assert set(texts) == {"plan.json", "run.json", "events.jsonl", "report/scores.csv",
                          "report/report.html"}  # fmt: skip
    whole = "\n".join(texts.values())
    assert not [w for w in ("Anna", "Miller", str(tmp_path), "/data") if w in whole]
    assert (
        texts["report/report.html"] == "<td>case-002</td><img src='data:image/png;base64,Bo+Bo/'>"
    )
    assert '"loss"' in texts["events.jsonl"]
    assert "cohort" not in json.loads(texts["plan.json"])


def test_the_filmstrip_knows_a_sheets_columns_and_thins_a_long_one() -> None:
    columns = sheet_columns(MHVAEConfig(modalities=("iUS", "T2")))
    assert columns[:3] == [((), "iUS"), ((), "T2"), (("iUS",), "iUS")]
    assert len(columns) == 2 + 3 * 2
    one_way = sheet_columns(Pix2PixConfig())
    assert one_way == [((), "iUS"), ((), "T2"), (("T2",), "iUS")]
    many = [(n, f"{n}.png") for n in range(1000)]
    few = chosen(many, 24)
    assert len(few) == 24
    assert (few[0], few[-1]) == (many[0], many[-1])


@pytest.mark.parametrize(
    ("gap", "lines", "light"),
    [(0.4, 60, "green"), (0.8, 60, "yellow"), (0.95, 60, "red"), (0.95, 20, "yellow"),
     (0.0, 60, "yellow"), (0.4, 0, "off")],
)  # fmt: skip
def test_the_balance_light(gap: float, lines: int, light: str) -> None:
    found = assess_balance("iUS", [gap] * lines, [0.0] * lines)
    assert found.light == light
    assert found.reason.startswith("iUS: ")


def test_durations_are_said_in_two_units() -> None:
    said = [duration(s) for s in (0, 59, 125, 600, 7500, 10**6)]
    assert said == ["0 s", "59 s", "2 min 5 s", "10 min", "2 h 5 min", "11 d 13 h"]


def test_time_left_is_said_once_the_pace_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.training.runs.wording.time.monotonic", lambda: 110.0)
    assert time_left(100.0, 1, 4) == ", 30 s left"
    assert time_left(109.0, 1, 4) == time_left(100.0, 0, 4) == time_left(100.0, 4, 4) == ""


def test_only_a_file_the_system_can_open_is_opened(
    window: RunsWindow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda _: False)
    window.actions_.open_folder(tmp_path)
    assert "no program" in window.message.text()


def test_fine_tuning_begins_a_new_run_with_the_models_weights(
    qtbot: QtBot, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.training.runs.fine_tune import SAME, FineTune
    from core.models.bundle import find
    from trainer.plan.schema import Plan

    begun: list[tuple[Plan, Path]] = []
    monkeypatch.setattr(launch, "start", lambda plan, run: begun.append((plan, run)))
    built_in = find()
    assert built_in.path is not None
    old = make_run(runs / "old", [start(), step(1)], seed=5, cohort=str(tmp_path / "gone"))
    shutil.copyfile(built_in.path, old / "model.safetensors")
    dialog = FineTune(old / "model.safetensors")
    qtbot.addWidget(dialog)
    assert dialog.name.text() == "old-tuned"
    assert dialog.preset.currentText() == SAME
    dialog.start()
    assert "Choose the folder of the cohort" in dialog.message.text()  # the old one is gone
    assert begun == []
    (tmp_path / "cohort").mkdir()
    dialog.cohort.setText(str(tmp_path / "cohort"))
    dialog.name.setText("../elsewhere")
    dialog.start()
    assert "without slashes" in dialog.message.text()
    dialog.name.setText("next")
    with qtbot.waitSignal(dialog.started) as started:
        dialog.start()
    plan, run = begun[0]
    assert started.args == [run]
    assert run == runs / "next"
    assert (plan.seed, plan.preset) == (5, "smoke")
    assert Path(plan.start_from) == old / "model.safetensors"


def test_the_weight_of_the_kl_is_no_curve_without_one() -> None:
    def weights(*logged: str) -> list[str]:
        charts = {c.key: c for c in charts_for(["beta", "lambda_gan", *logged])}
        return [curve.label for curve in charts["weights"].curves]

    assert weights("l1/T2/iUS") == ["λ GAN"]
    assert weights("l1/T2/iUS", "kl/T2/1") == ["β", "λ GAN"]


def test_charts_are_equally_wide_and_none_is_cut_off(
    qtbot: QtBot, window: RunsWindow, runs: Path
) -> None:
    terms: Line = {"gan/T2/iUS": 0.5, "pull/l1/iUS": 0.4, "pull/gan/iUS": 0.1, "d/iUS/loss": 0.5}
    window.resize(1280, 860)
    shown(qtbot, window, make_run(runs / "one", [start(), *(step(n, **terms) for n in (1, 9))]))
    assert window.page is not None
    curves = window.page.curves
    qtbot.waitUntil(lambda: {"gan", "pull", "l1", "kl"} <= set(curves.views), timeout=20_000)
    qtbot.waitUntil(lambda: not curves._wanted and curves._fresh is None, timeout=20_000)
    QApplication.processEvents()
    assert curves.area.horizontalScrollBar().maximum() == 0
    widths = [view.width() for view in curves.views.values()]
    assert max(widths) - min(widths) <= 2
    assert curves.views["pull"].title.text() == "Pull at missing images"


def test_a_run_without_test_cases_offers_no_evaluation(
    qtbot: QtBot, window: RunsWindow, runs: Path
) -> None:
    run = make_run(runs / "one", [start(), line("end", step=300, state="finished")])
    (run / "model.safetensors").touch()
    (run / "split.json").write_text('{"training": ["a"], "validation": ["b"], "test": []}')
    shown(qtbot, window, run)
    assert window.page is not None
    report = window.page.report
    assert not report.begin.isEnabled()
    assert "kept no cases for a test" in report.message.text()
    (run / "split.json").write_text('{"training": ["a"], "validation": ["b"], "test": ["c"]}')
    report.show_state(window.page.info)
    assert report.begin.isEnabled()
    assert "locked away" in report.message.text()


def test_charts_name_the_expected_echo_and_the_pull() -> None:
    logged = ["l1/T2/iUS", "l1/T2/iUS.expected", "pull/l1/iUS", "pull/gan/iUS", "weighted/l1"]
    logged += ["validation/psnr/T2>iUS.expected", "validation/psnr/iUS+T2>iUS"]
    charts = {chart.key: {c.label: c.shown for c in chart.curves} for chart in charts_for(logged)}
    assert charts == {
        "l1": {"T2 → iUS": True, "T2 → iUS, expected echo": True},
        "pull": {"iUS, L1": True, "iUS, discriminator": True},
        "psnr": {"T2 → iUS, expected echo": True, "iUS+T2 → iUS": False},
    }
