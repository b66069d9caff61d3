"""Two processes are one with the same batch: gradients, losses, log and result."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from trainer_cohort import CONFIG, tiny_plan, write_cohort

from core.models.mhvae.model import MHVAE
from trainer.loop.discriminator import PatchDiscriminator
from trainer.loop.distributed import ProcessGroup
from trainer.loop.loop import train
from trainer.loop.schedule import Weights
from trainer.loop.step import Stepper
from trainer.loop.tiles import Batch
from trainer.plan.schema import Plan
from trainer.run.folder import RunFolder, read_events

STEPS = 20

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs forked processes")


def in_processes(size: int, work: Callable[[], object]) -> None:
    """Run ``work`` in forked processes with the environment torchrun would give them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    children = []
    for rank in range(size):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.environ |= {
                    "RANK": str(rank),
                    "WORLD_SIZE": str(size),
                    "LOCAL_RANK": str(rank),
                    "MASTER_ADDR": "127.0.0.1",
                    "MASTER_PORT": str(port),
                }
                work()
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) for c in children] == [0] * size


def batches() -> list[Batch]:
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(STEPS):
        fov = (torch.rand(4, 1, 16, 16, generator=generator) > 0.2).double()
        images = {
            m: torch.rand(4, 1, 16, 16, generator=generator).double() * 1.9 - 0.95
            for m in CONFIG.modalities
        }
        present = {m: torch.ones(4, dtype=torch.bool) for m in CONFIG.modalities}
        present["T2"][1] = False  # the two processes have different work to do
        found.append(Batch(images, fov, present))
    return found


def steps(plan: Plan, path: Path) -> None:
    """Train in float64 and write the first gradients and all losses."""
    team = ProcessGroup.join()
    torch.manual_seed(0)
    model = MHVAE(CONFIG).double()
    critics = {m: PatchDiscriminator((16, 16), 1, 4).double() for m in CONFIG.modalities}
    optimiser = torch.optim.Adamax(model.parameters(), lr=2e-3)
    critic_parameters = [p for c in critics.values() for p in c.parameters()]
    critic_optimiser = torch.optim.Adam(critic_parameters, lr=2e-4)
    stepper = Stepper(model, critics, plan, {CONFIG.modalities, ("iUS",)})
    first, last = team.rows(4)
    gradients, losses = [], []
    for step, whole in enumerate(batches()):
        rows = whole.rows(first, last)
        optimiser.zero_grad()
        critic_optimiser.zero_grad()
        terms, fakes = stepper.generator(rows, first, step, Weights(2e-3, 0.1, 1.0))
        team.sum_gradients(model.parameters())
        more = stepper.discriminator(rows, fakes)
        team.sum_gradients(critic_parameters)
        if step == 0:
            gradients = [p.grad.clone() for p in [*model.parameters(), *critic_parameters]]  # type: ignore[union-attr]
        optimiser.step()
        critic_optimiser.step()
        parts = team.gather([terms["loss"], more["d/iUS/loss"], more["d/T2/loss"]])
        losses.append([sum(p) for p in zip(*parts, strict=True)])
    if team.leads:
        torch.save({"gradients": gradients, "losses": losses}, path)
    team.leave()


def test_two_processes_equal_one(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    plan = Plan(model=CONFIG)
    plan = replace(plan, data=replace(plan.data, batch=4))
    steps(plan, tmp_path / "one.pt")
    in_processes(2, lambda: steps(plan, tmp_path / "two.pt"))
    one, two = (torch.load(tmp_path / f"{n}.pt") for n in ("one", "two"))
    for a, b in zip(one["gradients"], two["gradients"], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)
    assert two["losses"] == [pytest.approx(row, rel=1e-5) for row in one["losses"]]


def test_a_run_of_two_keeps_one_log_and_resumes_alone(tmp_path: Path) -> None:
    plan = tiny_plan(write_cohort(tmp_path / "cohort"), optimiser__steps=8)
    run, alone = tmp_path / "run", tmp_path / "alone"

    def quiet(_: str) -> None:
        pass

    def stop_at_4(line: str) -> None:
        if line.startswith("step 4 "):
            (run / "control").write_text("pause")

    in_processes(2, lambda: train(plan, run, say=stop_at_4))
    events = read_events(run)
    assert [e["step"] for e in events if e["event"] == "step"] == [1, 2, 3, 4]
    assert events[-1]["state"] == "paused"
    start = next(e for e in events if e["event"] == "start")
    assert start["environment"]["processes"] == 2
    assert train(RunFolder.open(run).plan(), run, resume=True, say=quiet).state == "finished"
    train(plan, alone, say=quiet)
    # Weights are no measure here: biases before an instance norm have rounding for a gradient, and
    # Adamax makes steps of full size of it.
    steps_alone = [e["loss"] for e in read_events(alone) if e["event"] == "step"]
    steps_two = [e["loss"] for e in read_events(run) if e["event"] == "step"]
    assert steps_two == [pytest.approx(v, rel=1e-3) for v in steps_alone]
