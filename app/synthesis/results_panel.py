"""The Results panel: every result with its metrics; choose, name, compare, step samples, delete."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from html import escape
from typing import Any

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QMenu,
    QPushButton,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QToolButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.shared.context import Context
from app.shared.style import make_bold, say
from app.state.record import Result
from app.state.undo import RemoveLayers, RenameResult
from app.state.values import Compare
from core.marks import SYNTHETIC_SENTENCE
from core.synthesis.input_warning import told

UNITS = {"PSNR": "dB"}
"""Metrics that have a unit of their own."""
VALUES = ("MAE", "mean σ")
"""Metrics in the units of the volume."""
UNDER_WAY = "under way…"
ROWS_SHOWN = 6


class ResultsPanel(QWidget):
    """Lists the results; the chosen one is what the viewers are about.

    Args:
        context: the results, and the undo stack.
        save: asks how to save the volume of a layer id.
    """

    card_wanted = Signal(str)
    """Name of the model whose card the user asked for."""

    def __init__(
        self, context: Context, save: Callable[[str], None], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.context, self.session = context, context.session
        self.results, self._save = context.session.results, save
        self.shown: list[Result] = []
        self.notice = QLabel(SYNTHETIC_SENTENCE)
        make_bold(self.notice)
        self.notice.setWordWrap(True)
        self.empty = QLabel("Nothing synthesised yet.")
        say(self.empty, "hint", True)
        self.table = QTableWidget()
        self.table.setSelectionBehavior(QTableWidget.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QTableWidget.SelectionMode.SingleSelection)
        self.table.setEditTriggers(QTableWidget.EditTrigger.DoubleClicked)
        self.table.setAccessibleName("Results")
        self.table.verticalHeader().setVisible(False)
        self.table.verticalHeader().setDefaultSectionSize(self.fontMetrics().lineSpacing() + 8)
        self.warning = QLabel()
        make_bold(self.warning)
        self.warning.setWordWrap(True)
        self.warning.setAccessibleName("Warning about the input")
        self.about = QLabel()
        self.about.setWordWrap(True)
        self.limits = QLabel()
        self.limits.setWordWrap(True)
        self.limits.setAccessibleName("Known limits of the model")
        self.tree = QTreeWidget()
        self.tree.setHeaderLabels(["Provenance", ""])
        self.tree.setUniformRowHeights(True)
        self.tree.setColumnWidth(0, 130)
        self.tree.setMinimumHeight(7 * self.fontMetrics().lineSpacing())
        self.compare = QPushButton("Compare")
        self.compare.setToolTip("Lay another result over this one, in the compare mode of choice")
        self.compare.setMenu(QMenu(self))
        self.save = QPushButton("Save…")
        self.save.setToolTip("Save this result's volume, or the sample that is shown")
        self.delete = QPushButton("Delete")
        self.delete.setToolTip("Take this result and its maps out of the case (can be undone)")
        self.samples = QWidget()
        self.previous, self.next = QToolButton(), QToolButton()
        self.sample = QLabel()
        self._lay_out()
        self._connect()
        self._show()

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        buttons.setSpacing(4)
        for button, share in ((self.compare, 4), (self.save, 3), (self.delete, 3)):
            button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            buttons.addWidget(button, share)
        steps = QHBoxLayout(self.samples)
        steps.setContentsMargins(0, 0, 0, 0)
        steps.setSpacing(4)
        for step, arrow, tip in (
            (self.previous, Qt.ArrowType.LeftArrow, "Previous sample"),
            (self.next, Qt.ArrowType.RightArrow, "Next sample"),
        ):
            step.setArrowType(arrow)
            step.setToolTip(tip)
            step.setAccessibleName(tip)
        steps.addWidget(self.previous)
        steps.addWidget(self.sample)
        steps.addWidget(self.next)
        steps.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(4)
        for widget in (
            self.notice,
            self.empty,
            self.table,
            self.warning,
            self.about,
            self.limits,
            self.samples,
        ):
            column.addWidget(widget)
        column.addLayout(buttons)
        column.addWidget(self.tree, 1)
        column.addStretch(0)

    def _connect(self) -> None:
        self.limits.linkActivated.connect(self._ask_card)
        self.results.changed.connect(self._show)
        self.table.itemSelectionChanged.connect(self._choose)
        self.table.itemChanged.connect(self._rename)
        self.compare.menu().aboutToShow.connect(self._fill_compare)
        self.save.clicked.connect(self._save_shown)
        self.delete.clicked.connect(self._delete)
        self.previous.clicked.connect(lambda: self._step(-1))
        self.next.clicked.connect(lambda: self._step(1))

    # ---- what changed

    def _show(self) -> None:
        self.shown = [*self.results.all, *self.results.live]
        current, some = self.results.current, bool(self.shown)
        for widget in (self.notice, self.table, self.about, self.tree):
            widget.setVisible(some)
        self.empty.setVisible(not some)
        self._show_table(current)
        whole = current is not None and current in self.results.all
        for button in (self.compare, self.save, self.delete):
            button.setVisible(some)
            button.setEnabled(whole)
        self.compare.setEnabled(whole and len(self.results.all) > 1)
        warning = told(current.provenance) if current else ""
        self.warning.setText(warning)
        self.warning.setVisible(bool(warning))
        self.about.setText(why(current, live=not whole) if current else "")
        limits = current.limits if current else ""
        known = f"Known limits of {current.model}: {limits}" if current and limits else ""
        link = '<a href="card">Model card</a>'
        self.limits.setText(f"{escape(known)} {link}".strip())
        self.limits.setToolTip(known)  # a small window cannot show all of it
        self.limits.setVisible(current is not None and bool(current.model))
        self._show_samples(current)
        self.tree.clear()
        if current is not None:
            _fill(self.tree, facts(current))
            self.tree.expandToDepth(0)

    def _show_table(self, current: Result | None) -> None:
        names = list(dict.fromkeys(name for r in self.shown for name, _ in _by_name(r)))
        with QSignalBlocker(self.table):
            self.table.setColumnCount(1 + len(names))
            self.table.setHorizontalHeaderLabels(["Result", *(heading(n) for n in names)])
            self.table.setRowCount(len(self.shown))
            for row, result in enumerate(self.shown):
                cells = [result.title, *(metric_text(n, result.metrics.get(n)) for n in names)]
                if result in self.results.live:
                    cells[0] += f" – {UNDER_WAY}"
                for n, text in enumerate(cells):
                    item = QTableWidgetItem(text)
                    item.setToolTip(self._tip(result))
                    if n:
                        item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
                        item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEditable)
                    self.table.setItem(row, n, item)
            if current is not None:
                self.table.selectRow(self.shown.index(current))
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setMinimumSectionSize(40)
        self._fit_titles()
        bar = self.table.horizontalScrollBar().sizeHint().height()
        height = header.sizeHint().height() + bar + 4
        shown = min(len(self.shown), ROWS_SHOWN)
        self.table.setFixedHeight(height + sum(self.table.rowHeight(r) for r in range(shown)))

    def _fit_titles(self) -> None:
        """Give the titles what the metrics leave, and no less than they need."""
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Fixed)
        others = sum(header.sectionSize(n) for n in range(1, header.count()))
        needed = self.table.sizeHintForColumn(0)
        header.resizeSection(0, max(self.table.viewport().width() - others, needed))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Let the titles have the room."""
        super().resizeEvent(event)
        self._fit_titles()

    def _tip(self, result: Result) -> str:
        lines = [f"{result.kind} from {' + '.join(result.subset)}", result.asked]
        if result.model:
            lines.append(f"Model: {result.model}")
        if result.metrics and result.truth_name:
            lines.append(f"Judged against {result.truth_name}")
        return "\n".join([*lines, "Double-click to rename"])

    def _show_samples(self, current: Result | None) -> None:
        kept = self.results.samples(current) if current else []
        self.samples.setVisible(bool(kept))
        if current is not None and kept:
            number = self.results.shown_sample(current)
            text = f"sample {number} of {len(kept)}" if number else f"mean of {len(kept)} samples"
            self.sample.setText(text)

    # ---- what the user does

    def _choose(self) -> None:
        row = self.table.currentRow()
        if 0 <= row < len(self.shown):
            result = self.shown[row]
            self.results.choose(result.id)
            if result.layer_id in self.session:
                self.session.set_columns(())
                self.session.set_active(result.layer_id)

    def _rename(self, item: QTableWidgetItem) -> None:
        result = self.shown[item.row()]
        name = item.text().removeprefix(f"#{result.number}").strip()
        if name == f"{result.target} from {' + '.join(result.subset)}":
            name = ""
        if result in self.results.all and name != result.name:
            self.context.undo.push(RenameResult(self.session, result, name))

    def _fill_compare(self) -> None:
        menu, current = self.compare.menu(), self.results.current
        menu.clear()
        for other in self.results.all:
            if current is not None and other.id != current.id:
                menu.addAction(other.title, partial(self.compare_with, other))

    def compare_with(self, other: Result) -> None:
        """Lay another result over the current one."""
        current, session = self.results.current, self.session
        if current is None:
            return
        session.set_active(current.layer_id)
        session.set_secondary(other.layer_id)
        if session.display.compare is Compare.OFF:
            session.set_display(compare=Compare.SWIPE)

    def _save_shown(self) -> None:
        current = self.results.current
        if current is not None:
            shown = [x.id for x in self.results.samples(current) if x.visible]
            self._save(shown[0] if shown else current.layer_id)

    def _delete(self) -> None:
        current = self.results.current
        if current is not None:
            rows = [x.id for x in self.results.rows(current)]
            self.context.undo.push(RemoveLayers(self.session, rows, f"Delete {current.title}"))

    def _ask_card(self, _: str) -> None:
        if self.results.current is not None:
            self.card_wanted.emit(self.results.current.model)

    def _step(self, step: int) -> None:
        current = self.results.current
        if current is not None:
            count = len(self.results.samples(current)) + 1
            self.results.show_sample(current, (self.results.shown_sample(current) + step) % count)


