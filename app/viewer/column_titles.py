"""Choosing what stands in a column: a click on its title, or a row dropped on it."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QMimeData, QPointF, QRect
from PySide6.QtWidgets import QMenu, QWidget

from app.state.session import MAX_COLUMNS, Session
from app.state.values import Layout
from app.viewer.pane_geometry import PaneGeometry

MIME = "application/x-mhvae-layer"
TITLE_HEIGHT = 24
"""Height in pixels of the part of a pane that counts as its title."""


def layer_data(layer_id: str) -> QMimeData:
    """Return what a dragged row of the Case panel carries."""
    data = QMimeData()
    data.setData(MIME, layer_id.encode())
    return data


def dragged_layer(data: QMimeData, session: Session) -> str:
    """Return the layer id a drag carries; empty for other drags."""
    found = bytes(data.data(MIME).data()).decode() if data.hasFormat(MIME) else ""
    return found if found in session else ""


def has_columns(session: Session) -> bool:
    """Tell whether the layout has columns to choose."""
    return session.display.layout in (Layout.COLUMNS, Layout.GRID)


def title_rect(pane: PaneGeometry) -> QRect:
    """Return the pixels of a pane's title: its upper left part."""
    rect = pane.rect
    return QRect(rect.left(), rect.top(), rect.width() // 2, TITLE_HEIGHT)


def on_title(pane: PaneGeometry, at: QPointF) -> bool:
    """Tell whether a pixel lies on the title of a column."""
    return has_columns(pane.scene.session) and title_rect(pane).contains(at.toPoint())


def column_of(session: Session, layer_id: str) -> int:
    """Return the number of a layer's column, from 0; past the end when it has none."""
    ids = [x.id for x in session.columns()]
    return ids.index(layer_id) if layer_id in ids else len(ids)


def drop_layer(session: Session, pane: PaneGeometry | None, layer_id: str) -> None:
    """Show a dropped layer where it was dropped."""
    if not session.layer(layer_id).is_image:
        session.update_layer(layer_id, visible=True)
    elif has_columns(session) and pane is not None:
        session.put_in_column(column_of(session, pane.slot.layer_id), layer_id)
    else:
        session.update_layer(layer_id, visible=True)
        session.set_active(layer_id)


def column_menu(session: Session, layer_id: str, parent: QWidget) -> QMenu:
    """Return the menu of a column's title."""
    menu, number = QMenu(parent), column_of(session, layer_id)
    columns = [x.id for x in session.columns()]
    images = [x for x in session.layers if x.is_image and (not x.sample or x.visible)]
    for layer in images:
        action = menu.addAction(layer.name, partial(session.put_in_column, number, layer.id))
        action.setCheckable(True)
        action.setChecked(layer.id == layer_id)
    menu.addSeparator()
    more = menu.addMenu("Add a column")
    for layer in images:
        if layer.id not in columns:
            more.addAction(layer.name, partial(session.put_in_column, len(columns), layer.id))
    more.setEnabled(bool(more.actions()) and len(columns) < MAX_COLUMNS)
    removal = menu.addAction("Remove this column", partial(session.remove_column, number))
    removal.setEnabled(len(columns) > 1)
    automatic = menu.addAction("Automatic columns", partial(session.set_columns, ()))
    automatic.setEnabled(bool(session.chosen_columns))
    return menu
