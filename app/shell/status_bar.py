"""The status strip: position, voxel and the value of every layer under the cursor."""

from __future__ import annotations

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QLabel, QProgressBar, QSizePolicy, QStatusBar, QWidget

from app.processes.client import EngineClient
from app.processes.jobs import Jobs
from app.state.session import Session
from app.viewer.readout import read

ENGINE_WORDS = {
    "off": "engine off",
    "starting": "engine starting",
    "ready": "engine ready",
    "busy": "engine busy",
}


class StatusBar(QStatusBar):
    """Follows cursor and voxels, at most once per turn of the event loop."""

    def __init__(
        self, session: Session, jobs: Jobs, client: EngineClient, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.session = session
        self.values = QLabel()
        self.values.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.work = QLabel()
        self.busy = QProgressBar()
        self.busy.setRange(0, 0)
        self.busy.setFixedWidth(80)
        self.busy.setMaximumHeight(self.fontMetrics().height())
        self.engine = QLabel()
        for text in (
            ENGINE_WORDS.values()
        ):  # the widest word has room from the start: nothing moves, nothing clips
            self.engine.setText(text)
            room = max(self.engine.minimumWidth(), self.engine.sizeHint().width())
            self.engine.setMinimumWidth(room)
        self.engine.setText(ENGINE_WORDS[client.state])
        self.addWidget(self.values, 1)
        self.addPermanentWidget(self.work)
        self.addPermanentWidget(self.busy)
        self.addPermanentWidget(self.engine)
        self._show_work("")
        self._timer = QTimer(self, singleShot=True, interval=0)
        self._timer.timeout.connect(self._show)
        for signal in (session.cursor_changed, session.layer_changed, session.voxels_touched):
            signal.connect(lambda *_: self._later())
        session.layers_changed.connect(self._later)
        session.active_changed.connect(self._later)
        jobs.busy_changed.connect(self._show_work)
        client.state_changed.connect(lambda state: self.engine.setText(ENGINE_WORDS[state]))

    def _later(self) -> None:
        if not self._timer.isActive():
            self._timer.start()

    def _show(self) -> None:
        found = read(self.session)
        self.values.setText(found.text if found else "")
        self.values.setToolTip("\n".join(v.text for v in found.values) if found else "")

    def _show_work(self, title: str) -> None:
        self.work.setText(title)
        self.work.setVisible(bool(title))
        self.busy.setVisible(bool(title))
