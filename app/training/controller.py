"""What the main window knows of training: the runs window, the models window, news at the start."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from app.state.messages import Action
from app.widgets.commands import Command

if TYPE_CHECKING:
    from app.shell.window import MainWindow
    from app.training.models.window import ModelsWindow
    from app.training.runs.window import RunsWindow
    from core.models.bundle import Bundle
    from trainer.run.state import RunInfo


NEWS_S = 14 * 86400.0
"""Runs in which nothing has happened for longer are no news."""


class TrainingDesk(QObject):
    """Opens windows when they are asked for; nothing of them is imported before.

    Args:
        window: the main window.
    """

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.window = window
        self._runs: RunsWindow | None = None
        self._models: ModelsWindow | None = None

    def commands(self) -> list[Command]:
        """Return the desk's commands for the menu Training."""
        menu = "Training"
        return [
            Command("runs", "Training runs", menu, menu, self.show_runs, ("Ctrl+T",),
                    "Watch, pause, resume and compare runs"),
            Command("models", "Models", menu, menu, self.show_models, ("Ctrl+M",),
                    "Cards, names, import of published checkpoints"),
        ]  # fmt: skip

    def show_runs(self) -> None:
        """Open the window of runs."""
        window = self._runs_window()
        window.show()
        window.raise_()
        window.activateWindow()
        window.look()

    def show_models(self) -> None:
        """Open the window of models."""
        window = self._models_window()
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
            from trainer.run.registry import known_runs
            from trainer.run.state import age, describe_run

            news = [path for path in known_runs() if age(path) < NEWS_S]
            return [describe_run(path) for path in news]

        window = self.window
        window.jobs.submit("Looking for runs", work, self._tell, window.notes.error)

    def close(self) -> None:
        """End the windows' timers and threads; runs go on."""
        if self._runs is not None:
            self._runs.close()
        if self._models is not None:
            self._models.close()

    # ---- inside

    def _tell(self, runs: list[RunInfo]) -> None:
        from app.training.runs.wording import duration

        for info in runs:
            name, path = info.path.name, info.path
            show = [Action("Show", partial(self.show_run, path))]
            if info.alive:
                left = info.seconds_left
                rest = f", {duration(left)} left" if left is not None else ""
                self.window.notes.info(f"{name} is training: {info.part:.0%} done{rest}.", show)
            elif info.crashed:
                self.window.notes.warning(f"The training {name} crashed. {info.reason}", show)
            elif info.state in ("paused", "terminated"):
                self.window.notes.info(f"The training {name} is paused at {info.part:.0%}.", show)
            elif info.state == "finished" and not (path / "report").exists():
                self.window.notes.info(f"{name} has finished and was not evaluated yet.", show)

    def _runs_window(self) -> RunsWindow:
        if self._runs is None:
            from app.training.runs.window import RunsWindow

            self._runs = RunsWindow(self.use_model, self.window)
        return self._runs

    def use_model(self, path: Path) -> None:
        """Put a run's model into the model list and choose it."""

        def work() -> Bundle:
            from app.training.models.store import put

            return put(path)

        window = self.window
        window.jobs.submit(f"Adding {path.parent.name}", work, self._use, window.notes.error)

    def _use(self, bundle: Bundle) -> None:
        it = self.window.synthesiser
        it.set_models([*(b for b in it.models if b.path != bundle.path), bundle])
        it.set_form(model=str(bundle.path))  # also remembers it for the next start
        self.window.notes.info(f"Using the model {bundle.name}. {bundle.intended_use}")
        if self._runs is not None:
            self._runs.message.setText(f"{bundle.name} is in the model list and in use.")
        if self._models is not None and self._models.isVisible():
            self._models.look(bundle.path)

    def _models_window(self) -> ModelsWindow:
        if self._models is None:
            from app.training.models.window import ModelsWindow

            it = self.window.synthesiser
            self._models = ModelsWindow(lambda: it.form.model, self._use, self.window)
            self._models.models_changed.connect(self._models_changed)
        return self._models

    def _models_changed(self, found: list[Bundle]) -> None:
        """Offer what there is now; models that were opened from elsewhere stay."""
        from app.training.models.store import is_mine

        it = self.window.synthesiser
        known = {str(b.path) for b in found}
        others = [b for b in it.models if str(b.path) not in known and not is_mine(b)]
        it.set_models([*found, *others])
