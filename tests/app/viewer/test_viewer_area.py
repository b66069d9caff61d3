"""Keys, mouse, layouts, and that only what changed is painted."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QKeySequence, QMouseEvent, QWheelEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot
from scipy.ndimage import map_coordinates
from viewer_stage import SHAPE, SPACING, bare_area, constant, drag, marked, pixels, ras_grid

from app.state.session import Session
from app.state.values import Compare, Convention, Interpolation, Kind, Layout, MousePreset, Plane
from app.viewer.area import ViewerArea
from app.viewer.key_bindings import ACTIONS, DRAGS
from app.viewer.oblique import PlaneReader
from app.viewer.pane import Pane
from app.viewer.readout import read
from app.viewer.slice_slider import track_of
from core.grid import Grid
from core.volume import Volume

NO = Qt.KeyboardModifier.NoModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
CTRL = Qt.KeyboardModifier.ControlModifier
LEFT, MIDDLE, RIGHT = (
    Qt.MouseButton.LeftButton,
    Qt.MouseButton.MiddleButton,
    Qt.MouseButton.RightButton,
)
START = (10, 12, 8)


@pytest.fixture
def stage(qtbot: QtBot) -> tuple[Session, ViewerArea]:
    session = Session()
    area = bare_area(qtbot, session, (900, 600))
    session.add_layer(marked())
    session.add_layer(constant(100, "iUS"))
    session.set_cursor(ras_grid().to_world(START))
    return session, area


def voxel(session: Session) -> tuple[int, ...]:
    return tuple(np.rint(ras_grid().to_voxel(session.cursor)).astype(int).tolist())


def turn(area: ViewerArea, at: QPointF, delta: int, keys: Qt.KeyboardModifier = NO) -> None:
    event = QWheelEvent(
        at,
        area.mapToGlobal(at),
        QPoint(),
        QPoint(0, delta),
        Qt.MouseButton.NoButton,
        keys,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(area, event)


def middle(pane: Pane) -> QPointF:
    return QPointF(pane.rect.center())


@pytest.mark.parametrize(
    ("key", "keys", "moved"),
    [
        (Qt.Key.Key_Left, NO, (1, 0, 0)),  # radiological: the left of the screen is R
        (Qt.Key.Key_Right, NO, (-1, 0, 0)),
        (Qt.Key.Key_Up, NO, (0, 1, 0)),
        (Qt.Key.Key_Down, NO, (0, -1, 0)),
        (Qt.Key.Key_Left, SHIFT, (5, 0, 0)),
        (Qt.Key.Key_Right, SHIFT, (-5, 0, 0)),
        (Qt.Key.Key_Up, SHIFT, (0, 5, 0)),
        (Qt.Key.Key_Down, SHIFT, (0, -5, 0)),
        (Qt.Key.Key_PageUp, NO, (0, 0, 1)),
        (Qt.Key.Key_PageDown, NO, (0, 0, -1)),
    ],
)
def test_cursor_keys_move_by_voxels(
    qtbot: QtBot,
    stage: tuple[Session, ViewerArea],
    key: Qt.Key,
    keys: Qt.KeyboardModifier,
    moved: tuple[int, int, int],
) -> None:
    session, area = stage
    qtbot.keyClick(area, key, keys)
    assert voxel(session) == tuple(np.add(START, moved))


def test_keys_act_on_the_pane_under_the_pointer(
    qtbot: QtBot, stage: tuple[Session, ViewerArea]
) -> None:
    session, area = stage
    sagittal = next(p for p in area.panes if p.slot.plane is Plane.SAGITTAL)
    area._set_focus(sagittal)
    qtbot.keyClick(area, Qt.Key.Key_PageUp)
    qtbot.keyClick(area, Qt.Key.Key_Left)  # anterior is on the left
    assert voxel(session) == (START[0] + 1, START[1] + 1, START[2])


def test_the_cursor_stops_at_the_edge(qtbot: QtBot, stage: tuple[Session, ViewerArea]) -> None:
    session, area = stage
    for _ in range(12):
        qtbot.keyClick(area, Qt.Key.Key_Left, SHIFT)
        qtbot.keyClick(area, Qt.Key.Key_Down, SHIFT)
    assert voxel(session) == (SHAPE[0] - 1, 0, START[2])


@pytest.mark.parametrize(
    ("key", "field", "value"),
    [
        ("A", "plane", Plane.AXIAL),
        ("C", "plane", Plane.CORONAL),
        ("S", "plane", Plane.SAGITTAL),
        ("2", "layout", Layout.COLUMNS),
        ("3", "layout", Layout.GRID),
        ("4", "layout", Layout.SINGLE),
        ("B", "compare", Compare.BLEND),
        ("W", "compare", Compare.SWIPE),
        ("E", "compare", Compare.REVEAL),
        ("K", "compare", Compare.CHECKER),
        ("F", "compare", Compare.FLICKER),
        ("D", "compare", Compare.DIFFERENCE),
        ("I", "interpolation", Interpolation.LINEAR),
        ("X", "convention", Convention.NEUROLOGICAL),
        ("O", "world_axes", True),
        ("H", "crosshair", True),
        ("U", "outlines", False),
        ("M", "measuring", True),
        ("Shift+P", "lock_position", False),
        ("Shift+Z", "lock_zoom", False),
        ("Shift+W", "lock_window", False),
    ],
)
def test_each_display_key(
    qtbot: QtBot, stage: tuple[Session, ViewerArea], key: str, field: str, value: object
) -> None:
    session, area = stage
    qtbot.keySequence(area, QKeySequence(key))
    assert getattr(session.display, field) == value
    area.render_image(1.0)
    if field == "compare":
        qtbot.keySequence(area, QKeySequence(key))
        assert session.display.compare is Compare.OFF


def test_other_keys(qtbot: QtBot, stage: tuple[Session, ViewerArea]) -> None:
    session, area = stage
    first, second = (x.id for x in session.layers)
    qtbot.keyClicks(area, "]")
    assert session.active is session.layer(second)
    qtbot.keyClicks(area, "[")
    assert session.active is session.layer(first)
    with qtbot.waitSignal(area.help_requested):
        qtbot.keyClick(area, Qt.Key.Key_Question, SHIFT)
    session.set_window(first, 1, 2)
    turn(area, middle(area.panes[0]), 240, CTRL)
    qtbot.keyClicks(area, "r")
    assert session.layer(first).window == session.layer(first).auto
    assert session.view_of(first).zoom == 1
    qtbot.keySequence(area, QKeySequence("Shift+T"))
    voxels = session.layer(first).volume.voxels
    assert session.layer(first).window == (float(voxels.min()), 255)


def test_every_action_of_the_table_can_be_done(stage: tuple[Session, ViewerArea]) -> None:
    _session, area = stage
    keys = [key for action in ACTIONS for key in action.keys]
    assert len(keys) == len(set(keys))
    for action in ACTIONS:
        area.perform(action.name)
        area.render_image(1.0)
    with pytest.raises(KeyError):
        area.perform("fly")
    empty = ViewerArea(Session())
    for action in ACTIONS:
        empty.perform(action.name)
    empty.render_image(1.0)
    empty.deleteLater()


def test_left_drag_puts_the_crosshair_on_the_voxel_under_the_pointer(
    qtbot: QtBot, stage: tuple[Session, ViewerArea]
) -> None:
    session, area = stage
    pane = area.panes[0]
    projection = pane.projection()
    target = pane.frame.to_frame(ras_grid().to_world((3, 20, START[2])))
    at = QPointF(projection.x(float(target[0])) + 3, projection.y(float(target[1])) - 3)
    drag(qtbot, area, middle(pane), at)
    assert voxel(session) == (3, 20, START[2])
    np.testing.assert_allclose(session.cursor, ras_grid().to_world((3, 20, START[2])))


def test_wheel_changes_slice_and_gathers_small_turns(stage: tuple[Session, ViewerArea]) -> None:
    session, area = stage
    coronal = next(p for p in area.panes if p.slot.plane is Plane.CORONAL)
    turn(area, middle(coronal), 120)
    assert voxel(session) == (START[0], START[1] + 1, START[2])
    for _ in range(3):
        turn(area, middle(coronal), 40)
    assert voxel(session)[1] == START[1] + 2
    turn(area, middle(coronal), -240)
    assert voxel(session)[1] == START[1]


@pytest.mark.parametrize(("button", "keys"), [(MIDDLE, NO), (LEFT, SHIFT)])
def test_pan_moves_the_picture_with_the_pointer(
    qtbot: QtBot,
    stage: tuple[Session, ViewerArea],
    button: Qt.MouseButton,
    keys: Qt.KeyboardModifier,
) -> None:
    session, area = stage
    pane = area.panes[0]
    before = pane.projection()
    drag(qtbot, area, middle(pane), middle(pane) + QPointF(30, -18), button, keys)
    after = pane.projection()
    assert after.x(0) - before.x(0) == pytest.approx(30)
    assert after.y(0) - before.y(0) == pytest.approx(-18)
    assert voxel(session) == START


def test_ctrl_wheel_zooms_about_the_pointer(stage: tuple[Session, ViewerArea]) -> None:
    session, area = stage
    pane = area.panes[0]
    at = middle(pane) + QPointF(60, 40)
    held = pane.projection().to_frame(at.x(), at.y(), 0)
    turn(area, at, 360, CTRL)
    projection = pane.projection()
    assert session.view_of(pane.slot.layer_id).zoom > 1.5
    assert projection.x(float(held[0])) == pytest.approx(at.x())
    assert projection.y(float(held[1])) == pytest.approx(at.y())


@pytest.mark.parametrize("preset", [MousePreset.SLICER, MousePreset.ITK_SNAP])
def test_the_window_tool_sets_window_and_level(
    qtbot: QtBot, stage: tuple[Session, ViewerArea], preset: MousePreset
) -> None:
    session, area = stage
    session.set_display(mouse=preset, measuring=True)
    area.perform("adjust_window")
    assert not session.display.measuring  # one tool at a time has the left button
    pane = area.panes[0]
    low, high = pane.layer.window
    unit = (high - low) / 300
    drag(qtbot, area, middle(pane), middle(pane) + QPointF(50, 0), LEFT)
    wider = pane.layer.window
    assert wider[1] - wider[0] == pytest.approx(high - low + 50 * unit)
    drag(qtbot, area, middle(pane), middle(pane) + QPointF(0, -20), LEFT)
    assert sum(pane.layer.window) / 2 == pytest.approx((low + high) / 2 + 20 * unit)
    assert voxel(session) == START
    area.perform("adjust_window")
    drag(qtbot, area, middle(pane), middle(pane) + QPointF(60, 0), LEFT)
    assert voxel(session) != START


@pytest.mark.parametrize("preset", [MousePreset.SLICER, MousePreset.ITK_SNAP])
def test_right_drag_zooms_and_leaves_the_window(
    qtbot: QtBot, stage: tuple[Session, ViewerArea], preset: MousePreset
) -> None:
    session, area = stage
    session.set_display(mouse=preset)
    pane = area.panes[0]
    window = pane.layer.window
    drag(qtbot, area, middle(pane), middle(pane) + QPointF(30, -40), RIGHT)
    assert session.view_of(pane.slot.layer_id).zoom > 1.2
    assert pane.layer.window == window
    assert voxel(session) == START


def test_only_in_slicers_preset_shift_moves_the_crosshair(
    qtbot: QtBot, stage: tuple[Session, ViewerArea]
) -> None:
    session, area = stage
    at = middle(area.panes[0]) + QPointF(70, 40)

    def hover(keys: Qt.KeyboardModifier) -> tuple[int, ...]:
        none = Qt.MouseButton.NoButton
        move = QMouseEvent(QEvent.Type.MouseMove, at, area.mapToGlobal(at), none, none, keys)
        QApplication.sendEvent(area, move)
        return voxel(session)

    session.set_display(mouse=MousePreset.ITK_SNAP)
    assert hover(SHIFT) == START
    session.set_display(mouse=MousePreset.SLICER)
    assert hover(NO) == START
    assert hover(SHIFT) != START


def test_the_slider_of_a_pane_shows_its_slice_and_changes_it(
    qtbot: QtBot, stage: tuple[Session, ViewerArea]
) -> None:
    session, area = stage
    pane = next(p for p in area.panes if p.slot.plane is Plane.AXIAL)
    track = track_of(pane)
    x = track.center().x()
    drag(qtbot, area, QPointF(x, track.center().y()), QPointF(x, track.top()))
    assert voxel(session) == (*START[:2], SHAPE[2] - 1)
    drag(qtbot, area, QPointF(x, track.top() + 3), QPointF(x, track.bottom() + 9))
    assert voxel(session) == (*START[:2], 0)

    def knob() -> float:
        shown = pixels(area.grab().toImage())[:, round(x)].min(axis=1)
        rows = [y for y in range(round(track.top()), round(track.bottom())) if shown[y] > 150]
        return float(np.mean(rows))

    low = knob()
    session.set_cursor(ras_grid().to_world((*START[:2], SHAPE[2] - 1)))
    assert knob() < low - 100
    marked_up = pixels(area.render_image(1.0))
    assert not (marked_up[round(track.center().y()), round(x)] > 50).any()  # no screenshot has it


def test_pacs_preset(qtbot: QtBot, stage: tuple[Session, ViewerArea]) -> None:
    session, area = stage
    session.set_display(mouse=MousePreset.PACS)
    pane = area.panes[0]
    window = pane.layer.window
    drag(qtbot, area, middle(pane), middle(pane) + QPointF(40, 0), LEFT)
    assert pane.layer.window != window
    assert voxel(session) == START
    zoom = session.view_of(pane.slot.layer_id).zoom
    drag(qtbot, area, middle(pane), middle(pane) + QPointF(0, -40), RIGHT)
    assert session.view_of(pane.slot.layer_id).zoom > zoom
    session.reset()
    at = middle(pane) + QPointF(70, 40)
    drag(qtbot, area, at, at, LEFT)
    assert voxel(session)[:2] != (SHAPE[0] // 2, SHAPE[1] // 2)
    assert set(DRAGS) == set(MousePreset)


def test_the_swipe_line_can_be_dragged(qtbot: QtBot, stage: tuple[Session, ViewerArea]) -> None:
    session, area = stage
    session.set_display(compare=Compare.SWIPE)
    pane = area.panes[0]
    start = QPointF(pane.swipe_x() + 2, pane.rect.center().y())
    drag(qtbot, area, start, QPointF(pane.rect.left() + 0.25 * pane.rect.width(), start.y()))
    assert session.display.swipe == pytest.approx(0.25, abs=0.005)
    assert voxel(session) == START


def test_the_ruler_measures_millimetres(qtbot: QtBot, stage: tuple[Session, ViewerArea]) -> None:
    session, area = stage
    session.set_display(measuring=True)
    pane = area.panes[0]
    step = QPointF(12 * pane.projection().scale, 9 * pane.projection().scale)
    drag(qtbot, area, middle(pane), middle(pane) + step)
    (first,) = session.rulers
    assert first.length == pytest.approx(15)
    assert voxel(session) == START
    far = middle(pane) - step
    drag(qtbot, area, far, far)  # a click draws nothing
    assert session.rulers == (first,)
    drag(qtbot, area, far, far + step / 2)
    assert [r.length for r in session.rulers] == pytest.approx([15, 7.5])
    drag(qtbot, area, middle(pane) + step, middle(pane) + step * 2)  # an end is taken
    assert sorted(r.length for r in session.rulers) == pytest.approx([7.5, 30])
    ends = session.rulers[-1]  # from the middle to twice the step away
    drag(qtbot, area, middle(pane) + step, middle(pane) + step + QPointF(0, 40))  # its line
    assert sorted(r.length for r in session.rulers) == pytest.approx([7.5, 30])
    shift = np.subtract(session.rulers[-1].start, ends.start)
    np.testing.assert_allclose(np.subtract(session.rulers[-1].end, ends.end), shift)
    assert np.linalg.norm(shift) == pytest.approx(40 / pane.projection().scale)
    area.perform("ruler")
    assert len(session.rulers) == 2
    area.perform("remove_rulers")
    assert session.rulers == ()


def test_double_click_maximises_and_returns(
    qtbot: QtBot, stage: tuple[Session, ViewerArea]
) -> None:
    session, area = stage
    session.set_display(layout=Layout.GRID)
    pane = area.panes[5]
    qtbot.mouseDClick(area, LEFT, pos=pane.rect.center())
    assert session.display.layout is Layout.SINGLE
    assert [p.slot.plane for p in area.panes] == [pane.slot.plane]
    assert area.panes[0].slot.layer_id == pane.slot.layer_id
    qtbot.mouseDClick(area, LEFT, pos=area.rect().center())
    assert len(area.panes) == 6


def test_a_press_makes_the_panes_volume_active(
    qtbot: QtBot, stage: tuple[Session, ViewerArea]
) -> None:
    session, area = stage
    session.set_display(layout=Layout.COLUMNS)
    qtbot.mouseClick(area, LEFT, pos=area.panes[1].rect.center())
    assert session.active is session.layers[1]


def test_layouts_fill_the_area_without_overlap(stage: tuple[Session, ViewerArea]) -> None:
    session, area = stage
    for kind in (Kind.SYNTHETIC, Kind.DIFFERENCE, Kind.SIGMA):
        session.add_layer(constant(1, synthetic=True), kind)
    for layout, count in zip(Layout, (3, 4, 12, 1), strict=True):
        session.set_display(layout=layout)
        assert len(area.panes) == count
        covered = np.zeros((600, 900), int)
        for p in area.panes:
            covered[p.rect.top() : p.rect.bottom() + 1, p.rect.left() : p.rect.right() + 1] += 1
        assert covered.max() == 1
        assert covered.mean() > 0.97


def painted(qtbot: QtBot, area: ViewerArea, change: object) -> list[tuple[Plane, str]]:
    """Return which panes a change repaints."""
    QApplication.processEvents()
    seen: list[tuple[Plane, str]] = []
    original = Pane.paint

    def spy(self: Pane, *args: object) -> None:
        seen.append((self.slot.plane, self.slot.layer_id))
        original(self, *args)  # type: ignore[arg-type]

    Pane.paint = spy  # type: ignore[method-assign,assignment]
    try:
        change()  # type: ignore[operator]
        QApplication.processEvents()
    finally:
        Pane.paint = original  # type: ignore[method-assign]
    return seen


def test_touch_repaints_only_the_panes_that_show_those_voxels(qtbot: QtBot) -> None:
    session = Session()
    area = bare_area(qtbot, session, (900, 600))
    block = np.zeros(SHAPE, np.float32)
    live = session.add_layer(
        Volume(block, ras_grid(), "T2", synthetic=True), window=(0, 10), layer_id="live"
    )
    session.add_layer(constant(3))
    session.set_display(layout=Layout.COLUMNS)
    session.set_cursor(ras_grid().to_world(START))

    def touch(k: int) -> None:
        block[:, :, k] = 10
        session.touch(live, (slice(None), slice(None), slice(k, k + 1)))

    assert painted(qtbot, area, lambda: touch(START[2] + 4)) == []
    assert painted(qtbot, area, lambda: touch(START[2])) == [(Plane.AXIAL, live)]
    pane = next(p for p in area.panes if p.slot.layer_id == live)
    rgb = pixels(area.render_image(1.0))
    assert (rgb[pane.rect.center().y(), pane.rect.center().x()] == 255).all()
    assert painted(qtbot, area, lambda: session.touch("gone")) == []


def test_many_cursor_moves_are_one_paint(qtbot: QtBot, stage: tuple[Session, ViewerArea]) -> None:
    session, area = stage

    def moves() -> None:
        for n in range(10):
            session.set_cursor(ras_grid().to_world((n, n, n)))

    assert len(painted(qtbot, area, moves)) == 3
    assert painted(qtbot, area, lambda: session.update_layer("real-2", opacity=0.5)) == []
    assert painted(qtbot, area, lambda: None) == []


def test_status_strip_values(stage: tuple[Session, ViewerArea]) -> None:
    session, _ = stage
    labels = np.full(SHAPE, 2, np.float32)
    session.add_layer(Volume(labels, ras_grid()), Kind.LABEL, name="tumour")
    session.add_layer(constant(7.25, synthetic=True), Kind.SIGMA)
    session.set_cursor(ras_grid().to_world((5, 17, 11)))
    out = read(session)
    assert out is not None
    assert out.voxel == (5, 17, 11)
    assert out.position == "L 2.0  A 5.5  S 27.0 mm"
    assert [v.text for v in out.values] == ["T2 255", "iUS 100", "σ T2 7.25", "label tumour 2"]
    session.set_cursor((900, 0, 0))
    out = read(session)
    assert out is not None
    assert out.voxel is None
    assert "T2 –" in out.text
    assert read(Session()) is None


def test_step_is_the_voxel_of_the_pane_that_has_the_keys(
    qtbot: QtBot, stage: tuple[Session, ViewerArea]
) -> None:
    session, area = stage
    assert area.scene.steps(session.layers[0]).tolist() == pytest.approx(SPACING)


def test_the_window_side_never_imports_heavy_libraries() -> None:
    code = (
        "import sys, app.state.session, app.viewer.area;"
        "print([m for m in ('torch','scipy','nibabel','SimpleITK','pyqtgraph','core.models.mhvae',"
        "'core.synthesis.request') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_oblique_cuts_are_coarse_while_moving_and_sharp_at_rest(qtbot: QtBot) -> None:
    session = Session()
    area = bare_area(qtbot, session, (600, 480))
    session.add_layer(constant(50))
    turned = ras_grid().affine.copy()
    turned[:3, :3] = turned[:3, :3] @ np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
    session.add_layer(Volume(marked().voxels, Grid(SHAPE, turned), "iUS"))
    qtbot.waitUntil(lambda: not area._timers.settle.isActive())
    before = pixels(area.render_image(1.0))
    session.cycle_active(1)
    sharp = pixels(area.render_image(1.0))
    assert (before != sharp).any()
    cursor = session.cursor
    session.set_cursor(cursor + np.array((0, 0, 2)))
    session.set_cursor(cursor)
    assert area.pictures.draft
    with qtbot.waitSignal(area._timers.settled):
        pass
    assert not area.pictures.draft
    assert (pixels(area.render_image(1.0)) == sharp).all()
    assert not area._timers.settle.isActive()


@pytest.mark.parametrize("linear", [True, False])
def test_reading_a_plane_sees_through_any_view(linear: bool) -> None:
    """Reversed, permuted and gappy views read as their own copies do."""
    rng = np.random.default_rng(0)
    whole = rng.random((9, 8, 14)).astype(np.float32)
    views = (whole, whole.T, whole[::-1, :, ::-1], whole[:, ::2, 1::3], whole[:, :, 4:5])
    for view in views:
        size = np.array(view.shape, float)
        way = (
            size / 3 - 1,
            np.array([0.203, 0.107, 0.311]),
            np.array([-0.097, 0.253, 0.149]),
            (9, 11),
        )
        seen, inside = PlaneReader(view).read(*way, linear)
        copy, same = PlaneReader(view.copy()).read(*way, linear)
        np.testing.assert_allclose(seen, copy, rtol=1e-6)
        assert (inside == same).all()
        order = 1 if linear else 0
        grid = np.indices(way[3]).reshape(2, -1)
        points = way[0][:, None] + np.outer(way[1], grid[0]) + np.outer(way[2], grid[1])
        truth = map_coordinates(view, points, order=order, mode="nearest").reshape(way[3])
        np.testing.assert_allclose(seen, truth, atol=1e-5)
