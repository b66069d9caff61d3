"""The commands under Sweep."""

from __future__ import annotations

from functools import partial

from app.shared.commands import Command
from app.state.values import Tool
from app.synthesis.sweep.controller import SweepController

GROUP = "Sweep"
SLIDE_MM = 1.0
TURN_DEG = 5.0
TILT_DEG = 2.0


def sweep_commands(it: SweepController) -> list[Command]:
    """Return the commands of the virtual probe, in the order of the menu."""
    placement, session = it.placement, it.session

    def possible() -> bool:
        return not it.obstacle

    def placed() -> bool:
        return placement.plan is not None

    def step(**change: float) -> partial[None]:
        return partial(it.nudge, **change)

    return [
        Command("sweep_panel", "Show the Sweep panel", GROUP, GROUP, it.panel_wanted.emit,
                ("Ctrl+J",), "A virtual ultrasound probe on the brain"),
        Command("sweep_place", "Place the probe in the viewers", GROUP, GROUP, it.toggle_tool,
                ("N",), "Click the brain's surface and drag to aim, or click a target; Esc ends",
                enabled=possible, checked=lambda: session.tool is Tool.PROBE, separated=True),
        Command("sweep_aim", "Aim at the crosshair", GROUP, GROUP, it.aim_at_cursor,
                ("Shift+N",), "From the nearest place of the brain's surface", enabled=possible),
        Command("sweep_remove", "Remove the probe", GROUP, GROUP, placement.remove, (),
                enabled=placed),
        Command("slide_on", "Slide on by 1 mm", GROUP, GROUP, step(slide=SLIDE_MM),
                ("Alt+Right",), enabled=placed, separated=True),
        Command("slide_back", "Slide back by 1 mm", GROUP, GROUP, step(slide=-SLIDE_MM),
                ("Alt+Left",), enabled=placed),
        Command("tilt_on", "Tilt on by 2°", GROUP, GROUP, step(tilt_deg=TILT_DEG),
                ("Alt+Up",), enabled=placed),
        Command("tilt_back", "Tilt back by 2°", GROUP, GROUP, step(tilt_deg=-TILT_DEG),
                ("Alt+Down",), enabled=placed),
        Command("turn_on", "Turn by 5°", GROUP, GROUP, step(turn_deg=TURN_DEG),
                ("Alt+PgUp",), enabled=placed),
        Command("turn_back", "Turn back by 5°", GROUP, GROUP, step(turn_deg=-TURN_DEG),
                ("Alt+PgDown",), enabled=placed),
        Command("sweep_live", "Synthesise the live fan", GROUP, GROUP,
                lambda: it.live.set_on(not it.live.on), (),
                "Synthesise what is missing in the frame whenever the probe rests",
                checked=lambda: it.live.on, separated=True),
        Command("sweep_run", "Synthesise the sweep", GROUP, GROUP, it.run, ("Ctrl+Shift+R",),
                "Everything that the sweeps pass through inside the brain",
                enabled=lambda: possible() and placed()),
        Command("sweep_cancel", "Cancel the sweep", GROUP, GROUP, it.cancel, (),
                "Stop the sweep or its export; nothing is left of it",
                enabled=lambda: it.running or it.exporter.running),
        Command("sweep_export", "Export the sweep…", GROUP, GROUP, it.ask_export,
                ("Ctrl+Shift+E",),
                "A volume, tracked frames (.igs.mha), and pictures in pairs with their labels",
                enabled=lambda: it.result() is not None and not it.exporter.running),
    ]  # fmt: skip
