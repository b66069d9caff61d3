"""What the main window knows of training: the runs window, the models window, news at the start."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from app.commands import Command
from app.notifications import Action

if TYPE_CHECKING:
    from app.runs.window import RunsWindow
    from app.window import MainWindow
    from trainer.runs import RunInfo


class TrainingDesk(QObject):
    """Opens windows when they are asked for; nothing of them is imported before.

    Args:
        window: the main window.
    """

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.window = window
        self._runs: RunsWindow | None = None

    def commands(self) -> list[Command]:
        """Return the desk's commands for the menu Training."""
        menu = "Training"
        return [
            Command("runs", "Training runs", menu, menu, self.show_runs, ("Ctrl+T",),
                    "Watch, pause, resume and compare runs"),
        ]  # fmt: skip

    def show_runs(self) -> None:
        """Open the window of runs."""
        window = self._runs_window()
        window.show()
        window.raise_()
        window.activateWindow()
        window.look()

    def show_run(self, path: Path) -> None:
        """Open the window of runs at one of them."""
        self.show_runs()
        self._runs_window().show_run(path)

    def greet(self) -> None:
        """Say quietly which runs are under way, and which crashed while nobody looked."""

        def work() -> list[RunInfo]:
            from trainer.known import known_runs
            from trainer.runs import describe_run

            return [describe_run(path) for path in known_runs()]

        window = self.window
        window.jobs.submit("Looking for runs", work, self._tell, window.notes.error)

    def close(self) -> None:
        """End the windows' timers and threads; runs go on."""
        if self._runs is not None:
            self._runs.close()

    # ---- inside

    def _tell(self, runs: list[RunInfo]) -> None:
        from app.runs.wording import duration

        for info in runs:
            name, path = info.path.name, info.path
            show = [Action("Show", partial(self.show_run, path))]
            if info.alive:
                left = info.seconds_left
                rest = f", {duration(left)} left" if left is not None else ""
                self.window.notes.info(f"{name} is training: {info.part:.0%} done{rest}.", show)
            elif info.crashed:
                self.window.notes.warning(f"The training {name} crashed. {info.reason}", show)

    def _runs_window(self) -> RunsWindow:
        if self._runs is None:
            from app.runs.window import RunsWindow

            self._runs = RunsWindow(self.use_model, self.window)
        return self._runs

    def use_model(self, path: Path) -> None:
        """Put a run's model into the model list and choose it."""
        self.window.opener.model_found.emit(path)
