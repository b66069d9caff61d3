"""What a run leaves behind while it goes: log lines, validations, checkpoints, the bundle."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from core.errors import UserError
from core.modalities import SWEPT
from core.models.bundle import Bundle, Preprocessing
from core.models.weights import save as save_bundle
from trainer.errors import TrainerError
from trainer.loop import checkpoint
from trainer.loop.terms import Terms, means
from trainer.loop.tiles import Batch
from trainer.loop.validate import preview, run_subsets, scores, summary
from trainer.plan.schema import PRIVATE, Plan
from trainer.run.balance import WON, WON_LINES
from trainer.run.folder import RunFolder


class Due:
    """Says when something is due: every so many steps, or else every so many seconds."""

    def __init__(self, steps: int, seconds: float) -> None:
        self.steps, self.seconds = steps, seconds
        self.last = time.monotonic()

    def now(self, step: int) -> bool:
        """Tell whether it is time, and start counting anew if so."""
        passed = time.monotonic() - self.last > self.seconds
        due = step % self.steps == 0 if self.steps else passed
        if due:
            self.last = time.monotonic()
        return due


class Journal:
    """Writes a run's folder; only the leading process has one.

    Attributes:
        held_out: whether the tiles it validates on are of held-out cases.
        best: best validation score so far.
        metrics: numbers of the last validation.
    """

    def __init__(
        self,
        plan: Plan,
        folder: RunFolder,
        say: Callable[[str], None],
        *,
        held_out: bool = True,
    ) -> None:
        self.plan, self.folder, self.say, self.held_out = plan, folder, say, held_out
        self.best = -math.inf
        self.metrics: dict[str, float] = {}
        self._won: dict[str, int] = {}

    def steps(self, step: int, terms: list[Terms], facts: Mapping[str, Any]) -> None:
        """Write the mean of the last steps' terms, and watch the adversarial balance."""
        now = means(terms)
        rounded = {name: float(f"{value:.6g}") for name, value in now.items()}
        self.folder.log("step", step=step, **facts, **rounded)
        left = facts["seconds_left"] / 60
        self.say(
            f"step {step}  loss {now.get('loss', math.nan):.3f}  "
            f"{now['step_seconds']:.2f} s/step  {left:.0f} min left"
        )
        for m in self.plan.model.modalities:
            if f"d/{m}/real" not in now:
                continue
            won = now[f"d/{m}/real"] - now.get(f"d/{m}/fake", 0.0) > WON
            self._won[m] = self._won.get(m, 0) + 1 if won else 0
            if self._won[m] == WON_LINES:
                self.warn(
                    step,
                    f"the discriminator of {m} is no longer fooled; its generator learns little "
                    "from it. Lower optimiser.gan_rate in the next run if this stays.",
                )

    def warn(self, step: int, text: str) -> None:
        """Log a warning and say it."""
        self.folder.log("warning", step=step, text=text)
        self.say(f"warning: {text}")

    def validate(self, step: int, model: nn.Module, tiles: Batch) -> None:
        """Score a model on fixed tiles and draw them; of held-out ones remember the best weights.

        Tiles of training cases show that something is learned, and nothing else: they are called
        what they are, and choose no weights.
        """
        results: dict[tuple[str, ...], dict[str, torch.Tensor]] = {}
        for row in range(len(tiles.fov)):  # one at a time: memory stays small
            for subset, images in run_subsets(model, tiles.rows(row, row + 1)).items():
                for m, image in images.items():
                    old = results.setdefault(subset, {}).get(m)
                    results[subset][m] = image if old is None else torch.cat((old, image))
        self.metrics = {k: round(v, 5) for k, v in scores(tiles, results).items()}
        score = summary(self.metrics)
        name = f"step-{step:09d}.png"
        count = self.plan.log.preview_slices
        place = self.folder.previews / name
        self._try(step, lambda: preview(tiles, results, count, place, f"step {step}"))
        known = round(score, 4) if math.isfinite(score) else None
        on = "held-out" if self.held_out else "training"
        self.folder.log("validation", step=step, score=known, on=on, preview=name, **self.metrics)
        if known is None:
            self.say(f"validation at step {step}: no slice has a missing image to compare with")
        else:
            where = "" if self.held_out else " of TRAINING cases, for none is held out"
            self.say(f"validation at step {step}: {score:.2f} dB on missing images{where}")
        if self.held_out and score > self.best:
            self.best = score
            best = {"step": step, "score": score, "average": model.state_dict()}
            self._try(step, lambda: checkpoint.save(best, self.folder.path / "best.pt"))

    def save(self, step: int, state: dict[str, Any], *, last: bool = False) -> None:
        """Write a checkpoint; when the disk is full the older ones stay and the run goes on.

        Raises:
            TrainerError: it was the attempt's ``last`` one and could not be written.
        """

        def write() -> None:
            checkpoint.save_step(state, self.folder.checkpoints, step, self.plan.log.keep)

        if not last:
            self._try(step, write)
            return
        try:
            write()
        except OSError as error:
            raise TrainerError(
                f"The run stopped at step {step}, but its state could not be saved: {error}. "
                "Make room and resume: the run goes on from its last checkpoint."
            ) from error

    def deliver(
        self, step: int, seconds: float, model: nn.Module, data: dict[str, Any]
    ) -> Path | None:
        """Write ``model.safetensors``: a bundle whose provenance holds no names and no paths."""
        plan = self.plan
        told = {k: v for k, v in plan.to_dict().items() if k not in PRIVATE}
        where = (plan.data.spacing, plan.data.plane, plan.data.percentiles, SWEPT)
        bundle = Bundle(
            config=plan.model,
            preprocessing=Preprocessing(*where),
            name=self.folder.path.name,
            card={
                "trained_on": f"{data.get('training_cases', '?')} cases this user brought",
                "training": {"plan": told, "step": step, "seconds": round(seconds)},
                "data": data,
                "metrics": self.metrics,
            },
        )
        path = self.folder.path / "model.safetensors"
        self._try(step, lambda: save_bundle(bundle, model, path))
        return path if path.exists() else None

    def _try(self, step: int, action: Callable[[], object]) -> None:
        try:
            action()
        except (OSError, UserError) as error:
            self.warn(step, str(error))
