"""Label maps: names, a switch each, outlines without specks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot
from viewer_stage import SHAPE, bare_area, constant, pixels, ras_grid

from app.shell.legend import Legend
from app.state.levels import labels_in, labels_of
from app.state.session import Session
from app.state.values import Kind, Label
from app.viewer.area import ViewerArea
from app.viewer.colormaps import label_colour
from app.viewer.raster import outline
from app.viewer.readout import read
from core.volume import Volume

NAMES = {1: "Ventricle", 3: "Tumour"}


def two_labels() -> Volume:
    """Label 1 towards the patient's right, label 3 towards the left; 7 nowhere near the cursor."""
    voxels = np.zeros(SHAPE, np.float32)
    voxels[2:9, 4:20] = 3
    voxels[11:18, 4:20] = 1
    voxels[0, 0, 0] = 7
    return Volume(voxels, ras_grid(), source="labels.nii")


@pytest.fixture
def stage(qtbot: QtBot) -> tuple[Session, ViewerArea, str]:
    session = Session()
    area = bare_area(qtbot, session)
    session.add_layer(constant(80))
    session.set_cursor(ras_grid().to_world((10, 12, 8)))
    volume = two_labels()
    labels = labels_of(volume.voxels, NAMES)
    layer = session.add_layer(volume, Kind.LABEL, opacity=1.0, labels=labels)
    return session, area, layer


def seen(area: ViewerArea, label: int) -> int:
    """Count the pixels that have a label's own colour."""
    colour = int(label_colour("labels", label)[1:], 16)
    rgb = [colour >> shift & 255 for shift in (16, 8, 0)]
    return int((pixels(area.render_image(1.0)) == rgb).all(axis=2).sum())


def test_a_label_map_knows_what_it_holds_and_what_that_is_called(
    stage: tuple[Session, ViewerArea, str],
) -> None:
    session, _, layer = stage
    assert session.layer(layer).labels == (
        Label(1, "Ventricle"), Label(3, "Tumour"), Label(7, "Label 7"),
    )  # fmt: skip
    session.set_cursor(ras_grid().to_world((5, 12, 8)))
    found = read(session)
    assert found is not None
    assert found.values[-1].text == "label 3 Tumour"


def test_no_number_is_missed_or_made_up() -> None:
    assert labels_in(np.array([[[0, 2, 2], [900, 0, -4]]], np.float32)) == [2, 900]
    assert labels_in(np.zeros((2, 2, 2), np.float32)) == []


def test_a_label_that_is_switched_off_is_not_drawn(stage: tuple[Session, ViewerArea, str]) -> None:
    session, area, layer = stage
    assert seen(area, 1) > 1000
    assert seen(area, 3) > 1000
    labels = tuple(replace(x, shown=x.value != 3) for x in session.layer(layer).labels)
    session.update_layer(layer, labels=labels)
    assert seen(area, 1) > 1000
    assert seen(area, 3) == 0  # neither its fill nor its outline


def test_the_legend_names_and_switches_each_label(
    qtbot: QtBot, stage: tuple[Session, ViewerArea, str]
) -> None:
    session, area, layer = stage
    legend = Legend(lambda labels: session.update_layer(layer, labels=labels))
    qtbot.addWidget(legend)
    legend.show_layer(session.layer(layer))
    assert [legend.list.item(n).text() for n in range(3)] == ["Ventricle", "Tumour", "Label 7"]
    legend.list.item(1).setCheckState(Qt.CheckState.Unchecked)
    assert session.layer(layer).hidden_labels == {3}
    assert seen(area, 3) == 0
    legend.show_layer(session.layer(layer))
    legend.list.item(1).setText("Cavity")
    assert session.layer(layer).labels[1] == Label(3, "Cavity", False)
    legend.show_layer(session.layer(layer))
    legend.every.click()
    assert session.layer(layer).hidden_labels == {1, 3, 7}
    legend.show_layer(session.layer(layer))
    legend.every.click()
    assert session.layer(layer).hidden_labels == set()


def test_outlines_pass_over_specks_and_keep_what_is_larger() -> None:
    field = np.zeros((40, 40), int)
    field[5:25, 5:25] = 2
    clean = outline(field, None)
    for row, column in ((30, 30), (10, 10), (33, 8)):
        field[row, column] = 4  # one pixel
    field[35:37, 20] = 5  # two
    assert outline(field, None) == clean
    assert sum(line.length() for line in clean[2]) == 80
    field[30:33, 30:33] = 4
    assert sum(line.length() for line in outline(field, None)[4]) > 6


def test_a_border_between_two_labels_is_drawn_once() -> None:
    field = np.zeros((12, 12), int)
    field[2:10, 2:6], field[2:10, 6:10] = 1, 2
    found = outline(field, None)
    assert sum(line.length() for line in found[2]) == 4 * 2 + 8 * 2
    assert sum(line.length() for line in found[1]) == 4 * 2 + 8
