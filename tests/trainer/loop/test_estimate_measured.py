"""What an estimate measures: a whole step, its seconds, and the arithmetic that tells the rest."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from trainer_cohort import tiny_plan

import trainer.loop.estimate as estimating
from trainer.cohort.case import CohortCase
from trainer.loop.discriminator import PatchDiscriminator
from trainer.loop.estimate_verdict import SPARE, Memory
from trainer.loop.step import Stepper
from trainer.loop.stepper import Fake
from trainer.loop.terms import Terms
from trainer.loop.tiles import Batch

CPU = torch.device("cpu")
MIB = 2**20


def weights_of(module: torch.nn.Module) -> list[torch.Tensor]:
    return [p.detach().clone() for p in module.parameters()]


def moved(module: torch.nn.Module, before: list[torch.Tensor]) -> bool:
    return any(not torch.equal(a, b) for a, b in zip(weights_of(module), before, strict=True))


def test_a_measured_step_is_a_whole_step_of_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    plan = tiny_plan(Path("x"), loss__gan=1.0, data__batch=5, data__micro_batch=2)
    runner = estimating._Runner(plan, CPU)
    made: list[tuple[Batch, int, int, list[Fake]]] = []
    judged: list[tuple[Batch, list[Fake]]] = []
    followed: list[PatchDiscriminator] = []
    generate, judge = Stepper.generator, Stepper.discriminator

    def generator(
        self: Stepper, batch: Batch, first: int, step: int, weights: Any
    ) -> tuple[Terms, list[Fake]]:
        found = generate(self, batch, first, step, weights)
        made.append((batch, first, step, found[1]))
        assert weights.rate == 1e-4
        assert (weights.gan > 0) == adversarial
        return found

    def discriminator(self: Stepper, batch: Batch, fakes: list[Fake]) -> Terms:
        judged.append((batch, fakes))
        return judge(self, batch, fakes)

    monkeypatch.setattr(Stepper, "generator", generator)
    monkeypatch.setattr(Stepper, "discriminator", discriminator)
    monkeypatch.setattr(PatchDiscriminator, "follow", lambda critic: followed.append(critic))
    model = weights_of(runner.model)
    critics = {m: weights_of(d) for m, d in runner.stepper.discriminators.items()}

    adversarial = False
    runner.step(5, adversarial=False)
    assert [(len(batch.fov), first, step) for batch, first, step, _ in made] == [
        (2, 0, 0),
        (2, 2, 0),
        (1, 4, 0),
    ]
    images = torch.cat([batch.images["T2"] for batch, *_ in made])
    assert images.shape == (5, 1, *plan.model.tile)
    assert -1 <= float(images.min()) < -0.9
    assert 0.9 < float(images.max()) <= 1
    assert all(bool((batch.fov == 1).all()) for batch, *_ in made)
    assert all(bool(batch.present[m].all()) for batch, *_ in made for m in ("T2", "iUS"))
    assert moved(runner.model, model)
    assert not judged
    assert not followed
    assert not any(moved(d, critics[m]) for m, d in runner.stepper.discriminators.items())

    made.clear()
    adversarial = True
    runner.step(5, adversarial=True)
    assert judged == [(batch, fakes) for batch, _, _, fakes in made]
    assert all(fakes for _, fakes in judged)
    assert all(moved(d, critics[m]) for m, d in runner.stepper.discriminators.items())
    assert followed == list(runner.stepper.discriminators.values())

    # Without micro_batch the batch is one piece; the gradients of a step before are forgotten.
    made.clear()
    adversarial = False
    whole = estimating._Runner(plan.override({"data.micro_batch": 0}), CPU)
    for parameter in whole.model.parameters():
        parameter.grad = torch.full_like(parameter, float("nan"))
    whole.step(5, adversarial=False)
    assert [(len(batch.fov), first) for batch, first, *_ in made] == [(5, 0)]
    assert all(bool(torch.isfinite(p).all()) for p in whole.model.parameters())


def test_seconds_are_of_the_step_alone_and_the_first_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = tiny_plan(Path("x"), loss__gan=0, data__batch=4)
    runner = estimating._Runner(plan, CPU)
    clock = iter((10.0, 12.5))
    with monkeypatch.context() as patch:
        patch.setattr(estimating, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
        assert runner.step(2, adversarial=True) == 2.5
    asked: list[tuple[int, bool]] = []

    def took(*seconds: float) -> Callable[..., float]:
        left = iter(seconds)

        def step(_: object, tiles: int, *, adversarial: bool) -> float:
            asked.append((tiles, adversarial))
            return next(left)

        return step

    monkeypatch.setattr(estimating._Runner, "step", took(9.0, 1.0, 4.0))
    done: list[int] = []
    assert runner.timed(2, done.append, adversarial=True) == 2.5
    assert done == [0, 1, 2]
    assert asked == [(4, True)] * 3
    monkeypatch.setattr(estimating._Runner, "step", took(estimating.PATIENCE, 7.0))
    assert runner.timed(1, done.append, adversarial=False) == 7.0
    monkeypatch.setattr(estimating._Runner, "step", took(estimating.PATIENCE + 1))
    assert runner.timed(2, done.append, adversarial=False) == estimating.PATIENCE + 1
    monkeypatch.setattr(estimating._Runner, "step", took(1.0))
    assert runner.timed(0, done.append, adversarial=False) == 0.0


def measured(
    monkeypatch: pytest.MonkeyPatch,
    seconds: dict[bool, float],
    peaks: list[float],
    memory: Memory,
    **settings: object,
) -> tuple[Any, list[tuple[str, int, int]]]:
    """Measure with steps of so many seconds (by adversarial) and memory peaks one after another."""
    peak = iter(peaks)
    told: list[tuple[str, int, int]] = []
    steps: list[tuple[int, bool]] = []

    def step(_: object, tiles: int, *, adversarial: bool) -> float:
        steps.append((tiles, adversarial))
        return seconds[adversarial]

    monkeypatch.setattr(estimating._Runner, "step", step)

    def timed(_: object, steps: int, told: Callable[[int], None], *, adversarial: bool) -> float:
        for n in range(steps + 1):
            told(n)
        return steps + 0.5 * adversarial

    monkeypatch.setattr(estimating._Runner, "timed", timed)
    monkeypatch.setattr(estimating, "peak_mb", lambda _: next(peak))
    monkeypatch.setattr(estimating, "memory_of", lambda _: memory)
    plan = tiny_plan(Path("x"), **{"data__batch": 8, "loss__gan": 0, **settings})
    found = estimating.measure(plan, steps=3, tell=lambda *what: told.append(what))
    # Memory is watched with all that a step may hold, then both kinds are timed.
    assert steps == [(1, True), (2, True), (2, False), (2, True)]
    return found, told


def test_a_plan_that_fits_is_measured_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    room = Memory(1000.0, 500.0)
    found, told = measured(monkeypatch, {False: 1.0, True: 2.0}, [100.0, 120.0, 260.0], room)
    assert (found.plain_seconds, found.adversarial_seconds) == (3.0, 3.0)  # no adversarial phase
    assert (found.one_mb, found.tile_mb, found.need_mb, found.whole) == (100.0, 20.0, 260.0, True)
    assert (found.memory, found.device) == (room, "cpu")
    assert found.gpu == torch.cuda.is_available()
    assert [what[1:] for what in told[:3]] == [(0, 4), (1, 4), (2, 4)]
    assert told[3:] == [("whole steps", n, 4) for n in range(4)]  # the first is not timed
    # A peak that was reached before stays the need.
    found, _ = measured(monkeypatch, {False: 1.0, True: 2.0}, [100.0, 90.0, 80.0], room)
    assert (found.tile_mb, found.need_mb) == (0.0, 100.0)
    found, told = measured(
        monkeypatch, {False: 1.0, True: 2.0}, [100.0, 120.0, 260.0], room, loss__gan=1.0
    )
    assert told[3:] == [("whole steps", n, 8) for n in range(8)]  # of both phases
    assert (found.plain_seconds, found.adversarial_seconds) == (3.0, 3.5)


def test_what_does_not_fit_or_is_slow_is_told_of_two_tiles(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quick = {False: 1.0, True: 2.0}
    need = 100.0 + 20.0 * 7
    for there, free, fits in (
        (need / SPARE, 1e6, True),
        (1e6, need / SPARE, True),
        (need / SPARE - 1, 1e6, False),
        (1e6, need / SPARE - 1, False),
    ):
        peaks = [100.0, 120.0, 1.0]
        found, told = measured(monkeypatch, quick, peaks, Memory(there, free))
        assert found.whole == fits
        assert len(told) == (7 if fits else 3)
    assert (found.need_mb, found.plain_seconds, found.adversarial_seconds) == (need, 4.0, 8.0)
    found, _ = measured(monkeypatch, quick, [100.0, 120.0], Memory(1.0, 1.0), data__micro_batch=3)
    assert found.need_mb == 100.0 + 20.0 * 2
    # Both phases of a step together: 8 tiles of (a + b) / 2 each, against four times the patience.
    for more, whole in ((0.0, False), (-0.5, True)):
        slow = {False: 5.0, True: estimating.PATIENCE - 5.0 + more}
        found, _ = measured(monkeypatch, slow, [100.0, 120.0, 130.0], Memory(1e6, 1e6))
        assert found.whole == whole


def test_a_step_that_finds_no_memory_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    room = Memory(1000.0, 500.0)
    for error in (MemoryError(), RuntimeError("CUDA error: out of Memory")):

        def fail(*_: object, error: Exception = error, **__: object) -> float:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(estimating, "memory_of", lambda _: room)
            patch.setattr(estimating._Runner, "step", fail)
            found = estimating.measure(tiny_plan(Path("x"), loss__gan=0))
        assert (found.plain_seconds, found.adversarial_seconds) == (0.0, 0.0)
        assert found.need_mb == 1001.0  # more than there is
        assert (found.one_mb, found.tile_mb, found.whole) == (0.0, 0.0, False)
        assert (found.memory, found.device) == (room, "cpu")


def test_memory_is_in_mebibytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        psutil, "virtual_memory", lambda: SimpleNamespace(total=8192 * MIB, available=3000 * MIB)
    )
    process = SimpleNamespace(memory_info=lambda: SimpleNamespace(rss=500 * MIB))
    monkeypatch.setattr(psutil, "Process", lambda: process)
    assert estimating.memory_of(CPU) == Memory(8192.0, 3500.0)
    monkeypatch.setattr(resource, "getrusage", lambda _: SimpleNamespace(ru_maxrss=300 * 2**10))
    monkeypatch.setattr(estimating, "sys", SimpleNamespace(platform="linux"))
    assert estimating.peak_mb(CPU) == 300.0
    monkeypatch.setattr(estimating, "sys", SimpleNamespace(platform="darwin"))
    assert estimating.peak_mb(CPU) == pytest.approx(300 / 2**10)


def test_a_cohort_is_counted_from_a_few_cases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten training cases of 5, 7 and 9 slices so far; four are prepared, and one held out."""
    names = [f"c{n:02d}" for n in range(14)]
    cases = [CohortCase(n, n, {"T2": Path("a"), "iUS": Path("b")}) for n in names]
    split = {"training": names[:10], "validation": names[10:12], "test": names[12:]}
    plan = tiny_plan(tmp_path, data__batch=4, data__min_fov=0.5, threads=3)
    needed = 0.5 * 16 * 16
    prepared: list[str] = []
    known = {*names[:4], names[12]}
    slices = {names[0]: 5, names[1]: 7, names[4]: 9}

    def cache_case(case: CohortCase, *_: object) -> Any:
        prepared.append(case.id)
        known.add(case.id)
        coverage = np.full(20, needed - 1)
        coverage[: slices[case.id]] = needed
        return SimpleNamespace(coverage=coverage, array=SimpleNamespace(nbytes=len(prepared) * MIB))

    clock = iter((0.0, 1.0, 10.0, 16.0))

    class Watch:
        before, most = 100.0, 130.0

        def __init__(self, _: psutil.Process) -> None: ...

        def __enter__(self) -> Watch:
            return self

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(estimating, "scan", lambda *_: cases)
    monkeypatch.setattr(estimating, "draw", lambda *_: split)
    monkeypatch.setattr(estimating, "SAMPLE", 2)
    monkeypatch.setattr(estimating, "cache_folder", lambda *_: tmp_path / "a" / "cache")
    monkeypatch.setattr(estimating, "is_cached", lambda case, *_: case.id in known)
    monkeypatch.setattr(estimating, "cache_case", cache_case)
    monkeypatch.setattr(estimating, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(estimating, "_Watch", Watch)
    free = SimpleNamespace(disk_usage=lambda _: SimpleNamespace(free=5000 * MIB))
    monkeypatch.setattr(estimating, "shutil", free)
    told: list[tuple[str, int, int]] = []
    found = estimating.count(plan, lambda *what: told.append(what))
    assert prepared == [names[0], names[1], names[4]]  # two that are there, then one to time
    assert told == [("preparing cases", n, 2) for n in range(3)]
    assert found.cases == 10
    assert found.epoch_steps == 18  # ten cases of seven slices, in batches of four
    rest = 5 + 3  # of training and held out, less what is prepared by now
    assert found.preparing_seconds == pytest.approx(rest * 6.0 / 3)
    assert found.preparing_mb == 100.0 + 3 * 30.0  # three processes
    assert found.disk_mb == pytest.approx(rest * 2.0)
    assert found.disk_free_mb == 5000.0
    assert found.cache == str(tmp_path / "a" / "cache")
    assert (tmp_path / "a" / "cache").is_dir()
    assert found.pairs == {"training": 10, "validation": 2, "test": 2}
