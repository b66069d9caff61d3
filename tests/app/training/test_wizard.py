"""The trainer wizard: every step, by mouse and by keys, with drafts that come back."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image
from PySide6.QtCore import QEvent, QMimeData, QPoint, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QApplication,
    QComboBox,
    QLineEdit,
    QMessageBox,
    QTableWidgetItem,
    QWizard,
)
from pytestqt.qtbot import QtBot
from shell_stage import staged
from trainer_cohort import write_case

import core.models.bundle
from app.processes.jobs import Jobs, program_command
from app.state.settings import Settings
from app.training.wizard.draft import Draft, DraftStore
from app.training.wizard.page import WizardContext
from app.training.wizard.start_run import start_run
from app.training.wizard.wizard import TrainerWizard
from core.models.bundle import Bundle, Preprocessing
from core.models.mhvae.config import MHVAEConfig
from trainer.errors import TrainerError
from trainer.plan.schema import load_plan
from trainer.run.folder import is_run

pytestmark = pytest.mark.qt_log_ignore("does not support (propagateSizeHints|raise|grabbing)")

FAKE = Path(__file__).parents[2] / "fake_command.py"
FOLDER, SCAN, CHECK, SPLIT, PRESET, ESTIMATE, TRAIN = range(7)


def cohort(folder: Path, *names: str) -> Path:
    """Empty files with the names of volumes: the wizard itself reads nothing but names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        for modality in ("T2", "iUS"):
            (folder / f"{name}-{modality}.nii.gz").touch()
    return folder


def fake(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, str(FAKE), *arguments]


def cell(z: TrainerWizard, row: int, column: int) -> QTableWidgetItem:
    item = z.scan.table.item(row, column)
    assert item is not None
    return item


class Stage:
    """A wizard with fake children, and ways to walk through it."""

    def __init__(self, qtbot: QtBot, tmp_path: Path) -> None:
        self.qtbot, self.path = qtbot, tmp_path
        self.patience = 15_000
        self.jobs = Jobs()
        self.store = DraftStore(tmp_path / "drafts")
        self.resumed: list[Path] = []
        self.settings = Settings(tmp_path / "settings.ini")
        self.wizard = self.make()

    def make(self) -> TrainerWizard:
        start: Callable[[Draft], Path] = lambda draft: start_run(draft, self.resumed.append)  # noqa: E731
        context = WizardContext(self.settings, self.jobs, self.store, start, fake)
        wizard = TrainerWizard(context)
        self.qtbot.addWidget(wizard)
        wizard.show()
        return wizard

    def order(self, word: str) -> None:
        """Tell the next child how to end."""
        (self.store.folder(self.wizard.draft) / "FAKE").write_text(word)

    def forget(self) -> None:
        (self.store.folder(self.wizard.draft) / "FAKE").unlink()

    def settle(self) -> None:
        """Wait for threads and children."""
        z = self.wizard
        self.qtbot.waitUntil(
            lambda: not (self.jobs.busy or z.check.task.running or z.estimate.task.running),
            timeout=self.patience,
        )

    def go(self, page: int, source: Path | None = None) -> TrainerWizard:
        """Walk to a page."""
        z = self.wizard
        if source is not None:
            z.folder.take([source])
        while z.currentId() < page:
            here = z.currentId()
            assert z.steps[here].isComplete(), here
            z.next()
            self.settle()
            assert z.currentId() == here + 1
        return z


