"""Everything one attempt at a run holds in memory, and what it does with it at each step."""

from __future__ import annotations

import copy
import hashlib
import math
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.allocator import keep_memory
from core.bundle import Bundle, Preprocessing, build
from core.bundle import load as load_bundle
from core.bundle import save as save_bundle
from core.errors import UserError
from core.version import __version__
from trainer import checkpoint
from trainer.cohort import CACHE, scan
from trainer.dataset import Batch, TileSampler, fixed_tiles
from trainer.discriminator import PatchDiscriminator
from trainer.errors import TrainerError
from trainer.plan import SWEPT, Plan
from trainer.prepare import drop_duplicates, prepare_all
from trainer.runfolder import RunFolder
from trainer.split import locked_split
from trainer.step import Stepper, Terms, Weights, update_average
from trainer.validate import preview, run_subsets, scores, summary

BAD_STEPS = 10
"""Steps in a row without finite gradients after which a run is called diverged."""


class Session:
    """Model, data and schedules of one attempt; restored from the run's last checkpoint if any."""

    def __init__(self, plan: Plan, folder: RunFolder, say: Callable[[str], None]) -> None:
        self.plan, self.folder, self.say = plan, folder, say
        if plan.threads:
            torch.set_num_threads(plan.threads)
        self.device = _device(plan)
        if self.device.type == "cpu":
            keep_memory()
        self._prepare_data()
        self._build()
        self.step = 0
        self.seconds = 0.0
        self.best = -math.inf
        self.bad_steps = 0
        self.metrics: dict[str, float] = {}
        self._terms: list[Terms] = []
        self._restore()
        now = time.monotonic()
        self._last_checkpoint = self._last_validation = self._last_step = now
        folder.log(
            "start",
            step=self.step,
            seconds=round(self.seconds, 1),
            total_steps=self.total_steps,
            epoch_steps=self.sampler.steps_per_epoch,
            environment=_environment(self.device),
            cases={k: len(v) for k, v in self.split.items()},
        )

    # -- set-up

    def _prepare_data(self) -> None:
        plan = self.plan
        cases = scan(Path(plan.cohort), plan.model.modalities)
        self.split = locked_split(self.folder.path / "split.json", cases, plan.data)
        cache = Path(os.environ.get("MHVAE_STUDIO_CACHE") or _beside(plan.cohort) / CACHE)
        wanted = [c for c in cases if c.id not in self.split["test"]]
        prepared, problems = prepare_all(
            wanted, plan.data, plan.model.modalities, cache, progress=self._say_prepared
        )
        problems += drop_duplicates(prepared, set(self.split["validation"]))
        for problem in problems:
            self.folder.log("warning", text=problem)
            self.say(f"left out: {problem}")
        training = [c for c in prepared if c.id in self.split["training"]]
        self.sampler = TileSampler(training, plan)
        held_out = [c for c in prepared if c.id in self.split["validation"]] or training
        tiles = fixed_tiles(held_out, plan, plan.log.validate_slices)
        self.tiles = tiles.to(self.device, torch.float32) if tiles else None
        self.fingerprint = _fingerprint([h for c in training for h in c.hashes.values()])
        self.training_cases = len(training)

    def _say_prepared(self, done: int, total: int) -> None:
        if done == total or done % 10 == 0:
            self.say(f"prepared {done} of {total} cases")
            self.folder.log("preparing", done=done, total=total)

    def _build(self) -> None:
        plan = self.plan
        torch.manual_seed(plan.seed)
        model = build(plan.model)
        if plan.start_from:
            bundle, given = load_bundle(plan.start_from)
            if bundle.config != plan.model:
                raise TrainerError(
                    f"{Path(plan.start_from).name} has another architecture than the plan. "
                    "Take the plan's model settings from that model."
                )
            model.load_state_dict(given.state_dict())
        self.model = model.to(self.device).train()
        self.average = copy.deepcopy(self.model).requires_grad_(False).eval()
        loss = plan.loss
        self.discriminators = (
            {
                m: PatchDiscriminator(plan.model.tile, loss.gan_layers, loss.gan_features).to(
                    self.device
                )
                for m in plan.model.modalities
            }
            if loss.gan > 0
            else {}
        )
        self.optimiser = torch.optim.Adamax(self.model.parameters(), lr=plan.optimiser.rate)
        critics = [p for d in self.discriminators.values() for p in d.parameters()]
        self.critic_optimiser = (
            torch.optim.Adam(critics, lr=plan.optimiser.gan_rate, betas=(0.5, 0.999))
            if critics
            else None
        )
        presence = {c.present for c in self.sampler.cases}
        self.stepper = Stepper(self.model, self.discriminators, plan, presence)

    # -- where the run stands

    @property
    def total_steps(self) -> int:
        """Steps the plan asks for; 0 when it asks for a time."""
        o = self.plan.optimiser
        if o.budget_seconds > 0:
            return 0
        return o.steps or o.epochs * self.sampler.steps_per_epoch

    @property
    def part(self) -> float:
        """How much of the run is done, 0…1."""
        if self.plan.optimiser.budget_seconds > 0:
            return self.seconds / self.plan.optimiser.budget_seconds
        return self.step / self.total_steps

    @property
    def complete(self) -> bool:
        """Whether the plan is fulfilled."""
        return self.part >= 1

    @property
    def seconds_left(self) -> float:
        """Estimated time to the end, s."""
        if self.plan.optimiser.budget_seconds > 0:
            return max(0.0, self.plan.optimiser.budget_seconds - self.seconds)
        return self.seconds / max(1, self.step) * (self.total_steps - self.step)

    # -- one step

    def train_step(self, batch: Batch) -> None:
        """Do one optimiser step and keep its numbers for the log.

        Raises:
            TrainerError: the gradients were not finite many times in a row.
        """
        plan = self.plan
        weights = Weights.at(plan, self.step, self.part)
        for group in self.optimiser.param_groups:
            group["lr"] = weights.rate
        self.optimiser.zero_grad(set_to_none=True)
        size = plan.data.micro_batch or plan.data.batch
        pieces, fakes, terms = [], [], Terms()
        for first in range(0, plan.data.batch, size):
            piece = batch.rows(first, first + size).to(self.device, torch.float32)
            more, made = self.stepper.generator(piece, first, self.step, weights)
            pieces.append((piece, made))
            fakes += made
            for name, value in more.items():
                terms[name] = terms.get(name, 0.0) + value
        norm = torch.nn.utils.clip_grad_norm_(
            self.model.parameters(), plan.optimiser.clip or math.inf
        )
        terms["gradient"] = float(norm)
        if math.isfinite(terms["gradient"]) and math.isfinite(terms["loss"]):
            self.bad_steps = 0
            self.optimiser.step()
            update_average(self.average, self.model, plan.optimiser.ema, self.step)
            if weights.gan > 0 and self.critic_optimiser is not None:
                self.critic_optimiser.zero_grad(set_to_none=True)
                for piece, made in pieces:
                    for name, value in self.stepper.discriminator(piece, made).items():
                        terms[name] = terms.get(name, 0.0) + value
                self.critic_optimiser.step()
        else:
            self._refuse_step(terms)
        self.step += 1
        now = time.monotonic()
        terms["step_seconds"] = now - self._last_step
        self.seconds += now - self._last_step
        self._last_step = now
        self._terms.append({**terms, "rate": weights.rate, "beta": weights.beta})

    def _refuse_step(self, terms: Terms) -> None:
        self.bad_steps += 1
        self.folder.log("warning", step=self.step, text="gradients not finite; step left out")
        if self.bad_steps >= BAD_STEPS:
            raise TrainerError(
                f"The training diverged at step {self.step}: {BAD_STEPS} steps in a row had no "
                "finite gradients. The last checkpoint is kept. Start again with a lower "
                "optimiser.rate, or set optimiser.clip."
            )
        del terms["gradient"], terms["loss"]

    # -- log, validation, checkpoints

    def log_if_due(self) -> None:
        """Write the mean of the last steps' terms."""
        if len(self._terms) < self.plan.log.every and not self.complete:
            return
        names = sorted({name for terms in self._terms for name in terms})
        means = {n: float(np.mean([t[n] for t in self._terms if n in t])) for n in names}
        self._terms = []
        left = self.seconds_left
        self.folder.log(
            "step",
            step=self.step,
            epoch=self.step // self.sampler.steps_per_epoch,
            part=round(self.part, 5),
            seconds_left=round(left),
            memory_mb=_memory_mb(self.device),
            **{name: float(f"{value:.6g}") for name, value in means.items()},
        )
        self.say(
            f"step {self.step}  loss {means.get('loss', math.nan):.3f}  "
            f"{means['step_seconds']:.2f} s/step  {left / 60:.0f} min left"
        )

    def validate_if_due(self) -> None:
        """Validate by steps or by time, as the plan says."""
        log = self.plan.log
        due = (
            self.step % log.validate_steps == 0
            if log.validate_steps
            else time.monotonic() - self._last_validation > log.validate_seconds
        )
        if due:
            self.validate()

    def validate(self) -> None:
        """Score the averaged weights on the held-out tiles, draw them, remember the best."""
        if self.tiles is None:
            return
        results: dict[tuple[str, ...], dict[str, torch.Tensor]] = {}
        for row in range(len(self.tiles.fov)):  # one at a time: memory stays small
            for subset, images in run_subsets(self.average, self.tiles.rows(row, row + 1)).items():
                for m, image in images.items():
                    old = results.setdefault(subset, {}).get(m)
                    results[subset][m] = image if old is None else torch.cat((old, image))
        self.metrics = {k: round(v, 5) for k, v in scores(self.tiles, results).items()}
        score = summary(self.metrics)
        name = f"step-{self.step:09d}.png"
        try:
            preview(
                self.tiles,
                results,
                self.plan.log.preview_slices,
                self.folder.previews / name,
                f"step {self.step}",
            )
        except OSError as error:
            self.folder.log("warning", step=self.step, text=f"no preview: {error}")
        self.folder.log(
            "validation", step=self.step, score=round(score, 4), preview=name, **self.metrics
        )
        self.say(f"validation at step {self.step}: {score:.2f} dB on missing images")
        if score > self.best:
            self.best = score
            self._write(lambda: checkpoint.save(self._weights(), self.folder.path / "best.pt"))
        self._last_validation = self._last_step = time.monotonic()

    def checkpoint_if_due(self) -> None:
        """Save by steps or by time, as the plan says."""
        log = self.plan.log
        due = (
            self.step % log.checkpoint_steps == 0
            if log.checkpoint_steps
            else time.monotonic() - self._last_checkpoint > log.checkpoint_seconds
        )
        if due:
            self.save()
            self.deliver()
            self._last_checkpoint = self._last_step = time.monotonic()

    def save(self, *, last: bool = False) -> None:
        """Write a checkpoint; when the disk is full the older ones stay and the run goes on.

        Raises:
            TrainerError: it was the attempt's ``last`` one and could not be written.
        """

        def write() -> None:
            folder = self.folder.checkpoints
            checkpoint.save_step(self._state(), folder, self.step, self.plan.log.keep)

        if not last:
            self._write(write)
            return
        try:
            write()
        except OSError as error:
            raise TrainerError(
                f"The run stopped at step {self.step}, but its state could not be saved: {error}. "
                "Make room and resume: the run goes on from its last checkpoint."
            ) from error

    def _write(self, action: Callable[[], object]) -> None:
        try:
            action()
        except (OSError, UserError) as error:
            self.folder.log("warning", step=self.step, text=str(error))
            self.say(f"warning: {error}")

    def _weights(self) -> dict[str, Any]:
        return {"step": self.step, "score": self.best, "average": self.average.state_dict()}

    def _state(self) -> dict[str, Any]:
        critic = self.critic_optimiser
        return {
            "version": 1,
            "step": self.step,
            "seconds": self.seconds,
            "best": self.best,
            "bad_steps": self.bad_steps,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "critics": {m: d.state_dict() for m, d in self.discriminators.items()},
            "critic_optimiser": critic.state_dict() if critic else None,
        }

    def _restore(self) -> None:
        state = checkpoint.latest(self.folder.checkpoints, self.device)
        if state is None:
            return
        self.step, self.seconds = state["step"], state["seconds"]
        self.best, self.bad_steps = state["best"], state["bad_steps"]
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        for m, critic in self.discriminators.items():
            critic.load_state_dict(state["critics"][m])
        if self.critic_optimiser is not None:
            self.critic_optimiser.load_state_dict(state["critic_optimiser"])

    def deliver(self) -> Path | None:
        """Write ``model.safetensors``: the averaged weights as a bundle with provenance."""
        plan = self.plan
        told = {k: v for k, v in plan.to_dict().items() if k not in ("cohort", "start_from")}
        bundle = Bundle(
            config=plan.model,
            preprocessing=Preprocessing(
                plan.data.spacing, plan.data.plane, plan.data.percentiles, SWEPT
            ),
            name=self.folder.path.name,
            card={
                "training": {"plan": told, "step": self.step, "seconds": round(self.seconds)},
                "data": {"fingerprint": self.fingerprint, "training_cases": self.training_cases},
                "metrics": self.metrics,
            },
        )
        path = self.folder.path / "model.safetensors"
        self._write(lambda: save_bundle(bundle, self.average, path))
        return path if path.exists() else None


def _device(plan: Plan) -> torch.device:
    if plan.device == "cuda" and not torch.cuda.is_available():
        raise TrainerError("The plan asks for a CUDA device; none was found. Set device to cpu.")
    use_cuda = plan.device != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if use_cuda else "cpu")


def _beside(cohort: str) -> Path:
    path = Path(cohort)
    return path if path.is_dir() else path.parent


def _fingerprint(parts: list[str]) -> str:
    return hashlib.sha256("".join(sorted(parts)).encode()).hexdigest()[:16]


def _environment(device: torch.device) -> dict[str, Any]:
    return {
        "program": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
    }


def _memory_mb(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated() / 2**20)
    import psutil

    return int(psutil.Process().memory_info().rss / 2**20)
