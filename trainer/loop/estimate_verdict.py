"""From what an estimate measured to a traffic light, its reason, and what would make it green."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from trainer.cohort.pairs import FEWEST_TO_TRAIN, doubts
from trainer.plan.schema import Plan

PAPER_EPOCHS = 1000
LONG = 72 * 3600.0
"""s; longer runs are called long."""
DAY = 86400.0
SPARE = 0.9
"""Part of the memory a training may take; the rest is the system's."""
SMALLER = {"paper": "quick", "quick": "smoke"}
LIGHTS = {"good": "green", "tight": "yellow", "slow": "yellow", "impossible": "red"}


@dataclass(frozen=True)
class Memory:
    """Memory of the device, MiB: all of it, and what is free now."""

    there_mb: float
    free_mb: float


@dataclass(frozen=True)
class Measured:
    """What steps of a plan took.

    Attributes:
        plain_seconds: a step without the adversarial part, s.
        adversarial_seconds: a step with it, s; the same where the plan has none.
        need_mb: memory the training needs, MiB.
        one_mb: memory with one tile at a time, MiB; 0 when not even that fitted.
        tile_mb: memory each further tile takes, MiB.
        whole: whether whole steps were run; else all is told from steps of one and two tiles.
        memory: of the device.
        device: ``"cpu"`` or ``"cuda"``.
        gpu: whether there is a GPU, used or not.
    """

    plain_seconds: float
    adversarial_seconds: float
    need_mb: float
    one_mb: float
    tile_mb: float
    whole: bool
    memory: Memory
    device: str = "cpu"
    gpu: bool = False


@dataclass(frozen=True)
class Count:
    """What a plan's cohort asks for.

    Attributes:
        epoch_steps: steps that show every slice once; about, from the first cases.
        cases: training cases.
        preparing_seconds: time to preprocess the cases that are not yet, s.
        preparing_mb: memory of the process meanwhile, MiB; 0 when nothing is left to prepare.
        disk_mb: what the cases that are not prepared yet will take on the disk, MiB.
        disk_free_mb: what is free there, MiB.
        cache: folder where prepared cases are kept.
        pairs: part of the split → cases with a pair; empty when it was not asked.
    """

    epoch_steps: int
    cases: int
    preparing_seconds: float = 0.0
    preparing_mb: float = 0.0
    disk_mb: float = 0.0
    disk_free_mb: float = 0.0
    cache: str = ""
    pairs: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Fix:
    """One change that helps: a label for a button, and settings named as in ``--set``.

    ``preset`` among the settings means another preset.
    """

    label: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Estimate:
    """What a plan costs on this machine.

    Attributes:
        verdict: ``"good"``, ``"tight"`` (memory is taken by others now), ``"slow"`` or
            ``"impossible"``.
        light: ``"green"``, ``"yellow"`` or ``"red"``.
        reason: a sentence or two behind the verdict.
        step_seconds: one step, averaged over the run's phases, s.
        steps: steps of the whole run; about, where the plan counts epochs or seconds.
        epochs: how often the run sees every slice.
        total_seconds: the whole run, preparing included, s.
        preparing_seconds: the part of it before the first step, s.
        need_mb, there_mb, free_mb: memory needed, there, and free now, MiB.
        measured: whether whole steps were run.
        device: where they ran.
        fixes: changes that help.
        worth: sentences on what the training can teach and its test can show.
        disk_mb, disk_free_mb: what prepared cases will still take on the disk, and what is free,
            MiB.
        cache: folder where prepared cases are kept; it may be deleted when no run goes on.
        rate: what a test of learning rates said; empty without one.
    """

    verdict: str
    reason: str
    step_seconds: float
    steps: int
    epochs: float
    total_seconds: float
    preparing_seconds: float
    need_mb: int
    there_mb: int
    free_mb: int
    measured: bool
    device: str
    fixes: tuple[Fix, ...] = field(default_factory=tuple)
    worth: tuple[str, ...] = ()
    disk_mb: int = 0
    disk_free_mb: int = 0
    cache: str = ""
    rate: str = ""

    @property
    def light(self) -> str:
        """The traffic light's colour."""
        return LIGHTS[self.verdict]


def assess(plan: Plan, found: Measured, count: Count) -> Estimate:
    """Say whether a plan can run, how long, and what to change."""
    late = 1 - min(1.0, plan.loss.gan_start) if plan.loss.gan > 0 else 0.0
    step = (1 - late) * found.plain_seconds + late * found.adversarial_seconds
    budget = plan.optimiser.budget_seconds
    steps = plan.optimiser.steps or plan.optimiser.epochs * count.epoch_steps
    if budget > 0:
        steps = int(budget / step) if step > 0 else 0
    total = (budget or steps * step) + count.preparing_seconds
    epochs = steps / count.epoch_steps
    limit = SPARE * found.memory.free_mb
    before = found.device == "cpu" and count.preparing_mb > max(found.need_mb, limit)
    if found.device == "cpu" and found.one_mb:
        found = replace(found, need_mb=max(found.need_mb, count.preparing_mb))
    verdict, reason, fixes = _verdict(plan, found, total, epochs)
    full = count.disk_mb > SPARE * count.disk_free_mb and bool(count.cache)
    if full:
        verdict = "impossible"
        reason = (
            f"The prepared cases need {_gib(count.disk_mb)} on the disk, and "
            f"{_gib(count.disk_free_mb)} are free in {count.cache}. Make room, or set "
            "MHVAE_STUDIO_CACHE to a folder with more."
        )
        fixes = ()
    if before and not full:
        reason += " It is the preparing of the cases that needs it."
        one = Fix("Prepare one case at a time, on one thread", {"threads": 1})
        fixes = () if plan.threads == 1 else (one,)
    return Estimate(
        verdict,
        reason,
        step,
        steps,
        epochs,
        total,
        count.preparing_seconds,
        round(found.need_mb),
        round(found.memory.there_mb),
        round(found.memory.free_mb),
        found.whole,
        found.device,
        fixes,
        worth(plan, found.device, epochs, count),
        round(count.disk_mb),
        round(count.disk_free_mb),
        count.cache,
    )


