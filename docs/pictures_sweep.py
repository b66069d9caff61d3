"""Makes the guide's picture of the virtual probe: the real window, the demo case, a real sweep.

``python docs/pictures_sweep.py`` needs a screen (or Xvfb) of at least 1500 x 950 pixels.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from pictures import keep_window, until
from PySide6.QtWidgets import QApplication

from app.shell.window import MainWindow
from app.state.settings import Settings
from app.state.values import Tool
from core.assets import DEMO_CASE

TUMOUR = (-30.0, -29.0, 42.0)
"""RAS mm, in the demo case."""


def main() -> None:
    """Place the probe over the tumour, sweep, and keep what the window shows."""
    app = QApplication(sys.argv[:1])
    with tempfile.TemporaryDirectory() as folder:
        window = MainWindow(Settings(Path(folder) / "settings.ini"))
        window.resize(1440, 900)
        window.show()
        until("the engine", lambda: window.context.engine.state == "ready")
        session, it = window.context.session, window.sweep
        window.files.opener.open([DEMO_CASE])
        until("the demo case", lambda: len(session.layers) >= 3 and not window.context.jobs.busy)
        session.synthesis.set_form(rerun=False)
        window.commands.run("fit")
        window.commands.run("sweep_place")
        session.set_cursor(np.array(TUMOUR))
        window.commands.run("sweep_aim")
        until("the probe", lambda: it.placement.plan is not None)
        it.placement.edit(turn_deg=20.0)
        window.commands.run("sweep_run")
        until("the sweep", lambda: it.result() is not None)
        session.set_tool(Tool.NONE)
        window.message_bar.clear()
        until("the live fan", lambda: not it.live.busy)
        keep_window(window, "sweep")
        session.clear()  # or it would be asked for
        window.close()
    app.quit()


if __name__ == "__main__":
    main()
