"""Run a few real steps of a plan and say what the whole run will take, and whether it can."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import torch

from core.errors import UserError
from core.models.allocator import keep_memory
from core.models.weights import build
from trainer.cohort.cache import cache_case, is_cached
from trainer.cohort.pairs import no_pairs, pairs_in
from trainer.cohort.scan import scan
from trainer.cohort.split import draw
from trainer.errors import TrainerError
from trainer.loop.average import averaged
from trainer.loop.data import WORKERS, cache_folder
from trainer.loop.discriminator import discriminators
from trainer.loop.estimate_verdict import SPARE, Count, Estimate, Measured, Memory, assess
from trainer.loop.families import STEPPERS
from trainer.loop.optimiser import optimiser
from trainer.loop.schedule import Weights
from trainer.loop.tiles import Batch
from trainer.plan.schema import Plan
from trainer.run.environment import choose_device, usable_cores

Tell = Callable[[str, int, int], None]
"""Receives a stage, how much of it is done, and how much there is."""

PATIENCE = 15.0
"""s; a step that takes longer is measured once only."""
SAMPLE = 3
"""Cases prepared to count slices and seconds; training finds them prepared."""


def estimate(plan: Plan, *, steps: int = 2, tell: Tell = lambda *_: None) -> Estimate:
    """Measure a plan on this computer and its cohort.

    Steps are real ones of the plan's model, on random tiles of its size: first with one tile and
    with two, then, when what these tell of the whole says that it fits and is quick, with all.

    Args:
        plan: the plan, with its cohort.
        steps: whole steps measured, per phase (without and with the adversarial part).
        tell: progress.

    Raises:
        TrainerError: the plan's device is missing, its discriminator has no patches, or its cohort
            has nothing to train on.
    """
    measured = measure(plan, steps=steps, tell=tell)
    return assess(plan, measured, count(plan, tell))


def measure(plan: Plan, *, steps: int = 2, tell: Tell = lambda *_: None) -> Measured:
    """Time steps and watch the memory; what does not fit is not tried, but told from less.

    Raises:
        TrainerError: the plan's device is missing, or its discriminator has no patches.
    """
    device = choose_device(plan)
    if plan.threads:
        torch.set_num_threads(plan.threads)
    if device.type == "cpu":
        keep_memory()  # as in training
    memory, gpu = memory_of(device), torch.cuda.is_available()
    size = plan.data.batch
    part = plan.data.micro_batch or size
    try:
        tell("building the model", 0, 4)
        runner = _Runner(plan, device)
        tell("a step with 1 tile", 1, 4)
        runner.step(1, adversarial=True)
        one = peak_mb(device)
        tell("a step with 2 tiles", 2, 4)
        runner.step(2, adversarial=True)
        growth = max(0.0, peak_mb(device) - one)
        need = one + growth * (part - 1)
        plain = runner.step(2, adversarial=False) / 2 * size
        adversarial = runner.step(2, adversarial=True) / 2 * size
        fits = need <= SPARE * min(memory.there_mb, memory.free_mb)
        whole = fits and plain + adversarial < 4 * PATIENCE
        if whole:
            phases = 2 if plan.loss.gan > 0 else 1
            each = steps + 1  # the first is not timed

            def told(done: int) -> None:
                tell("whole steps", done, phases * each)

            plain = adversarial = runner.timed(steps, told, adversarial=False)
            if phases == 2:
                adversarial = runner.timed(steps, lambda n: told(each + n), adversarial=True)
            need = max(one, peak_mb(device))
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error).lower():
            raise
        return Measured(0.0, 0.0, memory.there_mb + 1, 0.0, 0.0, False, memory, device.type)
    return Measured(plain, adversarial, need, one, growth, whole, memory, device.type, gpu)


def count(plan: Plan, tell: Tell = lambda *_: None) -> Count:
    """Prepare a few training cases, and tell from them how long an epoch and preparing them is.

    Raises:
        TrainerError: the cohort is missing, or none of its cases can be trained on.
    """
    source = Path(plan.cohort)
    cases = [c for c in scan(source, plan.model.modalities) if c.id not in plan.exclude]
    usable = [c for c in cases if not c.problem]
    if usable and not pairs_in(usable):
        raise TrainerError(no_pairs(plan.model.modalities, len(usable)))
    split = draw(cases, plan.data)
    cache = cache_folder(source, cases)
    wanted = [c for c in cases if c.id in split["training"]]
    needed = max(1.0, plan.data.min_fov * plan.model.tile[0] * plan.model.tile[1])
    data, modalities = plan.data, plan.model.modalities
    later = [c for c in wanted if not is_cached(c, data, modalities, cache)]
    order = [c for c in wanted if c not in later]
    order = order[:SAMPLE] + later  # at least one is prepared here, if any is left to be
    slices: list[int] = []
    stored: list[int] = []
    times: list[float] = []
    refused, process = "", psutil.Process()
    with _Watch(process) as watch:
        for case in order:
            if len(slices) >= SAMPLE and (times or not later):
                break
            tell("preparing cases", len(slices), min(SAMPLE, len(wanted)))
            started = time.monotonic()
            try:
                prepared = cache_case(case, data, modalities, cache)
            except UserError as error:
                refused = f" {case.id}: {error}"
                continue
            except OSError as error:
                raise TrainerError(
                    f"The preprocessed cases could not be kept ({error.strerror or error}). Make "
                    "room, or set MHVAE_STUDIO_CACHE to a folder with space."
                ) from error
            if case in later:
                times.append(time.monotonic() - started)
            slices.append(int((prepared.coverage >= needed).sum()))
            stored.append(prepared.array.nbytes)
    if not sum(slices):
        if slices:
            refused = (
                f" No slice of {len(slices)} cases shows at least {plan.data.min_fov:.0%} of a "
                "tile. Lower data.min_fov, or choose a smaller tile."
            )
        raise TrainerError(f"No training case of {source.name} can be used.{refused}")
    per_case = sum(slices) / len(slices)
    epoch = max(1, -(-round(per_case * len(wanted)) // plan.data.batch))
    held = [c for c in cases if c.id not in split["training"]]
    rest = [c for c in later + held if not is_cached(c, data, modalities, cache)]
    workers = min(WORKERS, plan.threads or usable_cores(), len(rest))
    seconds = len(rest) * sum(times) / max(1, len(times)) / max(1, workers)
    grown = watch.most - watch.before if times else 0.0
    pairs = {part: pairs_in(cases, split[part]) for part in split}
    cache.mkdir(parents=True, exist_ok=True)
    return Count(
        epoch,
        len(wanted),
        seconds,
        watch.before + workers * grown,
        len(rest) * sum(stored) / len(stored) / 2**20,
        shutil.disk_usage(cache).free / 2**20,
        str(cache),
        pairs,
    )


class _Watch:
    """Watches a process's memory from a thread while cases are prepared, MiB."""

    def __init__(self, process: psutil.Process) -> None:
        self.process = process
        self.before = self.most = process.memory_info().rss / 2**20
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.02):
            self.most = max(self.most, self.process.memory_info().rss / 2**20)


