"""The curves of a run: a tree to choose them, a grid of charts, log axes and smoothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from PySide6.QtCore import QSignalBlocker, Qt, QTimer
from PySide6.QtGui import QColor, QIcon, QPixmap
from PySide6.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSlider,
    QSplitter,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.training.runs.charts import SCORES, Chart, charts_for
from app.training.runs.history import History
from app.training.runs.preload import Preload

if TYPE_CHECKING:
    from app.training.runs.chart_view import ChartView

NAME, KEY = Qt.ItemDataRole.UserRole, Qt.ItemDataRole.UserRole + 1
COLUMN_WIDTH = 235
"""Of a chart, pixels; as many stand side by side as fit."""
SPEND_S = 0.01
"""Time one turn of drawing may begin in."""
SMOOTHING = (1, 3, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Log lines in a mean, per notch of the slider."""


class CurvesPage(QWidget):
    """Charts of a history; built one by one, so that the window never waits for all of them."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.history = History()
        self.views: dict[str, ChartView] = {}
        self._names: list[str] = []
        self._wanted: list[Chart] = []
        self.tree = QTreeWidget()
        self.tree.setHeaderHidden(True)
        self.tree.setMinimumWidth(150)
        self.tree.itemChanged.connect(self._ticked)
        self.smoothing = QSlider(Qt.Orientation.Horizontal)
        self.smoothing.setMaximum(len(SMOOTHING) - 1)
        self.smoothing.setMaximumWidth(160)
        self.smoothing.setToolTip("Mean of neighbouring log lines")
        self.width_label = QLabel()
        self.log = QCheckBox("Log axes")
        self.log.setToolTip("Logarithmic axes on every chart of losses")
        self.whole = QPushButton("Whole run")
        self.whole.setToolTip("Undo every zoom (a double click on a chart: there only)")
        self.waiting = QLabel("Nothing was logged yet.")
        self.waiting.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._grid_box = QWidget()
        self._grid = QGridLayout(self._grid_box)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(6)
        self._timer = QTimer(self, singleShot=True, interval=0)
        self._timer.timeout.connect(self._build_one)
        self._preload = Preload()
        self._fresh: ChartView | None = None
        self._stale: list[ChartView] = []
        self._drawing = QTimer(self, singleShot=True, interval=0)
        self._drawing.timeout.connect(self._draw_some)
        self._lay_out()
        self.smoothing.valueChanged.connect(lambda _: self._smooth())
        self.log.toggled.connect(self._log)
        self.whole.clicked.connect(self._show_whole)
        self._smooth()

    def show_history(self, history: History) -> None:
        """Draw what is new; a chart appears when its first number does."""
        self.history = history
        names = history.names
        if names != self._names:
            self._names = names
            self._plan(charts_for(names))
        self._draw()

    def _draw(self) -> None:
        """Draw the charts on screen; the others when they are scrolled to."""
        self._stale = [v for v in self.views.values() if not v.visibleRegion().isEmpty()]
        self._draw_some()

    def _draw_some(self) -> None:
        """Draw for a few milliseconds: after a long log was read every curve is new."""
        end = time.perf_counter() + SPEND_S
        while self._stale and time.perf_counter() < end:
            self._stale.pop(0).show_history(self.history, self._width())
        if self._stale:
            self._drawing.start()

    def stop(self) -> None:
        """Build no more."""
        self._timer.stop()
        self._drawing.stop()

    # ---- inside

    def _lay_out(self) -> None:
        bar = QHBoxLayout()
        bar.addWidget(QLabel("Smoothing"))
        bar.addWidget(self.smoothing)
        bar.addWidget(self.width_label)
        bar.addSpacing(16)
        bar.addWidget(self.log)
        bar.addStretch(1)
        bar.addWidget(self.whole)
        scroll = self.area = QScrollArea()
        scroll.setWidgetResizable(True)
        # A bar that comes and goes would resize every chart.
        scroll.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.waiting, 1)
        column.addWidget(self._grid_box)
        column.addStretch(0)
        scroll.setWidget(inner)
        scroll.verticalScrollBar().valueChanged.connect(lambda _: self._draw())
        parts = QSplitter()
        parts.addWidget(self.tree)
        parts.addWidget(scroll)
        parts.setStretchFactor(1, 1)
        parts.setSizes([190, 900])
        whole = QVBoxLayout(self)
        whole.setContentsMargins(4, 6, 4, 4)
        whole.addLayout(bar)
        whole.addWidget(parts, 1)
        self._grid_box.hide()

    def _plan(self, charts: list[Chart]) -> None:
        """Make charts that are new, and those that have got more curves, anew."""
        for chart in charts:
            view = self.views.get(chart.key)
            if view is not None and view.chart == chart:
                continue
            self._wanted = [c for c in self._wanted if c.key != chart.key]
            self._wanted.append(chart)
        if self._wanted:
            self._timer.start()

    def _build_one(self) -> None:
        if self._fresh is not None:
            self._place(self._fresh)
            return
        if not self._preload.go_on():
            self._timer.start()
            return
        from app.training.runs.chart_view import ChartView

        chart = self._wanted.pop(0)
        view = ChartView(chart)
        old = self.views.get(chart.key)
        self._stale = [v for v in self._stale if v is not old]
        if old is not None:
            view.log.setChecked(old.log.isChecked())
            for line in old.lines:
                view.set_shown(line.curve.name, line.visible)
            view.setProperty("off", old.property("off"))
            self._grid.removeWidget(old)
            old.deleteLater()
        self.views[chart.key] = view
        view.log.setVisible(chart.key not in SCORES)
        self._fresh = view  # put into the grid, which paints it, in a turn of its own
        self._timer.start()

    def _place(self, view: ChartView) -> None:
        self._fresh = None
        self._list(view.chart, view)
        self._arrange()
        view.show_history(self.history, self._width())
        if self._wanted:
            self._timer.start()

    def _list(self, chart: Chart, view: ChartView) -> None:
        with QSignalBlocker(self.tree):
            rows = [self.tree.topLevelItem(n) for n in range(self.tree.topLevelItemCount())]
            top = next((r for r in rows if r is not None and r.data(0, KEY) == chart.key), None)
            if top is None:
                places = {c.key: n for n, c in enumerate(charts_for(self._names))}
                here = places.get(chart.key, len(places))
                before = [r for r in rows if r and places.get(r.data(0, KEY), 0) < here]
                top = QTreeWidgetItem([chart.title])
                self.tree.insertTopLevelItem(len(before), top)
                top.setData(0, KEY, chart.key)
                top.setToolTip(0, chart.tip)
                top.setFlags(top.flags() | Qt.ItemFlag.ItemIsUserCheckable)
                top.setCheckState(0, Qt.CheckState.Checked)
            top.takeChildren()
            for line in view.lines:
                row = QTreeWidgetItem(top, [line.curve.label])
                row.setData(0, KEY, chart.key)
                row.setData(0, NAME, line.curve.name)
                row.setIcon(0, _swatch(line.curve.colour))
                state = Qt.CheckState.Checked if line.visible else Qt.CheckState.Unchecked
                row.setCheckState(0, state)
            top.setExpanded(len(view.lines) <= 6)

    def _ticked(self, row: QTreeWidgetItem) -> None:
        view = self.views.get(row.data(0, KEY))
        if view is None:
            return
        on = row.checkState(0) == Qt.CheckState.Checked
        name = row.data(0, NAME)
        if name is None:
            view.setProperty("off", not on)
            self._arrange()
        else:
            view.set_shown(name, on)
        view.show_history(self.history, self._width())

    def _arrange(self) -> None:
        order = [c.key for c in charts_for(self._names)]
        shown = []
        for key in order:
            view = self.views.get(key)
            if view is not None:
                self._grid.removeWidget(view)
                off = bool(view.property("off"))
                view.setVisible(not off)
                shown += [] if off else [view]
        columns = max(1, min(3, (self.width() - 200) // COLUMN_WIDTH))
        # Places and sizes do not depend on how many there are: one more must not redraw the rest.
        height = max(190, (self.area.viewport().height() - 2 * self._grid.spacing()) // 3)
        for place in range(3):
            self._grid.setColumnStretch(place, int(place < columns))
        for place, view in enumerate(shown):
            view.setFixedHeight(height)
            self._grid.addWidget(view, place // columns, place % columns)
        self.waiting.setVisible(not self.views)
        self._grid_box.setVisible(bool(self.views))

    def resizeEvent(self, event: object) -> None:
        """Put as many charts side by side as fit."""
        super().resizeEvent(event)  # type: ignore[arg-type]
        if self.views:
            self._arrange()

    def _width(self) -> int:
        return SMOOTHING[self.smoothing.value()]

    def _smooth(self) -> None:
        width = self._width()
        self.width_label.setText("off" if width == 1 else f"{width} log lines")
        for view in self.views.values():
            view.show_history(self.history, width)

    def _log(self, on: bool) -> None:
        for key, view in self.views.items():
            if key not in SCORES:
                view.log.setChecked(on)

    def _show_whole(self) -> None:
        for view in self.views.values():
            view.show_whole()


def _swatch(colour: str) -> QIcon:
    picture = QPixmap(10, 10)
    picture.fill(QColor(colour))
    return QIcon(picture)