@pytest.fixture
def stage(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(core.models.bundle, "available", lambda: [])
    monkeypatch.setattr("app.training.wizard.start_run.default_folder", lambda: tmp_path / "runs")
    monkeypatch.setattr("app.training.wizard.train_page.default_folder", lambda: tmp_path / "runs")
    before = {child.pid for child in psutil.Process().children()}
    made = Stage(qtbot, tmp_path)
    yield made
    for page in made.wizard.steps:
        page.leave()
    made.jobs.close()
    assert {child.pid for child in psutil.Process().children()} <= before


def test_a_whole_pass_makes_a_locked_run_and_starts_it(stage: Stage, qtbot: QtBot) -> None:
    source = cohort(stage.path / "data", *(f"Case{n}" for n in range(8)), "far9")
    z = stage.go(CHECK, source)
    z.check.list.setCurrentRow(2)
    qtbot.keyClick(z.check.list, Qt.Key.Key_X)
    z = stage.go(PRESET)
    z.preset.radios["smoke"].click()
    z = stage.go(TRAIN)
    assert "7 cases" in z.train.summary.text()
    assert "10 minutes" in z.train.summary.text()
    started: list[Path] = []
    z.started.connect(started.append)
    draft = z.draft
    z.button(QWizard.WizardButton.FinishButton).click()
    (run,) = started
    assert stage.resumed == [run]
    assert is_run(run)
    plan = load_plan(run / "plan.json")
    assert (plan.cohort, plan.exclude, plan.preset) == (str(source), ("Case2", "far9"), "smoke")
    split = json.loads((run / "split.json").read_text())
    assert sorted(case for ids in split.values() for case in ids) == [
        f"Case{n}" for n in (0, 1, 3, 4, 5, 6, 7)
    ]
    assert not (run / "cohort.csv").exists()
    assert not (stage.store.root / draft.id).exists()
    assert not z.isVisible()


def test_corrections_become_a_csv_in_the_run_and_touch_nothing_of_the_user(stage: Stage) -> None:
    source = cohort(stage.path / "data", "A", "B", "C")
    (source / "B-T2.nii.gz").rename(source / "B-scan7.nii.gz")
    before = sorted(p.name for p in source.iterdir())
    z = stage.go(SCAN, source)
    assert "B-scan7.nii.gz may be it" in cell(z, 1, 5).text()
    assert (z.scan.case.currentText(), z.scan.kind.currentText()) == ("B", "T2")
    z.scan.assign.click()
    assert not z.draft.table.strays
    z.scan.undo.click()
    assert [p.name for p in z.draft.table.strays] == ["B-scan7.nii.gz"]
    z.scan.redo.click()
    cell(z, 2, 1).setText("A")  # C is of patient A
    z = stage.go(PRESET)
    z.preset.radios["smoke"].click()
    z = stage.go(TRAIN)
    z.train.name.setText("one")
    z.train.name.textEdited.emit("one")
    z.button(QWizard.WizardButton.FinishButton).click()
    run = stage.path / "runs" / "one"
    text = (run / "cohort.csv").read_text()
    assert "B,B,../../data/B-iUS.nii.gz,../../data/B-scan7.nii.gz" in text
    assert "C,A," in text
    assert load_plan(run / "plan.json").cohort == str(run / "cohort.csv")
    split = json.loads((run / "split.json").read_text())
    assert any({"A", "C"} <= set(ids) for ids in split.values())
    assert sorted(p.name for p in source.iterdir()) == before


def test_scan_keys_exclude_clear_and_scan_again(stage: Stage, qtbot: QtBot) -> None:
    source = cohort(stage.path / "data", "A", "B", "C")
    z = stage.go(SCAN, source)
    table = z.scan.table
    table.setCurrentCell(0, 0)
    qtbot.keyClick(table, Qt.Key.Key_Space)
    assert [row.used for row in z.draft.table.rows] == [False, True, True]
    control, shift = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
    qtbot.keyClick(table, Qt.Key.Key_Z, control)
    assert z.draft.table.row("A").used
    qtbot.keyClick(table, Qt.Key.Key_Z, control | shift)
    assert not z.draft.table.row("A").used
    table.setCurrentCell(1, 3)
    qtbot.keyClick(table, Qt.Key.Key_Delete)
    assert [p.name for p in z.draft.table.strays] == ["B-T2.nii.gz"]
    assert z.currentId() == SCAN
    offered: list[str] = []
    table.file_wanted.connect(lambda case, kind, _: offered.append(f"{case} {kind}"))
    qtbot.keyClick(table, Qt.Key.Key_Return)
    assert offered == ["B T2"]
    popup = QApplication.activePopupWidget()
    assert popup is not None
    popup.close()
    cohort(source, "D")
    (source / "C-T2.nii.gz").unlink()
    z.scan.scan()
    stage.settle()
    assert [(r.id, r.used, sorted(r.files)) for r in z.draft.table.rows] == [
        ("A", False, ["T2", "iUS"]),
        ("B", True, ["iUS"]),
        ("C", True, ["iUS"]),
        ("D", True, ["T2", "iUS"]),
    ]
    z.scan.undo.click()
    assert [r.id for r in z.draft.table.rows] == ["A", "B", "C"]


@pytest.mark.parametrize("kind", ["empty", "strays", "csv", "gone", "file"])
def test_hostile_sources_are_one_sentence(kind: str, stage: Stage, qtbot: QtBot) -> None:
    z, place = stage.wizard, stage.path / "data"
    place.mkdir()
    if kind in ("gone", "file"):
        if kind == "file":
            (place / "x.txt").touch()
        z.folder.path.setText(str(place / "x.txt"))
        assert not z.folder.isComplete()
        assert "Choose the folder" in z.folder.sentence.text()
        return
    source = place
    if kind == "strays":
        (place / "one.nii.gz").touch()
    if kind == "csv":
        source = place / "list.csv"
        source.write_text("case,T2,iUS\nA,A-T2.nii.gz,gone.nii.gz\n")
        (place / "A-T2.nii.gz").touch()
    stage.go(SCAN, source)
    assert not z.scan.isComplete()
    assert z.scan.sentence.isVisible()
    if kind == "csv":
        assert "gone.nii.gz (iUS) is not there" in z.scan.detail.text()
        z.scan.table.setCurrentCell(0, 2)
        qtbot.keyClick(z.scan.table, Qt.Key.Key_Delete)
        assert z.scan.isComplete()
    if kind == "strays":
        assert "holds no cases" in z.scan.sentence.text()
        z.scan.case.setCurrentText("New")
        z.scan.kind.setCurrentText("T2")
        z.scan.assign.click()
        assert z.scan.isComplete()


def test_a_folder_that_cannot_be_written_is_enough(stage: Stage) -> None:
    source = cohort(stage.path / "data", "A", "B", "C")
    source.chmod(0o555)
    try:
        z = stage.go(PRESET, source)
        z.preset.radios["smoke"].click()
        stage.go(TRAIN)
        z.button(QWizard.WizardButton.FinishButton).click()
    finally:
        source.chmod(0o755)
    assert len(stage.resumed) == 1


def test_check_is_walked_by_keys_and_unusable_cases_stay_out(stage: Stage, qtbot: QtBot) -> None:
    source = cohort(stage.path / "data", "A", "B-odd", "C-far")
    z = stage.go(CHECK, source)
    words = [z.check.list.item(n).text() for n in range(3)]
    assert words == ["A", "B-odd   look", "C-far   cannot be used"]
    assert "70%" in z.check.number.text()
    qtbot.keyClick(z.check, Qt.Key.Key_PageDown)
    assert "coarse. Look at it." in z.check.problems.text()
    qtbot.keyClick(z.check, Qt.Key.Key_X)
    assert not z.draft.accepts("B-odd")
    qtbot.keyClick(z.check, Qt.Key.Key_A)
    assert z.draft.accepts("B-odd")
    qtbot.keyClick(z.check, Qt.Key.Key_PageDown)
    qtbot.keyClick(z.check, Qt.Key.Key_A)
    assert not z.draft.accepts("C-far")
    assert "408 mm" in z.check.problems.text()
    assert z.check.counts.text() == "2 accepted, 2 of them with a pair, 1 left out"
    mode = z.check.modes.checkedId()
    qtbot.keyClick(z.check, Qt.Key.Key_V)
    assert z.check.modes.checkedId() == mode + 1
    for row in (0, 1):
        z.check.list.setCurrentRow(row)
        z.check.reject.click()
    assert not z.check.isComplete()
    assert "No case is left" in z.check.sentence.text()


def test_a_case_is_aligned_elsewhere_and_checked_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[tuple[str, list[Path]]] = []
    stage.wizard.context.show_case = lambda case, files: shown.append((case, list(files)))
    z = stage.wizard = TrainerWizard(stage.wizard.context)
    stage.qtbot.addWidget(z)
    z.show()
    z = stage.go(CHECK, cohort(stage.path / "data", "Case1", "Case2"))
    assert z.check.align.isVisible()
    z.check.list.setCurrentRow(1)
    z.check.align.click()
    ((case, files),) = shown
    assert case == "Case2"
    assert sorted(f.name for f in files) == ["Case2-T2.nii.gz", "Case2-iUS.nii.gz"]
    z.look_again()  # nothing was saved
    assert not z.check.task.running
    files[0].write_bytes(files[0].read_bytes())
    os.utime(files[0], ns=(1, 1))
    assert not z.check.isComplete()
    z.look_again()
    assert z.check.task.running
    stage.settle()
    assert z.check.isComplete()


def test_a_check_that_fails_or_is_stopped_can_be_repeated(stage: Stage, qtbot: QtBot) -> None:
    z = stage.go(SCAN, cohort(stage.path / "data", "A", "B"))
    stage.order("hang")
    z.next()
    qtbot.waitUntil(lambda: z.check.task.running)
    assert not z.check.isComplete()
    z.check.stop.click()
    assert "stopped" in z.check.sentence.text()
    stage.order("wrong")
    z.check.again.click()
    stage.settle()
    assert z.check.sentence.text().endswith("The cohort holds nothing to train on.")
    stage.forget()
    z.check.again.click()
    stage.settle()
    assert z.check.isComplete()
    assert not z.check.sentence.isVisible()


def test_the_check_is_repeated_only_when_the_cohort_changed(stage: Stage) -> None:
    z = stage.go(SPLIT, cohort(stage.path / "data", "A", "B"))
    for _ in range(2):
        z.back()
    stage.order("wrong")
    z = stage.go(SPLIT)  # would fail if it ran
    for _ in range(2):
        z.back()
    cell(z, 0, 0).setCheckState(Qt.CheckState.Unchecked)
    z.next()
    stage.settle()
    assert not z.check.isComplete()


def test_pictures_are_composed_with_the_field_of_view(stage: Stage, qtbot: QtBot) -> None:
    z = stage.go(CHECK, cohort(stage.path / "data", "A", "B"))
    folder = stage.store.folder(z.draft) / "pictures"
    folder.mkdir()
    rows = [np.full((50, 150), v, np.uint8) for v in (40, 200)]
    fov = np.zeros((50, 150), np.uint8)
    fov[10:40, 10:40] = 255
    Image.fromarray(np.vstack([*rows, fov])).save(folder / "A.png")
    z.draft.checks["A"]["picture"] = "A.png"
    z.check.list.setCurrentRow(1)
    assert z.check.view.image is None
    z.check.list.setCurrentRow(0)
    image = z.check.view.image
    assert image is not None
    assert image.pixelColor(15, 15).red() == 40
    assert image.pixelColor(30, 15).red() == 200
    assert image.pixelColor(100, 25).red() == 200
    assert image.pixelColor(10, 20).getRgb()[:3] == (90, 210, 120)
    z.check.modes.button(2).click()
    assert z.check.view.image is not None
    assert z.check.view.image.pixelColor(30, 15).red() == 40


def test_split_is_by_patient_drawn_anew_and_never_empty(stage: Stage) -> None:
    source = cohort(stage.path / "data", *(f"C{n:02d}" for n in range(12)))
    z = stage.go(SCAN, source)
    cell(z, 1, 1).setText("C00")
    z = stage.go(SPLIT)
    page = z.split
    part = next(part for part, ids in page.split.items() if "C00" in ids)
    assert "C01" in page.split[part]
    first = dict(page.split)
    page.again.click()
    assert page.split != first
    page.seed.setValue(0)
    assert page.split == first
    page.test.setValue(60)
    page.validation.setValue(40)
    assert not page.isComplete()
    assert "leave nobody" in page.sentence.text()
    page.validation.setValue(0)
    page.test.setValue(0)
    assert page.isComplete()
    assert "nothing will be judged" in page.sentence.text()
    assert (z.draft.plan.data.test, z.draft.plan.data.validation) == (0, 0)


def test_every_setting_is_edited_judged_and_reset_by_a_preset(stage: Stage) -> None:
    z = stage.go(PRESET, cohort(stage.path / "data", "A", "B", "C"))
    page = z.preset
    assert page.radios["quick"].isChecked()
    page.tree.set_value("data.batch", "4")
    assert z.draft.plan.data.batch == 4
    assert page.radios["custom"].isChecked()
    for name, text, words in (
        ("data.batch", "many", "a whole number"),
        ("data.spacing", "0.5, x, 1", "a number"),
        ("data.plane", "oblique", "one of sagittal"),
        ("model.tile", "100, 100", "multiples of 32"),
        ("data.gamma", "T2", "pairs like"),
        ("optimiser.rate_end", "1", "rate_end"),
        ("optimiser.amp", "perhaps", "yes or no"),
        ("optimiser.rate", "-1", "a number above 0 and at most 1"),
        ("optimiser.rate", "2", "a number above 0 and at most 1"),
        ("data.flip", "7", "a number from 0 to 1"),
        ("data.percentiles", "90, 10", "a lower and a higher number"),
        ("optimiser.epochs", "-3", "a whole number of at least 0"),
        ("optimiser.epochs", "2.5", "a whole number"),
    ):
        before = z.draft.plan
        page.tree.set_value(name, text)
        assert words in page.sentence.text(), name
        assert z.draft.plan == before
    page.tree.set_value("loss.gan", "1")
    page.tree.set_value("loss.gan_layers", "6")
    assert "at least 3x3" in page.sentence.text()
    assert z.draft.plan.loss.gan_layers == 3
    page.tree.set_value("loss.subset_odds", "T2: 2, iUS: 1")
    assert z.draft.plan.loss.subset_odds == {"T2": 2.0, "iUS": 1.0}
    z.draft.plan = z.draft.plan.override({"data.test": 0.3})
    page.radios["smoke"].click()
    assert (z.draft.plan.preset, z.draft.plan.data.test, z.draft.custom) == ("smoke", 0.3, False)


def test_settings_are_edited_by_keys(stage: Stage, qtbot: QtBot) -> None:
    z = stage.go(PRESET, cohort(stage.path / "data", "A", "B", "C"))
    tree = z.preset.tree
    tree.setFocus()
    item = tree._items["data.batch"]
    tree.expandAll()
    tree.setCurrentItem(item)
    qtbot.keyClick(tree, Qt.Key.Key_Return)
    editor = tree.findChild(QLineEdit)
    assert isinstance(editor, QLineEdit)
    qtbot.keyClicks(editor, "4")
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: z.draft.plan.data.batch == 4)
    assert z.currentId() == PRESET
    tree.setCurrentItem(tree._items["optimiser.amp"])
    qtbot.keyClick(tree, Qt.Key.Key_F2)
    words = next(box for box in tree.findChildren(QComboBox) if box.isVisible())
    assert [words.itemText(n) for n in range(words.count())] == ["yes", "no"]
    assert words.currentText() == "no"
    words.setCurrentText("yes")
    words.activated.emit(0)
    assert z.draft.plan.optimiser.amp


