"""An attempt as a checkpoint keeps it, and back."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from trainer.loop import checkpoint
from trainer.loop.discriminator import Discriminator
from trainer.loop.journal import Journal
from trainer.run.folder import RunFolder


class Attempt(Protocol):
    """What of an attempt is kept; see :class:`trainer.loop.session.Session`."""

    step: int
    seconds: float
    bad_steps: int

    @property
    def folder(self) -> RunFolder:
        """Where the run lies."""

    @property
    def device(self) -> torch.device:
        """What the network runs on."""

    @property
    def journal(self) -> Journal:
        """What it writes, and its scores."""

    @property
    def model(self) -> nn.Module:
        """The network that is trained."""

    @property
    def average(self) -> AveragedModel:
        """Its averaged weights."""

    @property
    def optimiser(self) -> torch.optim.Optimizer:
        """The network's."""

    @property
    def discriminators(self) -> dict[str, Discriminator]:
        """Modality → its discriminator."""

    @property
    def critic_optimiser(self) -> torch.optim.Optimizer | None:
        """The discriminators', when there are any."""


def state_of(session: Attempt) -> dict[str, Any]:
    """Return what a checkpoint keeps of an attempt."""
    critic = session.critic_optimiser
    return {
        "version": 1,
        "step": session.step,
        "seconds": session.seconds,
        "best": session.journal.watch.best,
        "watch": session.journal.watch.state(),
        "descent": session.journal.descent.state(),
        "bad_steps": session.bad_steps,
        "model": session.model.state_dict(),
        "average": session.average.module.state_dict(),
        "averaged": int(session.average.n_averaged),
        "optimiser": session.optimiser.state_dict(),
        "critics": {m: d.state_dict() for m, d in session.discriminators.items()},
        "critic_optimiser": critic.state_dict() if critic else None,
    }


def restore(session: Attempt) -> None:
    """Go on where the run's newest checkpoint was, if there is one."""
    state = checkpoint.latest(session.folder.checkpoints, session.device)
    if state is None:
        return
    session.step, session.seconds = state["step"], state["seconds"]
    session.bad_steps = state["bad_steps"]
    if "watch" in state:
        session.journal.watch.restore(state["watch"])
    if "descent" in state:
        session.journal.descent.restore(state["descent"])
    session.model.load_state_dict(state["model"])
    session.average.module.load_state_dict(state["average"])
    # Older checkpoints count steps alone; the two differ by steps that were left out.
    session.average.n_averaged.fill_(state.get("averaged", session.step))
    session.optimiser.load_state_dict(state["optimiser"])
    for m, critic in session.discriminators.items():
        critic.load_state_dict(state["critics"][m])
    if session.critic_optimiser is not None:
        session.critic_optimiser.load_state_dict(state["critic_optimiser"])
