"""The virtual probe in the window: its parts put together, and what its commands ask for."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from app.files.controller import FilesController
from app.shared.context import Context
from app.state.record import Result
from app.state.values import Kind, Layer, Tool, Window
from app.synthesis.controller import SynthesisController
from app.synthesis.request import sweep_obstacle
from app.synthesis.sweep.exporter import SweepExporter
from app.synthesis.sweep.fan_picture import FanPicture, fan_picture
from app.synthesis.sweep.live_fan import LiveFan
from app.synthesis.sweep.overlay import SweepOverlay
from app.synthesis.sweep.placement import ProbePlacement
from app.synthesis.sweep.tool import ProbeTool
from app.viewer.area import ViewerArea
from core.synthesis.virtual_sweep import SweepError

NO_PROBE = "No probe is placed. Press Place and click the brain's surface in a view."
UNITS: Window = (0.0, 255.0)
"""Of what is not there."""


class SweepController(QObject):
    """Places a probe on the brain, follows it, sweeps it and writes the sweep.

    Args:
        context: the case, and the ways to work, speak and undo.
        files: asks for folders.
        synthesis: runs the sweep.
        viewers: get the tool and the marks of the probe.

    Attributes:
        labels_id: id of the label map that is carried along; empty for the first, None for none.
    """

    panel_wanted = Signal()
    """The Sweep panel should be shown."""
    changed = Signal()
    """What the commands may do, or what the fan shows, changed."""

    def __init__(
        self,
        context: Context,
        files: FilesController,
        synthesis: SynthesisController,
        viewers: ViewerArea,
    ) -> None:
        super().__init__(files)
        self.context, self.files, self.session = context, files, context.session
        self.synthesis = synthesis
        self.placement = ProbePlacement(context)
        self.live = LiveFan(context, self.placement, self.picture, lambda: synthesis.running)
        self.exporter = SweepExporter(context)
        self.labels_id: str | None = ""
        self.panel_shown = False
        viewers.mouse.tools[Tool.PROBE] = ProbeTool(self.placement, context.messages.error)
        overlay = SweepOverlay(self.placement, lambda: self.panel_shown)
        viewers.extras.append(overlay.paint)
        self.live.wanted = lambda: self.panel_shown
        self.placement.changed.connect(viewers.update)
        synthesis.running_changed.connect(self._running_changed)
        self.session.display_changed.connect(self._display_changed)
        for signal in (
            self.placement.changed, self.live.changed, self.exporter.stage_changed,
            self.session.layers_changed, self.session.layer_changed, self.session.voxels_touched,
            self.session.results.changed, self.session.synthesis.form_changed,
        ):  # fmt: skip
            signal.connect(lambda *_: self.changed.emit())

    def close(self) -> None:
        """End what runs."""
        self.live.stop()
        self.exporter.cancel()

    # ---- what commands ask for

    @property
    def obstacle(self) -> str:
        """Why no probe can be used, in a sentence; empty when one can."""
        return sweep_obstacle(self.session.synthesis)

    def toggle_tool(self) -> None:
        """Begin or end placing the probe."""
        if self.session.tool is Tool.PROBE:
            self.session.set_tool(Tool.NONE)
        elif self.obstacle:
            self.context.messages.error(self.obstacle)
        else:
            self.panel_wanted.emit()
            self.placement.with_surface()
            self.session.set_display(measuring=False)
            self.session.set_tool(Tool.PROBE)

    def aim_at_cursor(self) -> None:
        """Look at the crosshair, from the nearest place of the surface."""
        if self.obstacle:
            self.context.messages.error(self.obstacle)
            return
        self.panel_wanted.emit()
        target = self.session.cursor

        def stand(_: object) -> None:
            self.placement.begin()
            try:
                self.placement.stand_above(target)
            except SweepError as error:
                self.context.messages.error(str(error))

        self.placement.with_surface(stand)

    def nudge(self, **change: float) -> None:
        """Slide (mm), turn or tilt (degrees) the probe by an amount."""
        placement = self.placement
        plan = placement.plan
        if plan is None:
            return
        if "slide" in change:
            placement.set_slide(placement.slide + change["slide"])
        for name in ("turn_deg", "tilt_deg"):
            if name in change:
                value = getattr(plan, name) + change[name]
                placement.edit(**{name: _around(value) if name == "turn_deg" else value})

    def run(self) -> None:
        """Synthesise the whole sweep."""
        if self.placement.plan is None:
            self.context.messages.error(NO_PROBE)
            return
        self.synthesis.run_sweep(self.placement.plan.to_dict())

    @property
    def running(self) -> bool:
        """Whether a sweep is synthesised."""
        return self.synthesis.sweeping

    def result(self) -> Result | None:
        """Return the whole sweep that is exported: the chosen result, else the newest."""
        results = self.session.results
        sweeps = [r for r in results.all if r.probe and r.layer_id in self.session]
        current = results.current
        chosen = [r for r in sweeps if current is not None and r.id == current.id]
        return next(iter([*chosen, *sweeps[-1:]]), None)

    def ask_export(self) -> None:
        """Ask for a folder and write the sweep there."""
        result = self.result()
        if result is None:
            self.context.messages.error(
                "There is no sweep to export. Place a probe, and synthesise its sweep first."
            )
            return
        folder = self.files.dialogs.target("Export the sweep, in a new folder", "sweep", "")
        if folder is not None:
            self.exporter.export(result, self.labels(), folder)

    def cancel(self) -> None:
        """Stop the sweep or its export."""
        self.exporter.cancel()
        if self.running:
            self.synthesis.cancel()

    # ---- what is shown

    def label_maps(self) -> list[Layer]:
        """Return the label maps of the case."""
        return [x for x in self.session.layers if x.kind is Kind.LABEL]

    def labels(self) -> Layer | None:
        """Return the label map that is carried along."""
        if self.labels_id is None:
            return None
        maps = self.label_maps()
        chosen = [x for x in maps if x.id == self.labels_id]
        return next(iter([*chosen, *(x for x in maps if x.visible), *maps]), None)

    def choose_labels(self, layer_id: str | None) -> None:
        """Carry a label map along; None carries none."""
        self.labels_id = layer_id
        self.changed.emit()

    def picture(self) -> FanPicture | None:
        """Sample the frame that is shown; None while no probe is placed."""
        frame = self.placement.frame()
        if frame is None:
            return None
        source, labels = self.placement.source(), self.labels()
        made = [(x.volume.grid, x.volume.voxels) for x in self._sweeps()]
        return fan_picture(
            frame,
            source.volume if source else None,
            [*made, *self.live.known()],
            labels.volume if labels else None,
        )

    def windows(self) -> tuple[Window, Window]:
        """Return the windows of the synthetic image and of what lies below."""
        rows, source = self._sweeps(), self.placement.source()
        made = rows[0].window if rows else self.live.window()
        return made, source.window if source else UNITS

    # ---- inside

    def _sweeps(self) -> list[Layer]:
        """Return the volumes of the sweep under way and of the one that would be exported."""
        results, whole = self.session.results, self.result()
        found = [*(r for r in results.live if r.probe), *([whole] if whole else [])]
        return [self.session.layer(r.layer_id) for r in found if r.layer_id in self.session]

    def _running_changed(self, running: bool) -> None:
        if running:
            self.live.stop()
        else:
            self.live.look_soon()
        self.changed.emit()

    def _display_changed(self, field: str) -> None:
        if field == "tool":
            self.changed.emit()


def _around(degrees: float) -> float:
    return (degrees + 180.0) % 360.0 - 180.0
