"""Every user action, once: menu entry, shortcut, tooltip and button are the same object."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu, QMenuBar


@dataclass(frozen=True)
class Command:
    """One thing the user can do.

    Attributes:
        name: unique.
        text: what the menu says; ends in … when it asks something first.
        group: heading in the sheet of keys.
        menu: path of menus, ``"View/Compare"``; empty for none.
        run: does it.
        keys: portable key sequences; the first is the one shown.
        tip: one sentence.
        checked: tells the state of an on-off command; None for others.
        enabled: tells whether it can be done now; None for always.
        local: the keys work only in the viewers, which handle them themselves (arrows, which
            lists and spin boxes need too).
        separated: a line goes before it in the menu.
        says: tells what the menu says now; None where that is always ``text``.
    """

    name: str
    text: str
    group: str
    menu: str
    run: Callable[[], None]
    keys: tuple[str, ...] = ()
    tip: str = ""
    checked: Callable[[], bool] | None = None
    enabled: Callable[[], bool] | None = None
    local: bool = False
    separated: bool = False
    says: Callable[[], str] | None = None


class Commands(QObject):
    """The list of commands and their QActions.

    Args:
        parent: the window; shortcuts work anywhere in it.
    """

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.all: list[Command] = []
        self.actions: dict[str, QAction] = {}

    def add(self, commands: Iterable[Command]) -> None:
        """Register commands.

        Raises:
            ValueError: a name or a key is taken.
        """
        taken = {key for command in self.all for key in command.keys}
        for command in commands:
            if command.name in self.actions:
                raise ValueError(f"two commands are called {command.name}")
            double = taken & set(command.keys)
            if double:
                raise ValueError(f"{command.name}: {', '.join(double)} is taken")
            taken |= set(command.keys)
            self.all.append(command)
            self.actions[command.name] = self._action(command)

    def run(self, name: str) -> None:
        """Do a command by name.

        Raises:
            KeyError: no command has this name.
        """
        self.actions[name].trigger()

    def fill(self, bar: QMenuBar) -> None:
        """Make the menus."""
        menus: dict[str, QMenu] = {}

        def menu_at(path: str) -> QMenu:
            if path not in menus:
                above, _, title = path.rpartition("/")
                made = menu_at(above).addMenu(title) if above else bar.addMenu(f"&{title}")
                made.setToolTipsVisible(True)
                made.aboutToShow.connect(self.refresh)
                menus[path] = made
            return menus[path]

        for command in self.all:
            if command.menu:
                menu = menu_at(command.menu)
                if command.separated:
                    menu.addSeparator()
                menu.addAction(self.actions[command.name])

    def refresh(self) -> None:
        """Bring check marks and enabled states up to date."""
        for command in self.all:
            action = self.actions[command.name]
            if command.checked is not None:
                action.setChecked(command.checked())
            if command.enabled is not None:
                action.setEnabled(command.enabled())
            if command.says is not None:
                action.setText(command.says())

    def _action(self, command: Command) -> QAction:
        action = QAction(command.text, self.parent())
        action.setShortcuts([QKeySequence(key) for key in command.keys])
        action.setToolTip(_tip(command))
        if command.local:
            # Shown in the menu, handled by the viewers' own key table.
            action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        action.setCheckable(command.checked is not None)
        action.triggered.connect(lambda _=False: self._run(command))
        return action

    def _run(self, command: Command) -> None:
        if command.enabled is None or command.enabled():
            command.run()
        if command.checked is not None:
            self.actions[command.name].setChecked(command.checked())


def _tip(command: Command) -> str:
    """Return what a command does, its key, and what more there is to say."""
    tip = command.text.rstrip("…")
    if command.keys:
        native = QKeySequence.SequenceFormat.NativeText
        tip += f" ({QKeySequence(command.keys[0]).toString(native)})"
    return f"{tip}\n{command.tip}" if command.tip else tip
