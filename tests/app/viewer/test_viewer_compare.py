"""Compare modes, overlays and marks, read back from the pixels."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPointF
from pytestqt.qtbot import QtBot
from viewer_stage import SHAPE, bare_area, constant, pixels, ras_grid

from app.shared.style import SYNTHETIC
from app.state.session import Session
from app.state.values import Compare, Kind, Layout, Ruler
from app.viewer.area import ViewerArea
from app.viewer.colormaps import NAMES, table
from app.viewer.compare import MODES
from app.viewer.strokes import CHECKER
from core.volume import Volume

A, B = 40, 200
"""Grey of the active volume and of its counterpart under a window of 0 to 255."""


@pytest.fixture
def stage(qtbot: QtBot) -> tuple[Session, ViewerArea]:
    session = Session()
    area = bare_area(qtbot, session, (600, 480))
    session.set_display(layout=Layout.SINGLE)
    session.add_layer(constant(A), window=(0, 255))
    session.add_layer(constant(B, synthetic=True), window=(0, 255))
    return session, area


def grey(area: ViewerArea, x: int, y: int) -> int:
    red, green, blue = pixels(area.render_image(1.0))[y, x]
    assert red == green == blue
    return int(red)


def test_off_shows_the_active_volume_and_brackets_change_it(
    stage: tuple[Session, ViewerArea],
) -> None:
    _session, area = stage
    assert grey(area, 250, 200) == A
    area.perform("next_volume")
    assert grey(area, 250, 200) == B


def test_every_mode_is_in_the_menu_and_painted(stage: tuple[Session, ViewerArea]) -> None:
    session, area = stage
    assert set(MODES) == set(Compare) - {Compare.OFF}
    session.set_display(compare=Compare.OFF)
    area._move_pointer(QPointF(300, 200))
    plain = pixels(area.render_image(1.0)).copy()
    for mode in MODES:
        session.set_display(compare=mode)
        area._timers.flicker_on = mode is Compare.FLICKER
        assert not np.array_equal(pixels(area.render_image(1.0)), plain), mode


def test_blend_follows_the_mix(stage: tuple[Session, ViewerArea]) -> None:
    session, area = stage
    session.set_display(compare=Compare.BLEND, mix=0.5)
    assert grey(area, 250, 200) == pytest.approx((A + B) / 2, abs=2)
    area.perform("mix_more")
    assert grey(area, 250, 200) == pytest.approx(A + 0.6 * (B - A), abs=2)
    session.update_layer(session.layers[1].id, opacity=0.5)
    assert grey(area, 250, 200) == pytest.approx(A + 0.3 * (B - A), abs=2)


def test_swipe_divides_at_the_line(stage: tuple[Session, ViewerArea]) -> None:
    session, area = stage
    session.set_display(compare=Compare.SWIPE, swipe=0.4)
    assert (grey(area, 237, 200), grey(area, 243, 200)) == (A, B)


def test_checkerboard_alternates_in_squares(stage: tuple[Session, ViewerArea]) -> None:
    session, area = stage
    session.set_display(compare=Compare.CHECKER)
    for row in range(2, 7):
        for column in range(5, 8):
            x, y = column * CHECKER + 24, row * CHECKER + 20
            assert grey(area, x, y) == (B if (row + column) % 2 else A)


def test_reveal_opens_a_disc_under_the_pointer(
    qtbot: QtBot, stage: tuple[Session, ViewerArea]
) -> None:
    session, area = stage
    session.set_display(compare=Compare.REVEAL, reveal=50)
    assert grey(area, 300, 200) == A
    qtbot.mouseMove(area, QPointF(300, 200).toPoint())
    area._move_pointer(QPointF(300, 200))
    assert grey(area, 300, 200) == B
    assert grey(area, 300 + 45, 200) == B
    assert grey(area, 300 + 55, 200) == A
    assert grey(area, 300 + 40, 240) == A


def test_difference_is_synthetic_minus_real_whichever_is_active(
    stage: tuple[Session, ViewerArea],
) -> None:
    session, area = stage
    session.set_display(compare=Compare.DIFFERENCE)
    expected = table("diverging")[255]  # 160 is beyond half the window, 127.5
    for _ in range(2):
        red, green, blue = (int(v) for v in pixels(area.render_image(1.0))[200, 250])
        assert (red << 16 | green << 8 | blue) == expected & 0xFFFFFF
        area.perform("next_volume")


def test_difference_between_modalities_compares_what_the_windows_show(
    stage: tuple[Session, ViewerArea],
) -> None:
    session, area = stage
    session.remove_layer(session.layers[1].id)
    session.add_layer(constant(5000, "iUS"), window=(0, 10000))
    session.set_display(compare=Compare.DIFFERENCE)
    value = 0.5 - A / 255
    expected = table("diverging")[int((value + 1) * 127.5 + 0.5)]
    red, green, blue = (int(v) for v in pixels(area.render_image(1.0))[200, 250])
    assert (red << 16 | green << 8 | blue) == expected & 0xFFFFFF


def test_flicker_runs_only_while_it_is_seen(
    qtbot: QtBot, stage: tuple[Session, ViewerArea]
) -> None:
    session, area = stage
    timer = area._timers.flicker
    assert not timer.isActive()
    session.set_display(compare=Compare.FLICKER)
    assert timer.isActive()
    assert grey(area, 250, 200) == A
    timer.timeout.emit()
    assert grey(area, 250, 200) == B
    area.hide()
    assert not timer.isActive()
    area.show()
    assert timer.isActive()
    session.set_display(compare=Compare.OFF)
    assert not timer.isActive()
    assert grey(area, 250, 200) == A


def test_columns_compare_only_where_the_active_volume_is(
    stage: tuple[Session, ViewerArea],
) -> None:
    session, area = stage
    session.set_display(layout=Layout.COLUMNS, compare=Compare.BLEND)
    with_counterpart = [p.slot.layer_id for p in area.panes if p.counterpart() is not None]
    assert with_counterpart == [session.layers[0].id]


def test_synthetic_panes_carry_frame_and_words(stage: tuple[Session, ViewerArea]) -> None:
    session, area = stage
    mark = np.array([SYNTHETIC.red(), SYNTHETIC.green(), SYNTHETIC.blue()])

    def marked() -> int:
        return int((pixels(area.render_image(1.0)) == mark).all(axis=2).sum())

    assert marked() == 0
    session.set_display(compare=Compare.BLEND)
    assert marked() > 2 * (600 + 480) * 2
    session.set_display(compare=Compare.OFF)
    area.perform("next_volume")
    assert marked() > 2 * (600 + 480) * 2
    assert (pixels(area.render_image(2.0))[2, 100:1100] == mark).all()


def test_labels_cover_with_opacity_and_outline(stage: tuple[Session, ViewerArea]) -> None:
    session, area = stage
    labels = np.zeros(SHAPE, np.float32)
    labels[6:14, 8:16, 5:12] = 3
    layer = session.add_layer(Volume(labels, ras_grid()), Kind.LABEL, opacity=0.5)
    session.update_layer(layer, outline=False)
    colour = int(table("labels")[3])
    expected = [(A + (colour >> shift & 255)) / 2 for shift in (16, 8, 0)]
    centre = (300, 240)
    rgb = pixels(area.render_image(1.0))
    np.testing.assert_allclose(rgb[centre[1], centre[0]], expected, atol=2)
    assert (rgb[100, 300] == A).all()
    assert not (rgb == 255).all(axis=2)[100:380, 100:500].any()
    session.update_layer(layer, outline=True)
    pane = area.panes[0]
    left = pane.projection().x(float(pane.frame.to_frame(ras_grid().to_world((5.5, 0, 0)))[0]))
    rgb = pixels(area.render_image(1.0))
    full = [colour >> shift & 255 for shift in (16, 8, 0)]
    assert (rgb[240, round(left) - 2 : round(left) + 3] == full).all(axis=1).any()
    session.update_layer(layer, visible=False)
    assert (pixels(area.render_image(1.0))[240, 300] == A).all()


def test_field_of_view_outline_crosses_every_column(stage: tuple[Session, ViewerArea]) -> None:
    session, area = stage
    field = np.zeros(SHAPE, bool)
    field[4:16, 4:20, 2:14] = True
    session.update_layer(session.layers[0].id, field_of_view=field)
    session.set_display(layout=Layout.COLUMNS)

    def outlined() -> list[bool]:
        rgb = pixels(area.render_image(1.0)).astype(int)
        cyan = np.all(abs(rgb - (0x50, 0xDC, 0xFF)) < 3, axis=2)
        return [bool(cyan[:, p.rect.left() : p.rect.right()].sum() > 200) for p in area.panes]

    assert outlined() == [True, True]
    area.perform("outlines")
    assert outlined() == [False, False]


def test_the_ruler_is_drawn_on_its_plane_only(stage: tuple[Session, ViewerArea]) -> None:
    session, area = stage
    grid = ras_grid()
    a, b = grid.to_world((4, 6, 8)).tolist(), grid.to_world((14, 18, 8)).tolist()
    session.set_cursor(grid.to_world((10, 12, 8)))
    before = pixels(area.render_image(1.0))
    session.set_rulers([Ruler(tuple(a), tuple(b))])
    assert (pixels(area.render_image(1.0)) != before).any()
    session.set_cursor(grid.to_world((10, 12, 3)))
    session_off = pixels(area.render_image(1.0))
    session.set_rulers([])
    assert (pixels(area.render_image(1.0)) == session_off).all()


@pytest.mark.parametrize("name", NAMES)
def test_colour_maps_are_whole_and_sequential_ones_even(name: str) -> None:
    colours = table(name)
    assert colours.shape == (256,)
    rgb = np.stack([colours >> 16 & 255, colours >> 8 & 255, colours & 255], 1) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    light = np.cbrt(linear @ (0.2126, 0.7152, 0.0722))
    steps = np.diff(light)
    if name == "diverging":
        assert (steps[:126] < 1e-3).all()
        assert (steps[129:] > -1e-3).all()
        assert light[0] == pytest.approx(light[-1], abs=0.03)
        assert np.ptp(rgb[127:129]) <= 1 / 255  # no difference has no hue
    elif name == "gray inverted":
        assert (steps <= 0).all()
    elif name != "labels":
        assert (steps > -1e-3).all()


def test_outside_its_field_of_view_the_counterpart_covers_nothing(
    stage: tuple[Session, ViewerArea],
) -> None:
    session, area = stage
    field = np.zeros(SHAPE, bool)
    field[:10] = True  # the L half, right on screen
    session.update_layer(session.layers[1].id, field_of_view=field)
    session.set_display(compare=Compare.SWIPE, swipe=0.0, outlines=False)
    assert (grey(area, 200, 200), grey(area, 400, 200)) == (A, B)
    session.set_display(compare=Compare.DIFFERENCE)
    rgb = pixels(area.render_image(1.0))
    assert (rgb[200, 200] == 0).all()
    assert (rgb[200, 400] != 0).any()
