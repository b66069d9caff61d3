"""One chart: pyqtgraph draws the lines, what they are made of is binned to its pixels first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import (
    QCheckBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from app.shared.elided import ElidedLabel
from app.shared.style import make_bold
from app.training.runs.binning import CurveData, Floats
from app.training.runs.charts import Chart, Curve
from app.training.runs.history import History
from app.training.runs.wording import number

TINY = 1e-12
MARGIN = 0.06
FEW = 40
"""Points up to which they are drawn as dots too."""


class _Line:
    """One curve; what draws it is made when it is first shown."""

    def __init__(self, curve: Curve, plot: pg.PlotItem) -> None:
        self.curve = curve
        self.plot = plot
        self.data = CurveData()
        self.visible = curve.shown
        self.cuts = -1
        self.item: Any = None
        self.dots: Any = None

    def show(self, visible: bool) -> None:
        """Draw the curve or not."""
        self.visible = visible
        for item in (self.item, self.dots):
            if item is not None:
                item.setVisible(visible)

    def draw(self, x: Floats, y: Floats) -> None:
        """Draw points; few of them also as dots, for a single one makes no line."""
        if self.item is None:
            pen = pg.mkPen(self.curve.colour, width=1)
            self.item = pg.PlotCurveItem(pen=pen, connect="finite")
            self.plot.addItem(self.item)
        drawn_x, drawn_y = self.item.xData, self.item.yData
        same = drawn_x is not None and np.array_equal(x, drawn_x)
        if same and np.array_equal(y, drawn_y, equal_nan=True):
            return  # one more point of very many changes no pixel
        self.item.setData(x, y)
        few = x[:0] if len(x) > FEW else x
        if self.dots is None and len(few):
            self.dots = pg.ScatterPlotItem(pen=None, brush=self.curve.colour, size=4)
            self.plot.addItem(self.dots)
        if self.dots is not None and (len(few) or len(self.dots.data)):
            self.dots.setData(few, y[: len(few)])

    def take(self, history: History, width: int) -> bool:
        """Take what is new in a history; returns whether anything was."""
        table, name = history.table(self.curve.name)
        if self.cuts != table.cuts:
            self.cuts = table.cuts
            self.data.clear()
        before = self.data.length
        if len(table) != before or width > 1:
            self.data.extend(*table.get(name, before), width)
        else:
            self.data.extend(np.zeros(0), np.zeros(0), width)
        return self.data.length != before


class _Steps(pg.AxisItem):
    """An axis of steps that writes 200k rather than 200000."""

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
        if spacing >= 1e6:
            return [f"{v / 1e6:g}M" if v else "0" for v in values]
        if spacing >= 1e3:
            return [f"{v / 1e3:g}k" if v else "0" for v in values]
        return [f"{v:g}" for v in values]


class ChartView(QFrame):
    """Lines of one unit over the optimiser steps.

    Dragging and the wheel zoom; a double click shows everything again.
    """

    def __init__(self, chart: Chart, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.chart = chart
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.setMinimumHeight(190)
        self.title = QLabel(chart.title)
        make_bold(self.title)
        self.title.setToolTip(chart.tip)
        # Long words must not make one chart wider than the others.
        self.title.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.title.setMinimumWidth(1)
        self.unit = ElidedLabel(f"({chart.unit})" if chart.unit else "")
        self.unit.explain(chart.tip)
        self.log = QCheckBox("log")
        self.log.setToolTip("Logarithmic axis")
        self.log.toggled.connect(self._set_log)
        self.view = pg.PlotWidget(background=None, axisItems={"bottom": _Steps("bottom")})
        self.plot: pg.PlotItem = self.view.getPlotItem()
        self.plot.hideButtons()
        self.plot.setMenuEnabled(False)
        self.plot.disableAutoRange()
        self.box: pg.ViewBox = self.plot.getViewBox()
        self.box.setDefaultPadding(0)
        self.box.sigRangeChangedManually.connect(self._zoomed)
        self.box.sigResized.connect(lambda _: self.redraw())
        self.hair = pg.InfiniteLine(angle=90, pen=pg.mkPen("#8a8f98", style=Qt.PenStyle.DashLine))
        self.hair.hide()
        self.plot.addItem(self.hair, ignoreBounds=True)
        self.readout = QLabel(self.view)
        self.readout.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.readout.setAutoFillBackground(True)
        self.readout.setMargin(4)
        self.readout.hide()
        self.lines = [_Line(curve, self.plot) for curve in chart.curves]
        self.whole = True
        self.width_ = 1
        self.last = 1.0
        self._end = 0.0
        head = QHBoxLayout()
        head.setSpacing(4)
        head.addWidget(self.title)
        head.addWidget(self.unit, 1)
        head.addWidget(self.log)
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 2, 4, 2)
        column.setSpacing(0)
        column.addLayout(head)
        column.addWidget(self.view, 1)
        self.view.viewport().installEventFilter(self)
        self.view.viewport().setMouseTracking(True)
        self._colour()

    # ---- what to show

    def show_history(self, history: History, width: int) -> None:
        """Draw a history's curves.

        Args:
            history: of the run.
            width: log lines in a mean; 1 for the curves as they are.
        """
        width = width if self.chart.noisy else 1
        changed = width != self.width_
        self.width_ = width
        for line in self.lines:
            changed |= line.take(history, width)
        ends = [float(x.data.x[-1]) for x in self.lines if x.data.length]
        last = max([1.0, float(history.now.get("step", 0)), *ends])
        if changed or last != self.last:
            self.last = last
            self.redraw()

    def set_shown(self, name: str, shown: bool) -> None:
        """Draw a curve or not."""
        for line in self.lines:
            if line.curve.name == name and line.visible != shown:
                line.show(shown)
                self.redraw()

    def show_whole(self) -> None:
        """Show the whole run again."""
        self.whole, self._end = True, 0.0
        self.redraw()

    def redraw(self) -> None:
        """Bin the curves to the pixels and draw them."""
        if self.whole and not self.last <= self._end <= self.last * 1.05:
            # A little ahead, so that the axes need not be drawn anew for every step.
            self._end = self.last * 1.02
            self.box.setXRange(0, self._end, padding=0)
        low, high = self.box.viewRange()[0]
        pixels = max(32, int(self.box.width()))
        log = self.log.isChecked()
        least, most = np.inf, -np.inf
        for line in self.lines:
            if not line.visible:
                continue
            x, y = line.data.points(low, high, pixels)
            if log:
                y = np.log10(np.where(y > TINY, y, np.nan))
            line.draw(x, y)
            finite = y[np.isfinite(y)]
            if len(finite):
                least, most = min(least, float(finite.min())), max(most, float(finite.max()))
        if self.whole and least <= most:
            self._fit(least, most)

    def _set_log(self, log: bool) -> None:
        self.plot.getAxis("left").setLogMode(y=log)
        self.redraw()

    def _fit(self, least: float, most: float) -> None:
        """Show values from ``least`` to ``most``; a range that nearly fits stays."""
        margin = (most - least) * MARGIN or abs(most) * MARGIN or 1.0
        bottom, top = self.box.viewRange()[1]
        inside = bottom <= least - margin / 3 and most + margin / 3 <= top
        if not inside or top - bottom > (most - least + 2 * margin) * 1.2:
            self.box.setYRange(least - margin, most + margin, padding=0)

    # ---- the mouse

    def eventFilter(self, watched: object, event: QEvent) -> bool:
        """Show values under the mouse; a double click shows the whole run."""
        kind = event.type()
        if kind == QEvent.Type.MouseMove:
            self._hover(event.position())  # type: ignore[attr-defined]
        elif kind == QEvent.Type.Leave:
            self.hair.hide()
            self.readout.hide()
        elif kind == QEvent.Type.MouseButtonDblClick:
            self.show_whole()
            return True
        return False

    def _hover(self, at: QPointF) -> None:
        scene = self.view.mapToScene(at.toPoint())
        if not self.box.sceneBoundingRect().contains(scene):
            self.hair.hide()
            self.readout.hide()
            return
        place = self.box.mapSceneToView(scene).x()
        rows, step = [], place
        for line in self.lines:
            found = line.data.at(place) if line.visible else None
            if found is not None and found[1] == found[1]:
                step = found[0]
                dot = f"<span style='color:{line.curve.colour}'>●</span>"
                rows.append(f"{dot} {line.curve.label}: <b>{number(found[1])}</b>")
        if not rows:
            return
        self.hair.setPos(step)
        self.hair.show()
        self.readout.setText("<br>".join([f"step {step:,.0f}".replace(",", " "), *rows]))
        self.readout.adjustSize()
        room = self.view.size()
        right = at.x() + 14 + self.readout.width() > room.width()
        x = at.x() - 14 - self.readout.width() if right else at.x() + 14
        y = min(at.y(), room.height() - self.readout.height())
        self.readout.move(int(max(0, x)), int(max(0, y)))
        self.readout.show()

    def _zoomed(self, *_: object) -> None:
        self.whole = False
        self.redraw()

    # ---- appearance

    def changeEvent(self, event: QEvent) -> None:
        """Follow the appearance."""
        if event.type() == QEvent.Type.PaletteChange:
            self._colour()
        super().changeEvent(event)

    def _colour(self) -> None:
        text = QColor(self.palette().color(QPalette.ColorRole.Text))
        for side in ("left", "bottom"):
            axis = self.plot.getAxis(side)
            axis.setPen(pg.mkPen(text, width=1))
            axis.setTextPen(text)
