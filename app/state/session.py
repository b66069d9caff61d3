"""The one observable state of the window: layers, cursor and display settings.

Views, panels and commands subscribe to its signals and never talk to each other. It belongs to the
window's thread. Every setter returns silently when nothing changes, so a view may echo its input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Unpack

import numpy as np
from numpy.typing import ArrayLike
from PySide6.QtCore import QObject, Signal

from app.state.columns import automatic_columns, counterpart
from app.state.layers import Layers
from app.state.pair import AlignedPair
from app.state.results import Results
from app.state.synthesis import SynthesisChoices
from app.state.values import (
    DisplayEdit,
    Kind,
    Layer,
    Ruler,
    Tool,
    UnlockedLayers,
    Vector,
    View,
)
from core.grid import Grid

MAX_COLUMNS = 6


class Session(Layers):
    """Layers, cursor, display; one per window.

    Attributes:
        name: pseudonymous id of the case.
        display: the settings all views share; change them with ``set_display``.
        rulers: the measured distances; change them with ``set_rulers``.
        tool: what the left button does in the viewers; change it with ``set_tool``.
        peeked: layer id → grid to draw it on instead of its own; change it with ``peek``.
        synthesis: what the model is asked.
        results: what it answered.
        pair: what is aligned to what.
        remembered_windows: modality → window relative to the automatic one (0 and 1 are its ends).
    """

    active_changed = Signal()
    """The active layer, its counterpart or the columns changed."""
    cursor_changed = Signal(str)
    """Layer id whose cursor moved, or ``""`` for all."""
    view_changed = Signal(str)
    """Layer id whose zoom or pan changed, or ``""`` for all."""
    display_changed = Signal(str)
    """Name of the ``Display`` field that changed, or ``"rulers"``, ``"tool"``, ``"peek"``."""

    def __init__(self, parent: QObject | None = None, name: str = "") -> None:
        super().__init__(parent)
        self.name = name
        self.rulers: tuple[Ruler, ...] = ()
        self._active = ""
        self._secondary = ""
        self._columns: tuple[str, ...] = ()
        self._reference = ""
        self.tool = Tool.NONE
        self.peeked: dict[str, Grid] = {}
        self._cursor: Vector = np.zeros(3)
        self._view = View()
        self._home: tuple[View, Vector] | None = None
        self._own = UnlockedLayers()
        self.synthesis = SynthesisChoices(self)
        self.results = Results(self)
        self.results.changed.connect(self.active_changed)
        self.pair = AlignedPair(self, self.set_reference)

    # ---- active layer, counterpart, columns

    @property
    def active(self) -> Layer | None:
        """The layer the three planes show; its grid is the reference for steps and readouts."""
        return self._layers.get(self._active)

    @property
    def reference(self) -> Layer | None:
        """The image whose axes are the planes' axes.

        The one chosen with ``set_reference``, else the first real image that was not moved (planes
        that follow a moving volume would make the others move), else the first image.
        """
        if self._reference in self._layers:
            return self._layers[self._reference]
        images = [x for x in self.layers if x.is_image]
        real = [x for x in images if x.kind is Kind.REAL]
        still = [x for x in real if x.placement is None]
        return next(iter([*still, *real, *images]), None)

    @property
    def secondary(self) -> Layer | None:
        """What compare modes lay over the active layer.

        Chosen with ``set_secondary``; otherwise real and synthetic of one modality are each
        other's counterpart, else the next visible image is.
        """
        active, chosen = self.active, self._layers.get(self._secondary)
        if active is None:
            return None
        return (
            chosen
            if chosen is not None and chosen is not active
            else counterpart(active, self, self.results)
        )

    def set_active(self, layer_id: str) -> None:
        """Make an image layer the active one.

        Raises:
            KeyError: no layer has this id.
        """
        layer = self._layers[layer_id]
        if not layer.is_image:
            return
        if layer.result is not None:
            self.results.choose(layer.result.id)
        if layer_id != self._active:
            self._active = layer_id
            self.active_changed.emit()

    def set_secondary(self, layer_id: str) -> None:
        """Choose the counterpart of compare modes; ``""`` returns to the automatic choice."""
        if layer_id != self._secondary:
            self._secondary = layer_id
            self.active_changed.emit()

    def set_reference(self, layer_id: str) -> None:
        """Choose whose axes the planes follow; ``""`` returns to the automatic choice."""
        if layer_id == self._reference:
            return
        before = self.reference
        self._reference = layer_id
        after = self.reference
        if before is not None and after is not None and before is not after:
            # Views are told from the reference's middle and size: keep what is on screen.
            old, new = before.volume.grid, after.volume.grid
            x, y, z = np.add(self._view.pan, old.centre - new.centre).tolist()
            sizes = [float(np.max(g.spacing * g.shape)) for g in (old, new)]
            self._view = View(self._view.zoom * sizes[1] / sizes[0], (x, y, z))
            self._own.views.clear()
        self.active_changed.emit()
        self.view_changed.emit("")

    def cycle_active(self, step: int) -> None:
        """Make the next (+1) or previous (-1) visible image active."""
        ids = [x.id for x in self.image_layers()]
        if ids:
            here = ids.index(self._active) if self._active in ids else 0
            self.set_active(ids[(here + step) % len(ids)])

    def set_columns(self, layer_ids: Sequence[str]) -> None:
        """Choose the columns of ``COLUMNS`` and ``GRID``; empty returns to the automatic choice."""
        if tuple(layer_ids) != self._columns:
            self._columns = tuple(layer_ids)
            self.active_changed.emit()

    def columns(self) -> list[Layer]:
        """Return the columns: chosen ones, else those of the current result, at most six.

        They are input | truth | synthetic | difference | σ; without any synthesis the visible
        images.
        """
        chosen = [self._layers[c] for c in self._columns if c in self._layers]
        return (chosen or automatic_columns(self.active, self, self.results))[:MAX_COLUMNS]

    def put_in_column(self, number: int, layer_id: str) -> None:
        """Show an image layer in the column ``number``, from 0; its old column takes what was here.

        A number past the last column adds one, while there is room.

        Raises:
            KeyError: no layer has this id.
        """
        ids = [x.id for x in self.columns()]
        if not self._layers[layer_id].is_image:
            return
        self.update_layer(layer_id, visible=True)
        if number >= len(ids):
            ids = [*(i for i in ids if i != layer_id), layer_id][-MAX_COLUMNS:]
        elif layer_id in ids:
            other = ids.index(layer_id)
            ids[number], ids[other] = ids[other], ids[number]
        else:
            ids[number] = layer_id
        self.set_columns(ids)

    def remove_column(self, number: int) -> None:
        """Take a column away; the last one stays."""
        ids = [x.id for x in self.columns()]
        if len(ids) > 1 and number < len(ids):
            self.set_columns([i for n, i in enumerate(ids) if n != number])

    @property
    def chosen_columns(self) -> tuple[str, ...]:
        """Layer ids of columns the user chose; empty while they follow the current result."""
        return self._columns

    @property
    def chosen_counterpart(self) -> str:
        """Layer id of the counterpart the user chose; empty while it is automatic."""
        return self._secondary

    @property
    def chosen_reference(self) -> str:
        """Layer id of the chosen reference; empty while it is automatic."""
        return self._reference

    # ---- cursor, view, display

    @property
    def cursor(self) -> Vector:
        """(3,) the cursor last moved, RAS mm; a copy."""
        return self._cursor.copy()

    def cursor_of(self, layer_id: str) -> Vector:
        """Return the (3,) RAS mm cursor a layer's panes show."""
        return self._own.cursors.get(layer_id, self._cursor).copy()

    def set_cursor(self, position: ArrayLike, layer_id: str = "") -> None:
        """Move the cursor to (3,) RAS mm: everyone's, or with positions unlocked one layer's."""
        new = np.array(position, dtype=np.float64).reshape(3)
        own = bool(layer_id) and not self.display.lock_position
        old = self.cursor_of(layer_id) if own else self._cursor
        if not np.isfinite(new).all() or (new == old).all():
            return
        if own:
            for x in self._layers:
                self._own.cursors.setdefault(x, self._cursor.copy())
            self._own.cursors[layer_id] = new
        else:
            self._own.cursors.clear()
        self._cursor = new
        self.cursor_changed.emit(layer_id if own else "")

    def view_of(self, layer_id: str) -> View:
        """Return the zoom and pan of a layer's panes."""
        return self._own.views.get(layer_id, self._view)

    def set_view(self, view: View, layer_id: str = "") -> None:
        """Set zoom and pan: everyone's, or with zoom unlocked one layer's."""
        own = bool(layer_id) and not self.display.lock_zoom
        if view == (self.view_of(layer_id) if own else self._view):
            return
        if own:
            self._own.views[layer_id] = view
        else:
            self._own.views.clear()
            self._view = view
        self.view_changed.emit(layer_id if own else "")

    def look_from(self, view: View, position: ArrayLike) -> None:
        """Set the opening view: what is shown now, and what ``reset`` returns to.

        Args:
            view: zoom and pan.
            position: (3,) RAS mm of the cursor.
        """
        self._home = (view, np.array(position, dtype=np.float64))
        self.set_view(view)
        self.set_cursor(position)

    def reset(self) -> None:
        """Return to the opening view and reset the active window."""
        home = self._home
        self._own = UnlockedLayers()
        self._view = home[0] if home else View()
        self.view_changed.emit("")
        if home is not None:
            self.set_cursor(home[1])
        else:
            self.centre()
        if self.active is not None:
            self.reset_window(self.active.id)

    def fit(self) -> None:
        """Show the whole reference volume in every pane; cursor and windows stay."""
        self._own.views.clear()
        self._view = View()
        self.view_changed.emit("")

    def centre(self) -> None:
        """Put the cursor into the middle of the reference volume; zoom and windows stay."""
        if self.reference is not None:
            self.set_cursor(_middle(self.reference))

    def set_display(self, **edit: Unpack[DisplayEdit]) -> None:
        """Change display settings; ``display_changed`` is emitted once per field that changed."""
        old = self.display
        self.display = replace(old, **edit)
        changed = [
            f.name for f in fields(old) if getattr(old, f.name) != getattr(self.display, f.name)
        ]
        if "lock_position" in changed and self.display.lock_position:
            self._own.cursors.clear()
            self.cursor_changed.emit("")
        if "lock_zoom" in changed and self.display.lock_zoom:
            self._own.views.clear()
            self.view_changed.emit("")
        for name in changed:
            self.display_changed.emit(name)

    def set_rulers(self, rulers: Sequence[Ruler]) -> None:
        """Place or remove rulers."""
        if tuple(rulers) != self.rulers:
            self.rulers = tuple(rulers)
            self.display_changed.emit("rulers")

    def set_tool(self, tool: Tool) -> None:
        """Choose what the left button does."""
        if tool is not self.tool:
            self.tool = tool
            self.display_changed.emit("tool")

    def peek(self, grids: dict[str, Grid]) -> None:
        """Draw layers on other grids for a while; nothing but the picture changes."""
        if grids or self.peeked:
            self.peeked = grids
            self.display_changed.emit("peek")

    def shown_grid(self, layer: Layer) -> Grid:
        """Return the grid a layer is drawn on."""
        return self.peeked.get(layer.id, layer.volume.grid)

    def clear(self) -> None:
        """Remove every layer, and what was chosen among them; display settings stay."""
        self._secondary, self._columns, self._reference, self._home = "", (), "", None
        self.set_rulers(())
        self.results.start_anew()
        super().clear()

    def _put(self, layer: Layer, field: str) -> None:
        super()._put(layer, field)
        if field not in ("visible", "modality"):
            return
        active, shown = self.active, self.image_layers()
        if active is not None and not active.visible and shown:
            self._active = shown[0].id
        self.active_changed.emit()  # columns and counterpart follow what is visible

    def _announce(self) -> None:
        first = not self._active
        if self._active not in self._layers:
            self._active = next((x.id for x in self.layers if x.is_image), "")
        for own in (self._own.cursors, self._own.views):
            for gone in set(own) - set(self._layers):
                own.pop(gone)
        # A cursor outside every volume (the first volume, or another patient) would show nothing.
        active = self.active
        lost = active is not None and (
            first or not any(x.volume.grid.contains(self._cursor) for x in self.layers)
        )
        if lost and active is not None:
            self._cursor = _middle(active)
            self._view = View()
        super()._announce()
        self.active_changed.emit()
        if lost:
            self.cursor_changed.emit("")
            self.view_changed.emit("")


def _middle(layer: Layer) -> Vector:
    """Return the (3,) RAS mm of the voxel in the middle: a cut there needs no interpolation."""
    grid = layer.volume.grid
    return grid.to_world(np.array(grid.shape) // 2)
