"""Outlines of fields of view belong to the result that is looked at."""

from __future__ import annotations

import numpy as np
from pytestqt.qtbot import QtBot
from viewer_stage import bare_area, constant

from app.state.record import Result
from app.state.session import Session
from app.state.values import Kind, Layout
from app.viewer.strokes import Outline


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
