"""The network behind the brain mask: trained on label maps of heads in any contrast, and measured.

``python -m benchmarks.brain_mask train ANATOMY OUT.npz [--minutes 30] [--from OLD.npz]`` writes the
weights that ``core/image/brain_network.py`` reads; a run that was stopped goes on from OUT's
checkpoint.
``python -m benchmarks.brain_mask score ANATOMY`` prints Dice per contrast on held-out heads.

ANATOMY holds whole-head label maps with FreeSurfer numbers, as for ``mhvae-studio simulate``; every
fourth is held out. Every training image is drawn anew: another shape, another brightness of every
label (half of the time anything at all), a lesion, a bias field, thick slices, a field of view that
cuts the head, a face taken off, a skull taken off. What a network has seen in every contrast it
does not mistake for anatomy (Hoopes et al., SynthStrip, NeuroImage 2022).
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional as F

from core.grid import Grid
from core.image.brain_mask import brain_mask
from core.image.brain_network import FEATURES, SPACING, scaled
from core.volume import Volume

Array = NDArray[np.float32]
SHAPE = (56, 64, 56)
"""Voxels of a training image, at ``SPACING``."""
FINE = 2
"""Voxels of the drawing along each axis for one of the training's."""
FLUID, WHITE, GREY = (4, 43, 5, 44, 14, 15, 72, 24), (2, 41, 7, 46, 16, 28, 60), (3, 42, 8, 47)
BONE, OUTSIDE = 515, 500


@dataclass(frozen=True)
class Drawn:
    """A head in a contrast of its own.

    Attributes:
        image: (i, j, k), air near 0, on voxels of half ``SPACING``.
        brain: the inside of the skull, bool.
        seen: where the field of view lies.
    """

    image: Array
    brain: NDArray[np.bool_]
    seen: NDArray[np.bool_]


def heads(folder: Path) -> list[NDArray[np.int16]]:
    """Load label maps as RAS+ at 1 mm, in the order of their names."""
    found = []
    for path in sorted(folder.glob("*seg*.nii*")):
        image = nib.as_closest_canonical(nib.load(path))
        found.append(np.asarray(image.dataobj).astype(np.int16))
    return found


def smooth_field(random: np.random.Generator, shape: Sequence[int], cells: int) -> Array:
    """Draw a smooth field of zero mean and unit deviation."""
    field = random.normal(size=(cells,) * 3).astype(np.float32)
    for axis, size in enumerate(shape):  # cubic between the cells, one axis after the other
        where = np.linspace(0, cells - 1, size)
        field = np.moveaxis(np.tensordot(_cubic(where, cells), field, (1, axis)), 0, axis)
    return field


def _cubic(where: NDArray[np.float64], cells: int) -> Array:
    """Return (places, cells) weights of Catmull and Rom's cubic."""
    near = np.abs(where[:, None] - np.arange(cells))
    inner = 1 - 2.5 * near**2 + 1.5 * near**3
    outer = 2 - 4 * near + 2.5 * near**2 - 0.5 * near**3
    return np.where(near < 1, inner, np.where(near < 2, outer, 0)).astype(np.float32)