class _Runner:
    """Holds what a training holds: model, its average, optimisers, discriminators."""

    def __init__(self, plan: Plan, device: torch.device) -> None:
        self.plan, self.device = plan, device
        self.model = build(plan.model).to(device).train()
        self.average = averaged(self.model, plan.optimiser.ema)
        critics = discriminators(plan, device)
        self.stepper = STEPPERS[plan.family](self.model, critics, plan, {plan.model.modalities})
        self.optimiser = optimiser(plan, self.model.parameters())
        for group in self.optimiser.param_groups:
            group["lr"] = 1e-4
        judges = [p for critic in critics.values() for p in critic.parameters()]
        self.judges = torch.optim.Adam(judges, lr=1e-4) if judges else None

    def timed(self, steps: int, told: Callable[[int], None], *, adversarial: bool) -> float:
        """Return the seconds of a whole step, the first left out unless it took long.

        Args:
            steps: how many after the first.
            told: receives how many are done, before each.
            adversarial: with discriminators or without.
        """
        size = self.plan.data.batch
        told(0)
        first = self.step(size, adversarial=adversarial)
        if first > PATIENCE:
            return first
        total = 0.0
        for n in range(steps):
            told(n + 1)
            total += self.step(size, adversarial=adversarial)
        return total / max(1, steps)

    def step(self, tiles: int, *, adversarial: bool) -> float:
        """Do one step on random tiles and return its seconds."""
        plan, device = self.plan, self.device
        shape = (tiles, 1, *plan.model.tile)
        batch = Batch(
            {m: torch.rand(shape, device=device) * 2 - 1 for m in plan.model.modalities},
            torch.ones(shape, device=device),
            {m: torch.ones(tiles, dtype=torch.bool, device=device) for m in plan.model.modalities},
        )
        weights = replace(Weights.at(plan, 0, 1.0 if adversarial else 0.0), rate=1e-4)
        part = plan.data.micro_batch or plan.data.batch
        started = time.perf_counter()
        self.optimiser.zero_grad(set_to_none=True)
        pieces = []
        for first in range(0, tiles, part):
            piece = batch.rows(first, first + part)
            _, fakes = self.stepper.generator(piece, first, 0, weights)
            pieces.append((piece, fakes))
        self.optimiser.step()
        if weights.gan > 0 and self.judges is not None:
            self.judges.zero_grad(set_to_none=True)
            for piece, fakes in pieces:
                self.stepper.discriminator(piece, fakes)
            self.judges.step()
            for critic in self.stepper.discriminators.values():
                critic.follow()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started


def memory_of(device: torch.device) -> Memory:
    """Return the memory of the device and what of it a training could have now, MiB."""
    if device.type == "cuda":
        free, there = torch.cuda.mem_get_info(device)
        return Memory(there / 2**20, free / 2**20)
    system = psutil.virtual_memory()
    mine = psutil.Process().memory_info().rss
    return Memory(system.total / 2**20, (system.available + mine) / 2**20)


def peak_mb(device: torch.device) -> float:
    """Return the most memory held so far, MiB: the process's own, or on the GPU."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_reserved(device) / 2**20)
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset / 2**20)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak / (2**20 if sys.platform == "darwin" else 2**10))
