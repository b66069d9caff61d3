"""Controls beside the pictures: window and level as numbers, the slider of the blend."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot
from viewer_stage import bare_area, constant, marked, pixels, ras_grid

from app.shared.style import WheelGuard
from app.state.levels import percentile_window
from app.state.session import Session
from app.state.values import Compare, Kind
from app.viewer.blend_slider import BlendSlider
from app.viewer.window_level import WindowLevel
from core.volume import Volume

pytestmark = pytest.mark.qt_log_ignore("does not support")


@pytest.fixture
def session() -> Session:
    made = Session()
    made.add_layer(marked())
    made.add_layer(constant(100, "iUS"))
    return made


def test_window_and_level_are_read_and_typed(qtbot: QtBot, session: Session) -> None:
    panel = WindowLevel(session)
    qtbot.addWidget(panel)
    first = session.layers[0]
    session.set_window(first.id, 20, 120)
    qtbot.waitUntil(lambda: panel.width_box.value() == 100)
    assert panel.level_box.value() == 70
    panel.level_box.setValue(90)
    assert session.layer(first.id).window == (40, 140)
    panel.width_box.setValue(50)
    assert session.layer(first.id).window == (65, 115)
    session.set_active(session.layers[1].id)
    low, high = session.layers[1].window
    assert panel.width_box.value() == pytest.approx(high - low)
    assert "iUS" in panel.title.text()
    assert session.layer(first.id).window == (65, 115)


def test_small_values_keep_their_digits(qtbot: QtBot) -> None:
    session = Session()
    voxels = marked().voxels / 1e5
    layer = session.add_layer(Volume(voxels, ras_grid(), "T2"))
    panel = WindowLevel(session)
    qtbot.addWidget(panel)
    low, high = session.layer(layer).window
    assert panel.width_box.value() == pytest.approx(high - low, rel=0.05)


def test_a_difference_keeps_zero_in_the_middle(qtbot: QtBot) -> None:
    session = Session()
    session.add_layer(Volume(marked().voxels - 30, ras_grid(), "T2"), Kind.DIFFERENCE)
    panel = WindowLevel(session)
    qtbot.addWidget(panel)
    assert not panel.level_box.isEnabled()
    panel.width_box.setValue(40)
    assert session.layers[0].window == (-20, 20)


def test_presets_change_the_window(qtbot: QtBot, session: Session) -> None:
    panel = WindowLevel(session)
    qtbot.addWidget(panel)
    layer = session.layers[0]
    names = [a.text() for a in panel.presets.menu().actions()]
    windows = {}
    for action in panel.presets.menu().actions():
        action.trigger()
        windows[action.text()] = session.layer(layer.id).window
    assert len(set(windows.values())) == len(names) == 4
    assert windows[names[0]] == layer.auto
    assert windows[names[-1]] == (layer.volume.voxels.min(), layer.volume.voxels.max())
    hard = windows[names[2]]
    assert hard == pytest.approx(np.percentile(layer.volume.voxels, (5, 95)), rel=0.05)


def test_percentiles_pass_over_the_background() -> None:
    voxels = np.zeros((20, 20, 20), np.float32)
    voxels[10:] = np.linspace(50, 150, 10 * 400, dtype=np.float32).reshape(10, 20, 20)
    low, high = percentile_window(voxels, 5, 95)
    assert 50 < low < 60
    assert 140 < high < 150


def test_the_wheel_leaves_the_numbers_alone_until_they_are_clicked(
    qtbot: QtBot, session: Session
) -> None:
    panel = WindowLevel(session)
    qtbot.addWidget(panel)
    panel.show()
    guard = WheelGuard(panel)
    window = session.layers[0].window
    at, none = QPointF(5, 5), Qt.MouseButton.NoButton
    turn = QWheelEvent(
        at, at, QPoint(), QPoint(0, 120), none, Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    for box in (panel.width_box, panel.level_box):
        QApplication.sendEvent(box, turn)
    assert session.layers[0].window == window
    assert guard.parent() is panel


def test_the_blend_slider_sets_the_share_and_names_both(qtbot: QtBot, session: Session) -> None:
    area = bare_area(qtbot, session)
    slider = BlendSlider(session)
    qtbot.addWidget(slider)
    slider.show()
    assert not slider.slider.isVisible()
    session.set_display(compare=Compare.BLEND)
    assert slider.slider.isVisible()
    assert (slider.under.text(), slider.over.text()) == ("T2", "iUS")
    shown = []
    for share in (0, 50, 100):
        slider.slider.setValue(share)
        assert session.display.mix == share / 100
        shown.append(pixels(area.render_image(1.0)))
    assert (shown[0] != shown[1]).any()
    assert (shown[1] != shown[2]).any()
    area.perform("mix_less")
    assert slider.slider.value() == 90
