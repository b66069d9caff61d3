"""The Experts panel: whom the model listened to, level by level, under the cursor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtCore import QRectF, QSignalBlocker, QSize, Qt, QTimer
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPalette, QShowEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from app.shared.style import EXPERT_COLOURS, say
from app.state.values import Kind, Layout
from app.synthesis.controller import SynthesisController
from app.synthesis.experts import ExpertShares

ASK_DELAY_MS = 250
MAP_ID = "expert-share"
EXPLAIN = (
    "Share of precision: how much the prior and each input weigh in the fused posterior of a "
    "level (D⁻¹ of an expert over the sum, mean over channels). Level 7 is one vector for a "
    "whole tile."
)


class Bars(QWidget):
    """A stacked bar per level, coarsest on top."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.experts: tuple[str, ...] = ()
        self.levels: Mapping[int, Mapping[str, float]] = {}
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_shares(
        self, experts: Sequence[str], levels: Mapping[int, Mapping[str, float]]
    ) -> None:
        """Show level → expert → share."""
        self.experts, self.levels = tuple(experts), levels
        self.updateGeometry()
        self.update()

    @property
    def _line(self) -> int:
        return self.fontMetrics().lineSpacing() + 6

    def sizeHint(self) -> QSize:
        """Return room for a legend and every level."""
        return QSize(200, self._line * (1 + max(7, len(self.levels))))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the legend and the bars."""
        painter = QPainter(self)
        text = self.palette().color(QPalette.ColorRole.WindowText)
        metrics, line = self.fontMetrics(), self._line
        x = metrics.horizontalAdvance("level 7 ") + 4
        for n, expert in enumerate(self.experts):
            painter.fillRect(QRectF(x, 4, line - 8, line - 8), _colour(n))
            painter.setPen(text)
            painter.drawText(
                QRectF(x + line - 4, 0, 200, line), Qt.AlignmentFlag.AlignVCenter, expert
            )
            x += line + metrics.horizontalAdvance(expert) + 12
        left = metrics.horizontalAdvance("level 7 ") + 4
        width = self.width() - left
        for row, level in enumerate(sorted(self.levels, reverse=True), start=1):
            y = row * line
            painter.setPen(text)
            painter.drawText(
                QRectF(0, y, left, line), Qt.AlignmentFlag.AlignVCenter, f"level {level}"
            )
            start = float(left)
            for n, expert in enumerate(self.experts):
                share = self.levels[level].get(expert, 0.0)
                box = QRectF(start, y + 2, share * width, line - 4)
                painter.fillRect(box, _colour(n))
                label = f"{100 * share:.0f} %"
                if box.width() > metrics.horizontalAdvance(label) + 6:
                    painter.setPen(QColor("white"))
                    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, label)
                start += box.width()
        painter.end()


class ExpertsPanel(QWidget):
    """Asks for the slice under the cursor while it can be seen."""

    def __init__(self, controller: SynthesisController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller, self.session = controller, controller.session
        self.shares: ExpertShares | None = None
        self._stale = True
        self.bars = Bars()
        self.hint = QLabel()
        self.hint.setWordWrap(True)
        say(self.hint, "hint", True)
        self.show_map = QCheckBox("Show map of")
        self.show_map.setToolTip("A layer of its own, on the slice under the cursor")
        self.expert = QComboBox()
        self.level = QComboBox()
        for box in (self.expert, self.level):
            box.setMinimumContentsLength(6)
            box.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
        self.setToolTip(EXPLAIN)
        maps = QHBoxLayout()
        maps.setSpacing(4)
        maps.addWidget(self.expert, 1)
        maps.addWidget(self.level, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(4)
        column.addWidget(self.bars)
        column.addWidget(self.hint)
        column.addWidget(self.show_map)
        column.addLayout(maps)
        column.addStretch(1)
        self._timer = QTimer(self, singleShot=True, interval=ASK_DELAY_MS)
        self._timer.timeout.connect(self._ask)
        self.session.cursor_changed.connect(lambda _: self._moved())
        controller.experts.arrived.connect(self._arrived)
        controller.asked.form_changed.connect(self._outdate)
        controller.running_changed.connect(lambda _: self._outdate())
        self.session.layers_changed.connect(self._layers)
        for box in (self.expert, self.level):
            box.activated.connect(lambda _: self._show_map())
        self.show_map.toggled.connect(lambda _: self._show_map())
        self._show()

    def showEvent(self, event: QShowEvent) -> None:
        """Catch up with what happened while hidden."""
        super().showEvent(event)
        self._moved()

    def _outdate(self) -> None:
        self._stale = True
        self._moved()

    def _moved(self) -> None:
        self._show()
        fresh = self.shares is not None and self.shares.answer(self.session.cursor)
        if self.isVisible() and (self._stale or not fresh):
            self._timer.start()

    def _ask(self) -> None:
        if self.isVisible() and self.controller.context.engine.state in ("ready", "busy"):
            self._stale = False
            self.controller.experts.request()

    def _arrived(self, shares: ExpertShares | None) -> None:
        self.shares = shares
        if shares is not None:
            self._fill_choices(shares)
            if not shares.answer(self.session.cursor):
                self._timer.start()  # the cursor went on meanwhile
        self._show()
        self._show_map()

    def _fill_choices(self, shares: ExpertShares) -> None:
        levels = [n for n in sorted(shares.levels) if n < max(shares.levels)]
        for box, names in (
            (self.expert, list(shares.experts)),
            (self.level, [f"level {n}" for n in levels]),
        ):
            if [box.itemText(n) for n in range(box.count())] != names:
                with QSignalBlocker(box):
                    box.clear()
                    box.addItems(names)

    def _show(self) -> None:
        found = self.shares.at(self.session.cursor) if self.shares else {}
        self.bars.show_shares(self.shares.experts if self.shares and found else (), found)
        self.bars.setVisible(bool(found))
        asked = self.controller.asked
        blind = asked.blind()
        if asked.bundle is not None and not asked.draws_samples:
            blind = (
                f"{asked.bundle.name} is a {asked.bundle.config.family} model, which fuses no "
                "experts; there are no shares to show."
            )
        self.hint.setText(
            ""
            if found
            else blind
            or "Move the cursor into the field of view to see how much the prior and each input "
            "contributed there."
        )
        self.hint.setVisible(not found)
        for widget in (self.show_map, self.expert, self.level):
            widget.setEnabled(self.shares is not None)

    def _layers(self) -> None:
        """The user took the map's layer away: the box says so."""
        if self.show_map.isChecked() and self.shares and MAP_ID not in self.session:
            with QSignalBlocker(self.show_map):
                self.show_map.setChecked(False)

    def _show_map(self) -> None:
        if not self.show_map.isChecked() or self.shares is None:
            if MAP_ID in self.session and not self.show_map.isChecked():
                self.session.remove_layer(MAP_ID)
            return
        level = 1 + max(0, self.level.currentIndex())
        expert = self.expert.currentText() or self.shares.experts[0]
        volume = self.shares.volume(level, expert)
        name = f"share of {expert}, level {level}"
        if MAP_ID not in self.session:
            self.session.add_layer(volume, Kind.SHARE, name=name, layer_id=MAP_ID)
            self._bring_to_front()
        else:
            self.session.set_volume(MAP_ID, volume)
            self.session.update_layer(MAP_ID, name=name)
        self.session.set_window(MAP_ID, 0.0, 1.0)

    def _bring_to_front(self) -> None:
        """Show the map where the user looks: in a column of its own."""
        session = self.session
        if session.display.layout not in (Layout.COLUMNS, Layout.GRID):
            session.set_display(layout=Layout.COLUMNS)
        columns = [x.id for x in session.columns()]
        if MAP_ID not in columns:
            session.put_in_column(len(columns), MAP_ID)


def _colour(n: int) -> QColor:
    return QColor(EXPERT_COLOURS[n % len(EXPERT_COLOURS)])
