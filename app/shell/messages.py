"""Where notes appear: a bar under the viewers for the newest, a list for all."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import (
    QEvent,
    QModelIndex,
    QPersistentModelIndex,
    QRect,
    QSize,
    Qt,
    QTimer,
    Signal,
)
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QMenu,
    QPushButton,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QToolButton,
    QTreeWidget,
    QTreeWidgetItem,
    QWidget,
)

from app.shared.lines import FewLines
from app.shared.style import icon, say
from app.state.messages import Messages, Note, Severity

INFO_MS = 8000
"""Good news goes away by itself; errors stay until they are dismissed."""
SIGNS = {Severity.INFO: "", Severity.WARNING: "Note", Severity.ERROR: "Problem"}


class MessageBar(QFrame):
    """Shows the newest note with its buttons."""

    history_wanted = Signal()

    def __init__(self, messages: Messages, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.note: Note | None = None
        self._unread = 0
        self.setObjectName("messages")
        self.sign = QLabel()
        self.sign.setObjectName("sign")
        self.text = FewLines(2)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._row = QHBoxLayout()
        self.buttons: list[QPushButton] = []
        self.others = QPushButton("What to do")
        self.others.setMenu(QMenu(self))
        self.others.hide()
        self.more = QToolButton()
        self.more.setAutoRaise(True)
        self.more.setToolTip("Show all messages")
        self.more.clicked.connect(self.history_wanted)
        self.dismiss = QToolButton()
        self.dismiss.setAutoRaise(True)
        self.dismiss.setToolTip("Dismiss")
        self.dismiss.clicked.connect(self.clear)
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 4, 8, 4)
        row.addWidget(self.sign)
        row.addWidget(self.text, 1)
        row.addLayout(self._row)
        row.addWidget(self.others)
        row.addWidget(self.more)
        row.addWidget(self.dismiss)
        self._timer = QTimer(self, singleShot=True, interval=INFO_MS)
        self._timer.timeout.connect(self.clear)
        messages.added.connect(self.show_note)
        # The pictures must not move when a note comes or goes: its two lines are always kept free.
        self.setFixedHeight(2 * self.fontMetrics().lineSpacing() + 10)
        policy = self.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.setSizePolicy(policy)
        self.hide()

    def show_note(self, note: Note) -> None:
        """Show a note; an error that still waits is counted, not lost (the list has it)."""
        waiting = self.isVisible() and self.note is not None
        if waiting and self.note is not None and self.note.severity is Severity.ERROR:
            self._unread += 1
            if note.severity is not Severity.ERROR:
                self._show_more()
                return
        self.note = note
        self.sign.setText(SIGNS[note.severity])
        self.sign.setVisible(bool(SIGNS[note.severity]))
        self.text.setText(note.sentence)
        for old in self.buttons:
            old.hide()
            old.deleteLater()
        self.buttons = [QPushButton(action.label) for action in note.actions]
        for button, action in zip(self.buttons, note.actions, strict=True):
            button.clicked.connect(partial(self._act, action.run))
            self._row.addWidget(button)
        self._fold()
        self._show_more()
        self._paint_edge()
        self.show()
        self._timer.stop()
        if note.severity is Severity.INFO:
            self._timer.start()

    def clear(self) -> None:
        """Put the bar away."""
        self.note = None
        self._unread = 0
        self._timer.stop()
        self.hide()

    def changeEvent(self, event: QEvent) -> None:
        """Follow the palette."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._paint_edge()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fold buttons away that have no room now."""
        super().resizeEvent(event)
        self._fold()

    def minimumSizeHint(self) -> QSize:
        """Be as narrow as the viewers: a note makes no window wider."""
        return QSize(240, super().minimumSizeHint().height())

    def _fold(self) -> None:
        """Show the buttons where they leave half of the width to the words, else a menu of them."""
        menu = self.others.menu()
        menu.clear()
        wanted = sum(b.sizeHint().width() + self._row.spacing() for b in self.buttons)
        folded = (
            len(self.buttons) > 1 and wanted > self.width() // 2 - self.others.sizeHint().width()
        )
        for button in self.buttons:
            button.setVisible(not folded)
            if folded:
                menu.addAction(button.text(), button.click)
        self.others.setVisible(folded)

    def _act(self, run: Callable[[], None], _: bool = False) -> None:
        self.clear()
        run()

    def _show_more(self) -> None:
        self.more.setText(f"{self._unread} more" if self._unread else "All")

    def _paint_edge(self) -> None:
        self.dismiss.setIcon(icon("remove"))
        bad = self.note is not None and self.note.severity is Severity.ERROR
        say(self, "bad", bad)
        say(self.sign, "bad", bad)


class _Wrapping(QStyledItemDelegate):
    """Gives a row the height of its sentence; a tree asks for one line alone."""

    def __init__(self, tree: QTreeWidget) -> None:
        super().__init__(tree)
        self._tree = tree

    def sizeHint(
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> QSize:
        """Return the size of the words in their column's width."""
        line = super().sizeHint(option, index)
        room = QRect(0, 0, self._tree.columnWidth(index.column()) - 8, 10_000)
        words = self._tree.fontMetrics().boundingRect(
            room, int(Qt.TextFlag.TextWordWrap), str(index.data())
        )
        return QSize(line.width(), max(line.height(), words.height() + 2))


class MessageList(QTreeWidget):
    """Every note of this start, newest on top."""

    def __init__(self, messages: Messages, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setHeaderLabels(["Time", "", "Message"])
        self.setRootIsDecorated(False)
        self.setWordWrap(True)
        header = self.header()
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(True)
        self.setItemDelegateForColumn(2, _Wrapping(self))
        header.sectionResized.connect(lambda *_: self.scheduleDelayedItemsLayout())
        for note in messages.history:
            self._add(note)
        messages.added.connect(self._add)

    def _add(self, note: Note) -> None:
        item = QTreeWidgetItem([note.time.strftime("%H:%M:%S"), note.severity, note.sentence])
        item.setToolTip(2, note.sentence)
        self.insertTopLevelItem(0, item)
