"""The Align panel: what moves, how it lies, and every way to bring it where it belongs."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QSignalBlocker, QSize, Qt
from PySide6.QtGui import QAction, QShowEvent
from PySide6.QtWidgets import (
    QComboBox,
    QFormLayout,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QScrollArea,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.alignment.controller import AlignmentController
from app.alignment.landmarks_panel import LandmarkBox, command_button
from app.alignment.manual_panel import ManualBox
from app.alignment.registration_process import number
from app.processes.progress import Stage
from app.shared.style import say
from app.shared.wording import duration
from app.state.values import Placement
from core.registration.methods import METHODS, THROUGH_THE_MODEL

STATES = {
    "header": "at its header's position",
    "rigid": "registered, rigid",
    "affine": "registered, affine",
    "file": "moved by a transform file",
    "manual": "moved by hand",
    "centred": "centred",
    "landmarks": "aligned by landmarks",
}
ROWS = (
    ("align_header", "From header"),
    ("align_centre", "Centre"),
    ("align_load", "Load file…"),
    ("align_turn", "Turn round"),
    ("align_rigid", "Register rigid"),
    ("align_affine", "Register affine"),
)
LOOK = (("align_move", "Move"), ("align_before", "Before"), ("align_checker", "Checker"))
SAVE = (("save_transform", "Save transform…"), ("save_aligned", "Save volume…"))


class AlignPanel(QScrollArea):
    """A form over :class:`AlignmentController`; its buttons are the window's commands."""

    def __init__(self, controller: AlignmentController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller = controller
        self.moving, self.fixed = QComboBox(), QComboBox()
        self.method = QComboBox()
        self.method.setToolTip(
            "How a registration tells that two images fit; through the model makes the one from "
            "the other first, with the model chosen under Synthesis"
        )
        for box in (self.moving, self.fixed, self.method):
            box.setMinimumContentsLength(8)
            box.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
        self.state, self.direction, self.gain, self.doubt = (QLabel() for _ in range(4))
        for label in (self.state, self.direction, self.gain, self.doubt):
            label.setWordWrap(True)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.gain.setToolTip("Mutual information inside the field of view; higher is better")
        self.progress, self.stage = QProgressBar(), QLabel()
        self.hand, self.landmarks = ManualBox(controller.hand), LandmarkBox(controller.landmarks)
        self.buttons: dict[str, QToolButton] = {}
        self._lay_out()
        self._connect()
        self._show()
        self._show_stage(Stage(""))

    def use(self, actions: Mapping[str, QAction]) -> None:
        """Make the buttons the window's commands."""
        for name, button in {**self.buttons, **self.landmarks.buttons}.items():
            actions[name].setIconText(button.text())
            button.setDefaultAction(actions[name])

    def minimumSizeHint(self) -> QSize:
        """Wide enough for two buttons side by side: there is no sideways scrolling."""
        widest = max(self.buttons[name].sizeHint().width() for name, _ in ROWS)
        width = 2 * widest + 20 + self.verticalScrollBar().sizeHint().width()
        return QSize(width, super().minimumSizeHint().height())

    def showEvent(self, event: QShowEvent) -> None:
        """Let the planes follow what stays, and find out what turns are about."""
        super().showEvent(event)
        self._show()

    # ---- layout

    def _lay_out(self) -> None:
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignRight)
        form.setVerticalSpacing(4)
        form.setHorizontalSpacing(8)
        for label, field in (("Moves", self.moving), ("Stays", self.fixed)):
            form.addRow(label, field)
        how = QFormLayout()
        how.setHorizontalSpacing(8)
        how.setVerticalSpacing(4)
        how.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        how.addRow("Method", self.method)
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(4)
        column.addLayout(form)
        for line in (self.state, self.direction, self.gain, self.doubt):
            column.addWidget(line)
        column.addLayout(self._grid(ROWS[:4]))
        column.addLayout(how)
        column.addLayout(self._grid(ROWS[4:]))
        run = QHBoxLayout()
        run.setSpacing(8)
        run.addWidget(self.progress, 2)
        run.addWidget(self._button("align_cancel", "Cancel"), 1)
        column.addLayout(run)
        column.addWidget(self.stage)
        column.addWidget(self.hand)
        column.addLayout(self._grid(LOOK, columns=3))
        column.addWidget(self.landmarks)
        column.addLayout(self._grid(SAVE, columns=1))
        column.addStretch(1)
        self.setWidget(inner)

    def _grid(self, rows: tuple[tuple[str, str], ...], columns: int = 2) -> QGridLayout:
        grid = QGridLayout()
        grid.setSpacing(4)
        for n, (name, text) in enumerate(rows):
            grid.addWidget(self._button(name, text), n // columns, n % columns)
            grid.setColumnStretch(n % columns, 1)
        return grid

    def _button(self, name: str, text: str) -> QToolButton:
        self.buttons[name] = command_button(text)
        return self.buttons[name]

    def _connect(self) -> None:
        controller = self.controller
        self.moving.activated.connect(
            lambda n: controller.session.pair.choose(moving=self.moving.itemData(n))
        )
        self.fixed.activated.connect(
            lambda n: controller.session.pair.choose(fixed=self.fixed.itemData(n))
        )
        for method in (*METHODS, THROUGH_THE_MODEL):
            self.method.addItem(method[:1].upper() + method[1:], method)
        self.method.setCurrentIndex(self.method.findData(controller.method))
        self.method.activated.connect(self._say_method)
        controller.aligner.changed.connect(self._show)
        controller.registrar.stage_changed.connect(self._show_stage)

    # ---- what changed

    def _show(self) -> None:
        pair, placement = self.controller.aligner.pair(), self.controller.aligner.placement
        layers = self.controller.aligner.candidates()
        for n, box in enumerate((self.moving, self.fixed)):
            names = [(x.name, x.id) for x in layers]
            with QSignalBlocker(box):
                if [(box.itemText(k), box.itemData(k)) for k in range(box.count())] != names:
                    box.clear()
                    for name, layer_id in names:
                        box.addItem(name, layer_id)
                box.setCurrentIndex(box.findData(pair[n].id) if pair else -1)
            box.setEnabled(len(layers) > 1)
            what = ("The volume that is moved", "The volume that stays where it is")[n]
            box.setToolTip("\n".join(x for x in (box.currentText(), what) if x))
        self.state.setText(
            describe(placement, pair[0].modality or "The volume")
            if pair
            else "Open two volumes of one patient to align them."
        )
        _say(self.direction, self.controller.transforms.direction())
        known = placement is not None and placement.after is not None
        gain = placement if known else None
        _say(
            self.gain,
            f"Similarity {number(gain.before)} → {number(gain.after)}" if gain else "",
        )
        doubtful = placement.doubtful if placement else ""
        _say(self.doubt, f"Doubtful: {doubtful}" if doubtful else "")
        say(self.doubt, "bad", True)
        self.hand.setEnabled(pair is not None)
        if self.isVisible() and pair:
            self.controller.session.set_reference(pair[1].id)
            self.controller.hand.find_pivot()

    def _show_stage(self, stage: Stage) -> None:
        running = bool(stage.name)
        self.progress.setRange(0, stage.total if running else 1)
        self.progress.setValue(stage.done)
        self.progress.setVisible(running)
        self.buttons["align_cancel"].setVisible(running)
        left = f", {duration(stage.seconds_left)} left" if stage.seconds_left is not None else ""
        self.stage.setText(f"{stage.name.capitalize()}{left}" if running else "")
        self.stage.setVisible(running)

    def _say_method(self, _: int) -> None:
        self.controller.method = str(self.method.currentData())


def describe(placement: Placement | None, name: str) -> str:
    """Say in a sentence how a volume was moved."""
    if placement is None:
        return f"{name} is {STATES['header']}."
    alignment = placement.alignment
    told = alignment.source and alignment.kind not in ("manual", "file")  # the file has a line
    source = f" ({alignment.source})" if told else ""
    return f"{name} is {STATES.get(alignment.kind, alignment.kind)}{source}."


def _say(label: QLabel, text: str) -> None:
    label.setText(text)
    label.setVisible(bool(text))
