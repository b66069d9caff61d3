"""``mhvae-studio self-test``: does this installation synthesise what it should?"""

from __future__ import annotations

import argparse

import numpy as np

from app.cli.terminal import answer, peak_memory
from core.errors import UserError
from core.synthesis.devices import DEVICES


class SelfTestError(UserError):
    """The installation does not do what it should."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "--model", metavar="NAME|FILE", help="the built-in model unless told otherwise"
    )
    parser.add_argument("--device", default="auto", choices=DEVICES)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Load the model, synthesise a small volume twice in different batches, compare."""
    import time

    from core.case import Case
    from core.grid import Grid
    from core.models.bundle import find
    from core.models.weights import load
    from core.synthesis.backends import choose_device
    from core.synthesis.request import Request, prepare_input
    from core.synthesis.synthesize import Engine
    from core.volume import Volume

    start = time.perf_counter()
    bundle = find(args.model)
    assert bundle.path is not None
    device = choose_device(args.device)
    engine = Engine(load(bundle.path)[1], bundle, device)

    source, target = bundle.config.modalities[-1], bundle.config.modalities[0]
    spacing = bundle.preprocessing.spacing
    side = max(bundle.config.tile) + 16
    shape = [side, side, side]
    shape[bundle.preprocessing.axis] = 2
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    shells = 1 + np.sin(9 * np.sqrt(x**2 + y**2 + 0.3 * z**2))
    grid = Grid((shape[0], shape[1], shape[2]), np.diag([*spacing, 1.0]))
    case = Case("self-test", {source: Volume(shells.astype(np.float32), grid, source, "shells")})

    images = []
    for batch in (1, 3):
        request = Request((source,), (target,), fov="whole", batch=batch)
        result = engine.run(case, prepare_input(case, bundle, request), request)
        images.append(result.volumes[target].voxels)
    difference = float(np.abs(images[0] - images[1]).max()) / 255
    checks = {
        "finite": bool(np.isfinite(images[0]).all()),
        "not constant": bool(images[0].std() > 0),
        "independent of batch size": difference <= (1e-5 if device == "cpu" else 1e-3),
    }
    failed = [name for name, good in checks.items() if not good]
    if failed:
        raise SelfTestError(
            f"The self-test failed: the synthetic volume is not {', not '.join(failed)} (model "
            f"{bundle.name}, device {device}). Reinstall the program or try --device cpu."
        )
    answer(
        {
            "self_test": "passed",
            "model": bundle.name,
            "sha256": bundle.sha256,
            "device": device,
            "largest_difference_between_batch_sizes": difference,
            "seconds": round(time.perf_counter() - start, 2),
            "peak_memory_mb": round(peak_memory() / 1e6),
        },
        as_json=args.json,
    )
    return 0
