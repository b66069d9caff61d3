"""The virtual probe in the window: placed with the mouse, live, swept, exported, taken back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot
from shell_stage import notes, open_files, ran, staged

from app.shell.window import MainWindow
from app.state.values import Kind, Plane, Tool
from app.synthesis.sweep.overlay import RADIUS
from core.grid import Grid
from core.io import read, write
from core.io.sweep_file import read_sweep
from core.volume import Volume

EDGE = 48.0
"""mm, radius of the ball that is the brain."""


def head(folder: Path) -> tuple[Path, Path]:
    """Write a bright ball in the dark, and a label map around its middle."""
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = -60
    grid = Grid((31, 31, 31), affine)
    far = np.linalg.norm(grid.to_world(np.indices(grid.shape).reshape(3, -1).T), axis=1)
    far = far.reshape(grid.shape)
    texture = np.random.default_rng(0).uniform(80, 120, grid.shape)
    ball = np.where(far < 50, texture, 0).astype(np.float32)
    return (
        Path(write(Volume(ball, grid, "T2"), folder / "T2.nii.gz")),
        Path(write(Volume((3.0 * (far < 25)).astype(np.float32), grid), folder / "seg.nii.gz")),
    )


@pytest.fixture
def behaviour(request: pytest.FixtureRequest) -> str:
    return str(getattr(request, "param", "ok"))


@pytest.fixture
def window(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behaviour: str
) -> Iterator[MainWindow]:
    # The ball is a brain without a head, which the mask's network does not know.
    monkeypatch.setattr("core.synthesis.brain_surface.brain_mask", lambda volume: volume.voxels > 0)
    with staged(qtbot, tmp_path, monkeypatch, behaviour) as made:
        t2, labels = head(tmp_path)
        open_files(qtbot, made, t2)
        session = made.context.session
        session.add_layer(read(labels), Kind.LABEL, name="tissue")
        made.sweep.live.set_on(False)
        made.commands.run("sweep_place")
        qtbot.waitUntil(lambda: made.sweep.placement.surface is not None, timeout=20_000)
        yield made


def pixel(window: MainWindow, world: Any, plane: Plane = Plane.AXIAL) -> QPoint:
    """Where a position lies in a plane's pane."""
    pane = next(p for p in window.viewers.panes if p.slot.plane is plane)
    at, projection = pane.frame.to_frame(world), pane.projection()
    x, y = at[projection.axes.across], at[projection.axes.up]
    return QPoint(round(projection.x(float(x))), round(projection.y(float(y))))


def drag(window: MainWindow, start: QPoint, end: QPoint) -> None:
    area, left = window.viewers, Qt.MouseButton.LeftButton
    none = Qt.KeyboardModifier.NoModifier
    QTest.mousePress(area, left, none, start)
    for n in range(1, 6):
        QTest.mouseMove(area, start + (end - start) * n / 5)
    QTest.mouseRelease(area, left, none, end)


def place(window: MainWindow) -> None:
    """Put the probe at the right side, looking to the middle."""
    drag(window, pixel(window, (EDGE, 0, 0)), pixel(window, (5, 0, 0)))
    assert window.sweep.placement.plan is not None


def test_an_end_away_from_the_plane_is_drawn_pale(window: MainWindow) -> None:
    place(window)
    plan, session = window.sweep.placement.plan, window.context.session
    assert plan is not None

    def brightest(plane: Plane) -> int:
        """Yellow of the ring above its middle, where no other line is."""
        at = pixel(window, plan.entry_ras, plane) - QPoint(0, RADIUS)
        image = window.viewers.grab(QRect(at - QPoint(1, 2), at + QPoint(1, 1))).toImage()
        places = [(x, y) for x in range(image.width()) for y in range(image.height())]
        colours = [image.pixelColor(*place) for place in places]
        return max(c.red() - c.blue() for c in colours)

    session.set_cursor((plan.entry_ras[0], 20, plan.entry_ras[2]))
    assert brightest(Plane.AXIAL) > 150
    session.set_cursor((plan.entry_ras[0], 20, plan.entry_ras[2] + 20))
    assert brightest(Plane.AXIAL) < 120


