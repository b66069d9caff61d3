"""The Sweep panel: the live fan, where the probe stands, and what is made of its sweep."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtGui import QAction, QHideEvent, QShowEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QGridLayout,
    QLabel,
    QProgressBar,
    QSizePolicy,
    QSlider,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.processes.progress import Stage
from app.shared.elided import ElidedLabel
from app.shared.wording import duration
from app.synthesis.sweep.controller import NO_PROBE, SweepController
from app.synthesis.sweep.fan_view import FanView

TICKS = 10
"""Steps of a slider per mm or degree."""
MOVES = (
    ("slide", "Slide", " mm", "Which frame of the sweep is shown: mm from its middle"),
    ("tilt_deg", "Tilt", "°", "Tilts all frames about the face of the probe"),
    ("turn_deg", "Turn", "°", "Turns the probe, and with it the sweep, about its beam"),
)
SIZES = (
    ("width_mm", "Width", "Of the probe's face"),
    ("depth_mm", "Depth", "Of the image, from the face"),
    ("length_mm", "Length", "Of a sweep"),
    ("step_mm", "Step", "Between the frames of a sweep, mm"),
)
BUTTONS = (
    ("sweep_place", "Place"),
    ("sweep_aim", "At the crosshair"),
    ("sweep_run", "Synthesise"),
    ("sweep_export", "Export…"),
)


class SweepPanel(QWidget):
    """A form over :class:`SweepController`; its buttons are the window's commands."""

    def __init__(self, controller: SweepController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller, self.placement = controller, controller.placement
        self.fan = FanView(controller.picture, controller.windows, NO_PROBE)
        self.known = ElidedLabel()
        self.sliders: dict[str, QSlider] = {}
        self.boxes: dict[str, QDoubleSpinBox] = {}
        self.kind = QComboBox()
        self.kind.addItem("Convex", "convex")
        self.kind.addItem("Linear", "linear")
        self.sweeps = QSpinBox(minimum=1, maximum=6)
        self.sweeps.setToolTip("Over one place, turned by 180° shared among them")
        self.labels = QComboBox()
        self.labels.setToolTip("The label map that is carried along, in the fan and the export")
        for box in (self.kind, self.labels):
            box.setMinimumContentsLength(6)
            box.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
        self.live = QCheckBox("Synthesise as the probe moves")
        self.live.setToolTip("Makes what is missing in the shown frame whenever the probe rests")
        self.buttons: dict[str, QToolButton] = {}
        self.progress, self.stage = QProgressBar(), ElidedLabel()
        self.cancel = _button("Cancel")
        self._lay_out()
        self._connect()
        self._show()
        self._show_stage(Stage(""))

    def use(self, actions: Mapping[str, QAction]) -> None:
        """Make the buttons the window's commands."""
        for name, button in {**self.buttons, "sweep_cancel": self.cancel}.items():
            actions[name].setIconText(button.text())
            button.setDefaultAction(actions[name])

    # ---- layout

    def _lay_out(self) -> None:
        moves = QGridLayout()
        moves.setVerticalSpacing(0)
        for n, (name, text, unit, tip) in enumerate(MOVES):
            slider = QSlider(Qt.Orientation.Horizontal)
            slider.setPageStep(5 * TICKS)
            slider.setSingleStep(TICKS)
            box = _box(1, unit, f"{text}: {tip}")
            slider.setToolTip(tip)
            slider.setAccessibleName(tip)
            moves.addWidget(QLabel(text), n, 0)
            moves.addWidget(slider, n, 1)
            box.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
            moves.addWidget(box, n, 2)
            self.sliders[name], self.boxes[name] = slider, box
        moves.setColumnStretch(1, 1)
        sizes = QGridLayout()
        sizes.setSpacing(4)
        for n, (name, text, tip) in enumerate(SIZES):
            self.boxes[name] = _box(0, " mm", f"{text}: {tip}")
            sizes.addWidget(QLabel(text), n // 2, 2 * (n % 2))
            sizes.addWidget(self.boxes[name], n // 2, 2 * (n % 2) + 1)
        self.boxes["step_mm"].setDecimals(2)
        self.boxes["step_mm"].setSuffix("")  # no room
        for column in (1, 3):
            sizes.setColumnStretch(column, 1)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setVerticalSpacing(4)
        form.addRow("Probe", self.kind)
        form.addRow("Sweeps", self.sweeps)
        form.addRow("Labels", self.labels)
        buttons = QGridLayout()
        buttons.setSpacing(4)
        for n, (name, text) in enumerate(BUTTONS):
            self.buttons[name] = _button(text)
            buttons.addWidget(self.buttons[name], n // 2, n % 2)
            buttons.setColumnStretch(n % 2, 1)
        run = QGridLayout()
        run.setSpacing(8)
        run.addWidget(self.progress, 0, 0)
        run.addWidget(self.cancel, 0, 1)
        run.setColumnStretch(0, 2)
        run.setColumnStretch(1, 1)
        column_ = QVBoxLayout(self)
        column_.setContentsMargins(8, 8, 8, 8)
        column_.setSpacing(4)
        column_.addWidget(self.fan)
        column_.addWidget(self.known)
        for layout in (moves, buttons, run):
            column_.addLayout(layout)
        column_.addWidget(self.stage)
        column_.addWidget(self.live)
        column_.addLayout(form)
        column_.addLayout(sizes)
        column_.addStretch(1)

    def _connect(self) -> None:
        it = self.controller
        for name, slider in self.sliders.items():
            slider.sliderPressed.connect(self.placement.begin)
            slider.valueChanged.connect(partial(self._slid, name))
        for name, box in self.boxes.items():
            box.valueChanged.connect(partial(self._typed, name))
        self.kind.activated.connect(lambda n: self._edit(kind=self.kind.itemData(n)))
        self.sweeps.valueChanged.connect(lambda n: self._edit(sweeps=n))
        self.labels.activated.connect(lambda n: it.choose_labels(self.labels.itemData(n)))
        self.live.toggled.connect(it.live.set_on)
        it.changed.connect(self._show)
        it.synthesis.stage_changed.connect(self._run_stage)
        it.exporter.stage_changed.connect(self._show_stage)

    # ---- what the user does

    def _slid(self, name: str, ticks: int) -> None:
        self._move(name, ticks / TICKS)

    def _typed(self, name: str, value: float) -> None:
        self.placement.begin()
        self._move(name, round(value, 2))

    def _move(self, name: str, value: float) -> None:
        if name == "slide":
            self.placement.set_slide(value)
        else:
            self.placement.edit(**{name: value})

    def _edit(self, **change: object) -> None:
        self.placement.begin()
        self.placement.edit(**change)

    # ---- what changed

    def showEvent(self, event: QShowEvent) -> None:
        """Look for the brain, and let the probe be seen."""
        super().showEvent(event)
        self.controller.panel_shown = True
        if self.placement.plan is not None:
            self.placement.with_surface()
        self.placement.changed.emit()

    def hideEvent(self, event: QHideEvent) -> None:
        """Let the probe be seen no more, unless it is being placed."""
        super().hideEvent(event)
        self.controller.panel_shown = False
        self.controller.live.stop()
        self.placement.changed.emit()

    def _show(self) -> None:
        if not self.isVisible():
            return
        plan = self.placement.plan or self.placement.form
        values = {"slide": self.placement.slide, **{n: getattr(plan, n) for n in self.boxes
                                                    if n != "slide"}}  # fmt: skip
        half = plan.length_mm / 2
        ranges = {"slide": (-half, half), "tilt_deg": (-45.0, 45.0), "turn_deg": (-180.0, 180.0),
                  "width_mm": (5.0, 200.0), "depth_mm": (5.0, 250.0), "length_mm": (0.0, 200.0),
                  "step_mm": (0.05, 20.0)}  # fmt: skip
        for name, box in self.boxes.items():
            with QSignalBlocker(box):
                box.setRange(*ranges[name])
                box.setValue(values[name])
        for name, slider in self.sliders.items():
            with QSignalBlocker(slider):
                slider.setRange(*(round(TICKS * x) for x in ranges[name]))
                slider.setValue(round(TICKS * values[name]))
            slider.setEnabled(self.placement.plan is not None)
        with QSignalBlocker(self.kind), QSignalBlocker(self.sweeps), QSignalBlocker(self.live):
            self.kind.setCurrentIndex(self.kind.findData(plan.kind))
            self.sweeps.setValue(plan.sweeps)
            self.live.setChecked(self.controller.live.on)
        self._show_labels()
        self._show_known()
        self.fan.refresh_soon()

    def _show_labels(self) -> None:
        wanted = [("none", None), *((x.name, x.id) for x in self.controller.label_maps())]
        box, chosen = self.labels, self.controller.labels()
        with QSignalBlocker(box):
            if [(box.itemText(n), box.itemData(n)) for n in range(box.count())] != wanted:
                box.clear()
                for text, layer_id in wanted:
                    box.addItem(text, layer_id)
            box.setCurrentIndex(box.findData(chosen.id) if chosen else 0)
        box.setEnabled(len(wanted) > 1)

    def _show_known(self) -> None:
        it = self.controller
        if it.obstacle:
            text = it.obstacle
        elif self.placement.plan is None:
            text = ""
        elif self.placement.surface is None:
            text = "Finding the brain's surface…"
        elif it.live.busy:
            text = "Synthesising under the fan…"
        else:
            result = it.result()
            text = f"Export writes {result.title}." if result else "Not swept yet."
        self.known.setText(text)

    def _run_stage(self, stage: Stage) -> None:
        self._show_stage(stage if self.controller.running or not stage.name else Stage(""))

    def _show_stage(self, stage: Stage) -> None:
        going = bool(stage.name)
        self.progress.setRange(0, stage.total if going else 1)
        self.progress.setValue(stage.done)
        left = f", {duration(stage.seconds_left)} left" if stage.seconds_left is not None else ""
        self.stage.setText(f"{stage.name.capitalize()}{left}" if going else "")
        for widget in (self.progress, self.cancel, self.stage):
            widget.setVisible(going)


def _button(text: str) -> QToolButton:
    button = QToolButton()
    button.setText(text)
    button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
    button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    return button


def _box(decimals: int, unit: str, tip: str) -> QDoubleSpinBox:
    box = QDoubleSpinBox(decimals=decimals, singleStep=1.0)
    box.setSuffix(unit)
    box.setToolTip(tip)
    box.setAccessibleName(tip)
    box.setKeyboardTracking(False)
    box.setMinimumWidth(58)
    box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return box
