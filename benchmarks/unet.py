"""A plain U-Net of the model's size, trained on the same pairs: the yardstick for one direction.

Usage: python benchmarks/unet.py PLAN --target iUS|T2 --seconds N --out FILE. PLAN is a run's
``plan.json``: tiles, augmentation, batch, optimiser, learning rates and what a missing ultrasound
is trained towards (its expected echo, where there is one) are the run's own, so only the network
differs. Time is the process's own (one thread), so that a busy machine does not shorten
it; a run that was stopped goes on from FILE.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from core.models.allocator import keep_memory  # noqa: E402
from core.models.mhvae.config import MHVAEConfig  # noqa: E402
from core.synthesis.synthesize import Engine  # noqa: E402
from core.volume import Voxels  # noqa: E402
from trainer.loop.average import averaged  # noqa: E402
from trainer.loop.data import load_data  # noqa: E402
from trainer.loop.losses import masked_l1  # noqa: E402
from trainer.plan.schema import load_plan  # noqa: E402
from trainer.run.folder import RunFolder  # noqa: E402

OTHER = {"iUS": "T2", "T2": "iUS"}


def double(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in (before, after):
        layers += [nn.Conv2d(width, after, 3, padding=1), nn.GroupNorm(after, after)]
        layers.append(nn.LeakyReLU(0.1))
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Double convolutions with instance norm, max pooling, bilinear upsampling, skips."""

    def __init__(self, like: MHVAEConfig) -> None:
        super().__init__()
        # Twice the model's channels give about the model's number of parameters.
        widths = [2 * like.features(depth) for depth in range(like.pools + 1)]
        ins = (1, *widths[:-1])
        self.down = nn.ModuleList(double(a, b) for a, b in zip(ins, widths, strict=True))
        self.up = nn.ModuleList(double(a + b, a) for a, b in pairwise(widths))
        self.last = nn.Conv2d(widths[0], 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 1, H, W) in [-1, 1] to the other modality's image."""
        skips = []
        for n, cell in enumerate(self.down):
            x = cell(F.max_pool2d(x, 2) if n else x)
            skips.append(x)
        for n in reversed(range(len(self.up))):
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = self.up[n](torch.cat((skips[n], x), 1))
        return torch.tanh(self.last(x))


class UNetPass:
    """Lets the engine run a U-Net as if it were the model, for one direction."""

    def __init__(self, net: UNet, target: str) -> None:
        self.net, self.target = net.eval(), target

    def __call__(
        self,
        inputs: Mapping[str, Voxels],
        targets: Sequence[str],
        temperature: float,
        noises: Sequence[Sequence[Tensor] | None],
    ) -> dict[str, Voxels]:
        """See :class:`core.synthesis.backends.Pass`; the other target comes back unchanged."""
        x = torch.from_numpy(inputs[OTHER[self.target]])
        with torch.inference_mode():
            made = self.net(x)[:, 0].numpy()
        return {m: (made if m == self.target else x[:, 0].numpy())[None] for m in targets}


def as_engine(path: Path, like: Engine, target: str) -> Engine:
    net = UNet(like.bundle.config)
    net.load_state_dict(torch.load(path, weights_only=True)["average"])
    engine = Engine(like.model, like.bundle)
    engine.network = UNetPass(net, target)
    return engine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("plan", type=Path)
    parser.add_argument("--target", choices=tuple(OTHER), required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    keep_memory()
    torch.set_num_threads(1)
    plan = replace(load_plan(args.plan), start_from="", grow=False)
    sampler = load_data(plan, RunFolder(args.plan.parent), print).sampler
    torch.manual_seed(plan.seed)
    net = UNet(plan.model)
    average = averaged(net, plan.optimiser.ema)
    optimiser = torch.optim.Adamax(net.parameters(), lr=plan.optimiser.rate)
    step, used = 0, 0.0
    if args.out.exists():
        state = torch.load(args.out, weights_only=True)
        net.load_state_dict(state["net"])
        average.module.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        step, used = state["step"], state["seconds"]
        average.n_averaged.fill_(step)
    print(f"{sum(p.numel() for p in net.parameters())} parameters", flush=True)
    losses: list[float] = []
    saved = time.monotonic()
    o = plan.optimiser
    while used < args.seconds:
        start = time.process_time()
        cosine = 0.5 * (1 + math.cos(math.pi * used / args.seconds))
        for group in optimiser.param_groups:
            rate = o.rate_end + (o.rate - o.rate_end) * cosine
            group["lr"] = rate * min(1.0, (step + 1) / max(1, o.warmup))
        batch = sampler.batch(step)
        made = net(batch.images[OTHER[args.target]])
        area = batch.fov.mean().clamp_min(1e-6)
        loss = masked_l1(made, batch.missing_target(args.target), batch.fov).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        average.update_parameters(net)
        losses.append(float(loss.detach() / area))
        step += 1
        used += time.process_time() - start
        if used >= args.seconds or time.monotonic() - saved > 60:
            saved = time.monotonic()
            part = args.out.with_suffix(".part")
            state = {"net": net.state_dict(), "average": average.module.state_dict()}
            state |= {"step": step, "optimiser": optimiser.state_dict(), "seconds": used}
            torch.save(state, part)
            os.replace(part, args.out)
            print(f"step {step}, {used:.0f} s, L1 {np.mean(losses[-200:]):.4f}", flush=True)


if __name__ == "__main__":
    main()
