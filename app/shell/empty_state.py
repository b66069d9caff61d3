"""What the window says before there is a case."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from core.assets import DEMO_CASE


class EmptyState(QWidget):
    """Says what to drop, and offers the demo case."""

    open_wanted = Signal()
    demo_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        title = QLabel("Drop a patient's volumes here")
        font = title.font()
        font.setPointSizeF(font.pointSizeF() * 1.7)
        title.setFont(font)
        what = QLabel(
            "T2 MRI and intra-operative ultrasound: NIfTI, NRRD, MHA, MINC, a DICOM folder.\n"
            "A project (.mhvae.json) or a model (.safetensors) can be dropped as well."
        )
        notice = QLabel("Research use only. Not a medical device.")
        notice.setEnabled(False)
        self.open = QPushButton("Open files…")
        self.open.clicked.connect(self.open_wanted)
        self.demo = QPushButton("Open the demo case")
        self.demo.setToolTip("A simulated patient: T2 and ultrasound made by this program")
        self.demo.clicked.connect(self.demo_wanted)
        self.demo.setEnabled(DEMO_CASE.is_dir())
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(self.open)
        buttons.addWidget(self.demo)
        buttons.addStretch(1)
        column = QVBoxLayout(self)
        column.addStretch(3)
        for label in (title, what):
            label.setWordWrap(True)  # a small window may be narrower than the words
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
            column.addWidget(label)
            column.addSpacing(10)
        column.addLayout(buttons)
        column.addSpacing(18)
        notice.setAlignment(Qt.AlignmentFlag.AlignCenter)
        column.addWidget(notice)
        column.addStretch(4)
