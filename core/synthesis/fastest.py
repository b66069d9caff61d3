"""Which back end is the fastest for a model on this machine: timed once, and remembered.

Exact back ends are all those whose images differ by rounding. Arithmetic in bfloat16 is used only
where the model's own images come out nearly the same. What was found is kept per machine and model
in the user's state folder; without a word of either, only hashes.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.files import write_text
from core.models.base.network import Network
from core.models.bundle import Bundle
from core.models.mhvae.model import MHVAE
from core.synthesis.backends import Pass, bfloat16_here, build_pass, choose_device, devices
from core.synthesis.devices import BFLOAT16, DEVICES, EXTRAS
from core.volume import Voxels

SECONDS = 2.0
"""For the timing of all back ends together, without what they need to start."""
WORTH = 100
"""Tiles below which the timing would cost more than it gains."""
BATCH = 4
GAIN = 0.95
"""Part of the first back end's time that another one may take at most to be chosen instead."""
EXACT = (0.1, 1.0)
"""Mean and largest difference of an exact back end's images, of 255."""
NEARLY = (1.0, 8.0)
"""The same for bfloat16."""

Build = Callable[[Network, Bundle, str], Pass]


@dataclass(frozen=True)
class Choice:
    """A back end, and why.

    Attributes:
        device: the name of the back end.
        paces: name → seconds a tile; empty where nothing was timed.
        refused: name → mean and largest difference of its images, of 255, too much to be used.
        fresh: whether it was timed just now.
    """

    device: str
    paces: Mapping[str, float]
    refused: Mapping[str, tuple[float, float]]
    fresh: bool = False

    @property
    def sentence(self) -> str:
        """What was found, for people; empty where nothing was timed."""
        if not self.paces:
            return ""
        names = sorted(self.paces, key=lambda n: self.paces[n])
        told = ", ".join(f"{DEVICES[n]} {1000 * self.paces[n]:.0f} ms a tile" for n in names)
        text = f"Automatic uses {DEVICES[self.device]}. Timed on this machine: {told}."
        for name, (mean, most) in self.refused.items():
            text += (
                f" {DEVICES[name]} is not used: its images differ by {mean:.2f} of 255 on average, "
                f"{most:.0f} at most."
            )
        return text


def choose(
    name: str,
    model: Network,
    bundle: Bundle,
    *,
    tiles: int = WORTH,
    folder: Path | None = None,
    build: Build = build_pass,
) -> Choice:
    """Return the back end for a name; ``auto`` is the fastest one.

    Args:
        name: as on the command line.
        model: the network.
        bundle: its description.
        tiles: how much there is to do; for little, nothing is timed.
        folder: where choices are kept; the user's state folder without it.
        build: makes a back end.

    Raises:
        SynthesisError: the named device is not there.
    """
    there = candidates()
    if name != "auto" or len(there) == 1 or not isinstance(model, MHVAE):
        return Choice(choose_device(name), {}, {})
    path = (folder or _state()) / "backends.json"
    key = f"{_machine(there)}-{bundle.sha256[:16]}"
    known = _read(path)
    kept = _kept(known.get(key), there)
    if kept is not None:
        return kept
    if tiles < WORTH:
        return Choice(choose_device(), {}, {})
    choice = timed(model, bundle, there, build=build)
    if bundle.sha256:
        record = {"device": choice.device, "paces": choice.paces, "refused": choice.refused}
        with contextlib.suppress(OSError):  # else it will be timed again
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, json.dumps({**known, key: record}, indent=1))
    return choice


def candidates() -> list[str]:
    """Return what ``auto`` chooses among, the first exact one first."""
    return devices() + [BFLOAT16] * bfloat16_here()