def test_fine_tuning_takes_the_models_shape_and_refuses_other_modalities(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bundle(name: str, modalities: tuple[str, ...]) -> Bundle:
        path = stage.path / f"{name}.safetensors"
        path.touch()
        shape = MHVAEConfig(modalities, (64, 64), 8, 32, 4)
        return Bundle(shape, Preprocessing((0.7, 0.7, 0.7)), name, path=path)

    found = [bundle("mine", ("iUS", "T2")), bundle("other", ("iUS", "FLAIR"))]
    monkeypatch.setattr(core.models.bundle, "available", lambda: found)
    z = stage.go(PRESET, cohort(stage.path / "data", "A", "B", "C"))
    page = z.preset
    page.tune.click()
    assert z.draft.plan.start_from == str(found[0].path)
    assert z.draft.plan.model.tile == (64, 64)
    assert z.draft.plan.data.spacing == (0.7, 0.7, 0.7)
    assert page.tree._items["model.tile"].isDisabled()
    page.radios["smoke"].click()
    assert (z.draft.plan.model.tile, z.draft.plan.preset) == ((64, 64), "smoke")
    assert page.isComplete()
    page.models.setCurrentIndex(1)
    page.models.activated.emit(1)
    assert not page.isComplete()
    assert "FLAIR" in page.sentence.text()
    page.tune.click()
    assert (z.draft.plan.start_from, z.draft.plan.model.tile) == ("", (32, 32))


def test_a_red_light_stops_and_one_click_turns_it_green(stage: Stage) -> None:
    z = stage.go(ESTIMATE, cohort(stage.path / "data", "A", "B", "C"))
    page = z.estimate
    assert page.light.colour == "red"
    assert "40.0 GiB" in page.reason.text()
    assert not page.isComplete()
    (fix,) = page.fixes
    fix.click()
    stage.settle()
    assert page.light.colour == "green"
    assert z.draft.plan.data.micro_batch == 2
    assert z.draft.custom
    assert page.isComplete()
    assert (
        page.facts["Whole run"].text() == "about 10 minutes, 20 seconds of it preparing the cases"
    )
    assert "300" in page.facts["Steps"].text()


def test_learning_rates_are_tested_when_asked_and_one_click_takes_the_rate(stage: Stage) -> None:
    z = stage.go(PRESET, cohort(stage.path / "data", "A", "B", "C"))
    z.preset.radios["paper"].click()
    z = stage.go(ESTIMATE)
    page = z.estimate
    assert page.facts["Rate"].text() == "not tested"
    assert page.fixes == []
    page.rates.click()
    stage.settle()
    assert page.facts["Rate"].text() == "Proposed: 5.0e-04."
    (fix,) = page.fixes
    fix.click()
    stage.settle()
    assert z.draft.plan.optimiser.rate == 5e-4
    assert page.facts["Rate"].text() == "not tested"  # of the new plan


def test_the_cache_is_emptied_after_a_question_that_says_how_much(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = stage.path / "cache"
    cache.mkdir()
    for name, size in (("0123456789abcdef.npy", 3 << 20), ("0123456789abcdef.json", 10),
                       ("0123456789abcdef.npz", 10), ("notes.txt", 5)):  # fmt: skip
        (cache / name).write_bytes(bytes(size))
    monkeypatch.setenv("FAKE_CACHE", str(cache))
    monkeypatch.setattr("app.training.wizard.cache_button.known_runs", lambda: [])
    asked: list[str] = []
    answers = iter([QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes])

    def question(*args: Any) -> QMessageBox.StandardButton:
        asked.append(args[2])
        return next(answers)

    monkeypatch.setattr(QMessageBox, "question", question)
    z = stage.go(PRESET, cohort(stage.path / "data", "A", "B", "C"))
    z.preset.radios["paper"].click()
    page = stage.go(ESTIMATE).estimate
    assert "about 3 minutes left of this" in page.bar.format()
    page.cache.click()
    stage.settle()
    assert "3.0 MiB are freed: 1 prepared cases in" in asked[0]
    assert len(list(cache.iterdir())) == 4  # the answer was No
    page.cache.click()
    stage.settle()
    assert [file.name for file in cache.iterdir()] == ["notes.txt"]
    assert page.sentence.text().startswith("3.0 MiB were freed.")
    page.cache.click()
    stage.settle()
    assert "nothing to free" in page.sentence.text()
    monkeypatch.setattr("app.training.wizard.cache_button._training", lambda: "evening")
    page.cache.click()
    stage.settle()
    assert "evening is being trained" in page.sentence.text()
    assert len(asked) == 2
    assert page.isComplete()  # the verdict stays


def test_yellow_goes_on_and_a_changed_plan_is_probed_anew(stage: Stage) -> None:
    z = stage.go(PRESET, cohort(stage.path / "data", "A", "B", "C"))
    z.preset.radios["paper"].click()
    z.preset.tree.set_value("optimiser.epochs", "6000")
    z = stage.go(ESTIMATE)
    assert (z.estimate.light.colour, z.estimate.isComplete()) == ("yellow", True)
    z.back()
    z.preset.tree.set_value("optimiser.epochs", "10")
    z = stage.go(ESTIMATE)
    assert z.estimate.light.colour == "green"


def test_a_probe_that_the_system_kills_is_red_with_a_way_out(stage: Stage, qtbot: QtBot) -> None:
    z = stage.go(PRESET, cohort(stage.path / "data", "A", "B", "C"))
    z.preset.radios["smoke"].click()
    stage.order("killed")
    z.next()
    stage.settle()
    assert z.estimate.light.colour == "red"
    assert "memory" in z.estimate.reason.text()
    stage.forget()
    z.estimate.fixes[0].click()
    stage.settle()
    assert z.estimate.light.colour == "green"
    assert z.draft.plan.data.micro_batch == 2
    stage.order("hang")
    z.estimate.again.click()
    qtbot.waitUntil(lambda: z.estimate.task.running)
    z.estimate.stop.click()
    assert not z.estimate.isComplete()
    stage.order("wrong")
    z.estimate.again.click()
    stage.settle()
    assert "nothing to train on" in z.estimate.sentence.text()


def test_a_name_that_is_taken_or_impossible_is_told(stage: Stage) -> None:
    z = stage.go(PRESET, cohort(stage.path / "data", "A", "B", "C"))
    z.preset.radios["smoke"].click()
    z = stage.go(TRAIN)
    assert z.train.name.text() == "data-smoke"
    for _ in range(2):
        z.back()
    z.preset.radios["paper"].click()
    stage.go(TRAIN)
    assert z.train.name.text() == "data-paper"
    (stage.path / "runs" / "old").mkdir(parents=True)
    (stage.path / "runs" / "old" / "x").touch()
    for name in ("old", "", "a/b", ".x"):
        z.train.name.setText(name)
        z.train._typed()
        assert not z.train.isComplete()
        assert z.train.sentence.isVisible()


def test_a_start_that_fails_leaves_nothing_and_can_be_repeated(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    z = stage.go(PRESET, cohort(stage.path / "data", "A", "B", "C"))
    z.preset.radios["smoke"].click()
    z = stage.go(TRAIN)

    def fail(_: Path) -> None:
        raise TrainerError("The training could not be started.")

    z.context.start_run = lambda draft: start_run(draft, fail)
    z.button(QWizard.WizardButton.FinishButton).click()
    assert z.isVisible()
    assert z.train.sentence.text() == "The training could not be started."
    assert not (stage.path / "runs" / "data-smoke").exists()
    assert z.train.isComplete()


@pytest.mark.parametrize("page", range(1, 7))
def test_a_draft_comes_back_at_its_step(page: int, stage: Stage) -> None:
    source = cohort(stage.path / "data", "A", "B", "C", "D-far")
    z = stage.go(min(page, PRESET), source)
    if page >= CHECK:
        z.draft.decisions["B"] = False
    if page >= PRESET:
        z.preset.radios["smoke"].click()
        z.preset.tree.set_value("optimiser.steps", "77")
    stage.go(page)
    before = z.draft.to_dict()
    z.reject()
    stage.wizard = z = stage.make()
    assert z.folder.drafts.count() == 1
    z.folder.go_on.click()
    stage.settle()
    assert z.currentId() == page
    after = z.draft.to_dict()
    assert {k: v for k, v in after.items() if k != "changed"} == {
        k: v for k, v in before.items() if k != "changed"
    }
    while z.currentId() > 0:
        z.back()
    assert z.folder.path.text() == str(source)


def test_a_damaged_draft_is_left_out_and_a_draft_can_be_deleted(stage: Stage, qtbot: QtBot) -> None:
    stage.go(SCAN, cohort(stage.path / "data", "A"))
    stage.wizard.reject()
    torn = stage.store.root / "torn"
    torn.mkdir()
    (torn / "draft.json").write_text('{"schema": 1, "page"')
    old = stage.store.root / "old"
    old.mkdir()
    (old / "draft.json").write_text('{"schema": 0}')
    stage.wizard = z = stage.make()
    assert z.folder.drafts.count() == 1
    qtbot.keyClick(z.folder.drafts, Qt.Key.Key_Return)
    assert z.currentId() == SCAN
    z.reject()
    stage.wizard = z = stage.make()
    qtbot.keyClick(z.folder.drafts, Qt.Key.Key_Delete)
    assert z.folder.drafts.count() == 0
    assert not z.folder.box.isVisible()


def test_another_cohort_begins_anew_and_recent_ones_are_offered(stage: Stage) -> None:
    one, two = cohort(stage.path / "one", "A", "B"), cohort(stage.path / "two", "C", "D")
    z = stage.go(SPLIT, one)
    for _ in range(3):
        z.back()
    z = stage.go(SCAN, two)
    assert [row.id for row in z.draft.table.rows] == ["C", "D"]
    assert z.draft.checks == {}
    z.back()
    assert z.folder.recent.menu().actions()[0].text().startswith("two")
    stage.settings.keeps_recent = False
    assert stage.settings.recent_cohorts() == []


def test_a_dropped_file_means_its_folder(stage: Stage, qtbot: QtBot) -> None:
    source = cohort(stage.path / "data", "A", "B")
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(source / "A-T2.nii.gz"))])
    copy, left = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton
    none = Qt.KeyboardModifier.NoModifier
    page = stage.wizard.folder
    QApplication.sendEvent(page, QDragEnterEvent(QPoint(50, 50), copy, data, left, none))
    QApplication.sendEvent(page, QDropEvent(QPoint(50, 50).toPointF(), copy, data, left, none))
    qtbot.waitUntil(lambda: page.path.text() == str(source))
    assert page.isComplete()


