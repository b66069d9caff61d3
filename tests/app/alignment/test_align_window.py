"""Alignment in the window: what moves, every way to move it, undo, refusals, registration."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot
from shell_stage import notes, open_files, put, staged
from viewer_stage import drag

from app.alignment.registration_process import RegistrationRequest, _arguments
from app.cli import main as command_line
from app.processes.protocol import JsonLines
from app.shell.window import MainWindow
from app.state.messages import Action
from app.state.session import Session
from app.state.values import Compare, Kind, Layout, Tool
from core.io import read
from core.registration.alignment import Alignment, Matrix, Registration, from_parameters
from core.registration.methods import DEFAULT_METHOD, THROUGH_THE_MODEL
from core.registration.transforms import write_transform
from core.volume import Volume

pytestmark = pytest.mark.qt_log_ignore("does not support propagateSizeHints")
FAKE = [sys.executable, str(Path(__file__).parents[2] / "fake_register.py")]
TURN = from_parameters((1.0, 2.0, -1.5, 3.0, -2.0, 4.0), (5.0, 6.0, 7.0))


@pytest.fixture
def window(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MainWindow]:
    with staged(qtbot, tmp_path, monkeypatch) as made:
        made.context.session.synthesis.set_form(rerun=False)
        made.alignment.registrar.command = lambda arguments: [*FAKE, *arguments]
        yield made


@pytest.fixture
def pair(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> tuple[str, str]:
    """Ids of a T2 and an iUS of the same shape, two voxels apart."""
    open_files(qtbot, window, put(tmp_path, "T2.nii.gz"))
    open_files(qtbot, window, put(tmp_path, "iUS.nii.gz", seed=1, shift=2))
    t2, ius = (x.id for x in window.context.session.layers)
    return t2, ius


def grid_of(session: Session, layer_id: str) -> np.ndarray:
    return session.layer(layer_id).volume.grid.affine


def idle(qtbot: QtBot, window: MainWindow) -> None:
    qtbot.waitUntil(lambda: not window.context.jobs.busy, timeout=10_000)


def last_action(window: MainWindow, label: str) -> Action:
    """The button of that name beside the newest note that has it."""
    found = [a for n in window.context.messages.history for a in n.actions if a.label == label]
    assert found, [a.label for n in window.context.messages.history for a in n.actions]
    return found[-1]


def test_the_ultrasound_stays_until_somebody_says_otherwise(
    window: MainWindow, pair: tuple[str, str]
) -> None:
    t2, ius = pair
    aligner = window.alignment.aligner
    assert [x.id for x in aligner.pair() or ()] == [t2, ius]
    aligner.session.pair.choose(moving=ius)
    assert [x.id for x in aligner.pair() or ()] == [ius, t2]
    assert window.context.session.reference is window.context.session.layer(t2)
    assert window.panels.align.moving.currentData() == ius
    aligner.session.pair.choose(fixed=ius)
    assert [x.id for x in aligner.pair() or ()] == [t2, ius]


def test_a_slider_moves_live_about_the_middle_and_is_one_undo_step(
    window: MainWindow, pair: tuple[str, str]
) -> None:
    t2, session, box = pair[0], window.context.session, window.panels.align.hand
    start, steps = grid_of(session, t2).copy(), window.context.undo.count()
    centre = session.layer(t2).volume.grid.centre
    slider = box.sliders[5]
    slider.setSliderDown(True)
    slider.sliderPressed.emit()
    for position in (10, 40, 90):
        slider.setValue(position)
        assert box.boxes[5].value() == pytest.approx(position / 10)
    slider.setSliderDown(False)
    assert np.allclose(session.layer(t2).volume.grid.centre, centre, atol=0.1)
    expected = from_parameters((0, 0, 0, 0, 0, 9.0), window.alignment.hand.pivot())
    assert np.allclose(grid_of(session, t2), expected @ start)
    assert window.context.undo.count() == steps + 1
    window.commands.run("undo")
    assert (grid_of(session, t2) == start).all()
    assert box.boxes[5].value() == 0
    window.commands.run("redo")
    assert np.allclose(grid_of(session, t2), expected @ start)


def test_sliders_keep_what_an_affine_alignment_adds(
    window: MainWindow, pair: tuple[str, str]
) -> None:
    matrix = TURN.copy()
    matrix[:3, :3] = matrix[:3, :3] @ np.diag((1.05, 0.97, 1.0))
    window.alignment.aligner.put_alignment(Alignment(matrix, "affine"), "affine")
    window.panels.align.hand.boxes[0].setValue(3.0)
    now = window.alignment.aligner.matrix
    assert np.allclose(np.linalg.svd(now[:3, :3])[1], np.linalg.svd(matrix[:3, :3])[1])
    assert window.alignment.hand.parameters()[0] == pytest.approx(3.0)
    assert np.allclose(
        window.alignment.hand.parameters()[1:], window.alignment.hand.parameters()[1:]
    )


def test_dragging_in_a_pane_moves_and_turns_in_its_plane(
    qtbot: QtBot, window: MainWindow, pair: tuple[str, str]
) -> None:
    t2, session, area = pair[0], window.context.session, window.viewers
    start = grid_of(session, t2).copy()
    QTest.keyClick(area, Qt.Key.Key_G)
    assert session.tool is Tool.MOVE
    assert session.display.compare is Compare.BLEND
    pane = area.panes[0]
    scale = pane.projection().scale
    middle = QPointF(pane.rect.center())
    drag(qtbot, area, middle, middle + QPointF(3 * scale, -2 * scale))
    # Axial, radiological: right on screen is the patient's left, up is anterior.
    assert np.allclose(grid_of(session, t2)[:3, 3] - start[:3, 3], (-3, 2, 0), atol=1e-6)
    window.commands.run("undo")
    assert (grid_of(session, t2) == start).all()
    pivot = area.panes[0].frame.to_frame(window.alignment.hand.pivot())
    projection = pane.projection()
    at = QPointF(projection.x(pivot[0]), projection.y(pivot[1]))
    ctrl = Qt.KeyboardModifier.ControlModifier
    drag(qtbot, area, at + QPointF(50, 0), at + QPointF(0, -50), keys=ctrl)
    turned = window.alignment.hand.parameters()
    assert np.allclose(turned[:3], 0, atol=1e-6)
    assert np.allclose(np.abs(turned[3:]), (0, 0, 90), atol=1e-6)
    QTest.keyClick(area, Qt.Key.Key_Escape)
    assert str(session.tool) == ""
    assert session.display.compare is Compare.BLEND
    drag(qtbot, area, middle, middle + QPointF(30, 0))
    assert np.allclose(window.alignment.hand.parameters(), turned)


def test_label_maps_on_the_same_voxels_move_along(
    qtbot: QtBot, window: MainWindow, pair: tuple[str, str], tmp_path: Path
) -> None:
    open_files(qtbot, window, put(tmp_path, "tumour-seg.nii.gz"))
    label = next(x for x in window.context.session.layers if x.kind is Kind.LABEL)
    window.alignment.aligner.put_alignment(Alignment(TURN, "rigid"), "rigid")
    moved = window.context.session.layer(label.id).volume.grid
    assert moved.same_as(window.context.session.layer(pair[0]).volume.grid)
    window.commands.run("undo")
    assert window.context.session.layer(label.id).volume.grid.same_as(label.volume.grid)


def test_the_position_before_is_only_looked_at(window: MainWindow, pair: tuple[str, str]) -> None:
    t2, session = pair[0], window.context.session
    start = grid_of(session, t2).copy()
    window.alignment.aligner.put_alignment(Alignment(TURN, "rigid"), "rigid")
    now = grid_of(session, t2).copy()
    QTest.keyClick(window.viewers, Qt.Key.Key_V)
    assert (session.shown_grid(session.layer(t2)).affine == start).all()
    assert (window.viewers.scene.sampler(session.layer(t2)).grid.affine == start).all()
    assert (grid_of(session, t2) == now).all()
    QTest.keyClick(window.viewers, Qt.Key.Key_V)
    assert (window.viewers.scene.sampler(session.layer(t2)).grid.affine == now).all()


def test_a_dropped_transform_asks_what_moves_and_can_be_turned_round(
    qtbot: QtBot, window: MainWindow, pair: tuple[str, str], tmp_path: Path
) -> None:
    path = write_transform(tmp_path / "found.tfm", Alignment(TURN, "rigid"))
    t2, session = pair[0], window.context.session
    start = grid_of(session, t2).copy()
    open_files(qtbot, window, path)
    assert "which volume" in notes(window)[-1]
    last_action(window, "Move T2").run()
    idle(qtbot, window)
    assert np.allclose(grid_of(session, t2), TURN @ start)
    assert "it takes points of iUS to T2" in notes(window)[-1]
    assert window.docks.align.isVisible()
    last_action(window, "Turn round").run()
    assert np.allclose(grid_of(session, t2), np.linalg.inv(TURN) @ start)
    assert "turned round" in window.panels.align.direction.text()
    window.commands.run("align_header")
    assert (grid_of(session, t2) == start).all()
    open_files(qtbot, window, path)  # now it is known what moves
    idle(qtbot, window)
    assert np.allclose(grid_of(session, t2), TURN @ start)
    for _ in range(4):
        window.commands.run("undo")
    assert (grid_of(session, t2) == start).all()


def test_a_damaged_transform_is_one_sentence(
    qtbot: QtBot, window: MainWindow, pair: tuple[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "torn.tfm"
    path.write_text("#Insight Transform File V1.0\nnothing")
    window.alignment.transforms.load(path)
    idle(qtbot, window)
    assert "torn.tfm" in notes(window)[-1]


def test_what_lies_far_away_is_refused_and_can_be_centred(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    open_files(qtbot, window, put(tmp_path, "iUS.nii.gz"))
    open_files(qtbot, window, put(tmp_path, "T2.nii.gz", shift=500, seed=1))
    assert [x.modality for x in window.context.session.layers] == ["iUS"]
    assert "488 mm apart" in notes(window)[-1]
    last_action(window, "Centre it here").run()
    qtbot.waitUntil(lambda: len(window.context.session.layers) == 2, timeout=10_000)
    t2 = window.context.session.layers[1]
    assert np.allclose(t2.volume.grid.centre, window.context.session.layers[0].volume.grid.centre)
    assert t2.placement is not None
    assert t2.placement.alignment.kind == "centred"
    window.commands.run("align_header")  # would take it 488 mm away again
    assert "488 mm apart" in notes(window)[-1]
    assert window.context.session.layers[1].placement is t2.placement
    window.commands.run("undo")
    assert [x.modality for x in window.context.session.layers] == ["iUS"]
    window.commands.run("redo")
    assert np.allclose(window.context.session.layers[1].volume.grid.affine, t2.volume.grid.affine)


def test_what_lies_far_away_can_come_by_a_transform_in_either_direction(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    there = from_parameters((499, 0, 0, 0, 0, 0), (0, 0, 0))
    path = write_transform(tmp_path / "far.tfm", Alignment(there, "rigid"))
    window.alignment.suggestions._ask = lambda use: use(path)
    open_files(qtbot, window, put(tmp_path, "iUS.nii.gz"))
    open_files(qtbot, window, put(tmp_path, "T2.nii.gz", shift=500, seed=1))
    last_action(window, "Load a transform…").run()
    idle(qtbot, window)
    assert len(window.context.session.layers) == 1
    assert "987 mm apart" in notes(window)[-1]
    last_action(window, "Turn it round").run()
    t2 = window.context.session.layers[1]
    assert t2.volume.grid.affine[0, 3] == pytest.approx(1.0)
    assert "turned round" in window.alignment.transforms.direction()


def test_two_unaligned_volumes_are_quietly_offered_to_be_aligned(
    qtbot: QtBot, window: MainWindow, pair: tuple[str, str]
) -> None:
    offers = [
        n for n in window.context.messages.history if any(a.label == "Align…" for a in n.actions)
    ]
    assert len(offers) == 1
    assert not window.docks.align.isVisible()
    last_action(window, "Align…").run()
    assert window.docks.align.isVisible()


def test_volumes_on_one_grid_are_not_offered_to_be_aligned(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    open_files(qtbot, window, put(tmp_path, "T2.nii.gz"), put(tmp_path, "iUS.nii.gz", seed=1))
    assert len(window.context.session.layers) == 2
    assert not [n for n in window.context.messages.history if n.actions]


def test_a_registration_is_a_step_with_its_similarity(
    qtbot: QtBot, window: MainWindow, pair: tuple[str, str]
) -> None:
    t2, session = pair[0], window.context.session
    start = grid_of(session, t2).copy()
    window.commands.run("align_rigid")
    registrar = window.alignment.registrar
    folder = registrar._run.folder.name if registrar._run else ""
    qtbot.waitUntil(lambda: not registrar.running, timeout=20_000)
    assert (grid_of(session, t2)[:3, 3] - start[:3, 3]).tolist() == [1.0, -2.0, 0.5]
    panel = window.panels.align
    assert panel.state.text() == f"T2 is registered, rigid ({DEFAULT_METHOD})."
    assert panel.gain.text() == "Similarity 0.250 → 0.750"
    assert not panel.doubt.text()
    idle(qtbot, window)
    assert not Path(folder).exists()
    window.commands.run("undo")
    assert (grid_of(session, t2) == start).all()


@pytest.mark.parametrize(
    ("modality", "words"),
    [
        ("killed", "memory ran out. Nothing was moved."),
        ("wrong", "nothing in the field of view"),
        ("doubtful", "this is doubtful: The best fit is at the edge"),
    ],
)
def test_a_registration_that_goes_wrong_is_a_sentence(
    qtbot: QtBot, window: MainWindow, pair: tuple[str, str], modality: str, words: str
) -> None:
    window.context.session.update_layer(pair[0], modality=modality)
    window.commands.run("align_affine")
    qtbot.waitUntil(lambda: not window.alignment.registrar.running, timeout=20_000)
    assert words in notes(window)[-1]
    if modality == "doubtful":
        assert "edge of the search" in window.panels.align.doubt.text()
        last_action(window, "Take it back").run()
        assert window.alignment.aligner.placement is None
    else:
        assert window.alignment.aligner.placement is None


def test_cancel_answers_at_once_and_moves_nothing(
    qtbot: QtBot, window: MainWindow, pair: tuple[str, str]
) -> None:
    window.context.session.update_layer(pair[0], modality="slow")
    window.commands.run("align_rigid")
    registrar = window.alignment.registrar
    qtbot.waitUntil(lambda: registrar.stage.done == 1, timeout=20_000)
    assert window.panels.align.stage.text() == "Searching, 3 s left"
    window.commands.run("align_cancel")
    assert not registrar.running
    assert window.alignment.aligner.placement is None
    assert window.panels.align.progress.isHidden()


def test_registration_through_the_model_uses_the_one_chosen(
    qtbot: QtBot, window: MainWindow, pair: tuple[str, str]
) -> None:
    given: list[str] = []
    registrar, box = window.alignment.registrar, window.panels.align.method

    def command(arguments: Sequence[str]) -> list[str]:
        given.extend(arguments)
        return [*FAKE, *arguments]

    registrar.command = command
    box.setCurrentIndex(box.findData(THROUGH_THE_MODEL))
    box.activated.emit(box.currentIndex())
    window.commands.run("align_rigid")
    qtbot.waitUntil(lambda: not registrar.running, timeout=20_000)
    bundle = window.context.session.synthesis.bundle
    assert bundle is not None
    assert given[given.index("--model") + 1] == str(bundle.path)
    assert "(through the model)" in window.panels.align.state.text()
    window.context.session.synthesis.set_models([])
    window.commands.run("align_rigid")
    assert "needs a model" in notes(window)[-1]


def test_closing_the_window_ends_a_registration(
    window: MainWindow, qtbot: QtBot, pair: tuple[str, str]
) -> None:
    window.context.session.update_layer(pair[0], modality="slow")
    window.commands.run("align_rigid")
    qtbot.waitUntil(lambda: window.alignment.registrar.stage.done == 1, timeout=20_000)
    # The stage checks that no child is left when the window closes.


def test_by_hand_the_similarity_is_measured_when_it_rests(
    qtbot: QtBot, window: MainWindow, pair: tuple[str, str]
) -> None:
    window.panels.align.hand.boxes[1].setValue(1.5)
    qtbot.waitUntil(lambda: window.panels.align.gain.text() != "", timeout=10_000)
    assert window.panels.align.gain.text().startswith("Similarity ")


def test_the_engine_gets_a_moved_volume_anew(window: MainWindow, pair: tuple[str, str]) -> None:
    from app.processes.engine_job import volume_key as _key

    layer = window.context.session.layer(pair[0])
    before = _key(layer.volume)
    window.alignment.aligner.put_alignment(Alignment(TURN, "rigid"), "rigid")
    assert _key(window.context.session.layer(pair[0]).volume) != before
    window.commands.run("undo")
    assert _key(window.context.session.layer(pair[0]).volume) == before


def test_the_panel_s_checkerboard_shows_the_pair_though_one_was_synthesised(
    window: MainWindow, pair: tuple[str, str]
) -> None:
    t2, ius = pair
    session = window.context.session
    made = session.layer(ius).volume
    session.add_layer(made, Kind.SYNTHETIC)
    session.set_active(ius)
    assert session.secondary is not session.layer(t2)
    button = window.panels.align.buttons["align_checker"]
    assert button.text() == "Checker"
    button.click()
    assert (session.active, session.secondary) == (session.layer(ius), session.layer(t2))
    assert session.display.compare == "checker"
    assert button.isChecked()
    button.click()
    assert session.display.compare == "off"


def test_columns_follow_a_moved_volume(window: MainWindow, pair: tuple[str, str]) -> None:
    window.context.session.set_display(layout=Layout.COLUMNS)
    before = window.viewers.render_image(1.0)
    window.panels.align.hand.boxes[1].setValue(4.0)
    assert window.viewers.render_image(1.0) != before


def test_the_command_begins_where_the_window_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    began: list[np.ndarray] = []

    def search(fixed: Volume, moving: Volume, kind: str, start: Matrix, *_: object) -> Registration:
        began.append(start)
        return Registration(Alignment(start, kind), 0.1, 0.2, True, "Not searched.", 0.0)

    monkeypatch.setattr("core.registration.register.search", search)
    fixed, moving = (read(put(tmp_path, name)) for name in ("a.nii.gz", "b.nii.gz"))
    wish = RegistrationRequest("affine")
    arguments = _arguments(tmp_path, fixed, replace(moving, modality="T2"), TURN, wish)
    assert command_line(arguments) == 0
    assert np.allclose(began[0], TURN, atol=1e-9)
    events = JsonLines().feed(capsys.readouterr().out.encode())
    result = events[-1]
    assert result["event"] == "result"
    assert np.allclose(result["matrix"], TURN, atol=1e-9)
    assert result["doubtful"]
