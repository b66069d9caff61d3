"""One training step beside the authors': all subsets and discriminators, same weights, same tiles.

Usage: python benchmarks/training.py CHECKOUT [--batch 4] [--rounds 2]. CHECKOUT is a copy of their
MMHVAE repository (2025 code), which this project does not contain. Each side runs in a process of
its own, in turns; memory is the process's peak. Times are by the clock and in processor seconds
over all threads: on a quiet machine the clock counts, on a busy one processor seconds say more.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from authors import OURS, SUBSETS, authors_model, images, our_model


def authors_step(checkout: Path, batch: int) -> Callable[[], None]:
    """Their step with all three subsets in one graph, L1, KL, LSGAN, then their discriminators."""
    model = authors_model(checkout).train()
    from network.discriminator_pathgan2D import NLayerDiscriminator

    critics = {m: NLayerDiscriminator(input_nc=1, n_class=1, ndf=64, n_layers=6) for m in OURS}
    optimiser = torch.optim.Adamax(model.parameters(), lr=2e-3)
    parameters = [p for c in critics.values() for p in c.parameters()]
    critic_optimiser = torch.optim.Adam(parameters, lr=2e-4)
    x = images(batch)
    pixels = x["us"].numel()

    def step() -> None:
        outputs: dict[tuple[str, ...], Any] = {}
        loss = torch.zeros(())
        for subset in SUBSETS:
            out, kls = model({m: x[m].clone() for m in subset}, 1.0)
            loss = loss + 0.001 * torch.sum(torch.stack(kls["prior"])) / (2 * pixels)
            loss = loss + sum((out[m] - x[m]).abs().mean() / 4 for m in OURS)
            if len(subset) == 1:
                loss = loss + 0.05 * sum(((critics[m](out[m]) - 1) ** 2).mean() for m in OURS)
            outputs[subset] = out
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        critic_optimiser.zero_grad()
        d_loss = torch.zeros(())
        for m in OURS:
            fake = torch.cat([o[m].detach() for s, o in outputs.items() if m not in s])
            d_loss = d_loss + ((critics[m](x[m]) - 1) ** 2).mean() + (critics[m](fake) ** 2).mean()
        d_loss.backward()
        critic_optimiser.step()

    return step


def our_step(checkout: Path, batch: int) -> Callable[[], None]:
    """Our step on the same weights, averaged weights included."""
    model = our_model(checkout).train()
    from core.models.allocator import keep_memory
    from trainer.loop.average import averaged
    from trainer.loop.discriminator import PatchDiscriminator
    from trainer.loop.schedule import Weights
    from trainer.loop.step import Stepper
    from trainer.loop.tiles import Batch
    from trainer.plan.schema import Plan

    keep_memory()
    plan = Plan(model=replace(model.config))
    plan = replace(plan, data=replace(plan.data, batch=batch))
    critics = {m: PatchDiscriminator(plan.model.tile) for m in plan.model.modalities}
    optimiser = torch.optim.Adamax(model.parameters(), lr=2e-3)
    parameters = [p for c in critics.values() for p in c.parameters()]
    critic_optimiser = torch.optim.Adam(parameters, lr=2e-4)
    average = averaged(model, 0.999)
    x = {OURS[m]: image for m, image in images(batch).items()}
    here = {m: torch.ones(batch, dtype=torch.bool) for m in x}
    tiles = Batch(x, torch.ones(batch, 1, 192, 192), here)
    stepper = Stepper(model, critics, plan, {plan.model.modalities})

    def step() -> None:
        optimiser.zero_grad()
        _, fakes = stepper.generator(tiles, 0, 0, Weights(2e-3, 0.1, 1.0))
        optimiser.step()
        average.update_parameters(model)
        critic_optimiser.zero_grad()
        stepper.discriminator(tiles, fakes)
        critic_optimiser.step()

    return step


def measure(side: str, checkout: Path, batch: int, repeats: int, threads: int) -> None:
    """Print seconds a step, by the clock and of the processor, and peak memory, as JSON."""
    if threads:
        torch.set_num_threads(threads)
    step = (authors_step if side == "authors" else our_step)(checkout, batch)
    step()
    clock, processor = [], []
    for _ in range(repeats):
        start = time.perf_counter(), time.process_time()
        step()
        clock.append(time.perf_counter() - start[0])
        processor.append(time.process_time() - start[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"clock": clock, "processor": processor, "gigabytes": peak / 1e9}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=2, help="times each side's process runs")
    parser.add_argument("--repeats", type=int, default=2, help="steps timed per process")
    parser.add_argument("--threads", type=int, default=0, help="torch threads (0: all)")
    parser.add_argument("--side", choices=("authors", "ours"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        measure(args.side, args.checkout.resolve(), args.batch, args.repeats, args.threads)
        return
    found: dict[str, list[dict[str, Any]]] = {"authors": [], "ours": []}
    for _ in range(args.rounds):
        for side, results in found.items():
            words = [sys.executable, __file__, str(args.checkout), "--side", side]
            words += ["--batch", str(args.batch), "--repeats", str(args.repeats)]
            words += ["--threads", str(args.threads)]
            done = subprocess.run(words, check=True, capture_output=True, text=True)
            results.append(json.loads(done.stdout.splitlines()[-1]))
    memory = {s: max(r["gigabytes"] for r in rs) for s, rs in found.items()}
    print(json.dumps({"gigabytes": memory}))
    for kind in ("clock", "processor"):
        seconds = {s: statistics.median(t for r in rs for t in r[kind]) for s, rs in found.items()}
        print(kind, json.dumps(seconds), f"{seconds['ours'] / seconds['authors']:.2f} of theirs")
    print(f"peak memory {memory['ours'] / memory['authors']:.2f} of theirs")


if __name__ == "__main__":
    main()