def test_the_window_opens_one_wizard_and_keeps_its_draft(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "app.training.wizard.draft.default_folder", lambda: tmp_path / "mine" / "runs"
    )
    with staged(qtbot, tmp_path, monkeypatch) as window:
        window.commands.run("train_model")
        window.commands.run("train_model")
        qtbot.waitUntil(lambda: window.training.wizard.wizard is not None)
        wizard = window.training.wizard.wizard
        assert wizard is not None
        window.commands.run("train_model")
        assert window.training.wizard.wizard is wizard
        wizard.folder.take([cohort(tmp_path / "data", "A", "B")])
        wizard.next()
        qtbot.waitUntil(lambda: not window.context.jobs.busy)
        wizard.reject()
        assert window.training.wizard.wizard is None
        assert "kept as a draft" in window.context.messages.history[-1].sentence
        window.context.messages.history[-1].actions[0].run()
        qtbot.waitUntil(lambda: window.training.wizard.wizard is not None)
        assert window.training.wizard.wizard is not None
        assert window.training.wizard.wizard.currentId() == SCAN
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert list((tmp_path / "mine" / "drafts").glob("*/draft.json"))


def test_the_pages_understand_the_real_commands(stage: Stage) -> None:
    source = stage.path / "data"
    source.mkdir()
    for n in range(5):
        write_case(source, f"Case{n:03d}", n, size=48, slices=24)
    (source / "Case003-T2.nii.gz").write_bytes(b"torn")
    z = stage.wizard
    z.context.command = program_command
    stage.patience = 90_000
    z = stage.go(CHECK, source)
    assert not z.draft.usable("Case003")
    assert "Case003-T2" in z.draft.checks["Case003"]["problems"][0]["text"]
    assert z.check.view.image is not None
    assert "explains" in z.check.number.text()
    z = stage.go(PRESET)
    z.preset.radios["smoke"].click()
    z = stage.go(TRAIN)
    assert z.draft.estimate["light"] == "green"
    assert z.estimate.facts["Steps"].text().startswith("300, every slice about ")


