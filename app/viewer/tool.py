"""What a tool of the viewers is: it takes presses instead of the usual gestures."""

from __future__ import annotations

from typing import Protocol

from PySide6.QtCore import QPointF

from app.viewer.pane_geometry import PaneGeometry


class Handler(Protocol):
    """Takes the drags of a tool."""

    def press(self, pane: PaneGeometry, gesture: str, at: QPointF) -> bool:
        """Begin a drag at a pixel; False leaves the press to the usual gestures.

        Args:
            pane: under the pointer.
            gesture: for example ``"Ctrl+Left"``.
            at: pixel of the viewer area.
        """

    def drag(self, pane: PaneGeometry, at: QPointF) -> None:
        """Go on to a pixel; ``pane`` is the one pressed."""

    def release(self, pane: PaneGeometry, at: QPointF) -> None:
        """End the drag."""