def test_a_drag_from_the_surface_places_and_aims_in_one_step(window: MainWindow) -> None:
    placement, undo = window.sweep.placement, window.context.undo
    steps = undo.count()
    place(window)
    plan = placement.plan
    assert plan is not None
    assert np.linalg.norm(plan.entry_ras) == pytest.approx(EDGE, abs=5)
    assert plan.entry_ras[0] > 40
    np.testing.assert_allclose(plan.target_ras, (5, 0, 0), atol=1.5)
    assert undo.count() == steps + 1
    # An end is taken and dragged; the entry stays on the surface.
    drag(window, pixel(window, plan.entry_ras), pixel(window, (0, 60, 0)))
    moved = placement.plan
    assert moved is not None
    assert moved.entry_ras[1] > 40
    assert np.linalg.norm(moved.entry_ras) < 52
    assert moved.target_ras == plan.target_ras
    window.commands.run("undo")
    assert placement.plan == plan
    window.commands.run("undo")
    assert placement.plan is None
    window.commands.run("redo")
    assert placement.plan == plan


def test_a_click_inside_is_a_target_with_the_probe_above(window: MainWindow) -> None:
    at = pixel(window, (10, 10, 0))
    drag(window, at, at)
    plan = window.sweep.placement.plan
    assert plan is not None
    np.testing.assert_allclose(plan.target_ras, (10, 10, 0), atol=1.5)
    assert plan.entry_ras[2] >= -0.01
    assert np.linalg.norm(plan.entry_ras) == pytest.approx(EDGE, abs=5)
    QTest.keyClick(window.viewers, Qt.Key.Key_Escape)
    assert window.context.session.tool is Tool.NONE


def test_the_fan_is_drawn_in_every_plane(window: MainWindow) -> None:
    window.viewers.session.set_display(crosshair=False)
    bare = window.viewers.render_image(1.0)
    place(window)
    drawn = window.viewers.render_image(1.0)
    for pane in window.viewers.panes:
        one, other = bare.copy(pane.rect), drawn.copy(pane.rect)
        assert one != other, pane.slot.plane


def test_keys_slide_tilt_and_turn(window: MainWindow) -> None:
    place(window)
    placement = window.sweep.placement
    for name in ("slide_on", "slide_on", "slide_back", "tilt_on", "turn_back"):
        window.commands.run(name)
    assert placement.slide == 1
    assert placement.plan is not None
    assert (placement.plan.tilt_deg, placement.plan.turn_deg) == (2, -5)
    for _ in range(40):
        window.commands.run("slide_on")
    assert placement.slide == 30  # the end of the sweep
    actions = window.commands.actions
    assert actions["slide_on"].shortcut().toString() == "Alt+Right"
    panel = window.panels.sweep
    assert panel.boxes["slide"].value() == 30
    panel.sliders["tilt_deg"].setValue(100)
    assert placement.plan.tilt_deg == 10


def test_the_live_fan_asks_once_for_what_is_missing(qtbot: QtBot, window: MainWindow) -> None:
    live, fan = window.sweep.live, window.panels.sweep.fan
    asked: list[Any] = []
    engine = window.context.engine
    submit = engine.submit

    def counted(kind: str, task: Any, volumes: Any) -> Any:
        if "sweep" in task:
            asked.append(task)
        return submit(kind, task, volumes)

    engine.submit = counted  # type: ignore[method-assign]
    place(window)
    fan.refresh()
    assert not fan.synthetic
    live.set_on(True)
    qtbot.waitUntil(lambda: bool(asked) and not live.busy, timeout=10_000)
    qtbot.waitUntil(lambda: fan.synthetic)
    assert asked[0]["targets"] == ["iUS"]
    assert asked[0]["sweep"]["slide"] == 0
    count = len(asked)
    window.sweep.nudge(slide=2.0)  # the fake engine makes everything: nothing is missing
    qtbot.wait(400)
    picture = window.sweep.picture()
    assert picture is not None
    assert picture.known.any()
    assert len(asked) == count
    assert window.context.session.results.all == []


