"""The Case panel: a row per volume."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPoint, QSize, Qt, QTimer, Signal
from PySide6.QtWidgets import QFrame, QLabel, QScrollArea, QVBoxLayout, QWidget

from app.files.opener import FileOpener
from app.shared.context import Context
from app.shared.style import say
from app.shell.commands import remove_layer
from app.shell.layer_row import Row
from app.state.undo import EditAvailable, EditModality

THUMBNAIL_DELAY_MS = 400
ROW_WIDTH = 238
"""Pixels that a row needs: kept free at once, or the viewers would move when one comes."""


class CasePanel(QScrollArea):
    """Rows follow the session; what a row asks for goes through undoable commands."""

    menu_wanted = Signal(str, object)
    """(layer id, global position): the user asked for a layer's menu."""
    pictured = Signal(str, object)
    """(layer id, QPixmap): a thumbnail was drawn."""

    def __init__(self, context: Context, opener: FileOpener, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.context = context
        self.session, self.undo, self.opener = context.session, context.undo, opener
        session = context.session
        self.rows: dict[str, Row] = {}
        self._stale: set[str] = set()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        inner = QWidget()
        self._column = QVBoxLayout(inner)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(0)
        self._hint = QLabel("No volumes yet. Drop files or a folder anywhere on the window.")
        self._hint.setWordWrap(True)
        self._hint.setMargin(8)
        say(self._hint, "hint", True)
        self._column.addWidget(self._hint)
        self._column.addStretch(1)
        self.setWidget(inner)
        self._timer = QTimer(self, singleShot=True, interval=THUMBNAIL_DELAY_MS)
        self._timer.timeout.connect(self._draw_stale)
        session.layers_changed.connect(self._rebuild)
        session.layer_changed.connect(self._refresh)
        session.active_changed.connect(self._mark_active)
        session.voxels_touched.connect(lambda layer_id, _: self._later(layer_id))
        session.synthesis.form_changed.connect(self._refresh_all)
        opener.opened.connect(self._show)  # by now it is known where the guess comes from

    def changeEvent(self, event: QEvent) -> None:
        """Redraw icons when the palette turns light or dark."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._refresh_all()
            self._mark_active()

    def _rebuild(self) -> None:
        # Single samples are stepped through in the Results panel; only the shown one has a row.
        layers = [x for x in self.session.layers if not x.sample or x.visible]
        ids = {x.id for x in layers}
        for layer_id in [i for i in self.rows if i not in ids]:
            row = self.rows.pop(layer_id)
            self._column.removeWidget(row)
            row.hide()
            row.deleteLater()
        for n, layer in enumerate(layers):
            row = self.rows.get(layer.id) or self._add(layer.id)
            if self._column.indexOf(row) != n:
                self._column.insertWidget(n, row)
        self._hint.setVisible(not layers)
        self.updateGeometry()
        self._mark_active()

    def minimumSizeHint(self) -> QSize:
        """Be wide enough for every row and the bar: there is no sideways scrolling."""
        bar = self.verticalScrollBar().sizeHint().width()
        width = max(ROW_WIDTH, self._column.minimumSize().width()) + bar
        return QSize(width, super().minimumSizeHint().height())

    def _add(self, layer_id: str) -> Row:
        layer = self.session.layer(layer_id)
        row = Row(layer)
        self.rows[layer_id] = row
        row.picked.connect(self.session.set_active)
        row.modality_edited.connect(self._set_modality)
        row.available_edited.connect(self._set_available)
        row.visible_edited.connect(lambda i, on: self.session.update_layer(i, visible=on))
        row.colormap_edited.connect(lambda i, m: self.session.update_layer(i, colormap=m))
        row.opacity_edited.connect(lambda i, x: self.session.update_layer(i, opacity=x))
        row.labels_edited.connect(lambda i, x: self.session.update_layer(i, labels=x))
        row.key.toggled.connect(lambda on: row.show_legend(on, self.session.layer(row.layer_id)))
        row.removed.connect(self._remove)
        row.menu_wanted.connect(self._menu)
        self._show(layer_id)
        self._later(layer_id)
        return row

    def _menu(self, layer_id: str, at: QPoint) -> None:
        self.menu_wanted.emit(layer_id, at)

    def _set_modality(self, layer_id: str, modality: str) -> None:
        if layer_id in self.session and modality != self.session.layer(layer_id).modality:
            self.undo.push(EditModality(self.session, layer_id, modality))

    def _set_available(self, layer_id: str, on: bool) -> None:
        if on != self.session.layer(layer_id).available:
            self.undo.push(EditAvailable(self.session, layer_id, on))

    def _remove(self, layer_id: str) -> None:
        remove_layer(self.context, layer_id)

    def _refresh(self, layer_id: str, field: str) -> None:
        layer = self.session.layer(layer_id)
        if layer.sample and field == "visible":
            self._rebuild()
        if layer_id in self.rows and field != "position":
            self._show(layer_id)
            if field in ("volume", "window", "colormap"):
                self._later(layer_id)

    def _refresh_all(self) -> None:
        for layer_id in self.rows:
            self._show(layer_id)

    def _show(self, layer_id: str) -> None:
        origin = self.opener.origins.get(layer_id)
        modalities = self.session.synthesis.modalities
        layer = self.session.layer(layer_id)
        self.rows[layer_id].show_layer(layer, modalities, origin.reason if origin else "")

    def _mark_active(self) -> None:
        active = self.session.active
        for layer_id, row in self.rows.items():
            row.show_active(active is not None and active.id == layer_id)

    def _later(self, layer_id: str) -> None:
        """Draw a thumbnail soon: a drag of the window or a live result changes it many times."""
        self._stale.add(layer_id)
        if not self._timer.isActive():
            self._timer.start()

    def _draw_stale(self) -> None:
        for layer_id in self._stale & set(self.rows):
            row = self.rows[layer_id]
            row.show_thumbnail(self.session.layer(layer_id))
            self.pictured.emit(layer_id, row.thumbnail.pixmap())
        self._stale.clear()
