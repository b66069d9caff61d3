"""Small volumes and pixel look-ups shared by the viewer tests."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QImage
from pytestqt.qtbot import QtBot

from app.state.session import Session
from app.state.values import Interpolation
from app.viewer.area import ViewerArea
from core.grid import Grid
from core.volume import Volume

SHAPE = (20, 24, 16)
SPACING = (1.0, 1.5, 2.0)
ORIENTATIONS = [(p, f) for p in permutations(range(3)) for f in product((1, -1), repeat=3)]


def ras_grid() -> Grid:
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = (-7.0, -20.0, 5.0)
    return Grid(SHAPE, affine)


def constant(value: float, modality: str = "T2", *, synthetic: bool = False) -> Volume:
    return Volume(
        np.full(SHAPE, value, np.float32), ras_grid(), modality, f"{modality}.nii", synthetic
    )


def marked(voxel: tuple[int, int, int] = (5, 17, 11)) -> Volume:
    """Faint noise with one bright voxel, stored towards R, A, S."""
    voxels = np.random.default_rng(3).uniform(1, 60, SHAPE).astype(np.float32)
    voxels[voxel] = 255
    return Volume(voxels, ras_grid(), "T2", "marked.nii")


def stored(volume: Volume, order: tuple[int, ...], signs: tuple[int, ...]) -> Volume:
    """The same volume with its axes permuted and flipped."""
    turn = np.zeros((4, 4))
    turn[3, 3] = 1
    shape = tuple(volume.grid.shape[a] for a in order)
    for new, (old, sign) in enumerate(zip(order, signs, strict=True)):
        turn[old, new] = sign
        if sign < 0:
            turn[old, 3] = volume.grid.shape[old] - 1
    voxels = volume.voxels.transpose(order)[tuple(slice(None, None, s) for s in signs)]
    grid = Grid((shape[0], shape[1], shape[2]), volume.grid.affine @ turn)
    return Volume(voxels.copy(), grid, volume.modality, volume.source, volume.synthetic)


def bare_area(qtbot: QtBot, session: Session, size: tuple[int, int] = (600, 480)) -> ViewerArea:
    """An area on screen without crosshair, with hard pixel edges."""
    session.set_display(crosshair=False, interpolation=Interpolation.NEAREST)
    area = ViewerArea(session)
    qtbot.addWidget(area)
    area.resize(*size)
    with qtbot.waitExposed(area):
        area.show()
    return area


def pixels(image: QImage) -> np.ndarray:
    """Return (rows, columns, RGB) of a picture."""
    image = image.convertToFormat(QImage.Format.Format_RGB32)
    data = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.width(), 4)
    return data[:, :, 2::-1].copy()


def brightest(area: ViewerArea, level: int = 250) -> tuple[float, float]:
    """Return (x, y) of the middle of the grey pixels of at least ``level`` away from the marks."""
    rgb = pixels(area.render_image(1.0))
    edge = 45
    rgb[:edge] = rgb[-edge:] = rgb[:, :edge] = rgb[:, -edge:] = 0
    rows, columns = np.nonzero(rgb.min(axis=2) >= level)
    assert rows.size, "no bright pixel"
    return (columns.min() + columns.max() + 1) / 2, (rows.min() + rows.max() + 1) / 2


def drag(
    qtbot: QtBot,
    area: ViewerArea,
    start: QPointF,
    end: QPointF,
    button: Qt.MouseButton = Qt.MouseButton.LeftButton,
    keys: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier,
) -> None:
    """Press, move and release through Qt's own events."""
    from PySide6.QtCore import QEvent
    from PySide6.QtGui import QMouseEvent
    from PySide6.QtWidgets import QApplication

    none = Qt.MouseButton.NoButton
    steps = (
        (QEvent.Type.MouseButtonPress, start, button, button),
        (QEvent.Type.MouseMove, (start + end) / 2, none, button),
        (QEvent.Type.MouseMove, end, none, button),
        (QEvent.Type.MouseButtonRelease, end, button, none),
    )
    for kind, at, which, held in steps:
        event = QMouseEvent(kind, at, area.mapToGlobal(at), which, held, keys)
        QApplication.sendEvent(area, event)
