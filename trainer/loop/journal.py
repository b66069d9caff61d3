"""What a run leaves behind while it goes: log lines, validations, checkpoints, the bundle."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from core.errors import UserError
from core.modalities import SWEPT
from core.models.bundle import Bundle, Preprocessing
from core.models.weights import save as save_bundle
from trainer.errors import TrainerError
from trainer.loop import checkpoint
from trainer.loop.terms import Terms, means
from trainer.loop.tiles import Batch
from trainer.loop.validate import preview, scores, summary, synthesised
from trainer.plan.schema import PRIVATE, Plan
from trainer.run.balance import WON, WON_LINES
from trainer.run.curves import TensorBoard, point_of, write_csv
from trainer.run.descent import Descent
from trainer.run.folder import RunFolder
from trainer.run.watch import Watch


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
        watch: what the validations so far say.
        descent: what the training losses say.
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
        self.watch = Watch()
        self.descent = Descent()
        self.metrics: dict[str, float] = {}
        self._won: dict[str, int] = {}
        self._told = False
        self._board: TensorBoard | None = None

    def steps(self, step: int, terms: list[Terms], facts: Mapping[str, Any]) -> None:
        """Write the mean of the last steps' terms, and watch the adversarial balance."""
        for one in terms:
            known = "weighted/l1" in one
            self.descent.add(one["weighted/l1"] + one["weighted/kl"] if known else None)
        now = means(terms)
        rounded = {name: float(f"{value:.6g}") for name, value in now.items()}
        self.folder.log("step", step=step, **facts, **rounded)
        self._draw("step", step, {**facts, **rounded})
        left = facts["seconds_left"] / 60
        self.say(
            f"step {step}  loss {now.get('loss', math.nan):.3f}  "
            f"{now['step_seconds']:.2f} s/step  {left:.0f} min left"
        )
        for m in self.plan.model.modalities:
            if f"d/{m}/real" not in now or self.plan.loss.gan_loss != "lsgan":
                continue  # the scores of other losses have no fixed range
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

    def validate(
        self, step: int, model: nn.Module, tiles: Batch, seen: Batch | None = None
    ) -> None:
        """Score a model on fixed tiles and draw them; of held-out ones remember the best weights.

        Tiles of training cases show that something is learned, and nothing else: they are called
        what they are, and choose no weights.

        Args:
            step: steps done; 0 is the start.
            model: the averaged weights.
            tiles: those that are scored and drawn.
            seen: training tiles, scored beside held-out ones.
        """
        only = self.plan.loss.known_only
        results = synthesised(model, tiles)
        self.metrics = {k: round(v, 5) for k, v in scores(tiles, results, only).items()}
        score = summary(self.metrics)
        name = f"step-{step:09d}.png"
        count = self.plan.log.preview_slices
        place = self.folder.previews / name
        turned = self.plan.data.slicing
        self._try(step, lambda: preview(tiles, results, count, place, f"step {step}", turned))
        known = round(score, 4) if math.isfinite(score) else None
        on = "held-out" if self.held_out else "training"
        learned = math.nan
        if self.held_out and seen is not None:
            learned = summary(scores(seen, synthesised(model, seen), only))
        facts = {"train_score": round(learned, 4)} if math.isfinite(learned) else {}
        self.folder.log(
            "validation", step=step, score=known, on=on, preview=name, **facts, **self.metrics
        )
        self._draw("validation", step, {"score": known, **facts, **self.metrics})
        self._try(step, lambda: write_csv(self.folder.path))
        if known is None:
            self.say(f"validation at step {step}: no slice has a missing image to compare with")
        else:
            where = "" if self.held_out else " of TRAINING cases, for none is held out"
            self.say(f"validation at step {step}: {score:.2f} dB on missing images{where}")
        if not self.held_out:
            return
        if self.watch.add(step, score, learned):
            best = {"step": step, "score": score, "average": model.state_dict()}
            self._try(step, lambda: checkpoint.save(best, self.folder.path / "best.pt"))

        told = self.watch.overfitting()
        if told and not self._told:
            self.warn(step, told)
        self._told = bool(told)

    def open_board(self, step: int) -> None:
        """Begin to write for TensorBoard, where the plan asks for it.

        Raises:
            TrainerError: its package is not installed.
        """
        if self.plan.log.tensorboard and not self.folder.silent:
            self._board = TensorBoard(self.folder.path, step)

    def close(self) -> None:
        """Write what is held back."""
        if self._board is not None:
            self._board.close()

    def _draw(self, event: str, step: int, facts: Mapping[str, Any]) -> None:
        point = point_of({"event": event, "step": step, "time": time.time(), **facts})
        if self._board is not None and point is not None:
            self._board.add(point)

    def given_up(self) -> str:
        """Say why the run must not go on: it stays worse than its start; empty when it does not."""
        limit, count = self.plan.optimiser.give_up, self.watch.worse_than_start()
        if not limit or count < limit:
            return ""
        what = "the model it began with" if self.plan.start_from else "before the first step"
        return (
            f"The training gets worse: {count} validations in a row were below {what} "
            f"({self.watch.held[-1]:.2f} dB against {self.watch.start:.2f} dB). It was stopped; "
            f"the model of step {self.watch.best_step} is kept. Start again with a lower "
            "optimiser.rate, or look at the pairs."
        )

    def diverged(self) -> str:
        """Say why the run must not go on: its loss does not come down; empty when it does."""
        why = self.descent.diverged(self.plan.optimiser.diverge)
        if not why:
            return ""
        best = self.watch.best_step
        kept = "last checkpoint" if best is None else f"model of step {best}"
        return (
            f"The training diverged: {why}. It was stopped; the {kept} is kept. Start again with "
            "a lower optimiser.rate (estimate --rate-test proposes one), or look at the pairs."
        )

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
        self,
        step: int,
        seconds: float,
        model: nn.Module,
        data: dict[str, Any],
        temperature: float,
        *,
        diverged: bool = False,
    ) -> Path | None:
        """Write ``model.safetensors``, and the last weights beside it where those are not the same.

        Their provenance holds no names and no paths, and says which step they are of. Once
        discriminators judge, the last weights are delivered: no score sees the texture they teach.
        Those of a training that ``diverged`` are not, if there are better ones.
        """
        place = self.folder.path / "model.safetensors"
        last = self.folder.path / "model-last.safetensors"
        by_score = diverged or (self.plan.log.deliver == "best" and temperature == 0)
        chosen = self._best(model) if by_score else None
        if chosen is None or chosen[0] == step:
            self._bundle(place, step, seconds, model, data, step, temperature)
            last.unlink(missing_ok=True)
        else:
            self._bundle(place, chosen[0], seconds, chosen[1], data, step, temperature)
            self._bundle(last, step, seconds, model, data, step, temperature)
        return place if place.exists() else None

    def _best(self, model: nn.Module) -> tuple[int, nn.Module] | None:
        """Return the step and the weights of the best validation of this run, if there was one."""
        wanted = self.watch.best_step
        try:
            kept = checkpoint.load(self.folder.path / "best.pt") if wanted is not None else {}
        except TrainerError:
            return None
        if kept.get("step") != wanted or wanted is None:
            return None
        best = copy.deepcopy(model)
        best.load_state_dict(kept["average"])
        return wanted, best

    def _bundle(
        self,
        path: Path,
        step: int,
        seconds: float,
        model: nn.Module,
        data: dict[str, Any],
        now: int,
        temperature: float,
    ) -> None:
        plan = self.plan
        scored = dict(zip(self.watch.steps, self.watch.held, strict=True))
        training: dict[str, Any] = {"step": step, "steps_done": now, "seconds": round(seconds)}
        if step in scored:
            training["chosen"] = (
                f"step {step}, the best of {len(scored)} validations"
                if step == self.watch.best_step
                else f"step {step}, the last"
            )
            training["score"] = round(scored[step], 4)
        told = {k: v for k, v in plan.to_dict().items() if k not in PRIVATE}
        where = (plan.data.spacing, plan.data.plane, plan.data.percentiles, SWEPT)
        orientation = plan.data.slicing.orientation
        bundle = Bundle(
            config=plan.model,
            preprocessing=Preprocessing(*where, orientation),
            name=self.folder.path.name,
            temperature=temperature,
            card={
                "trained_on": f"{data.get('training_cases', '?')} cases this user brought",
                "training": {"plan": told, **training},
                "data": data,
                "metrics": self.metrics,
            },
        )
        self._try(now, lambda: save_bundle(bundle, model, path))

    def _try(self, step: int, action: Callable[[], object]) -> None:
        try:
            action()
        except (OSError, UserError) as error:
            self.warn(step, str(error))
