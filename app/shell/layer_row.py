"""One row of the Case panel: a layer's thumbnail, modality, eye, input toggle, colours, opacity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QEvent, QObject, QPoint, QSignalBlocker, Qt, Signal
from PySide6.QtGui import QDrag, QImage, QMouseEvent, QPixmap
from PySide6.QtWidgets import (
    QApplication,
    QCheckBox,
    QComboBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QSlider,
    QToolButton,
    QWidget,
)

from app.shared.elided import ElidedLabel
from app.shared.style import icon, say
from app.shell.legend import Legend
from app.state.values import Kind, Layer
from app.viewer import colormaps
from app.viewer.column_titles import layer_data
from core.marks import WORD
from core.modalities import OFFERED

THUMBNAIL = 48
UNKNOWN = "modality?"

_KIND_WORDS = {
    Kind.SYNTHETIC: WORD,
    Kind.DIFFERENCE: "DIFFERENCE",
    Kind.SIGMA: "σ MAP",
    Kind.SHARE: "SHARE",
    Kind.LABEL: "LABELS",
}


class Row(QFrame):
    """Shows one layer; every change is a signal, the session decides."""

    picked = Signal(str)
    modality_edited = Signal(str, str)
    available_edited = Signal(str, bool)
    visible_edited = Signal(str, bool)
    colormap_edited = Signal(str, str)
    opacity_edited = Signal(str, float)
    labels_edited = Signal(str, object)
    removed = Signal(str)
    menu_wanted = Signal(str, object)

    def __init__(self, layer: Layer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.layer_id = layer.id
        self._pressed = QPoint()
        self.setObjectName("row")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(
            lambda at: self.menu_wanted.emit(self.layer_id, self.mapToGlobal(at))
        )
        self.thumbnail = QLabel()
        self.thumbnail.setFixedSize(THUMBNAIL, THUMBNAIL)
        self.thumbnail.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.modality = QComboBox()
        self.modality.setEditable(True)
        self.modality.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.modality.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.modality.setMinimumContentsLength(4)
        self.modality.setAccessibleName("Modality")
        self.title = ElidedLabel(mode=Qt.TextElideMode.ElideMiddle)
        self.kind = QLabel()
        self.kind.setObjectName("kind")
        self.eye = self._button("Show or hide")
        self.eye.setCheckable(True)
        self.key = self._button("Legend: names and switches of the labels")
        self.key.setCheckable(True)
        self.legend: Legend | None = None
        self.remove = self._button("Remove from the case (can be undone)")
        self.available = QCheckBox("Input")
        self.available.setToolTip(
            "Use this volume as an input of the model (J). Without it, it is synthesised from the "
            "others and compared with the result."
        )
        self.colormap = QComboBox()
        self.colormap.addItems(list(colormaps.NAMES))
        self.colormap.setToolTip("Colour map")
        self.colormap.setMinimumContentsLength(3)
        self.colormap.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.opacity = QSlider(Qt.Orientation.Horizontal)
        self.opacity.setRange(0, 100)
        self.opacity.setToolTip("Opacity")
        self.opacity.setMinimumWidth(32)
        self._lay_out()
        self._connect()
        self.show_layer(layer, (), "")

    def show_layer(self, layer: Layer, modalities: Sequence[str], reason: str) -> None:
        """Show a layer's present state.

        Args:
            layer: the layer.
            modalities: names the model knows; offered first.
            reason: why the modality was guessed so; empty when the user said it.
        """
        real = layer.kind is Kind.REAL
        with QSignalBlocker(self.modality):
            names = list(dict.fromkeys([*modalities, *OFFERED]))
            if [self.modality.itemText(n) for n in range(self.modality.count())] != names:
                self.modality.clear()
                self.modality.addItems(names)
            self.modality.setCurrentText(layer.modality)
        line = self.modality.lineEdit()
        if line is not None:
            line.setPlaceholderText(UNKNOWN)
        self.modality.setVisible(real)
        known = f"Guessed from the {reason}. Choose another if it is wrong." if reason else ""
        self.modality.setToolTip(known or "What kind of image this is")
        self.kind.setVisible(not real)
        say(self.kind, "made", layer.made_by_model)
        self.kind.setText(f"{_KIND_WORDS.get(layer.kind, '')} {layer.modality}".strip())
        name = layer.volume.source or layer.name if real else layer.name
        self.title.setText(name)
        self.title.explain(_facts(layer))
        self.eye.setIcon(icon("eye" if layer.visible else "eye-off"))
        self.remove.setIcon(icon("remove"))
        self.key.setIcon(icon("legend"))
        self.key.setVisible(bool(layer.labels))
        if self.legend is not None:
            self.legend.show_layer(layer)
        self.remove.setEnabled(not layer.live)
        # What belongs to a result stands under its volume.
        inner = layer.result is not None and (layer.kind is not Kind.SYNTHETIC or layer.sample > 0)
        self._grid.setContentsMargins(12 if inner else 4, 4, 4, 4)
        for box, value in ((self.eye, layer.visible), (self.available, layer.available)):
            with QSignalBlocker(box):
                box.setChecked(value)
        self.available.setVisible(real)
        self.colormap.setMinimumContentsLength(3 if real else 7)
        self.available.setEnabled(bool(layer.modality))
        with QSignalBlocker(self.colormap):
            self.colormap.setCurrentText(layer.colormap)
        self.colormap.setToolTip(f"Colour map: {layer.colormap}")
        with QSignalBlocker(self.opacity):
            self.opacity.setValue(round(100 * layer.opacity))
        self.opacity.setToolTip(f"Opacity: {round(100 * layer.opacity)} %")

    def show_thumbnail(self, layer: Layer) -> None:
        """Draw a slice with something in it."""
        self.thumbnail.setPixmap(thumbnail(layer, THUMBNAIL, self.devicePixelRatioF()))

    def show_legend(self, on: bool, layer: Layer) -> None:
        """Unfold the legend of a label map, or fold it."""
        if self.legend is None:
            self.legend = Legend(lambda labels: self.labels_edited.emit(self.layer_id, labels))
            self._grid.addWidget(self.legend, 3, 0, 1, 2)
        self.legend.show_layer(layer)
        self.legend.setVisible(on)

    def show_active(self, active: bool) -> None:
        """Mark the row of the active volume."""
        say(self, "active", active)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Make this volume the active one."""
        if event.button() == Qt.MouseButton.LeftButton:
            self.picked.emit(self.layer_id)
            self._pressed = event.position().toPoint()
        super().mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drag the volume onto a column of the viewers."""
        away = (event.position().toPoint() - self._pressed).manhattanLength()
        if event.buttons() & Qt.MouseButton.LeftButton and away > QApplication.startDragDistance():
            drag = QDrag(self)
            drag.setMimeData(layer_data(self.layer_id))
            drag.setPixmap(self.thumbnail.pixmap())
            drag.exec(Qt.DropAction.CopyAction)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Let the wheel scroll the panel, not change what lies under the pointer."""
        if event.type() == QEvent.Type.Wheel:
            event.ignore()
            return True
        return super().eventFilter(watched, event)

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.setSpacing(4)
        head.addWidget(self.modality, 1)
        head.addWidget(self.kind)
        head.addStretch(0)
        head.addWidget(self.key)
        head.addWidget(self.eye)
        head.addWidget(self.remove)
        foot = QHBoxLayout()
        foot.setSpacing(4)
        foot.addWidget(self.available)
        foot.addWidget(self.colormap)
        foot.addWidget(self.opacity, 1)
        self._grid = grid = QGridLayout(self)
        grid.setContentsMargins(4, 4, 4, 4)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(4)
        grid.addWidget(self.thumbnail, 0, 0, 3, 1, Qt.AlignmentFlag.AlignTop)
        grid.addLayout(head, 0, 1)
        grid.addWidget(self.title, 1, 1)
        grid.addLayout(foot, 2, 1)
        grid.setColumnStretch(1, 1)

    def _connect(self) -> None:
        for widget in (self.modality, self.colormap, self.opacity):
            widget.installEventFilter(self)
        line = self.modality.lineEdit()
        assert line is not None
        line.editingFinished.connect(self._say_modality)
        self.modality.activated.connect(lambda _: self._say_modality())
        self.available.toggled.connect(lambda on: self.available_edited.emit(self.layer_id, on))
        self.eye.toggled.connect(lambda on: self.visible_edited.emit(self.layer_id, on))
        self.colormap.textActivated.connect(
            lambda name: self.colormap_edited.emit(self.layer_id, name)
        )
        self.opacity.valueChanged.connect(
            lambda value: self.opacity_edited.emit(self.layer_id, value / 100)
        )
        self.remove.clicked.connect(lambda: self.removed.emit(self.layer_id))

    def _say_modality(self) -> None:
        self.modality_edited.emit(self.layer_id, self.modality.currentText().strip())

    def _button(self, tip: str) -> QToolButton:
        button = QToolButton()
        button.setAutoRaise(True)
        button.setToolTip(tip)
        button.setAccessibleName(tip)
        return button


