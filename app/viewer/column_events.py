"""What reaches the titles of columns: rows dropped on them, and the question what they are."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, QPointF
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QHelpEvent
from PySide6.QtWidgets import QToolTip, QWidget

from app.state.session import Session
from app.viewer.column_titles import dragged_layer, drop_layer, title_rect
from app.viewer.pane_geometry import PaneGeometry


class ColumnEvents(QObject):
    """Takes rows of the Case panel (files are the window's), and says elided titles whole.

    Args:
        area: the widget that holds the panes.
        session: what is shown.
        pane_at: returns the pane under a pixel.
    """

    def __init__(
        self, area: QWidget, session: Session, pane_at: Callable[[QPointF], PaneGeometry | None]
    ) -> None:
        super().__init__(area)
        self._session, self._pane_at = session, pane_at
        area.setAcceptDrops(True)
        area.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Handle drops and tooltips."""
        kind = event.type()
        if kind == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            self._explain(event)
            return True
        if kind == QEvent.Type.DragEnter and isinstance(event, QDragEnterEvent):
            event.setAccepted(bool(dragged_layer(event.mimeData(), self._session)))
            return True
        if kind == QEvent.Type.Drop and isinstance(event, QDropEvent):
            layer_id = dragged_layer(event.mimeData(), self._session)
            event.setAccepted(bool(layer_id))
            if layer_id:
                drop_layer(self._session, self._pane_at(event.position()), layer_id)
            return True
        return super().eventFilter(watched, event)

    def _explain(self, event: QHelpEvent) -> None:
        pane = self._pane_at(QPointF(event.pos()))
        on = pane is not None and title_rect(pane).contains(event.pos())
        QToolTip.showText(event.globalPos(), pane.layer.name if on and pane else "")
