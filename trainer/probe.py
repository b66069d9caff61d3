"""Run a few real steps of a plan and say what the whole run will take."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import psutil
import torch

from core.weights import build
from trainer.dataset import Batch
from trainer.discriminator import PatchDiscriminator
from trainer.environment import choose_device, memory_mb
from trainer.plan import Plan
from trainer.step import Stepper, Weights

LONG = 72 * 3600.0
"""s; longer runs are called long."""


@dataclass(frozen=True)
class Probe:
    """What a plan costs on this machine.

    Attributes:
        step_seconds: one step, adversarial part included where the plan has one.
        memory_mb: memory of the process or the GPU while stepping, MiB.
        total_seconds: the whole run, s.
        verdict: ``"good"``, ``"slow"`` or ``"impossible"``.
        reason: a sentence behind the verdict.
    """

    step_seconds: float
    memory_mb: int
    total_seconds: float
    verdict: str
    reason: str


def probe(plan: Plan, total_steps: int, *, steps: int = 2) -> Probe:
    """Time steps on random tiles of the plan's size.

    Args:
        plan: the plan.
        total_steps: steps of the whole run; ignored when the plan has a time budget.
        steps: steps measured, after one that is not.

    Raises:
        TrainerError: the plan's device is missing, or its discriminator has no patches.
    """
    device = choose_device(plan)
    if plan.threads:
        torch.set_num_threads(plan.threads)
    try:
        step_seconds, memory = _measure(plan, device, steps)
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error).lower():
            raise
        reason = "A step does not fit the memory. Set data.micro_batch to a part of data.batch."
        return Probe(0.0, 0, 0.0, "impossible", reason)
    budget = plan.optimiser.budget_seconds
    total = budget or step_seconds * total_steps
    there = psutil.virtual_memory().total / 2**20
    if device.type == "cuda":
        there = torch.cuda.get_device_properties(device).total_memory / 2**20
    if memory > 0.9 * there:
        return Probe(
            step_seconds,
            memory,
            total,
            "impossible",
            f"A step needs {memory / 1024:.1f} of {there / 1024:.1f} GiB. Set data.micro_batch to "
            "a part of data.batch.",
        )
    if total > LONG:
        reason = f"The run takes {total / 86400:.1f} days. Choose a smaller preset, or a GPU."
        return Probe(step_seconds, memory, total, "slow", reason)
    reason = f"{step_seconds:.2f} s per step, {memory / 1024:.1f} GiB."
    return Probe(step_seconds, memory, total, "good", reason)


def _measure(plan: Plan, device: torch.device, steps: int) -> tuple[float, int]:
    loss, size = plan.loss, plan.data.batch
    model = build(plan.model).to(device)
    critics = {
        m: PatchDiscriminator(plan.model.tile, loss.gan_layers, loss.gan_features).to(device)
        for m in (plan.model.modalities if loss.gan > 0 else ())
    }
    stepper = Stepper(model, critics, plan, {plan.model.modalities})
    optimiser = torch.optim.Adamax(model.parameters(), lr=1e-4)
    shape = (size, 1, *plan.model.tile)
    batch = Batch(
        {m: torch.rand(shape, device=device) * 2 - 1 for m in plan.model.modalities},
        torch.ones(shape, device=device),
        {m: torch.ones(size, dtype=torch.bool, device=device) for m in plan.model.modalities},
    )
    weights = replace(Weights.at(plan, 0, 1.0), rate=1e-4)
    part = plan.data.micro_batch or size
    started, memory = 0.0, 0
    for step in range(steps + 1):
        if step == 1:
            started = time.perf_counter()
        optimiser.zero_grad(set_to_none=True)
        for first in range(0, size, part):
            piece = batch.rows(first, first + part)
            _, fakes = stepper.generator(piece, first, step, weights)
            stepper.discriminator(piece, fakes)
            memory = max(memory, memory_mb(device))
        optimiser.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
    return (time.perf_counter() - started) / steps, memory
