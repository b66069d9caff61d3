"""The form of every setting of a plan: a tree of sections, edited in place and judged at once."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QComboBox,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTreeWidget,
    QTreeWidgetItem,
    QWidget,
)

from app.training.wizard.fields import (
    FieldError,
    fields_of,
    read,
    sections,
    shown,
    tooltip,
    value_of,
    values_of,
)
from core.errors import UserError
from trainer.plan.families import with_family
from trainer.plan.patches import score_map
from trainer.plan.schema import Plan

NAME, VALUE, UNIT, DEFAULT = range(4)
OPEN = "Length and speed"
Index = QModelIndex | QPersistentModelIndex


class PlanTree(QTreeWidget):
    """Shows a plan's settings; a value typed is taken only when the whole plan can be used."""

    edited = Signal(object)
    """The plan with one setting changed (Plan)."""
    refused = Signal(str)
    """Why what was typed was not taken; empty when it was."""

    def __init__(self) -> None:
        super().__init__()
        self.plan = Plan()
        self.base = Plan()
        self._items: dict[str, QTreeWidgetItem] = {}
        self._family = ""
        self._filling = False
        self.setColumnCount(4)
        self.setHeaderLabels(["Setting", "Value", "Unit", "Preset"])
        self.setAlternatingRowColors(True)
        self.setItemDelegateForColumn(VALUE, _ValueDelegate(self))
        self.setEditTriggers(QTreeWidget.EditTrigger.NoEditTriggers)
        self._list_settings("mhvae")
        header = self.header()
        for column in (NAME, UNIT, DEFAULT):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(VALUE, QHeaderView.ResizeMode.Stretch)
        header.setStretchLastSection(False)
        self.itemChanged.connect(self._changed)
        self.itemDoubleClicked.connect(lambda item, _: self._edit(item))

    def _list_settings(self, family: str) -> None:
        """List the settings that a family's plan has; headings stay open or shut."""
        tops = (self.topLevelItem(n) for n in range(self.topLevelItemCount()))
        shut = {top.text(NAME): top.isExpanded() for top in tops if top is not None}
        self.clear()
        self._items = {}
        self._family = family
        for title, fields in sections(family).items():
            top = QTreeWidgetItem([title])
            self.addTopLevelItem(top)
            top.setExpanded(shut.get(title, title == OPEN))
            for field in fields:
                item = QTreeWidgetItem([field.label, "", field.unit, ""])
                item.setData(NAME, Qt.ItemDataRole.UserRole, field.name)
                item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
                top.addChild(item)
                self._items[field.name] = item

    def fill(self, plan: Plan, base: Plan) -> None:
        """Show a plan.

        Args:
            plan: the values.
            base: the preset's, shown beside them; what differs is bold.
        """
        if base.family != plan.family:
            base = with_family(base, plan.family)
        self.plan, self.base = plan, base
        self._filling = True
        if plan.family != self._family:
            self._list_settings(plan.family)
        known = fields_of(plan.family)
        fixed = bool(plan.start_from)
        values, usuals = values_of(plan), values_of(base)
        for name, item in self._items.items():
            value, usual = values[name], usuals[name]
            item.setText(VALUE, shown(value))
            item.setText(DEFAULT, shown(usual))
            font = item.font(VALUE)
            font.setBold(value != usual)
            item.setFont(VALUE, font)
            tip = tooltip(known[name], usual)
            given = fixed and _of_model(name)
            if given:
                tip = f"Given by the model that is fine-tuned. {tip}"
            item.setDisabled(given)
            for column in range(4):
                item.setToolTip(column, tip)
        self._filling = False

    def set_value(self, name: str, text: str) -> None:
        """Type a value into a setting."""
        self._items[name].setText(VALUE, text)

    def choices(self, index: Index) -> tuple[str, ...]:
        """Return the words a setting may be; empty for free values."""
        name = index.sibling(index.row(), NAME).data(Qt.ItemDataRole.UserRole)
        if name is None:
            return ()
        if isinstance(value_of(self.base, name), bool):
            return ("yes", "no")
        return fields_of(self._family)[name].choices

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter edits; the wizard must not take it for Next."""
        item = self.currentItem()
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_F2) and item is not None:
            if item.parent() is None:
                item.setExpanded(not item.isExpanded())
            self._edit(item)
            event.accept()
        else:
            super().keyPressEvent(event)

    def _edit(self, item: QTreeWidgetItem) -> None:
        busy = self.state() == QTreeWidget.State.EditingState
        if item.parent() is not None and not item.isDisabled() and not busy:
            self.editItem(item, VALUE)

    def _changed(self, item: QTreeWidgetItem, column: int) -> None:
        name = item.data(NAME, Qt.ItemDataRole.UserRole)
        if self._filling or column != VALUE or name is None:
            return
        try:
            value = read(name, item.text(VALUE), self._family)
            plan = (
                with_family(self.plan, value)
                if name == "family"
                else self.plan.override({name: value})
            )
            check(plan)
        except (FieldError, UserError) as error:
            self.fill(self.plan, self.base)
            self.refused.emit(str(error))
            return
        self.refused.emit("")
        if plan != self.plan:
            self.fill(plan, self.base)
            self.edited.emit(plan)


def check(plan: Plan) -> None:
    """Refuse what a plan alone does not see.

    Raises:
        TrainerError: the discriminator would have too few patches, or a number is impossible.
    """
    if plan.loss.gan > 0:
        score_map(plan.model.tile, plan.loss.gan_layers)


def _of_model(name: str) -> bool:
    fixed = ("family", "data.spacing", "data.plane", "data.orientation", "data.percentiles")
    return name.startswith("model.") or name in fixed


class _ValueDelegate(QStyledItemDelegate):
    """Edits words in a list, everything else as text."""

    def __init__(self, tree: PlanTree) -> None:
        super().__init__(tree)
        self._tree = tree

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: Index) -> QWidget:
        """Return a list for settings that are words."""
        words = self._tree.choices(index)
        if not words:
            return super().createEditor(parent, option, index)
        box = QComboBox(parent)
        box.addItems(words)
        box.activated.connect(lambda _: self.commitData.emit(box))
        return box