def with_rate(estimate: Estimate, plan: Plan, rate: float | None, sentence: str) -> Estimate:
    """Return an estimate with what a test of learning rates said, and the rate it proposes."""
    o = plan.optimiser
    fixes = estimate.fixes
    if rate is not None and not 0.8 < rate / o.rate < 1.25:
        end = {"optimiser.rate_end": rate / 10} if o.rate_end > rate / 10 else {}
        settings = {**end, "optimiser.rate": rate}
        fixes = (*fixes, Fix(f"Take the learning rate {rate:.1e}", settings))
    return replace(estimate, rate=sentence, fixes=fixes)


def _gib(mb: float) -> str:
    return f"{mb / 1024:.1f} GiB"


def worth(plan: Plan, device: str, epochs: float, count: Count) -> tuple[str, ...]:
    """Say what a training can teach and its test can show, and what to do instead."""
    told = []
    pairs = count.pairs.get("training", 0)
    few = bool(count.pairs) and pairs < FEWEST_TO_TRAIN
    if plan.start_from == "" and (few or device == "cpu"):
        why = f"{pairs} training pairs are few" if few else "a CPU sees each slice too seldom"
        told.append(
            f"From random weights: {why} for a model of its own. Fine-tune the built-in model "
            "(--from simulated-1mm) instead."
        )
    if not plan.start_from and epochs < PAPER_EPOCHS / 10:
        told.append(
            f"Every slice is seen {epochs:.1f} times; the paper's training saw it {PAPER_EPOCHS} "
            "times. Expect blurred images."
        )
    if count.pairs:
        told += doubts(count.pairs, len(plan.model.modalities))
    return tuple(told)


def _verdict(
    plan: Plan, found: Measured, total: float, epochs: float
) -> tuple[str, str, tuple[Fix, ...]]:
    there, free = found.memory.there_mb, found.memory.free_mb
    need, has = f"{found.need_mb / 1024:.1f} GiB", f"{there / 1024:.1f} GiB"
    where = "the GPU" if found.device == "cuda" else "this computer"
    if found.need_mb > SPARE * there:
        reason = f"It needs {need}; {where} has {has}."
        if not found.one_mb:
            reason = f"A step does not fit the {has} of {where}."
        return "impossible", reason, _fixes_for_memory(plan, found, SPARE * there)
    if found.need_mb > SPARE * free:
        reason = (
            f"It needs {need}, and of the {has} of {where} only {free / 1024:.1f} GiB are free "
            "now. Close other programs, or take smaller parts."
        )
        return "tight", reason, _fixes_for_memory(plan, found, SPARE * free)
    if total > LONG:
        reason = f"It fits the memory ({need} of {has}), but takes {total / DAY:.1f} days."
        return "slow", reason, _fixes_for_time(plan, found)
    if epochs < 1:
        reason = (
            f"It fits the memory ({need} of {has}), but ends before every slice was seen once "
            f"({epochs:.0%} of them)."
        )
        return "slow", reason, _smaller_preset(plan)
    return "good", f"It fits the memory ({need} of {has}) and the time.", ()


def _fixes_for_memory(plan: Plan, found: Measured, limit: float) -> tuple[Fix, ...]:
    batch = plan.data.batch
    now = plan.data.micro_batch or batch
    for part in sorted((d for d in range(1, now) if batch % d == 0), reverse=True):
        need = found.one_mb + (part - 1) * found.tile_mb
        if (found.one_mb or part == 1) and need <= limit:
            about = f", about {need / 1024:.1f} GiB" if found.one_mb else ""
            tiles = "one tile" if part == 1 else f"{part} tiles"
            return (
                Fix(f"Work in parts of {tiles} (same result{about})", {"data.micro_batch": part}),
            )
    return _smaller_preset(plan)


def _fixes_for_time(plan: Plan, found: Measured) -> tuple[Fix, ...]:
    day = Fix("Stop after 24 hours", {"optimiser.budget_seconds": DAY})
    gpu: tuple[Fix, ...] = ()
    if found.gpu and found.device == "cpu":
        gpu = (Fix("Use the GPU", {"device": "auto"}),)
    return (day, *gpu, *_smaller_preset(plan))


def _smaller_preset(plan: Plan) -> tuple[Fix, ...]:
    name = SMALLER.get(plan.preset)
    if name is None or plan.start_from:
        return ()
    return (Fix(f"Take the preset {name}", {"preset": name}),)
