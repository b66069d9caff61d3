"""What the models of a table cost: to hold, to run, and what they were trained for."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.models.bundle import Bundle
from core.models.cost import macs, parameters
from core.models.weights import build, load
from core.synthesis.backends import build_pass, choose_device

REPEATS = 3


@dataclass(frozen=True)
class Cost:
    """What one model costs.

    Attributes:
        parameters: learned numbers of the generator.
        macs: multiply-accumulates of one tile of the dearest direction of synthesis.
        tile: height and width it was counted at.
        seconds: of that tile on this computer; the shortest of three.
        steps: optimiser steps it was trained for.
        training_seconds: time they took.
    """

    parameters: int
    macs: int
    tile: tuple[int, int]
    seconds: float
    steps: int
    training_seconds: float


def cost_of(path: Path, device: str = "auto") -> Cost:
    """Count and time a model file.

    Raises:
        ModelError: it cannot be read.
    """
    bundle, network = load(path)
    config = bundle.config
    directions = [((m,), [n for n in config.modalities if n != m]) for m in config.modalities]
    counted = {
        (subset, target): macs(config, subset, (target,))
        for subset, targets in [*directions, *_all_but_one(bundle)]
        for target in targets
        if config.serves(subset, target)
    }
    (subset, target), most = max(counted.items(), key=lambda item: item[1])
    run = build_pass(network, bundle, choose_device(device))
    generator = np.random.default_rng(0)
    shape = (1, 1, *config.tile)
    tiles = {m: generator.uniform(-1, 1, shape).astype(np.float32) for m in subset}
    times = []
    for _ in range(1 + REPEATS):
        began = time.perf_counter()
        run(tiles, (target,), 0.0, [None])
        times.append(time.perf_counter() - began)
    training = bundle.card.get("training", {})
    return Cost(
        parameters(build(config)),
        most,
        config.tile,
        min(times[1:]),
        int(training.get("steps_done", training.get("step", 0))),
        float(training.get("seconds", 0.0)),
    )


def _all_but_one(bundle: Bundle) -> list[tuple[tuple[str, ...], list[str]]]:
    names = bundle.config.modalities
    return [(tuple(n for n in names if n != m), [m]) for m in names]


def costs(models: Mapping[str, Path], device: str = "auto") -> dict[str, Cost]:
    """Return the costs of several models by their labels."""
    return {label: cost_of(path, device) for label, path in models.items()}


def equal_steps(found: Sequence[Cost]) -> bool:
    """Tell whether all models had the same number of steps."""
    return len({c.steps for c in found}) == 1
