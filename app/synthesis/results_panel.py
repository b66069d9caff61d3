"""The Results panel: metrics where the truth is known, and how each result came to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.shared.style import make_bold
from app.state.results import Result, Results
from core.marks import SYNTHETIC_SENTENCE

UNITS = {"PSNR": "PSNR, dB"}
"""Headings of metrics that have a unit."""


class ResultsPanel(QWidget):
    """Shows the last whole result of every target."""

    def __init__(self, results: Results, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.results = results
        self.notice = QLabel(SYNTHETIC_SENTENCE)
        make_bold(self.notice)
        self.empty = QLabel("Nothing synthesised yet.")
        self.empty.setEnabled(False)
        self.table = QTableWidget()
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.setSelectionMode(QTableWidget.SelectionMode.NoSelection)
        self.table.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.table.verticalHeader().setVisible(False)
        self.table.verticalHeader().setDefaultSectionSize(self.fontMetrics().lineSpacing() + 8)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.table.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.about = QLabel()
        self.about.setWordWrap(True)
        self.about.setEnabled(False)
        self.tree = QTreeWidget()
        self.tree.setHeaderLabels(["Provenance", ""])
        self.tree.setRootIsDecorated(True)
        self.tree.setUniformRowHeights(True)
        self.tree.setColumnWidth(0, 130)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 6, 8, 6)
        column.setSpacing(5)
        for widget in (self.notice, self.empty, self.table, self.about):
            column.addWidget(widget)
        column.addWidget(self.tree, 1)
        column.addStretch(0)
        results.changed.connect(self._show)
        self._show()

    def _show(self) -> None:
        results = self.results.by_target
        for widget in (self.notice, self.table, self.about, self.tree):
            widget.setVisible(bool(results))
        self.empty.setVisible(not results)
        self._show_metrics(results)
        self.tree.clear()
        for modality, result in results.items():
            top = QTreeWidgetItem([modality, result.kind])
            self.tree.addTopLevelItem(top)
            _fill(top, result.provenance)
            top.setExpanded(True)

    def _show_metrics(self, results: Mapping[str, Result]) -> None:
        names = list(dict.fromkeys(name for r in results.values() for name in r.metrics))
        self.table.setColumnCount(1 + len(names))
        self.table.setHorizontalHeaderLabels(["", *(UNITS.get(n, n) for n in names)])
        self.table.setRowCount(len(results))
        for row, (modality, result) in enumerate(results.items()):
            from_ = " + ".join(result.subset)
            cells = [modality, *(metric_text(name, result.metrics.get(name)) for name in names)]
            for n, text in enumerate(cells):
                item = QTableWidgetItem(text)
                item.setToolTip(f"{result.kind} from {from_}" if from_ else result.kind)
                if n:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
                self.table.setItem(row, n, item)
        height = self.table.horizontalHeader().sizeHint().height() + 4
        height += sum(self.table.rowHeight(row) for row in range(len(results)))
        self.table.setFixedHeight(height)
        judged = any("PSNR" in r.metrics for r in results.values())
        self.about.setText(
            "Inside the field of view both have, against the volume held back or given."
            if judged
            else "No metrics: the truth is not in the case."
        )


def metric_text(name: str, value: float | None) -> str:
    """Return a number with as many digits as it deserves, or a dash."""
    if value is None:
        return "–"
    return f"{value:.1f}" if name in UNITS else f"{value:.3g}"


def _fill(parent: QTreeWidgetItem, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if name == "targets":
            continue
        if isinstance(value, Mapping):
            item = QTreeWidgetItem([name, ""])
            _fill(item, value)
        else:
            text = ", ".join(str(v) for v in value) if isinstance(value, list) else str(value)
            item = QTreeWidgetItem([name.replace("_", " "), text])
            item.setToolTip(1, text)
        parent.addChild(item)