def thumbnail(layer: Layer, size: int, ratio: float) -> QPixmap:
    """Return the axial slice with the most in it, whole, on black."""
    volume = layer.volume.canonical()
    # The slice with the most in it; of equal ones the middle one.
    content = np.abs(volume.voxels[::6, ::6]).sum(axis=(0, 1))
    centre = abs(np.arange(content.size) - (content.size - 1) / 2)
    middle = volume.voxels[:, :, int(np.lexsort((centre, -content))[0])]
    across, up = (float(s) for s in volume.grid.spacing[:2])
    pixels = max(1, round(size * ratio))
    extent = max(middle.shape[0] * across, middle.shape[1] * up)
    width = max(1, round(pixels * middle.shape[0] * across / extent))
    height = max(1, round(pixels * middle.shape[1] * up / extent))
    # Radiological: the patient's left on the right; anterior at the top.
    columns = np.linspace(middle.shape[0] - 1, 0, width).round().astype(int)
    rows = np.linspace(middle.shape[1] - 1, 0, height).round().astype(int)
    values = middle[np.ix_(columns, rows)].T
    if layer.kind is Kind.LABEL:
        index = values.astype(np.int64) % 256
    else:
        low, high = layer.window
        index = np.clip((values - low) * (255 / max(high - low, 1e-12)), 0, 255).astype(np.int64)
    colours = np.ascontiguousarray(colormaps.table(layer.colormap)[index] | 0xFF000000)
    image = QImage(colours.data, width, height, 4 * width, QImage.Format.Format_RGB32)
    picture = QPixmap.fromImage(image)
    picture.setDevicePixelRatio(ratio)
    return picture


def _facts(layer: Layer) -> str:
    grid = layer.volume.grid
    shape = " × ".join(str(n) for n in grid.shape)
    spacing = " × ".join(f"{s:.3g}" for s in grid.spacing)
    lines = [layer.name, f"{shape} voxels of {spacing} mm, stored {grid.axis_codes}"]
    if layer.made_by_model:
        lines.append("Made by a model. Research use only.")
    return "\n".join([*lines, *layer.volume.warnings])
