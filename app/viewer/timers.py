"""The viewers' two timers: flicker, and the pause after which oblique cuts become sharp."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer, Signal

FLICKER_MS = 400
SETTLE_MS = 150


class Timers(QObject):
    """Run only when needed; an idle window has none running."""

    flickered = Signal()
    """The other of the two flickering volumes is to be shown."""
    settled = Signal()
    """Nothing moved for ``SETTLE_MS``."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.flicker_on = False
        self.flicker = QTimer(self)
        self.flicker.setInterval(FLICKER_MS)
        self.flicker.timeout.connect(self._turn)
        self.settle = QTimer(self)
        self.settle.setSingleShot(True)
        self.settle.setInterval(SETTLE_MS)
        self.settle.timeout.connect(self.settled)

    def run_flicker(self, wanted: bool) -> None:
        """Start or stop flickering; stopped, the active volume is shown."""
        if wanted and not self.flicker.isActive():
            self.flicker.start()
        elif not wanted:
            self.flicker.stop()
            self.flicker_on = False

    def moved(self) -> None:
        """Something moved: ``settled`` follows once it rests."""
        self.settle.start()

    def _turn(self) -> None:
        self.flicker_on = not self.flicker_on
        self.flickered.emit()