def test_a_cohort_without_a_pair_goes_no_further_than_the_check(stage: Stage) -> None:
    source = cohort(stage.path / "data", "A", "B", "C")
    for name in ("A-T2", "B-T2", "C-iUS"):
        (source / f"{name}.nii.gz").unlink()
    z = stage.go(CHECK, source)
    assert not z.check.isComplete()
    assert "None of the 3 usable cases has two images" in z.check.sentence.text()
    assert "0 of them with a pair" in z.check.counts.text()


def test_one_patient_under_two_names_stays_in_one_part(stage: Stage) -> None:
    source = cohort(stage.path / "data", *"ABCDEFGH", "Atwin")
    z = stage.go(SPLIT, source)
    for seed in range(8):
        z.split.seed.setValue(seed)
        (part,) = {p for p, cases in z.split.split.items() if {"A", "Atwin"} & set(cases)}
        assert {"A", "Atwin"} <= set(z.split.split[part])


def test_patients_are_placed_by_hand_and_a_split_goes_out_and_in(stage: Stage) -> None:
    source = cohort(stage.path / "data", *"ABCDEFGH")
    z = stage.go(SPLIT, source)
    page = z.split
    names = [page.table.item(row, 0) for row in range(8)]
    row = next(n for n, item in enumerate(names) if item is not None and item.text() == "E")
    page.table.selectRow(row)
    page.places["test"].click()
    assert "E" in page.split["test"]
    assert "fewer than 9 cannot show a difference" in page.sentence.text()
    page.export_split(stage.path / "split.json")
    before = page.split
    page.seed.setValue(7)
    page.drawn.click()
    assert not z.draft.placed
    page.import_split(stage.path / "split.json")
    assert {part: sorted(ids) for part, ids in page.split.items()} == {
        part: sorted(ids) for part, ids in before.items()
    }
    (stage.path / "split.json").write_text('{"training": ["A"], "test": ["A"], "validation": []}')
    page.import_split(stage.path / "split.json")
    assert "the case A in both training and test" in page.sentence.text()
    stage.go(PRESET)
    z.preset.radios["smoke"].click()
    stage.go(TRAIN)
    z.button(QWizard.WizardButton.FinishButton).click()
    written = json.loads((stage.resumed[0] / "split.json").read_text())
    assert sorted(written["test"]) == sorted(before["test"])
