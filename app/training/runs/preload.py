"""Loads the charts' library a little at a time, so that the window goes on answering."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

from PySide6 import QtCore, QtGui, QtSvg, QtWidgets

SPEND_S = 0.008


class Preload:
    """Does in many turns of the event loop what importing pyqtgraph does in one.

    pyqtgraph asks PySide6 for every class it has, and PySide6 makes each when it is asked for; that
    is most of the time. It cannot be done in a thread: PySide6 makes classes in one thread only.
    """

    def __init__(self) -> None:
        self._left: Iterator[object] | None = None if "pyqtgraph" in sys.modules else _classes()

    def go_on(self) -> bool:
        """Work for a few milliseconds; returns whether everything is loaded."""
        if self._left is None:
            return True
        end = time.perf_counter() + SPEND_S
        for _ in self._left:
            if time.perf_counter() > end:
                return False
        self._left = None
        import app.training.runs.chart_view

        assert app.training.runs.chart_view
        return False  # that was enough for one turn


def _classes() -> Iterator[object]:
    for module in (QtCore, QtGui, QtWidgets, QtSvg):
        for name in dir(module):
            yield getattr(module, name)
