"""Where one pane lies, which plane of which layer it shows, and its mm → pixel map."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PySide6.QtCore import QRect, QRectF
from PySide6.QtGui import QPainter

from app.state.values import Compare, Layer, Vector
from app.viewer.geometry import Frame, PlaneAxes, Projection, plane_axes
from app.viewer.layouts import Slot
from app.viewer.scene import Scene

MARGIN = 0.94
"""Share of the pane that the reference volume fills at zoom 1."""


class PaneGeometry:
    """One slot of the viewers, without a way to paint it."""

    def __init__(self, scene: Scene, slot: Slot) -> None:
        self.scene = scene
        self.slot = slot

    @property
    def rect(self) -> QRect:
        """Where the pane is."""
        return self.slot.rect

    @property
    def layer(self) -> Layer:
        """The layer it is about."""
        return self.scene.session.layer(self.slot.layer_id)

    @property
    def axes(self) -> PlaneAxes:
        """Which frame axes run across, up and through."""
        return plane_axes(self.slot.plane, self.scene.session.display.convention)

    @property
    def frame(self) -> Frame:
        """The frame all panes cut along."""
        frame = self.scene.frame
        assert frame is not None
        return frame

    def cursor(self) -> Vector:
        """Return the (3,) frame position of this pane's cursor."""
        return self.frame.to_frame(self.scene.session.cursor_of(self.slot.layer_id))

    def depth(self) -> float:
        """Return the plane's position along the through axis, mm."""
        return float(self.cursor()[self.axes.through])

    def fit_scale(self) -> float:
        """Return the pixels per mm at zoom 1."""
        axes, size = self.axes, self.frame.size
        return MARGIN * min(
            self.rect.width() / size[axes.across], self.rect.height() / size[axes.up]
        )

    def projection(self) -> Projection:
        """Return the pane's mm → pixel map."""
        view = self.scene.session.view_of(self.slot.layer_id)
        pan = np.asarray(view.pan) @ self.frame.axes
        axes = self.axes
        middle = QRectF(self.rect).center()
        return Projection(
            axes,
            (middle.x(), middle.y()),
            (float(pan[axes.across]), float(pan[axes.up])),
            self.fit_scale() * view.zoom,
        )

    def counterpart(self) -> Layer | None:
        """Return what the compare mode lays over this pane: in panes of the active layer only."""
        session = self.scene.session
        active = session.active
        if session.display.compare is Compare.OFF or active is None:
            return None
        return session.secondary if active.id == self.slot.layer_id else None

    def on_plane(self, world: tuple[float, float, float]) -> bool:
        """Tell whether a world position lies within a voxel of the plane."""
        axis = self.axes.through
        away = abs(float(self.frame.to_frame(world)[axis]) - self.depth())
        return away <= float(self.frame.steps[axis])

    def shows(self, layer_id: str) -> bool:
        """Tell whether a layer appears in the pane."""
        other = self.counterpart()
        labels = [x.id for x in self.scene.session.label_layers()]
        return layer_id in (self.slot.layer_id, other.id if other else "", *labels)

    def swipe_x(self) -> int:
        """Return the swipe line's pixel column."""
        return self.rect.left() + round(self.scene.session.display.swipe * self.rect.width())


Extra = Callable[[QPainter, PaneGeometry, Projection], None]
"""Paints over a pane what another part of the program wants shown."""
