"""Everything one attempt at a run holds in memory: model, optimisers, data, and how far it is."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import cast

import torch

from core.models.allocator import keep_memory
from core.models.resvit.model import ResViT
from core.models.resvit.vit_weights import load_vit
from core.models.weights import build
from trainer.errors import TrainerError
from trainer.loop import checkpoint
from trainer.loop.average import averaged
from trainer.loop.data import load_data
from trainer.loop.discriminator import discriminators
from trainer.loop.distributed import ProcessGroup
from trainer.loop.families import STEPPERS
from trainer.loop.grow import initialise
from trainer.loop.journal import Due, Journal
from trainer.loop.optimiser import optimiser
from trainer.loop.prefetch import batches, drawing_processes
from trainer.loop.schedule import Weights
from trainer.loop.state import restore, state_of
from trainer.loop.terms import Terms, add_all
from trainer.loop.tiles import Batch
from trainer.plan.fine_tune import check_start, seen_before
from trainer.plan.schema import Plan
from trainer.run.environment import choose_device, describe, memory_mb
from trainer.run.folder import ASKS, RunFolder

BAD_STEPS = 10
"""Steps in a row without finite gradients after which a run is called diverged."""


class Session:
    """One attempt, restored from the run's last checkpoint if there is one.

    Attributes:
        begins: no checkpoint is there yet.
        step: optimiser steps done.
        seconds: time spent on them over all attempts.
        data: tiles and split.
        inherited: hashes of the images that the model it begins with was trained on.
    """

    def __init__(
        self,
        plan: Plan,
        folder: RunFolder,
        say: Callable[[str], None],
        team: ProcessGroup | None = None,
    ) -> None:
        self.plan, self.folder, self.say, self.team = plan, folder, say, team or ProcessGroup()
        if plan.threads:
            torch.set_num_threads(plan.threads)
        self.device = choose_device(plan)
        if self.device.type == "cpu":
            keep_memory()
        self.begins = not checkpoint.listed(folder.checkpoints)
        if self.begins and plan.start_from:
            check_start(folder.beginning(plan))
        self.inherited = seen_before(folder.beginning(plan)) if plan.start_from else ()
        self.data = load_data(plan, folder, say)
        self.tiles = self.data.tiles and self.data.tiles.to(self.device, torch.float32)
        self.seen = self.data.seen and self.data.seen.to(self.device, torch.float32)
        self._build()
        self.journal = Journal(plan, folder, say, held_out=self.data.held_out)
        self.step = 0
        self.seconds = 0.0
        self.bad_steps = 0
        self._tired, self._validated = False, -1
        self._terms: list[Terms] = []
        restore(self)
        self.journal.open_board(self.step)
        self._validation = Due(plan.log.validate_steps, plan.log.validate_seconds)
        self._checkpoint = Due(plan.log.checkpoint_steps, plan.log.checkpoint_seconds)
        folder.log(
            "start",
            step=self.step,
            seconds=round(self.seconds, 1),
            total_steps=self.total_steps,
            epoch_steps=self.data.sampler.steps_per_epoch,
            environment=describe(self.device, self.team.size),
            cases={part: len(ids) for part, ids in self.data.split.items()},
            pairs=self.data.pairs,
            expected=self.data.expected,
        )

    def _build(self) -> None:
        plan = self.plan
        torch.manual_seed(plan.seed)
        model = build(plan.model)
        if self.begins and plan.transformer_from:
            load_vit(cast(ResViT, model), Path(plan.transformer_from))
        if self.begins and plan.start_from:
            initialise(model, self.folder.beginning(plan), self.folder.log)
        self.model = model.to(self.device).train()
        self.average = averaged(self.model, plan.optimiser.ema)
        self.discriminators = discriminators(plan, self.device)
        self.critics = [p for d in self.discriminators.values() for p in d.parameters()]
        self.optimiser = optimiser(plan, self.model.parameters())
        self.critic_optimiser = (
            torch.optim.Adam(self.critics, lr=plan.optimiser.gan_rate, betas=(0.5, 0.999))
            if self.critics
            else None
        )
        presence = {case.present for case in self.data.sampler.cases}
        self.stepper = STEPPERS[plan.family](self.model, self.discriminators, plan, presence)

    # -- how far the run is

    @property
    def total_steps(self) -> int:
        """Steps the plan asks for; 0 when it asks for a time."""
        o = self.plan.optimiser
        if o.budget_seconds > 0:
            return 0
        return o.steps or o.epochs * self.data.sampler.steps_per_epoch

    @property
    def part(self) -> float:
        """How much of the run is done, 0…1."""
        budget = self.plan.optimiser.budget_seconds
        return self.seconds / budget if budget > 0 else self.step / self.total_steps

    @property
    def complete(self) -> bool:
        """Whether the plan is fulfilled, or its patience at an end; the same in every process."""
        return self.part >= 1 or self._tired

    @property
    def seconds_left(self) -> float:
        """Estimated time to the end, s."""
        budget = self.plan.optimiser.budget_seconds
        if budget > 0:
            return max(0.0, budget - self.seconds)
        return self.seconds / max(1, self.step) * (self.total_steps - self.step)

    @property
    def _adversarial(self) -> bool:
        return Weights.at(self.plan, self.step, self.part).gan > 0

    # -- one step

    def batches(self) -> Generator[Batch]:
        """Return this process's rows of the batches of the steps that are left, in order."""
        rows = self.team.rows(self.plan.data.batch)
        processes = drawing_processes(self.device, self.team.size)
        return batches(self.data.sampler, rows, self.step, processes)

    def train_step(self, upcoming: Iterator[Batch]) -> None:
        """Do one optimiser step, on the next of the batches, and keep its numbers for the log.

        Raises:
            TrainerError: the gradients were not finite many times in a row.
        """
        started = time.monotonic()
        batch = next(upcoming)
        waited = time.monotonic() - started
        weights = Weights.at(self.plan, self.step, self.part)
        for group in self.optimiser.param_groups:
            group["lr"] = weights.rate
        terms = self._optimise(batch, weights)
        seconds = time.monotonic() - started
        self.step += 1
        # The clock decides schedules and the end, so all processes must read the same one.
        self.seconds += self.team.largest(seconds)[0]
        own = {"step_seconds": seconds, "data_seconds": waited}
        self._terms.append({**terms, **own, **weights.told})

    def _optimise(self, batch: Batch, weights: Weights) -> Terms:
        self.optimiser.zero_grad(set_to_none=True)
        size = self.plan.data.micro_batch or self.plan.data.batch
        first = self.team.rows(self.plan.data.batch)[0]
        pieces, terms = [], Terms()
        for start in range(0, len(batch.fov), size):
            piece = batch.rows(start, start + size).to(self.device, torch.float32)
            more, fakes = self.stepper.generator(piece, first + start, self.step, weights)
            pieces.append((piece, fakes))
            add_all(terms, more)
        self.team.sum_gradients(self.model.parameters())
        limit = self.plan.optimiser.clip or math.inf
        norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), limit))
        if not math.isfinite(norm):
            self._refuse_step()
            return {}
        self.bad_steps = 0
        self.optimiser.step()
        self.average.update_parameters(self.model)
        if weights.gan > 0 and self.critic_optimiser is not None:
            self.critic_optimiser.zero_grad(set_to_none=True)
            for piece, fakes in pieces:
                add_all(terms, self.stepper.discriminator(piece, fakes))
            self.team.sum_gradients(self.critics)
            self.critic_optimiser.step()
            for critic in self.discriminators.values():
                critic.follow()
        return {**terms, "gradient": norm}

    def _refuse_step(self) -> None:
        self.bad_steps += 1
        self.journal.warn(self.step, "gradients not finite; step left out")
        if self.bad_steps >= BAD_STEPS:
            self._keep_best()
            raise TrainerError(
                f"The training diverged at step {self.step}: {BAD_STEPS} steps in a row had no "
                "finite gradients. The last checkpoint is kept. Start again with a lower "
                "optimiser.rate, or set optimiser.clip."
            )

    # -- after a step

    def wish(self, stop: bool) -> str:
        """Return what the user or the system asks for, the same in every process.

        Args:
            stop: whether this process was told to terminate.
        """
        word = "terminate" if stop else self.folder.asked()
        place = (*ASKS, "terminate").index(word) + 1 if word else 0
        agreed = int(self.team.largest(place)[0])
        return (*ASKS, "terminate")[agreed - 1] if agreed else ""

    def report(self) -> None:
        """Log, validate and save as far as each is due."""
        if self.complete or len(self._terms) >= self.plan.log.every:
            self._log()
        if self.team.leads and self._validation.now(self.step):
            self.validate()
        o = self.plan.optimiser
        if o.patience or o.give_up or o.diverge:
            self.judge()
        if self.team.leads and self._checkpoint.now(self.step):
            self.save()
            self.deliver()

    def _log(self) -> None:
        rows = [{n: v for n, v in t.items() if n not in SHARED} for t in self._terms]
        for other in self.team.gather(rows if not self.team.leads else [])[1:]:
            for mine, theirs in zip(self._terms, other, strict=True):
                add_all(mine, theirs)  # each process's terms are its rows' part of the whole
        facts = {
            "epoch": self.step // self.data.sampler.steps_per_epoch,
            "part": round(self.part, 5),
            "seconds_left": round(self.seconds_left),
            "memory_mb": memory_mb(self.device),
        }
        if self.team.leads:
            self.journal.steps(self.step, self._terms, facts)
        self._terms = []

    def validate(self) -> None:
        """Score and draw the averaged weights on the held-out tiles, once a step."""
        if self.tiles is not None and self.team.leads and self._validated != self.step:
            self._validated = self.step
            self.journal.validate(self.step, self.average.module, self.tiles, self.seen)

    def judge(self) -> None:
        """Look at validations and losses: end when patience has ended, fail when all got worse.

        Raises:
            TrainerError: the run stays worse than its start, or its loss diverged; the best weights
                were delivered.
        """
        patience, watch = self.plan.optimiser.patience, self.journal.watch
        # What discriminators teach, texture, raises no score.
        tired = bool(patience) and watch.stale >= patience and not self._adversarial
        reason, astray = self.journal.given_up(), self.journal.diverged()
        lost, apart, tired_all = self.team.largest(
            float(bool(reason)), float(bool(astray)), float(tired)
        )
        if tired_all and not self._tired:
            self.journal.warn(
                self.step,
                f"ended early: {watch.stale} validations brought nothing better than step "
                f"{watch.best_step} ({watch.best:.2f} dB)",
            )
        self._tired = tired_all > 0
        if apart:
            self._keep_best()
            raise TrainerError(astray or "The training diverged and was stopped.")
        if lost:
            self.save()
            self.deliver()
            raise TrainerError(reason or "The training gets worse and was stopped.")

    def _keep_best(self) -> None:
        """Deliver the best weights; those that went astray are kept by no checkpoint either."""
        if self.journal.watch.best_step is not None:
            self.deliver(diverged=True)

    def save(self, *, last: bool = False) -> None:
        """Write a checkpoint.

        Raises:
            TrainerError: the attempt's ``last`` one could not be written.
        """
        if self.team.leads:
            self.journal.save(self.step, state_of(self), last=last)

    def deliver(self, *, diverged: bool = False) -> Path | None:
        """Write the averaged weights as a bundle; return its path when there is one.

        Args:
            diverged: the weights now are not worth it, if better ones are there.
        """
        if not self.team.leads:
            return None
        cases = len(self.data.sampler.cases)
        facts = {
            "fingerprint": self.data.fingerprint,
            "images": list(dict.fromkeys([*self.data.images, *self.inherited])),
            "training_cases": cases,
            "pairs": self.data.pairs,
        }
        judged = float(self._adversarial)
        return self.journal.deliver(
            self.step, self.seconds, self.average.module, facts, judged, diverged=diverged
        )


SHARED = (
    "gradient", "rate", "beta", "lambda_gan", "mean_path", "step_seconds", "data_seconds",
)  # fmt: skip
"""Terms every process knows in full; the others are parts that add up."""
