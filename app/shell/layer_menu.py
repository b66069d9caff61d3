"""What a right click on a row of the Case panel offers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMenu

from app.state.values import Kind

if TYPE_CHECKING:
    from app.shell.window import MainWindow


def layer_menu(window: MainWindow, layer_id: str) -> QMenu:
    """Return the menu of one layer; it deletes itself when it closes."""
    session, layer = window.session, window.session.layer(layer_id)
    menu = QMenu(window)
    menu.addAction("Show in the planes", partial(session.set_active, layer_id))
    menu.addAction("Compare with the active volume", partial(session.set_secondary, layer_id))
    menu.addSeparator()
    menu.addAction("Save volume…", partial(window.files.ask_save, layer_id))
    if layer.kind in (Kind.REAL, Kind.LABEL):
        other = Kind.LABEL if layer.kind is Kind.REAL else Kind.REAL
        words = "Show as label map" if other is Kind.LABEL else "Show as image"
        menu.addAction(words, partial(window.opener.change_kind, layer_id, other))
    menu.addAction("Remove", partial(window.remove_layer, layer_id))
    menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    return menu
