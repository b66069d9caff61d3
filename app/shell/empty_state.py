"""What the window says before there is a case."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QIcon, QPixmap, QResizeEvent, QShowEvent
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.shared.style import icon, say
from core.assets import DEMO_CASE

RECENT_SHOWN = 6
PICTURE = 40
CARD = QSize(288, 56)

Recent = tuple[Path, QPixmap]
"""Something opened before, and a picture of it; a null one where there is none."""


class EmptyState(QScrollArea):
    """Says what to drop, and offers the demo case and what was opened before.

    Args:
        recent: returns what was opened before, newest first.
    """

    open_wanted = Signal()
    demo_wanted = Signal()
    recent_wanted = Signal(object)
    """Path of something opened before."""

    def __init__(self, recent: Callable[[], Sequence[Recent]]) -> None:
        super().__init__()
        self._recent = recent
        self.cards: list[QPushButton] = []
        title = QLabel("Drop a patient's volumes here")
        font = title.font()
        font.setPointSizeF(font.pointSizeF() * 1.7)
        title.setFont(font)
        what = QLabel(
            "T2 MRI and intra-operative ultrasound: NIfTI, NRRD, MHA, MINC, a DICOM folder.\n"
            "A project (.mhvae.json) or a model (.safetensors) can be dropped as well."
        )
        notice = QLabel("Research use only. Not a medical device.")
        say(notice, "hint", True)
        self.open = QPushButton("Open files…")
        self.open.setToolTip("Volumes, a project or a model (Ctrl+O)")
        self.open.clicked.connect(self.open_wanted)
        self.demo = QPushButton("Open the demo case")
        self.demo.setToolTip("A simulated patient: T2 and ultrasound made by this program")
        self.demo.clicked.connect(self.demo_wanted)
        self.demo.setEnabled(DEMO_CASE.is_dir())
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        buttons.addStretch(1)
        buttons.addWidget(self.open)
        buttons.addWidget(self.demo)
        buttons.addStretch(1)
        self.heading = QLabel("Recent cases")
        say(self.heading, "hint", True)
        self.heading.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._grid = QGridLayout()
        self._grid.setSpacing(8)
        cards = QHBoxLayout()
        cards.addStretch(1)
        cards.addLayout(self._grid)
        cards.addStretch(1)
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(16, 16, 16, 16)
        column.addStretch(3)
        for label in (title, what):
            label.setWordWrap(True)  # a small window may be narrower than the words
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
            column.addWidget(label)
            column.addSpacing(8)
        column.addLayout(buttons)
        column.addSpacing(24)
        column.addWidget(self.heading)
        column.addLayout(cards)
        column.addSpacing(24)
        notice.setAlignment(Qt.AlignmentFlag.AlignCenter)
        column.addWidget(notice)
        column.addStretch(4)
        self.setWidget(inner)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)

    def showEvent(self, event: QShowEvent) -> None:
        """Offer what was opened since it was last seen."""
        super().showEvent(event)
        self.refresh()

    def refresh(self) -> None:
        """Show the recent cases anew."""
        for card in self.cards:
            self._grid.removeWidget(card)
            card.deleteLater()
        found = list(self._recent())[:RECENT_SHOWN]
        self.cards = [self._card(path, picture) for path, picture in found]
        self._arrange()
        self.heading.setVisible(bool(self.cards))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Put the cards in one column where two have no room."""
        super().resizeEvent(event)
        self._arrange()

    def _arrange(self) -> None:
        columns = 2 if self.viewport().width() >= 2 * CARD.width() + 48 else 1
        for card in self.cards:
            self._grid.removeWidget(card)
        for n, card in enumerate(self.cards):
            self._grid.addWidget(card, n // columns, n % columns)

    def _card(self, path: Path, picture: QPixmap) -> QPushButton:
        card = QPushButton()
        card.setObjectName("recent")
        card.setFixedSize(CARD)
        card.setIconSize(QSize(PICTURE, PICTURE))
        card.setIcon(icon("case") if picture.isNull() else QIcon(picture))
        room = CARD.width() - PICTURE - 32
        lines = (path.name, path.parent.name)
        middle = Qt.TextElideMode.ElideMiddle
        shown = [card.fontMetrics().elidedText(x, middle, room) for x in lines]
        card.setText("\n".join(x.replace("&", "&&") for x in shown))
        card.setToolTip(str(path))
        card.setAccessibleName(f"Open {path.name}")
        card.clicked.connect(lambda: self.recent_wanted.emit(path))
        return card
