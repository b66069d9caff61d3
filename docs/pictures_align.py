"""Makes the pictures of the guide's part on alignment: the demo case, moved away and brought back.

``python docs/pictures_align.py`` needs a screen (or Xvfb) of at least 1500 x 950 pixels.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from pictures import keep_window, until, wait
from PySide6.QtWidgets import QApplication

from app.alignment.landmarks import MOVING
from app.shell.window import MainWindow
from app.state.settings import Settings
from app.state.values import Compare, Kind
from core.assets import DEMO_CASE
from core.registration.register import middle

AWAY = (6.0, -5.0, 4.0, 5.0, -4.0, 7.0)
"""mm and degrees."""
POINTS = ((0.0, 0.0, 0.0), (12.0, 6.0, 1.0), (-10.0, 8.0, -1.0), (5.0, -12.0, 2.0))


def main() -> None:
    """Drive the window and keep what it shows."""
    app = QApplication(sys.argv[:1])
    with tempfile.TemporaryDirectory() as folder:
        window = MainWindow(Settings(Path(folder) / "settings.ini"))
        window.resize(1440, 900)
        window.show()
        until("the engine", lambda: window.context.engine.state == "ready")
        session, alignment = window.context.session, window.alignment
        window.files.opener.open([DEMO_CASE])
        until("the demo case", lambda: len(session.layers) >= 2 and not window.context.jobs.busy)
        for label in session.label_layers():
            session.update_layer(label.id, visible=False)
        fixed = session.find(Kind.REAL, "iUS")
        assert fixed is not None
        session.set_active(fixed.id)
        alignment.panel_wanted.emit()
        alignment.hand.find_pivot()
        until("the middle", lambda: not window.context.jobs.busy)
        alignment.hand.set_parameters(AWAY)
        alignment.hand.end()
        session.set_display(compare=Compare.CHECKER)
        until("the similarity", lambda: bool(window.panels.align.gain.text()))
        window.message_bar.clear()
        keep_window(window, "align-before")
        window.commands.run("align_rigid")
        until("the registration", lambda: not alignment.registrar.running)
        keep_window(window, "align-after")
        print(
            "found",
            np.round(alignment.hand.parameters(), 2),
            window.context.messages.history[-1].sentence,
        )
        window.message_bar.clear()
        centre = middle(fixed.volume)
        for n, away in enumerate(POINTS):
            session.set_cursor(centre + away)
            alignment.add_landmark()
            alignment.landmarks.begin()
            end = np.add(session.cursor, np.random.default_rng(n).normal(0, 1.2, 3))
            alignment.landmarks.drag(n, MOVING, end)
        session.set_cursor(centre)
        session.set_display(compare=Compare.BLEND)
        keep_window(window, "align-landmarks")
        session.clear()  # or it would be asked for
        window.close()
        wait(100)
    del app


if __name__ == "__main__":
    main()
