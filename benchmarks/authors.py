"""Our network beside the authors' code: same weights, same noise, then speed and memory.

Usage: python benchmarks/authors.py CHECKOUT [--slices N]. CHECKOUT is a copy of their MMHVAE
repository (2025 code), which this project does not contain. Each side is timed in its own process,
so that one's allocator settings and memory do not touch the other's.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parent.parent
SUBSETS = (("us",), ("t2",), ("us", "t2"))
OURS = {"us": "iUS", "t2": "T2"}


def authors_model(checkout: Path, hierarchical: bool = True) -> Any:
    sys.path.insert(0, str(checkout))
    from network.mhvae import MHVAE2D
    from network.mvae import MVAE2D

    torch.manual_seed(0)
    model = (MHVAE2D if hierarchical else MVAE2D)(
        modalities=["us", "t2"],
        base_num_features=16,
        num_pool=6,
        original_shape=(192, 192),
        max_features=128,
        with_residual=True,
        with_se=True,
        nfeat_finalblock=8,
        nb_finalblocks=6,
        logger=logging.getLogger("authors"),
    )
    return model.eval()


def our_model(checkout: Path, hierarchical: bool = True) -> Any:
    sys.path.insert(0, str(ROOT))
    from core.models.published import checkpoint as published
    from core.models.published import keys as published_keys
    from core.models.weights import build

    theirs = authors_model(checkout, hierarchical).state_dict()
    state = {published_keys.modern(k): v for k, v in theirs.items()}
    inferred = published.infer(state, "random weights")
    stated = published.Unstated(orientation="LPS").with_authors_defaults(inferred)
    config, tensors = published.convert(state, "random weights", inferred, stated)
    model = build(config)
    model.load_state_dict(tensors)
    return model.eval()


def images(batch: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {m: torch.rand(batch, 1, 192, 192, generator=generator) * 2 - 1 for m in OURS}


def agree(checkout: Path, hierarchical: bool = True) -> dict[str, float]:
    """Return the largest difference per subset with injected noise, original and fast path."""
    from torch.distributions import Normal

    theirs, ours = authors_model(checkout, hierarchical), our_model(checkout, hierarchical)
    from core.models.inference import for_inference

    fast = for_inference(ours)
    x = images(2)
    differences = {}
    for subset in SUBSETS:
        generator = torch.Generator().manual_seed(2)
        noise = [torch.randn(shape, generator=generator) for shape in ours.noise_shapes(2)]
        queue = iter(noise)

        def injected(self: Any, sample_shape: Any = None, queue: Any = queue) -> torch.Tensor:
            return self.loc + next(queue) * self.scale

        original = Normal.rsample
        setattr(Normal, "rsample", injected)  # noqa: B010 - a method, replaced on purpose
        with torch.no_grad():
            wanted, _ = theirs({m: x[m].clone() for m in subset}, temp=0.7)
        setattr(Normal, "rsample", original)  # noqa: B010
        given = {OURS[m]: x[m] for m in subset}
        for label, model in (("exact", ours), ("fast", fast)):
            with torch.no_grad():
                got = model(given, temperature=0.7, noise=noise, kl=False).images
            worst = max(float((got[OURS[m]] - wanted[m]).abs().max()) for m in OURS)
            differences[f"{'+'.join(subset)} {label}"] = worst
    return differences


def timed(side: str, checkout: Path, batch: int, repeats: int, subset: tuple[str, ...]) -> None:
    """Print seconds a slice and peak memory of one side, as JSON."""
    x = images(batch)
    if side == "authors":
        theirs = authors_model(checkout)

        def once() -> None:
            theirs({m: x[m].clone() for m in subset}, temp=0.7)
    else:
        ours = our_model(checkout)
        from core.models.allocator import keep_memory
        from core.models.inference import for_inference

        keep_memory()
        fast = for_inference(ours)
        target = ["T2" if subset == ("us",) else "iUS"]
        given = {OURS[m]: x[m] for m in subset}

        def once() -> None:
            fast(given, temperature=0.7, outputs=target, kl=False)

    with torch.inference_mode():
        once()
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            once()
            times.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": sorted(times)[len(times) // 2] / batch, "peak_mb": peak}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        side, batch, subset = args.one
        timed(side, args.checkout, int(batch), args.repeats, tuple(subset.split("+")))
        return
    for family in ("MHVAE", "MVAE"):
        for name, difference in agree(args.checkout, family == "MHVAE").items():
            print(f"largest difference, {family}, {name}: {difference:.2g}")
    for batch in args.batches:
        for subset in (("t2",), ("us", "t2")):
            row = {}
            for side in ("authors", "ours"):
                command = [sys.executable, __file__, str(args.checkout), "--one", side]
                command += [str(batch), "+".join(subset), "--repeats", str(args.repeats)]
                answer = subprocess.run(command, check=True, capture_output=True, text=True)
                row[side] = json.loads(answer.stdout.splitlines()[-1])
            ratio = row["authors"]["seconds"] / row["ours"]["seconds"]
            print(
                f"B={batch} {'+'.join(subset)}: authors {row['authors']['seconds']:.3f} s/slice "
                f"{row['authors']['peak_mb']:.0f} MB, ours {row['ours']['seconds']:.3f} s/slice "
                f"{row['ours']['peak_mb']:.0f} MB, ratio {ratio:.2f}"
            )


if __name__ == "__main__":
    main()