def heading(name: str) -> str:
    """Return a metric's name, and its unit below it."""
    return f"{name}\n{unit(name)}"


def unit(name: str) -> str:
    """Return what a metric is measured in; empty for a pure number."""
    return "grey values" if name in VALUES else UNITS.get(name, "")


def _by_name(result: Result) -> list[tuple[str, float]]:
    """Return the metrics in the order they are always told in."""
    order = ("PSNR", "SSIM", "MAE")
    known = {n: k for k, n in enumerate(order)}
    return sorted(result.metrics.items(), key=lambda x: known.get(x[0], len(order)))


def why(result: Result, *, live: bool) -> str:
    """Return what the metrics of a result are about, or why there are none."""
    if live:
        return f"{result.title} is under way. It is judged when it is whole."
    if "PSNR" in result.metrics:
        judged = ", ".join(
            f"{n} {metric_text(n, v)} {unit(n)}".strip() for n, v in _by_name(result)
        )
        return f"{judged}. Inside the field of view both have, against {result.truth_name}."
    if result.probe:
        return "No metrics: a virtual sweep is compared with nothing."
    if result.truth_name:
        return f"No metrics: {result.truth_name} and the result have no field of view in common."
    return (
        f"No metrics: the case holds no real {result.target} to compare with. Open one, or switch "
        f"off the input of a volume you have to see how well it is predicted."
    )


def facts(result: Result) -> dict[str, Any]:
    """Return what is known of a result, for the tree."""
    given = {
        f"{m}{'' if m in result.subset else ' (not an input)'}": g.name
        for m, g in result.given.items()
    }
    return {"settings": result.asked, "volumes": given, **result.provenance, "result": result.id}


def metric_text(name: str, value: float | None) -> str:
    """Return a number with as many digits as it deserves, or a dash."""
    if value is None:
        return "–"
    return f"{value:.1f}" if name in UNITS else f"{value:.3g}"


def _fill(parent: QTreeWidget | QTreeWidgetItem, values: Mapping[str, Any]) -> None:
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
        if isinstance(parent, QTreeWidget):
            parent.addTopLevelItem(item)
        else:
            parent.addChild(item)
