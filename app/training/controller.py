"""Training in the main window: its windows, the wizard, and news of runs at the start."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

from app.shared.commands import Command
from app.shared.context import Context
from app.state.messages import Action
from app.training.wizard.controller import WizardController

if TYPE_CHECKING:
    from app.training.models.window import ModelsWindow
    from app.training.runs.window import RunsWindow
    from core.models.bundle import Bundle
    from trainer.run.state import RunInfo


NEWS_S = 14 * 86400.0
"""Runs in which nothing has happened for longer are no news."""


class TrainingController(QObject):
    """Opens windows when they are asked for; nothing of them is imported before.

    Args:
        context: the models to choose from, and the ways to work and speak.
        parent: the main window.
    """

    def __init__(self, context: Context, parent: QWidget) -> None:
        super().__init__(parent)
        self.context, self._parent = context, parent
        self.wizard = WizardController(context, parent, self.show_run)
        self._runs: RunsWindow | None = None
        self._models: ModelsWindow | None = None

    def commands(self) -> list[Command]:
        """Return the commands of the menu Training."""
        menu = "Training"
        return [
            *self.wizard.commands(),
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

    def show_models(self, select: Path | None = None) -> None:
        """Open the window of models, at one of them or at the one in use."""
        window = self._models_window()
        window.show()
        window.raise_()
        window.activateWindow()
        window.look(select)

    def show_card(self, name: str) -> None:
        """Open the card of a model by its name, if it is still there."""
        models = [b for b in self.context.session.synthesis.models if b.name == name]
        if models:
            self.show_models(models[0].path)
        else:
            self.context.messages.warning(
                f"{name} is not among the models any more. Drop its file on the window to see its "
                "card."
            )

    def show_run(self, path: Path) -> None:
        """Open the window of runs at one of them."""
        self.show_runs()
        self._runs_window().show_run(path)

    def report_runs(self) -> None:
        """Say quietly which runs are under way, and which crashed while nobody looked."""

        def work() -> list[RunInfo]:
            from trainer.run.registry import known_runs
            from trainer.run.state import age, describe_run

            news = [path for path in known_runs() if age(path) < NEWS_S]
            return [describe_run(path) for path in news]

        context = self.context
        context.jobs.submit("Looking for runs", work, self._tell, context.messages.error)

    def close(self) -> None:
        """End the windows' timers and threads; runs go on, and a draft is kept."""
        self.wizard.close()
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
                self.context.messages.info(f"{name} is training: {info.part:.0%} done{rest}.", show)
            elif info.crashed:
                self.context.messages.warning(f"The training {name} crashed. {info.reason}", show)
            elif info.state in ("paused", "terminated"):
                self.context.messages.info(
                    f"The training {name} is paused at {info.part:.0%}.", show
                )
            elif info.state == "finished" and not (path / "report").exists():
                self.context.messages.info(f"{name} has finished and was not evaluated yet.", show)

    def _runs_window(self) -> RunsWindow:
        if self._runs is None:
            from app.training.runs.window import RunsWindow

            self._runs = RunsWindow(self.use_model, self._parent)
        return self._runs

    def use_model(self, path: Path) -> None:
        """Put a run's model into the model list and choose it."""

        def work() -> Bundle:
            from app.training.models.store import put

            return put(path)

        context = self.context
        context.jobs.submit(f"Adding {path.parent.name}", work, self._use, context.messages.error)

    def _use(self, bundle: Bundle) -> None:
        asked = self.context.session.synthesis
        asked.set_models([*(b for b in asked.models if b.path != bundle.path), bundle])
        asked.set_form(model=str(bundle.path))  # also remembers it for the next start
        self.context.messages.info(f"Using the model {bundle.name}. {bundle.intended_use}")
        if self._runs is not None:
            self._runs.message.setText(f"{bundle.name} is in the model list and in use.")
        if self._models is not None and self._models.isVisible():
            self._models.look(bundle.path)

    def _models_window(self) -> ModelsWindow:
        if self._models is None:
            from app.training.models.window import ModelsWindow

            asked = self.context.session.synthesis
            self._models = ModelsWindow(
                lambda: asked.form.model, self._use, lambda: asked.models, self._parent
            )
            self._models.models_changed.connect(asked.set_models)
        return self._models