def timed(
    model: MHVAE,
    bundle: Bundle,
    there: Sequence[str],
    *,
    seconds: float = SECONDS,
    build: Build = build_pass,
) -> Choice:
    """Time back ends on images that the model draws itself, and compare what they make of them.

    One that cannot be started is left out, unless it is the only one.
    """
    inputs = own_images(model)
    exact = build(model, bundle, "cpu")
    truth = _run(exact, inputs, True)
    paces: dict[str, float] = {}
    refused: dict[str, tuple[float, float]] = {}
    for name in there:
        try:
            network = exact if name == "cpu" else build(model, bundle, name)
            every = name == BFLOAT16  # what is exact in one direction is in the other
            made = _run(network, inputs, every)  # also pays for what only the first pass needs
        except (RuntimeError, ImportError, OSError):
            continue
        difference = _difference(made, truth)
        if any(d > limit for d, limit in zip(difference, _limits(name), strict=True)):
            refused[name] = difference
            continue
        paces[name] = _pace(network, inputs, seconds / len(there))
    first = next((n for n in there if n in paces), "cpu")
    best = min(paces, key=lambda n: paces[n], default=first)
    device = best if paces and paces[best] < GAIN * paces[first] else first
    return Choice(device, paces, refused, fresh=True)


def own_images(model: MHVAE) -> dict[str, Voxels]:
    """Draw a batch of images from the model's prior: modality → (B, 1, H, W) in [-1, 1]."""
    with torch.inference_mode():
        drawn = model.sample_prior(BATCH, noise=torch.Generator().manual_seed(0))
    return {m: x.clamp(-1, 1).numpy() for m, x in drawn.items()}


def _run(network: Pass, inputs: Mapping[str, Voxels], every: bool) -> list[Voxels]:
    """Make the first modality from the last, as a timing does; or also the first from every one."""
    first, *rest = inputs
    directions = [(m, first) for m in reversed(rest)] + [(first, m) for m in rest]
    directions = directions or [(first, first)]
    return [
        network({m: inputs[m]}, [target], 0.0, [None])[target]
        for m, target in (directions if every else directions[:1])
    ]


def _difference(made: Sequence[Voxels], truth: Sequence[Voxels]) -> tuple[float, float]:
    if any(a.shape != b.shape for a, b in zip(made, truth, strict=False)):
        return 255.0, 255.0  # another back end can still do the work
    apart = [np.abs(a - b) * 127.5 for a, b in zip(made, truth, strict=False)]
    if not all(np.isfinite(a).all() for a in apart):
        return 255.0, 255.0
    return float(np.mean([a.mean() for a in apart])), float(max(a.max() for a in apart))


def _limits(name: str) -> tuple[float, float]:
    return NEARLY if name == BFLOAT16 else EXACT


def _pace(network: Pass, inputs: Mapping[str, Voxels], seconds: float) -> float:
    """Return the least seconds a tile that a pass took within a time, at least two passes."""
    m, image = list(inputs.items())[-1]
    targets = [next(iter(inputs))]
    found: list[float] = []
    end = time.perf_counter() + seconds
    while len(found) < 2 or time.perf_counter() < end:
        start = time.perf_counter()
        network({m: image}, targets, 0.0, [None])
        found.append((time.perf_counter() - start) / BATCH)
    return min(found)


def _state() -> Path:
    from platformdirs import user_state_path

    return user_state_path("mhvae-studio", appauthor=False)


def _machine(there: Sequence[str]) -> str:
    """Return a hash of what decides which back end is fast; a change asks for a new timing."""
    versions = []
    for package in ("torch", *EXTRAS):
        try:
            versions.append(importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:
            versions.append("")
    gpus = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    about = [platform.node(), platform.machine(), platform.processor(), os.cpu_count()]
    about += [torch.get_num_threads(), *there, *versions, *gpus]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]


def _read(path: Path) -> dict[str, Any]:
    """Return what was kept; nothing where the file is not there or damaged."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _kept(record: Any, there: Sequence[str]) -> Choice | None:
    try:
        paces = {str(n): float(v) for n, v in record["paces"].items()}
        refused = {str(n): (float(v[0]), float(v[1])) for n, v in record["refused"].items()}
        device = str(record["device"])
    except (TypeError, KeyError, ValueError, IndexError, AttributeError):
        return None
    known = set(paces) | set(refused) <= set(DEVICES)
    return Choice(device, paces, refused) if device in there and known else None
