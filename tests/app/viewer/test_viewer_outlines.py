"""Outlines of fields of view belong to the result that is looked at."""

from __future__ import annotations

import numpy as np
from pytestqt.qtbot import QtBot
from viewer_stage import bare_area, constant, pixels, ras_grid

from app.state.record import Given, Result
from app.state.session import Session
from app.state.values import Compare, Kind, Layout
from app.viewer.strokes import Outline
from core.volume import Volume


def test_only_the_current_results_field_is_outlined(qtbot: QtBot) -> None:
    session = Session()
    real = session.add_layer(constant(50))
    made = []
    for n in (1, 2):
        result = Result(f"r{n}", n, "iUS", "synthesis", ("T2",), {}, {})
        volume = constant(20, "iUS", synthetic=True)
        made.append(
            session.add_layer(volume, Kind.SYNTHETIC, layer_id=result.layer_id, result=result)
        )
        field = np.zeros(volume.grid.shape, bool)
        field[: 5 * n] = True
        session.update_layer(made[-1], field_of_view=field)
    session.set_display(layout=Layout.COLUMNS)
    session.set_columns([real, *made])
    session.set_active(made[0])
    area = bare_area(qtbot, session)
    for pane in area.panes:
        strokes, _ = pane.compose(pane.projection(), None, False)
        assert sum(isinstance(s, Outline) for s in strokes) == 1


def test_blending_does_not_darken_what_the_ultrasound_did_not_image(qtbot: QtBot) -> None:
    session = Session()
    real = session.add_layer(constant(200))
    voxels = constant(0, "iUS").voxels.copy()
    voxels[:, :, 12:] = 90  # the cursor's slice lies below
    session.add_layer(Volume(voxels, ras_grid(), "iUS"))
    session.set_window(real, 0, 255)
    area = bare_area(qtbot, session)
    pane = area.panes[0]
    x, y = pane.rect.center().x(), pane.rect.center().y() + 30
    before = pixels(area.render_image(1.0))[y, x]
    session.set_display(compare=Compare.BLEND)
    assert (pixels(area.render_image(1.0))[y, x] == before).all()
    assert before[0] > 150


def test_the_difference_of_two_kinds_of_image_ends_where_one_has_none(qtbot: QtBot) -> None:
    session = Session()
    real = session.add_layer(constant(200))
    voxels = constant(0, "iUS").voxels.copy()
    voxels[:10] = 90
    session.add_layer(Volume(voxels, ras_grid(), "iUS"))
    session.set_window(real, 0, 255)
    session.set_cursor(ras_grid().to_world((10, 12, 8)))
    area = bare_area(qtbot, session)
    session.set_display(compare=Compare.DIFFERENCE, outlines=False)
    pane = area.panes[0]
    rgb = pixels(area.render_image(1.0))[pane.rect.center().y() + 30]
    left, right = (
        round(pane.projection().x(float(pane.frame.to_frame(ras_grid().to_world((n, 12, 8)))[0])))
        for n in (4, 15)
    )
    assert rgb[left].max() > 60
    assert rgb[right].max() == 0


def test_of_two_fields_that_nearly_agree_one_is_outlined(qtbot: QtBot) -> None:
    session = Session()
    t2 = session.add_layer(constant(50))
    truth = session.add_layer(constant(60, "iUS"))
    given = {"iUS": Given(truth, "iUS", ras_grid())}
    result = Result("r1", 1, "iUS", "synthesis", ("T2",), {}, {}, given)
    volume = constant(20, "iUS", synthetic=True)
    made = session.add_layer(volume, Kind.SYNTHETIC, layer_id=result.layer_id, result=result)
    for n, layer in enumerate((truth, made)):
        field = np.zeros(volume.grid.shape, bool)
        field[: 8 + n] = True
        session.update_layer(layer, field_of_view=field)
    session.set_display(layout=Layout.COLUMNS)
    session.set_columns([t2, truth, made])
    area = bare_area(qtbot, session)
    seen = {}
    for pane in area.panes:
        strokes, _ = pane.compose(pane.projection(), None, False)
        (seen[pane.slot.layer_id],) = (s for s in strokes if isinstance(s, Outline))
    places = {i: {(line.x1(), line.x2()) for line in s.lines} for i, s in seen.items()}
    assert places[t2] == places[truth]  # the truth's, where neither is the pane's own
    assert places[made] != places[truth]
