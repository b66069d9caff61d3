"""Tiles for training and validation, drawn without hidden state.

Everything random follows from (seed, step, place in the batch), never from what was drawn before.
So a resumed run, a run with prefetching and a run on two processes see the same tiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from trainer.cohort.cache import LOWEST, PreparedCase
from trainer.errors import TrainerError
from trainer.plan.schema import Plan

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Batch:
    """Tiles of one step.

    Attributes:
        images: modality → (B, 1, H, W) float32 in [-1, 1], background exactly -1.
        fov: (B, 1, H, W) float32, 1 inside the field of view, else 0.
        present: modality → (B,) bool, whether the row really has that modality.
    """

    images: dict[str, Tensor]
    fov: Tensor
    present: dict[str, Tensor]

    def rows(self, start: int, stop: int) -> Batch:
        """Return some rows of the batch."""
        return Batch(
            {m: x[start:stop] for m, x in self.images.items()},
            self.fov[start:stop],
            {m: p[start:stop] for m, p in self.present.items()},
        )

    def to(self, device: torch.device, dtype: torch.dtype) -> Batch:
        """Return the batch on a device, images and mask in ``dtype``."""
        return Batch(
            {m: x.to(device, dtype) for m, x in self.images.items()},
            self.fov.to(device, dtype),
            {m: p.to(device) for m, p in self.present.items()},
        )


class TileSampler:
    """Draws batches of tiles from prepared cases.

    Args:
        cases: training or validation cases.
        plan: tile size, batch, augmentation and seed.

    Raises:
        TrainerError: no slice of any case has enough field of view.
    """

    def __init__(self, cases: Sequence[PreparedCase], plan: Plan) -> None:
        self.plan = plan
        self.cases = list(cases)
        self.modalities = plan.model.modalities
        height, width = plan.model.tile
        needed = max(1.0, plan.data.min_fov * height * width)
        self.slices = [
            (index, int(k))
            for index, case in enumerate(self.cases)
            for k in np.flatnonzero(case.coverage >= needed)
        ]
        if not self.slices:
            raise TrainerError(
                f"No slice of the {len(self.cases)} cases shows at least "
                f"{plan.data.min_fov:.0%} of a tile. Lower data.min_fov or check the masks."
            )
        self.steps_per_epoch = max(1, -(-len(self.slices) // plan.data.batch))
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, dtype=np.int64))

    def batch(self, step: int, start: int = 0, stop: int | None = None) -> Batch:
        """Return rows ``start:stop`` of the batch of a step (all by default)."""
        size = self.plan.data.batch
        rows = range(start, size if stop is None else stop)
        return collate(
            [self._tile(step, row) for row in rows],
            [self.cases[self._slice(step, row)[0]].present for row in rows],
            self.modalities,
        )

    def _slice(self, step: int, row: int) -> tuple[int, int]:
        """Choose case and slice: every slice once per epoch, in an order drawn per epoch."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if self._order[0] != epoch:
            random = np.random.default_rng([self.plan.seed, 1, epoch])
            self._order = (epoch, random.permutation(len(self.slices)))
        order = self._order[1]
        if not self.plan.data.neighbours:
            return self.slices[order[(position * self.plan.data.batch + row) % len(order)]]
        case, k = self.slices[order[position * self.plan.data.batch % len(order)]]
        siblings = [s for c, s in self.slices if c == case]
        first = min(siblings.index(k), max(0, len(siblings) - self.plan.data.batch))
        return case, siblings[min(first + row, len(siblings) - 1)]

    def _tile(self, step: int, row: int) -> Floats:
        """Cut, warp and vary one tile: (M + 1, H, W)."""
        data = self.plan.data
        # Neighbouring slices move together, as one volume would.
        place = 0 if data.neighbours else row
        random = np.random.default_rng([self.plan.seed, 2, step, place])
        case, k = self._slice(step, row)
        source = self.cases[case].array[k]
        height, width = self.plan.model.tile
        centre = fov_point(source[-1] if not data.neighbours else self._anchor(step), random)
        centre += random.uniform(-data.jitter, data.jitter, 2) * (height, width)
        angle = np.deg2rad(random.uniform(-data.rotate, data.rotate))
        zoom = 1 + random.uniform(-data.scale, data.scale)
        matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / zoom
        if random.random() < data.flip:  # the first in-plane axis runs left to right
            matrix[:, 0] *= -1
        tile = cut(source, centre, matrix, (height, width))
        for channel, modality in enumerate(self.modalities):
            limit = data.gamma.get(modality, 0.0)
            apply_gamma(tile[channel], float(np.exp(random.uniform(-limit, limit))))
        return tile

    def _anchor(self, step: int) -> NDArray[np.float16]:
        case, k = self._slice(step, 0)
        return self.cases[case].array[k][-1]


