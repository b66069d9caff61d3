"""What a right click on a row of the Case panel offers."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMenu, QWidget

from app.files.controller import FilesController
from app.shared.context import Context
from app.shell.commands import remove_layer
from app.state.values import Kind


def layer_menu(context: Context, files: FilesController, layer_id: str, parent: QWidget) -> QMenu:
    """Return the menu of one layer; it deletes itself when it closes."""
    session, layer = context.session, context.session.layer(layer_id)
    menu = QMenu(parent)
    menu.addAction("Show in the slice views", partial(session.set_active, layer_id))
    menu.addAction("Use as foreground", partial(session.set_secondary, layer_id))
    menu.addSeparator()
    menu.addAction("Save volume…", partial(files.ask_save, layer_id))
    if layer.kind in (Kind.REAL, Kind.LABEL):
        other = Kind.LABEL if layer.kind is Kind.REAL else Kind.REAL
        words = "Show as label map" if other is Kind.LABEL else "Show as image"
        menu.addAction(words, partial(files.opener.change_kind, layer_id, other))
    menu.addAction("Remove", partial(remove_layer, context, layer_id))
    menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    return menu
