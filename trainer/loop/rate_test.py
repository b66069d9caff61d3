"""A learning-rate range test: real steps at a rising rate say which rate lowers the loss fastest.

After Smith 2017 ("Cyclical learning rates for training neural networks"). Every step's loss is
divided by that of the untouched model on the same tiles with the same noise, so that easy and hard
batches do not hide what the steps did.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from core.errors import UserError
from core.models.weights import build
from trainer.cohort.cache import CachedCase, cache_case
from trainer.cohort.scan import scan
from trainer.cohort.split import draw
from trainer.errors import TrainerError
from trainer.loop.data import cache_folder
from trainer.loop.grow import initialise
from trainer.loop.schedule import Weights
from trainer.loop.step import Stepper
from trainer.loop.terms import Terms, add_all
from trainer.loop.tiles import Batch, TileSampler
from trainer.plan.fine_tune import check_start
from trainer.plan.schema import Plan
from trainer.run.environment import choose_device

STEPS = 60
LOWEST, HIGHEST = 1e-5, 0.3
"""Rates between which the test goes."""
CASES = 3
SMOOTH = 0.8
"""Weight of what came before in the running mean."""
LOST = 2.0
"""Loss against the untouched model's at which the test ends."""
GAIN = 0.02
"""Part of the loss that must have gone for a rate to be proposed."""

Tell = Callable[[str, int, int], None]


@dataclass(frozen=True)
class RateTest:
    """What a test found.

    Attributes:
        rates: of the steps.
        losses: smoothed, as a part of the untouched model's on the same tiles.
        rate: what is proposed for ``optimiser.rate``; None when nothing can be told.
        sentence: says it, and why.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    rate: float | None
    sentence: str


def rate_test(plan: Plan, steps: int = STEPS, tell: Tell = lambda *_: None) -> RateTest:
    """Do a test on a few training cases, from the weights the plan begins with.

    Args:
        plan: with its cohort.
        steps: how many; the rate grows by the same factor each time.
        tell: progress.

    Raises:
        TrainerError: too few steps, or the cohort has nothing to train on.
        ModelError: the model to begin with cannot be read.
    """
    if steps < 20:
        raise TrainerError(f"A test of learning rates needs 20 steps or more; found {steps}.")
    if plan.start_from:
        check_start(plan)
    device = choose_device(plan)
    if plan.threads:
        torch.set_num_threads(plan.threads)
    cases = _cases(plan, tell)
    sampler = TileSampler(cases, plan)
    torch.manual_seed(plan.seed)
    model = build(plan.model)
    if plan.start_from:
        initialise(model, plan, lambda *_, **__: None)
    model = model.to(device).train()
    untouched = copy.deepcopy(model)
    optimiser = torch.optim.Adamax(model.parameters(), lr=LOWEST)
    presence = {case.present for case in cases}
    steppers = [Stepper(m, {}, plan, presence) for m in (model, untouched)]
    weights = replace(Weights.at(plan, 0, 0.0), beta=plan.loss.beta, gan=0.0)
    rates, parts = [], []
    for n in range(steps):
        tell("testing learning rates", n, steps)
        rate = LOWEST * (HIGHEST / LOWEST) ** (n / (steps - 1))
        batch = sampler.batch(n)
        now, before = (_loss(stepper, batch, n, weights, plan, device) for stepper in steppers)
        part = now / before if before > 0 else math.nan
        if not math.isfinite(part):
            break
        rates.append(rate)
        parts.append(part)
        if smoothed(parts)[-1] > LOST:
            break
        for group in optimiser.param_groups:
            group["lr"] = rate
        torch.nn.utils.clip_grad_norm_(model.parameters(), plan.optimiser.clip or math.inf)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        untouched.zero_grad(set_to_none=True)
    return judged(rates, parts, plan.optimiser.rate)


def _loss(
    stepper: Stepper, batch: Batch, step: int, weights: Weights, plan: Plan, device: torch.device
) -> float:
    """Add the gradients of a step and return its loss, L1 and KL."""
    size = plan.data.micro_batch or plan.data.batch
    terms = Terms()
    for first in range(0, plan.data.batch, size):
        piece = batch.rows(first, first + size).to(device, torch.float32)
        add_all(terms, stepper.generator(piece, first, step, weights)[0])
    return terms.get("weighted/l1", math.nan) + terms.get("weighted/kl", 0.0)


def _cases(plan: Plan, tell: Tell) -> list[CachedCase]:
    """Prepare a few training cases with a pair; the training finds them prepared."""
    source, modalities = Path(plan.cohort), plan.model.modalities
    cases = [c for c in scan(source, modalities) if c.id not in plan.exclude]
    split, cache = draw(cases, plan.data), cache_folder(source, cases)
    found: list[CachedCase] = []
    wanted = [c for c in cases if c.id in split["training"] and not c.problem]
    for case in wanted:
        tell("preparing cases", len(found), CASES)
        try:
            ready = cache_case(case, plan.data, modalities, cache)
        except UserError:
            continue  # the estimate, and the check, say why
        if ready.paired:
            found.append(ready)
        if len(found) == CASES:
            break
    if not found:
        raise TrainerError(
            f"No training case of {source.name} has a pair; there is nothing to test a rate on."
        )
    return found


def smoothed(values: Sequence[float]) -> list[float]:
    """Return the running mean of a curve, not drawn to where it began."""
    mean, found = 0.0, []
    for n, value in enumerate(values, start=1):
        mean = SMOOTH * mean + (1 - SMOOTH) * value
        found.append(mean / (1 - SMOOTH**n))
    return found


def judged(rates: Sequence[float], parts: Sequence[float], planned: float) -> RateTest:
    """Read a rate off a test's curve.

    It is where the smoothed loss falls fastest over the logarithm of the rate, but at most a third
    of the rate at which it is lowest, beyond which steps undo what they did.

    Args:
        rates: of the steps, rising.
        parts: loss of each step against the untouched model's.
        planned: the plan's own rate, for the sentence.
    """
    losses = smoothed(parts)
    told = tuple(rates), tuple(losses)
    if len(losses) < 10 or min(losses) > 1 - GAIN:
        return RateTest(
            *told,
            None,
            f"No rate lowered the loss by {GAIN:.0%} within {len(losses)} steps; the test proposes "
            f"nothing, and the plan's {planned:.2g} stays.",
        )
    lowest = int(np.argmin(losses))
    slope = np.gradient(np.array(losses[: lowest + 1]), np.log(rates[: lowest + 1]))
    steepest = rates[int(np.argmin(slope))]
    rate = float(f"{min(steepest, rates[lowest] / 3):.1e}")
    rising = f"; above {rates[lowest]:.1e} it rose again" if lowest < len(losses) - 1 else ""
    return RateTest(
        *told,
        rate,
        f"At a rising rate the loss fell fastest near {steepest:.1e} and was lowest, "
        f"{min(losses):.0%} of its start, at {rates[lowest]:.1e}{rising}. Proposed: {rate:.1e}; "
        f"the plan has {planned:.1e}.",
    )