def draw(labels: NDArray[np.int16], random: np.random.Generator, kind: str = "any") -> Drawn:
    """Draw a head: ``kind`` is ``"t2"``, ``"random"`` or any of both."""
    shape = tuple(FINE * n for n in SHAPE)
    step = SPACING / FINE
    turn = ndimage_rotation(random.uniform(-0.3, 0.3, 3))
    matrix = turn @ np.diag(random.uniform(0.85, 1.15, 3)) * step
    if random.random() < 0.5:
        matrix[:, 0] *= -1
    inside = np.argwhere((labels[::4, ::4, ::4] > 0) & (labels[::4, ::4, ::4] < OUTSIDE)) * 4
    middle = inside.mean(axis=0) + random.uniform(-15, 15, 3)
    axes = [(np.arange(n) - (n - 1) / 2).astype(np.float32) for n in shape]
    at = np.stack(np.meshgrid(*axes, indexing="ij"))
    places = np.tensordot(matrix.astype(np.float32), at, 1)
    places += middle.astype(np.float32)[:, None, None, None]
    for axis in range(3):
        places[axis] += random.uniform(0, 5) * smooth_field(random, shape, 5)
    near = [
        np.clip(np.rint(p), 0, n - 1).astype(np.intp)
        for p, n in zip(places, labels.shape, strict=True)
    ]
    found = labels[near[0], near[1], near[2]]
    brain = ndimage.binary_fill_holes((found > 0) & (found < OUTSIDE))

    table = np.zeros(int(labels.max()) + 1, np.float32)
    for label in np.unique(labels[::3, ::3, ::3]):
        table[label] = random.uniform(0.05, 1)
    if kind == "t2" or (kind == "any" and random.random() < 0.55):
        white = random.uniform(0.25, 0.45)
        grey = white + random.uniform(0.05, 0.2)
        for group, value in ((FLUID, random.uniform(0.8, 1.1)), (WHITE, white), (GREY, grey)):
            table[[g for g in group if g < len(table)]] = value
        for label in range(9, 200):
            if label < len(table) and label not in (*FLUID, *WHITE, *GREY):
                table[label] = grey + random.uniform(-0.08, 0.05)
        table[min(BONE, len(table) - 1)] = random.uniform(0.0, 0.2)
    table[0] = 0
    image: Array = table[found]
    if random.random() < 0.6:  # a lesion
        centre = inside[random.integers(len(inside))]
        away = np.sqrt(((places - centre[:, None, None, None]) ** 2).sum(axis=0))
        wide = random.uniform(6, 28) * (1 + 0.2 * smooth_field(random, shape, 6))
        image[(away < wide) & brain] = random.uniform(0.05, 1.2)
    image += random.uniform(0, 0.06) * smooth_field(random, shape, 24) * (found > 0)
    image = ndimage.gaussian_filter(image, random.uniform(0, 0.6))
    if random.random() < 0.4:  # thick slices
        axis, thick = int(random.integers(3)), random.uniform(1, 3.5)
        image = ndimage.uniform_filter1d(image, max(1, round(thick)), axis)
    if random.random() < 0.4:  # without its skull
        depth = smooth_field(random, shape, 5) * 0.7 + random.uniform(-1.0, 1.5)
        small = brain[::2, ::2, ::2]
        away = ndimage.distance_transform_edt(~small) - ndimage.distance_transform_edt(small)
        near_by = np.repeat(np.repeat(np.repeat(2 * away, 2, 0), 2, 1), 2, 2)
        image[near_by > depth] = 0
    elif random.random() < 0.25:  # without its face
        ahead = at[1] * step - (at[2] * step + random.uniform(20, 60)) * random.uniform(0.3, 1.2)
        image[(ahead > random.uniform(55, 80)) & ~brain] = 0
    image *= np.exp(random.uniform(0, 0.35) * smooth_field(random, shape, 4))
    image = np.clip(image, 0, None) ** random.uniform(0.7, 1.4)
    noise = np.float32(random.uniform(0, 0.07))
    first, second = (random.standard_normal(shape, np.float32) for _ in range(2))
    image = np.hypot(image + noise * first, noise * second)
    seen = np.ones(shape, bool)
    for axis in range(3):  # what the scanner did not see
        if random.random() < 0.25:
            cut = int(random.uniform(0.05, 0.35) * shape[axis])
            side = slice(None, cut) if random.random() < 0.6 else slice(-cut, None)
            seen[tuple(side if a == axis else slice(None) for a in range(3))] = False
    return Drawn(np.where(seen, image, 0).astype(np.float32), brain, seen)


