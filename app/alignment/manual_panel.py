"""Six sliders with spin boxes: shifts and turns of the moving volume, live."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QEvent, QObject, QSignalBlocker, Qt
from PySide6.QtWidgets import QDoubleSpinBox, QGridLayout, QLabel, QSlider, QWidget

from app.alignment.manual import ManualAlignment

NAMES = ("R", "A", "S", "about R", "about A", "about S")
TIPS = (
    "Shift to the patient's right (negative: left), mm",
    "Shift to anterior (negative: posterior), mm",
    "Shift to superior (negative: inferior), mm",
    "Turn about the right-left axis, degrees",
    "Turn about the anterior-posterior axis, degrees",
    "Turn about the superior-inferior axis, degrees",
)
REACH = (30.0, 30.0)
"""How far a slider goes either way from where it began: mm, degrees."""
LIMITS = (2000.0, 180.0)
STEPS = 10
"""Slider steps per mm or degree."""


class ManualBox(QWidget):
    """Shows and sets the hand's parameters; turns are about the middle of the moving volume."""

    def __init__(self, hand: ManualAlignment, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.hand = hand
        self.sliders: list[QSlider] = []
        self.boxes: list[QDoubleSpinBox] = []
        self._middles = [0.0] * 6
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 4, 0, 0)
        grid.setVerticalSpacing(0)
        grid.setHorizontalSpacing(8)
        for n, (name, tip) in enumerate(zip(NAMES, TIPS, strict=True)):
            slider = QSlider(Qt.Orientation.Horizontal)
            reach = round(REACH[n // 3] * STEPS)
            slider.setRange(-reach, reach)
            slider.setPageStep(STEPS)
            box = QDoubleSpinBox(decimals=1, singleStep=0.5)
            box.setRange(-LIMITS[n // 3], LIMITS[n // 3])
            box.setSuffix(" mm" if n < 3 else "°")
            for widget in (slider, box):
                widget.setToolTip(tip)
                widget.setAccessibleName(tip)
                widget.installEventFilter(self)
            slider.valueChanged.connect(partial(self._slid, n))
            slider.sliderPressed.connect(partial(hand.begin, True))
            slider.sliderReleased.connect(self._released)
            box.valueChanged.connect(partial(self._set, n))
            grid.addWidget(QLabel(name), n, 0)
            grid.addWidget(slider, n, 1)
            grid.addWidget(box, n, 2)
            self.sliders.append(slider)
            self.boxes.append(box)
        grid.setColumnStretch(1, 1)
        hand.aligner.changed.connect(self.refresh)
        hand.pivot_found.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the present shifts and turns."""
        values = self.hand.parameters()
        for n, value in enumerate(values.tolist()):
            slider, box = self.sliders[n], self.boxes[n]
            if not slider.isSliderDown():
                self._centre(n, value)
            with QSignalBlocker(slider):
                slider.setValue(round((value - self._middles[n]) * STEPS))
            if abs(box.value() - value) >= 0.05:
                with QSignalBlocker(box):
                    box.setValue(value)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Let the wheel scroll the panel, not change what lies under the pointer."""
        if event.type() == QEvent.Type.Wheel:
            event.ignore()
            return True
        return super().eventFilter(watched, event)

    def _centre(self, n: int, value: float) -> None:
        """Bring a value that left the slider's range back to its middle."""
        reach = REACH[n // 3]
        if abs(value) <= reach:
            self._middles[n] = 0.0
        elif abs(value - self._middles[n]) > reach:
            self._middles[n] = value

    def _slid(self, n: int, position: int) -> None:
        self._set(n, self._middles[n] + position / STEPS)

    def _set(self, n: int, value: float) -> None:
        values = self.hand.parameters()
        values[n] = value
        self.hand.set_parameters(values.tolist())

    def _released(self) -> None:
        self.hand.end()
        self.refresh()