def test_a_sweep_is_a_result_that_is_exported_with_labels(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    place(window)
    window.sweep.placement.edit(length_mm=8.0, step_mm=4.0, pixel_mm=2.0)
    session, it = window.context.session, window.sweep
    window.commands.run("sweep_run")
    ran(qtbot, window)
    result = it.result()
    assert result is not None
    assert it.placement.plan is not None
    assert result.probe == it.placement.plan.to_dict()
    assert result.title.endswith("sweep")
    assert result.given.keys() == {"T2"}
    out = tmp_path / "sweep"
    it.exporter.export(result, it.labels(), out)
    qtbot.waitUntil(lambda: not it.exporter.running, timeout=20_000)
    assert "3 frames" in notes(window)[-1]
    frames = read_sweep(out / "sweep-1.igs.mha")
    classes = read_sweep(out / "sweep-1-labels.igs.mha")
    assert frames.images.shape == classes.images.shape
    assert set(np.unique(classes.images)) == {0, 3}
    assert len(list((out / "sweep-1").glob("*-labels.png"))) == 3
    told = json.loads((out / "sweep-iUS.json").read_text())
    assert told["probe"] == result.probe
    assert read(out / "sweep-iUS.nii.gz").synthetic
    it.exporter.export(result, None, out)
    assert "new or empty folder" in notes(window)[-1]
    window.commands.run("undo")
    assert it.result() is None
    assert not window.commands.actions["sweep_export"].isEnabled()
    assert session.find(Kind.SYNTHETIC, "iUS") is None


def test_an_export_that_is_cancelled_leaves_nothing(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    place(window)
    window.sweep.placement.edit(length_mm=100.0, step_mm=0.2)
    window.commands.run("sweep_run")
    ran(qtbot, window)
    it, out = window.sweep, tmp_path / "sweep"
    result = it.result()
    assert result is not None
    it.exporter.export(result, None, out)
    with qtbot.waitSignal(it.exporter.stage_changed):
        pass
    it.cancel()
    qtbot.waitUntil(lambda: not it.exporter.running, timeout=20_000)
    assert list(tmp_path.glob("sweep*")) == []


@pytest.mark.parametrize("behaviour", ["slow"], indirect=True)
def test_a_cancelled_sweep_leaves_nothing(qtbot: QtBot, window: MainWindow) -> None:
    place(window)
    window.commands.run("sweep_run")
    qtbot.waitUntil(lambda: window.sweep.running, timeout=10_000)
    assert window.panels.sweep.cancel.isVisible()
    window.commands.run("sweep_cancel")
    ran(qtbot, window)
    assert window.sweep.result() is None
    assert not window.panels.sweep.cancel.isVisible()


@pytest.mark.parametrize("behaviour", ["user"], indirect=True)
def test_a_live_fan_that_fails_says_so_and_rests(qtbot: QtBot, window: MainWindow) -> None:
    place(window)
    window.sweep.live.set_on(True)
    off = "The live fan was switched off. T2.nii.gz: every voxel is zero."
    qtbot.waitUntil(lambda: off in notes(window), timeout=10_000)
    assert not window.panels.sweep.live.isChecked()


def test_without_an_input_there_is_a_sentence(window: MainWindow) -> None:
    layer = window.context.session.find(Kind.REAL, "T2")
    assert layer is not None
    window.context.session.update_layer(layer.id, available=False)
    window.context.session.set_tool(Tool.NONE)
    window.sweep.toggle_tool()
    assert "No input volume" in notes(window)[-1]
    assert window.context.session.tool is Tool.NONE


def test_closing_the_case_takes_the_probe_away(window: MainWindow) -> None:
    place(window)
    window.commands.run("close_case")
    assert window.sweep.placement.plan is None
    assert window.sweep.placement.surface is None
