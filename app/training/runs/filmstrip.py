"""The same held-out slices over the course of a run: what is real, then how the model draws it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from PySide6.QtCore import QEvent, QObject, QRect, QSize, Qt
from PySide6.QtGui import QImage, QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.processes.jobs import Jobs
from app.shared.style import SYNTHETIC
from core.models.base.config import ModelConfig

FRAMES = 24
"""Pictures of a strip; of more, some are chosen evenly."""
TITLE = 28
"""Height of a sheet's headings, pixels (see ``trainer.loop.validate.preview``)."""
GAP = 6


class Filmstrip(QWidget):
    """Pictures of validation, one direction at a time.

    Args:
        run: its folder.
        config: of the model; what it makes decides what a sheet's columns are. None when the run's
            plan cannot be read.
        jobs: threads that read the pictures.
    """

    def __init__(
        self, run: Path, config: ModelConfig | None, jobs: Jobs, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.run, self.jobs = run, jobs
        self.columns = sheet_columns(config) if config is not None else []
        self.direction = QComboBox()
        for number, (subset, target) in enumerate(self.columns):
            if subset:
                kind = "" if target not in subset else "   (reconstruction)"
                self.direction.addItem(f"{' + '.join(subset)} → {target}{kind}", number)
        missing = [n for n, (s, t) in enumerate(self.columns) if s and t not in s]
        if missing:
            self.direction.setCurrentIndex(self.direction.findData(missing[0]))
        self.empty = QLabel("Pictures appear with the first validation.")
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.strip = _Strip()
        self.area = QScrollArea()
        self.area.setWidgetResizable(False)
        self.area.setWidget(self.strip)
        self.area.setFrameShape(QScrollArea.Shape.NoFrame)
        self._sheets: dict[str, QImage] = {}
        self._wanted: list[tuple[int, str]] = []
        self._job = 0
        bar = QHBoxLayout()
        bar.addWidget(QLabel("Direction"))
        bar.addWidget(self.direction)
        bar.addWidget(QLabel("Left: the real image. Orange frames: synthetic. Research use only."))
        bar.addStretch(1)
        column = QVBoxLayout(self)
        column.addLayout(bar)
        column.addWidget(self.empty, 1)
        column.addWidget(self.area, 1)
        self.area.viewport().installEventFilter(self)
        self.area.hide()
        self.direction.currentIndexChanged.connect(lambda _: self._show())

    def show_previews(self, previews: Sequence[tuple[int, str]]) -> None:
        """Show these (step, file name); those that are new are read in a thread."""
        wanted = chosen(list(dict(sorted(previews)).items()), FRAMES)
        if wanted == self._wanted:
            return
        self._wanted = wanted
        names = [name for _, name in wanted if name not in self._sheets]
        self._sheets = {n: s for n, s in self._sheets.items() if n in dict(wanted).values()}
        self.jobs.drop(self._job)
        folder = self.run / "previews"

        def work() -> dict[str, QImage]:
            return {name: QImage(str(folder / name)) for name in names}

        self._job = self.jobs.submit("Reading pictures", work, self._read, self.empty.setText)

    def stop(self) -> None:
        """Read no more."""
        self.jobs.drop(self._job)

    def _read(self, sheets: dict[str, QImage]) -> None:
        self._sheets.update({n: s for n, s in sheets.items() if not s.isNull()})
        self._show()

    def _show(self) -> None:
        place = self.direction.currentData()
        if place is None:
            return
        target = self.columns[place][1]
        real = next(n for n, (s, t) in enumerate(self.columns) if not s and t == target)
        sheets = [(s, self._sheets[n]) for s, n in self._wanted if n in self._sheets]
        if not sheets:
            return
        follows = self._at_end()
        frames = [(f"real {target}", self._crop(sheets[-1][1], real), False)]
        frames += [(f"step {s:,}".replace(",", " "), self._crop(x, place), True) for s, x in sheets]
        self.strip.show_frames(frames, self.area.viewport().height())
        self.empty.hide()
        self.area.show()
        if follows:
            bar = self.area.horizontalScrollBar()
            bar.setValue(bar.maximum())

    def _at_end(self) -> bool:
        bar = self.area.horizontalScrollBar()
        return bar.value() >= bar.maximum() - 4

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Make the pictures as tall as there is room."""
        if event.type() == QEvent.Type.Resize:
            self.strip.fit(self.area.viewport().height())
        return super().eventFilter(watched, event)

    def _crop(self, sheet: QImage, column: int) -> QImage:
        width = sheet.width() // len(self.columns)
        return sheet.copy(QRect(column * width, TITLE, width, sheet.height() - TITLE))


class _Strip(QWidget):
    """Paints labelled pictures side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[tuple[str, QImage, bool]] = []
        self._size = QSize()

    def show_frames(self, frames: list[tuple[str, QImage, bool]], height: int) -> None:
        self.frames = frames
        self.fit(height)
        self.update()

    def fit(self, height: int) -> None:
        if not self.frames:
            return
        picture = self.frames[0][1].size()
        room = max(80, height - self.fontMetrics().height() - 3 * GAP)
        self._size = picture.scaled(10**5, room, Qt.AspectRatioMode.KeepAspectRatio)
        self.resize(len(self.frames) * (self._size.width() + GAP) + GAP, height)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        line = self.fontMetrics().height()
        for place, (title, image, synthetic) in enumerate(self.frames):
            left = GAP + place * (self._size.width() + GAP)
            if not event.rect().intersects(QRect(left, 0, self._size.width(), self.height())):
                continue
            target = QRect(left, line + GAP, self._size.width(), self._size.height())
            painter.setPen(self.palette().color(QPalette.ColorRole.Text))
            heading = QRect(left, 0, self._size.width(), line + GAP)
            painter.drawText(heading, Qt.AlignmentFlag.AlignCenter, title)
            painter.drawImage(target, image)
            if synthetic:
                painter.setPen(SYNTHETIC)
                painter.drawRect(target.adjusted(0, 0, -1, -1))


def sheet_columns(config: ModelConfig) -> list[tuple[tuple[str, ...], str]]:
    """Return what a validation sheet's columns are: (inputs, image); no inputs: a real image.

    After the real images there is every one that the model makes (``trainer.loop.validate``).
    """
    names = config.modalities
    columns: list[tuple[tuple[str, ...], str]] = [((), m) for m in names]
    for size in range(1, len(names) + 1):
        for subset in combinations(names, size):
            columns += [(subset, m) for m in names if config.serves(subset, m)]
    return columns


def chosen(previews: list[tuple[int, str]], count: int) -> list[tuple[int, str]]:
    """Return at most ``count`` previews, evenly spaced, with the first and the last."""
    if len(previews) <= count:
        return previews
    places = {round(n * (len(previews) - 1) / (count - 1)) for n in range(count)}
    return [previews[n] for n in sorted(places)]
