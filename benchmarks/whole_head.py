"""Time and memory of a whole head, beside another checkout of this program, in one run.

Usage: python benchmarks/whole_head.py T2FILE [--beside CHECKOUT] [--model NAME] [--tiles 60]
[--turns 2]

Each side lays the head out, synthesises an ultrasound of so many of its tiles from the middle
outward (one sample if the model draws any) and brings the result back onto the head's own grid, as
``synthesize`` does, in a process of its own with one thread, in turns. Processor seconds, so that
other work on the machine counts little. The whole is the layout, all tiles at the pace measured and
the way back; the fewer tiles a side needs, the better for it. Every array of the whole is there,
so the peak of memory is that of the whole, too.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def measure(path: Path, name: str, count: int) -> dict[str, float]:
    """Measure the checkout that this process imports from."""
    from dataclasses import replace

    import torch

    from core.case import Case
    from core.io import read
    from core.models.bundle import find
    from core.models.weights import load
    from core.synthesis.request import Request, on_grid, prepare_input
    from core.synthesis.synthesize import Engine

    torch.set_num_threads(1)
    bundle = find(name)
    assert bundle.path is not None
    case = Case("head", {"T2": replace(read(path), modality="T2")})
    request = Request(("T2",), ("iUS",), bundle.draws(1))
    engine = Engine(load(bundle.path)[1], bundle, "cpu")
    marks = [time.process_time()]
    prepared = prepare_input(case, bundle, request)
    marks.append(time.process_time())
    some = replace(prepared, tiles=prepared.tiles[:count])
    result = engine.run(case, some, request)
    marks.append(time.process_time())
    on_grid(result, prepared.reference)
    marks.append(time.process_time())
    layout, tiles, back = (b - a for a, b in pairwise(marks))
    pace = tiles / len(some.tiles)
    return {
        "tiles": len(prepared.tiles),
        "layout": layout,
        "pace": pace,
        "back": back,
        "whole": layout + pace * len(prepared.tiles) + back,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def in_checkout(root: Path, args: argparse.Namespace) -> dict[str, float]:
    words = [sys.executable, __file__, str(args.t2), "--model", args.model]
    words += ["--tiles", str(args.tiles), "--here"]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, check=True, capture_output=True, text=True, env=environment)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("t2", type=Path)
    parser.add_argument("--beside", type=Path, metavar="CHECKOUT")
    parser.add_argument("--model", default="simulated-0.5mm")
    parser.add_argument("--tiles", type=int, default=60)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(words)
    if args.here:
        print(json.dumps(measure(args.t2, args.model, args.tiles)))
        return
    sides = {"this one": ROOT, **({"beside": args.beside.resolve()} if args.beside else {})}
    best: dict[str, dict[str, float]] = {}
    for _ in range(args.turns):
        for name, root in sides.items():
            row = in_checkout(root, args)
            print(name, {key: round(value, 3) for key, value in row.items()}, flush=True)
            if name not in best or row["whole"] < best[name]["whole"]:
                best[name] = row
    if args.beside:
        for key in ("tiles", "pace", "layout", "whole", "peak_mb"):
            print(f"{key}: {best['this one'][key] / best['beside'][key]:.2f} of the other's")


if __name__ == "__main__":
    main()
