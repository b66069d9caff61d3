"""Asks which way a network's slices lie, with a picture of each answer."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QIcon, QImage, QPainter, QPixmap, QTransform
from PySide6.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.shared.style import say
from core.assets import ROOT
from core.errors import UserError
from core.io import read_headers
from core.models.slicing import LETTERS, ORIENTATIONS, PLANES, USUAL, Slicing

SIDE = 84
"""Pixels of a picture's side."""
EDGE = 14
"""Pixels around it, for the letters."""
COLUMNS = 4
ABOUT = (
    "Slices the network was trained on. The authors' script cuts its files along their last stored "
    "axis, whatever that shows; the pictures are arrays as they lie in memory, first row on top."
)


class OrientationChoice(QWidget):
    """A plane, and eight pictures of a simulated T2's slice in it; none is chosen at first."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        about = QLabel(ABOUT)
        about.setWordWrap(True)
        self.plane = QComboBox()
        self.plane.addItems(["choose the plane…", *reversed(PLANES)])
        self.from_image = QPushButton("Take it from a training image…")
        self.from_image.setToolTip(
            "Reads in which order an image that the network was trained on is stored"
        )
        self.told = QLabel()
        self.told.setWordWrap(True)
        self.group = QButtonGroup(self)
        self._pictures = QWidget()
        say(self._pictures, "choices", True)
        grid = QGridLayout(self._pictures)
        grid.setContentsMargins(0, 0, 0, 0)
        for n in range(8):
            button = QToolButton()
            button.setCheckable(True)
            button.setIconSize(QSize(SIDE + 2 * EDGE, SIDE + 2 * EDGE))
            self.group.addButton(button, n)
            grid.addWidget(button, n // COLUMNS, n % COLUMNS)
        grid.setColumnStretch(COLUMNS, 1)
        row = QHBoxLayout()
        row.addWidget(self.plane)
        row.addWidget(self.from_image)
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(about)
        column.addLayout(row)
        column.addWidget(self._pictures)
        column.addWidget(self.told)
        column.addStretch(1)
        self._codes: list[str] = []
        self.plane.currentTextChanged.connect(self._show_plane)
        self.group.idToggled.connect(lambda *_: self._tell())
        self.from_image.clicked.connect(self._ask_image)
        self._show_plane("")

    @property
    def orientation(self) -> str:
        """The three letters that were chosen; empty as long as nothing is."""
        chosen = self.group.checkedId()
        return self._codes[chosen] if chosen >= 0 and self._codes else ""

    def choose(self, orientation: str) -> None:
        """Choose by letters."""
        code = Slicing(orientation).orientation
        self.plane.setCurrentText(Slicing(code).plane)
        self.group.button(self._codes.index(code)).setChecked(True)

    def clear(self) -> None:
        """Go back to no answer."""
        self.plane.setCurrentIndex(0)

    def take_from(self, file: Path) -> None:
        """Choose the order in which an image is stored; says why when it cannot be read."""
        try:
            header = read_headers(file)[0]
            if header.grid is None:
                raise UserError(header.problem)
        except UserError as error:
            self.told.setText(str(error))
            return
        self.choose(header.grid.axis_codes)
        self.told.setText(f"{self.told.text()} As {file.name} is stored.")

    # ---- inside

    def _ask_image(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "An image the network was trained on")
        if chosen:
            self.take_from(Path(chosen))

    def _show_plane(self, plane: str) -> None:
        known = plane in PLANES
        self._codes = [c for c in ORIENTATIONS if Slicing(c).plane == plane] if known else []
        self.group.setExclusive(False)
        for n, button in enumerate(self.group.buttons()):
            button.setChecked(False)
            if known:
                code = self._codes[n]
                button.setIcon(QIcon(orientation_picture(code)))
                button.setToolTip(Slicing(code).sentence)
                button.setAccessibleName(Slicing(code).sentence)
        self.group.setExclusive(True)
        self._pictures.setVisible(known)
        self._tell()

    def _tell(self) -> None:
        code = self.orientation
        self.told.setText(f"{code}: {Slicing(code).sentence}." if code else "")
        self.changed.emit()


def orientation_picture(orientation: str) -> QPixmap:
    """Return a simulated T2's slice as an array of that orientation, its sides named."""
    slicing = Slicing(orientation)
    usual = USUAL[slicing.plane]
    image = QImage(str(ROOT / "slices" / f"{slicing.plane}.png"))
    rows, columns, _ = list(slicing.orientation)
    if usual[0] not in (rows, _opposite(rows)):  # rows become columns
        image = image.transformed(QTransform(0, 1, 1, 0, 0, 0))
    across, down = (-1 if letter in "LPI" else 1 for letter in (columns, rows))
    image = image.transformed(QTransform.fromScale(across, down))
    side = SIDE + 2 * EDGE
    picture = QPixmap(side, side)
    picture.fill(QColor("black"))
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
    painter.drawImage(QRectF(EDGE, EDGE, SIDE, SIDE), image)
    painter.setPen(QColor("white"))
    centre = Qt.AlignmentFlag.AlignCenter
    painter.drawText(QRectF(0, 0, side, EDGE), centre, _opposite(rows))
    painter.drawText(QRectF(0, side - EDGE, side, EDGE), centre, rows)
    painter.drawText(QRectF(0, 0, EDGE, side), centre, _opposite(columns))
    painter.drawText(QRectF(side - EDGE, 0, EDGE, side), centre, columns)
    painter.end()
    return picture


def _opposite(letter: str) -> str:
    return next(pair.replace(letter, "") for pair in LETTERS if letter in pair)