def fov_point(mask: NDArray[np.float16], random: np.random.Generator) -> NDArray[np.float64]:
    """Draw the position of one pixel inside the mask (the middle when it is empty)."""
    inside = np.flatnonzero(np.asarray(mask).ravel() > 0)
    if not len(inside):
        return (np.array(mask.shape) - 1) / 2
    return np.array(divmod(int(random.choice(inside)), mask.shape[1]), dtype=np.float64)


def cut(
    source: NDArray[np.float16],
    centre: NDArray[np.float64],
    matrix: NDArray[np.float64],
    size: tuple[int, int],
) -> Floats:
    """Sample a tile around ``centre``: output offset → source offset by ``matrix``.

    Masked pixels do not bleed: values are interpolated among pixels of the mask only, and a pixel
    with less than half its weight inside becomes background, exactly -1.

    Args:
        source: (M + 1, h, w), field of view last.
        centre: position of the tile's middle in source pixels.
        matrix: (2, 2).
        size: height and width of the tile.

    Returns:
        (M + 1, *size) float32.
    """
    middle = (np.array(size) - 1) / 2
    reach = np.abs(matrix) @ (middle + 1) + 2
    low = np.maximum(np.floor(centre - reach).astype(int), 0)
    high = np.minimum(np.ceil(centre + reach).astype(int) + 1, source.shape[1:])
    out = np.full((source.shape[0], *size), -1.0, dtype=np.float32)
    out[-1] = 0
    if (high - low < 2).any():
        return out
    window = np.asarray(source[:, low[0] : high[0], low[1] : high[1]], dtype=np.float32)
    offset = centre - low - matrix @ middle

    def warp(channel: Floats) -> Floats:
        warped: Floats = ndimage.affine_transform(
            channel, matrix, offset, size, np.float32, 1, "constant", 0.0, prefilter=False
        )
        return warped

    for channel in range(source.shape[0] - 1):
        image = window[channel]
        inside = (image > -1).astype(np.float32)
        if inside.any():
            weight = warp(inside)
            kept = weight > 0.5
            total = warp((image + 1) * inside)
            out[channel][kept] = total[kept] / weight[kept] - 1
    out[-1] = warp(window[-1]) > 0.5
    return out


def apply_gamma(image: Floats, gamma: float) -> None:
    """Bend the intensity curve of a normalised image in place; the background stays."""
    inside = image > -1
    unit = np.clip((image[inside] - LOWEST) / (1 - LOWEST), 0, 1)
    image[inside] = unit**gamma * (1 - LOWEST) + LOWEST


def collate(
    tiles: Sequence[Floats], present: Sequence[tuple[str, ...]], modalities: tuple[str, ...]
) -> Batch:
    """Stack (M + 1, H, W) tiles into a batch."""
    stacked = torch.from_numpy(np.stack(tiles))
    return Batch(
        {m: stacked[:, i : i + 1].contiguous() for i, m in enumerate(modalities)},
        stacked[:, -1:].contiguous(),
        {m: torch.tensor([m in names for names in present]) for m in modalities},
    )


def fixed_tiles(cases: Sequence[PreparedCase], plan: Plan, count: int) -> Batch | None:
    """Return the same ``count`` unaugmented tiles every time, spread over the cases.

    Each lies around the middle of the field of view of a well-covered slice. ``None`` without
    cases.
    """
    if not cases or count < 1:
        return None
    tiles, present = [], []
    for n in range(count):
        case = cases[n % len(cases)]
        best = np.argsort(-case.coverage, kind="stable")
        used = best[: max(1, int((case.coverage > 0).sum() * 0.8))]
        rounds = max(1, -(-count // len(cases)))
        k = int(np.sort(used)[int((n // len(cases) + 0.5) / rounds * len(used))])
        inside = np.argwhere(np.asarray(case.array[k, -1]) > 0)
        centre = inside.mean(axis=0) if len(inside) else np.array(case.array.shape[2:]) / 2
        tiles.append(cut(case.array[k], np.round(centre), np.eye(2), plan.model.tile))
        present.append(case.present)
    return collate(tiles, present, plan.model.modalities)