def ndimage_rotation(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the matrix of three small turns."""
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_euler("xyz", angles).as_matrix())


def pooled(values: NDArray[np.generic]) -> Array:
    """Average blocks of ``FINE`` voxels along each axis."""
    shape = [n for size in SHAPE for n in (size, FINE)]
    return np.asarray(values, np.float32).reshape(shape).mean(axis=(1, 3, 5))


class Network(nn.Module):
    """The 3D U-Net that ``core/image/brain_network.py`` computes without torch."""

    def __init__(self) -> None:
        super().__init__()
        f = FEATURES
        pairs = [(1, f[0]), (f[0], f[0])]
        for low, high in pairwise(f):
            pairs += [(low, high), (high, high)]
        for low, high in zip(f[-2::-1], f[:0:-1], strict=True):
            pairs += [(low + high, low), (low, low)]
        self.convolutions = nn.ModuleList(nn.Conv3d(a, b, 3, padding=1) for a, b in pairs)
        self.last = nn.Conv3d(f[0], 1, 1)
        for layer in self.convolutions:
            assert isinstance(layer, nn.Conv3d)
            nn.init.kaiming_normal_(layer.weight)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits (B, 1, i, j, k) for (B, 1, i, j, k) images of 0 to 1."""
        layers = iter(self.convolutions)
        x, kept = image, []
        for level in range(len(FEATURES)):
            if level:
                kept.append(x)
                x = F.max_pool3d(x, 2)
            x = F.relu(next(layers)(x))
            x = F.relu(next(layers)(x))
        while kept:
            x = torch.cat([kept.pop(), F.interpolate(x, scale_factor=2.0)], dim=1)
            x = F.relu(next(layers)(x))
            x = F.relu(next(layers)(x))
        result: Tensor = self.last(x)
        return result


def train(folder: Path, out: Path, minutes: float, start: Path | None = None) -> None:
    """Train for so long, from other weights if they are given; write the weights every minute."""
    torch.manual_seed(0)
    network = Network()
    if start is not None:
        with np.load(start, allow_pickle=False) as stored:
            network.load_state_dict({k: torch.from_numpy(stored[k]).float() for k in stored.files})
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
    checkpoint, step, spent = out.with_suffix(".pt"), 0, 0.0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        step, spent = state["step"], state["seconds"]
    maps = [m for n, m in enumerate(heads(folder)) if n % 4 != 3]
    random = np.random.default_rng([1 + (start is not None), step])
    pool: list[tuple[Tensor, Tensor, Tensor]] = []
    begin = told = saved = time.monotonic()
    running: list[float] = []
    while (part := (time.monotonic() - begin + spent) / (60 * minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * part)))
        if len(pool) < 8 or step % 2 == 0:  # drawing costs less than a step
            drawn = draw(maps[random.integers(len(maps))], random)
            image = torch.from_numpy(scaled(pooled(drawn.image)))[None]
            pool.append(
                (image, torch.from_numpy(pooled(drawn.brain))[None],
                 torch.from_numpy(pooled(drawn.seen))[None])
            )  # fmt: skip
            pool = pool[-160:]
        chosen = [pool[int(random.integers(len(pool)))] for _ in range(2)]
        image, brain, seen = (torch.stack([c[n] for c in chosen]) for n in range(3))
        for axis in (2, 3, 4):
            if axis == 2 and random.random() < 0.5:
                image, brain, seen = image.flip(axis), brain.flip(axis), seen.flip(axis)
        logits = network(image)
        entropy = F.binary_cross_entropy_with_logits(logits, brain, weight=seen)
        p = torch.sigmoid(logits) * seen
        dice = 1 - 2 * (p * brain).sum() / (p.sum() + (brain * seen).sum() + 1)
        optimiser.zero_grad()
        (entropy + dice).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        running.append(float(dice.detach()))
        step += 1
        if time.monotonic() - told > 30:
            told = time.monotonic()
            print(f"step {step}  1 - dice {np.mean(running):.4f}  {part:.0%}", flush=True)
            running = []
        if time.monotonic() - saved > 60:
            saved = time.monotonic()
            seconds = saved - begin + spent
            torch.save({"network": network.state_dict(), "optimiser": optimiser.state_dict(),
                        "step": step, "seconds": seconds}, checkpoint)  # fmt: skip
            write(network, out)
    write(network, out)


def write(network: Network, out: Path) -> None:
    """Write half-precision weights in the order in which they are used."""
    arrays = {k: v.detach().numpy().astype(np.float16) for k, v in network.state_dict().items()}
    np.savez_compressed(out, allow_pickle=False, **arrays)


def score(folder: Path) -> None:
    """Print Dice of the mask on held-out heads, per contrast."""
    maps = [m for n, m in enumerate(heads(folder)) if n % 4 == 3]
    for kind in ("t2", "random"):
        found = []
        for seed in range(16):
            random = np.random.default_rng([99, seed])
            drawn = draw(maps[seed % len(maps)], random, kind)
            step = SPACING / FINE
            grid = Grid(drawn.image.shape, np.diag([step, step, step, 1.0]))
            mask = brain_mask(Volume(drawn.image * 500, grid, "T2"))
            mask, brain = mask & drawn.seen, drawn.brain & drawn.seen
            found.append(2 * float((mask & brain).sum()) / max(1, int(mask.sum() + brain.sum())))
        print(f"{kind}: Dice median {np.median(found):.3f}, least {min(found):.3f}, "
              f"{np.mean(np.array(found) >= 0.95):.0%} at 0.95 or more", flush=True)  # fmt: skip


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("train", "score"))
    parser.add_argument("anatomy", type=Path)
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--from", dest="start", type=Path, help="weights to begin with (.npz)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.what == "train":
        train(args.anatomy, args.out, args.minutes, args.start)
    else:
        score(args.anatomy)


if __name__ == "__main__":
    main()
