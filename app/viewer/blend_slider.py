"""The slider of the blend: how much of each of the two volumes is seen."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import QHBoxLayout, QSlider, QWidget

from app.shared.elided import ElidedLabel
from app.state.session import Session
from app.state.values import Compare, Layer


class BlendSlider(QWidget):
    """Stands between the names of the two volumes; works while they are blended.

    It keeps its place in every mode: what is beside it never moves.
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.under, self.over = ElidedLabel(), ElidedLabel()
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, 100)
        self.slider.setPageStep(10)
        self.slider.setFixedWidth(88)
        self.slider.setAccessibleName("Opacity of the foreground")
        self.slider.valueChanged.connect(lambda x: session.set_display(mix=x / 100))
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 0, 4, 0)
        row.setSpacing(4)
        for widget in (self.under, self.slider, self.over):
            row.addWidget(widget)
        policy = self.slider.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.slider.setSizePolicy(policy)
        width = self.fontMetrics().horizontalAdvance("Synth. iUS") + 4
        for label, side in (
            (self.under, Qt.AlignmentFlag.AlignRight),
            (self.over, Qt.AlignmentFlag.AlignLeft),
        ):
            label.setFixedWidth(width)
            label.setAlignment(side | Qt.AlignmentFlag.AlignVCenter)
        session.display_changed.connect(lambda _: self._show())
        session.active_changed.connect(self._show)
        session.layers_changed.connect(self._show)
        self._show()

    def _show(self) -> None:
        under, over = self.session.active, self.session.secondary
        on = self.session.display.compare is Compare.BLEND
        with QSignalBlocker(self.slider):
            self.slider.setValue(round(100 * self.session.display.mix))
        self.slider.setVisible(on)
        self.slider.setEnabled(over is not None)
        for label, layer in ((self.under, under), (self.over, over)):
            label.setText(_short(layer) if on and layer else "")
            label.explain(layer.name if on and layer else "")
        share = self.slider.value()
        self.slider.setToolTip(
            f"Foreground {over.name}: {share} % over {under.name} (- and +)"
            if on and over and under
            else ""
        )


def _short(layer: Layer) -> str:
    made = "Synth. " if layer.made_by_model else ""
    return f"{made}{layer.modality}" if layer.modality else layer.name[:8]
