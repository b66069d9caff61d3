"""Several runs side by side: one term of all of them on one chart, and where their plans differ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QFont
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QSplitter,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.training.runs.charts import COLOURS, Chart, Curve, charts_for
from app.training.runs.follower import RunFollower
from app.training.runs.history import History, Table
from app.training.runs.notes import settings_of, shown
from core.errors import UserError
from trainer.plan.schema import load_plan

if TYPE_CHECKING:
    from app.training.runs.chart_view import ChartView

MOST = len(COLOURS)
"""Runs that are compared at once."""


class CombinedHistory(History):
    """Several runs' histories as one: ``"2:loss"`` is the loss of the third."""

    def __init__(self, histories: Sequence[History]) -> None:
        super().__init__()
        self.histories = histories

    def table(self, name: str) -> tuple[Table, str]:
        """Return the table of a run's term, and its name there."""
        number, _, term = name.partition(":")
        return self.histories[int(number)].table(term)


class ComparePage(QWidget):
    """Follows every run it compares.

    Args:
        runs: their folders, at least two.
    """

    def __init__(self, runs: Sequence[Path], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.runs = list(runs)[:MOST]
        self.followers = [RunFollower(path, self) for path in self.runs]
        self.term = QComboBox()
        self.term.setMinimumContentsLength(30)
        self.legend = QLabel(
            "   ".join(
                f"<span style='color:{COLOURS[n]}'>●</span> {path.name}"
                for n, path in enumerate(self.runs)
            )
        )
        self.legend.setWordWrap(True)
        self.chart: ChartView | None = None
        self.waiting = QLabel("Reading the logs…")
        self.waiting.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.everything = QCheckBox("All settings")
        self.everything.setToolTip("Also those that all these runs have in common")
        self.table = plan_table(self.runs)
        self._terms: list[tuple[str, str]] = []
        self._lay_out()
        self.term.currentIndexChanged.connect(lambda _: self._rebuild())
        self.everything.toggled.connect(self._filter)
        self._filter()
        for follower in self.followers:
            follower.changed.connect(self._changed)

    def start(self) -> None:
        """Begin to follow the runs."""
        for follower in self.followers:
            follower.start()

    def stop(self) -> None:
        """Follow no longer."""
        for follower in self.followers:
            follower.stop()

    # ---- inside

    def _lay_out(self) -> None:
        bar = QHBoxLayout()
        bar.addWidget(QLabel("Curve"))
        bar.addWidget(self.term)
        bar.addWidget(self.legend, 1)
        top = QWidget()
        self._column = QVBoxLayout(top)
        self._column.addLayout(bar)
        self._column.addWidget(self.waiting, 1)
        bottom = QWidget()
        column = QVBoxLayout(bottom)
        row = QHBoxLayout()
        row.addWidget(QLabel("<b>Where the plans differ</b>"))
        row.addStretch(1)
        row.addWidget(self.everything)
        column.addLayout(row)
        column.addWidget(self.table, 1)
        parts = QSplitter(Qt.Orientation.Vertical)
        parts.addWidget(top)
        parts.addWidget(bottom)
        parts.setSizes([460, 300])
        whole = QVBoxLayout(self)
        whole.setContentsMargins(4, 4, 4, 4)
        whole.addWidget(parts)

    def _changed(self) -> None:
        terms = terms_of([f.history for f in self.followers])
        if terms != self._terms:
            self._terms = terms
            old = self.term.currentData()
            self.term.blockSignals(True)
            self.term.clear()
            for name, text in terms:
                self.term.addItem(text, name)
            first = next((n for n, t in terms if n.startswith("validation/psnr")), "loss")
            self.term.setCurrentIndex(max(0, self.term.findData(old or first)))
            self.term.blockSignals(False)
            self._rebuild()
        elif self.chart is not None:
            self.chart.show_history(self._together(), 1)

    def _rebuild(self) -> None:
        from app.training.runs.chart_view import ChartView

        term = self.term.currentData()
        if term is None:
            return
        if self.chart is not None:
            self._column.removeWidget(self.chart)
            self.chart.deleteLater()
        curves = tuple(
            Curve(f"{n}:{term}", path.name, COLOURS[n]) for n, path in enumerate(self.runs)
        )
        chart = Chart("compare", self.term.currentText(), "", "", curves)
        self.chart = ChartView(chart)
        self.waiting.hide()
        self._column.addWidget(self.chart, 1)
        self.chart.show_history(self._together(), 1)

    def _together(self) -> CombinedHistory:
        return CombinedHistory([f.history for f in self.followers])

    def _filter(self) -> None:
        for row in range(self.table.rowCount()):
            item = self.table.item(row, 0)
            differs = bool(item and item.data(Qt.ItemDataRole.UserRole))
            self.table.setRowHidden(row, not (differs or self.everything.isChecked()))


def terms_of(histories: Sequence[History]) -> list[tuple[str, str]]:
    """Return (name, text) of every curve that one of the runs has."""
    names: dict[str, None] = {}
    for history in histories:
        names.update(dict.fromkeys(history.names))
    return [(c.name, f"{chart.title}: {c.label}") for chart in charts_for(list(names))
            for c in chart.curves]  # fmt: skip


def plan_table(runs: Sequence[Path]) -> QTableWidget:
    """Return the runs' settings side by side; those that differ are marked."""
    plans: list[dict[str, Any]] = []
    for path in runs:
        try:
            plans.append(settings_of(load_plan(path / "plan.json")))
        except UserError:
            plans.append({})
    names = list(dict.fromkeys(name for plan in plans for name in plan))
    table = QTableWidget(len(names), 1 + len(runs))
    table.setHorizontalHeaderLabels(["Setting", *(path.name for path in runs)])
    table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
    table.verticalHeader().hide()
    for row, name in enumerate(names):
        texts = [shown(plan[name]) if name in plan else "–" for plan in plans]
        differs = len(set(texts)) > 1
        first = QTableWidgetItem(name)
        first.setData(Qt.ItemDataRole.UserRole, differs)
        table.setItem(row, 0, first)
        for place, text in enumerate(texts, 1):
            item = QTableWidgetItem(text)
            if differs:
                bold = QFont(item.font())
                bold.setBold(True)
                item.setFont(bold)
            table.setItem(row, place, item)
    table.resizeColumnsToContents()
    table.horizontalHeader().setSectionResizeMode(len(runs), QHeaderView.ResizeMode.Stretch)
    return table
