"""Window and level of the active volume as numbers to read and type, and presets for them."""

from __future__ import annotations

import math
from functools import partial

from PySide6.QtCore import QSignalBlocker, QTimer
from PySide6.QtWidgets import (
    QDoubleSpinBox,
    QGridLayout,
    QLabel,
    QMenu,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.shared.elided import ElidedLabel
from app.shared.style import icon
from app.state.levels import percentile_window
from app.state.session import Session
from app.state.values import Kind, Layer

PRESETS = (("Soft: 0.1 to 99.9 %", 0.1, 99.9), ("Hard: 5 to 95 %", 5.0, 95.0))
"""Percentiles of what is not background; between them lies the automatic window."""
SHOW_MS = 60


class WindowLevel(QWidget):
    """Follows the active volume; typing changes it as dragging does.

    Attributes:
        width_box, level_box: window and level, in the volume's values.
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.title = ElidedLabel()
        self.width_box = _box("Window", "Window: the range from black to white")
        self.level_box = _box("Level", "Level: the value in the middle of the window")
        self.presets = QToolButton()
        self.presets.setAutoRaise(True)
        self.presets.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.presets.setToolTip("Presets of window and level")
        self.presets.setAccessibleName("Presets of window and level")
        self.presets.setMenu(self._menu())
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        for column, (short, box) in enumerate((("W", self.width_box), ("L", self.level_box))):
            label = QLabel(short)
            label.setBuddy(box)
            label.setToolTip(box.toolTip())
            grid.addWidget(label, 0, 2 * column)
            grid.addWidget(box, 0, 2 * column + 1)
            grid.setColumnStretch(2 * column + 1, 1)
        grid.addWidget(self.presets, 0, 4)
        column_of_all = QVBoxLayout(self)
        column_of_all.setContentsMargins(8, 4, 8, 8)
        column_of_all.setSpacing(4)
        column_of_all.addWidget(self.title)
        column_of_all.addLayout(grid)
        self.width_box.valueChanged.connect(lambda _: self._say())
        self.level_box.valueChanged.connect(lambda _: self._say())
        # A drag of the window changes it with every move of the mouse.
        self._timer = QTimer(self, singleShot=True, interval=SHOW_MS)
        self._timer.timeout.connect(self._show)
        session.active_changed.connect(self._show)
        session.layers_changed.connect(self._show)
        session.layer_changed.connect(self._changed)
        self.draw()
        self._show()

    def draw(self) -> None:
        """Draw the icon in the palette's colours."""
        self.presets.setIcon(icon("presets"))

    def _menu(self) -> QMenu:
        menu = QMenu(self)
        session = self.session

        def active(change: object) -> None:
            if session.active is not None:
                change(session.active.id)  # type: ignore[operator]

        menu.addAction("Auto: 1 to 99.5 %\tT", partial(active, session.reset_window))
        for text, low, high in PRESETS:
            menu.addAction(text, partial(active, partial(self._percentiles, low, high)))
        menu.addAction("Full range\tShift+T", partial(active, session.full_window))
        return menu

    def _percentiles(self, low: float, high: float, layer_id: str) -> None:
        layer = self.session.layer(layer_id)
        self.session.set_window(layer_id, *percentile_window(layer.volume.voxels, low, high))

    def _changed(self, layer_id: str, field: str) -> None:
        active = self.session.active
        mine = active is not None and active.id == layer_id
        if mine and field in ("window", "volume", "name") and not self._timer.isActive():
            self._timer.start()

    def _show(self) -> None:
        layer = self.session.active
        self.setEnabled(layer is not None)
        self.title.setText(f"Window and level of {layer.name}" if layer else "Window and level")
        if layer is None:
            return
        low, high = layer.window
        decimals = _decimals(layer)
        step = (layer.auto[1] - layer.auto[0]) / 100
        for box, value in ((self.width_box, high - low), (self.level_box, (low + high) / 2)):
            if box.hasFocus() and box.text() != box.cleanText():
                continue
            with QSignalBlocker(box):
                box.setDecimals(decimals)
                box.setSingleStep(max(step, 10.0**-decimals))
                box.setValue(value)
        centred = layer.kind is Kind.DIFFERENCE  # 0 stays in the middle of the colours
        self.level_box.setEnabled(not centred)

    def _say(self) -> None:
        layer = self.session.active
        if layer is not None:
            half, level = self.width_box.value() / 2, self.level_box.value()
            self.session.set_window(layer.id, level - half, level + half)


def _box(name: str, tip: str) -> QDoubleSpinBox:
    box = QDoubleSpinBox(minimum=-1e12, maximum=1e12)
    if name == "Window":
        box.setMinimum(0.0)
    box.setKeyboardTracking(False)  # half a number is no window
    box.setAccessibleName(name)
    box.setToolTip(tip)
    box.setMinimumWidth(64)
    return box


def _decimals(layer: Layer) -> int:
    """Return how many digits after the point tell two hundredths of the window apart."""
    width = layer.auto[1] - layer.auto[0]
    return min(max(2 - math.floor(math.log10(width)), 0), 8)
