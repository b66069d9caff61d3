"""Tiles for training and validation, drawn without hidden state.

Everything random follows from (seed, step, place in the batch), never from what was drawn before.
So a resumed run, a run with prefetching and a run on two processes see the same tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from trainer.cohort.cache import LOWEST, CachedCase
from trainer.errors import TrainerError
from trainer.loop.order import SliceOrder
from trainer.plan.schema import Plan

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Batch:
    """Tiles of one step.

    Attributes:
        images: modality → (B, 1, H, W) float32 in [-1, 1], background exactly -1.
        fov: (B, 1, H, W) float32, 1 inside the field of view, else 0.
        present: modality → (B,) bool, whether the row really has that modality.
        expected: swept modality → (B, 1, H, W) its expected echo, background exactly -1; only
            modalities for which some case has one.
        has_expected: the same modalities → (B,) bool, whether the row has it.
    """

    images: dict[str, Tensor]
    fov: Tensor
    present: dict[str, Tensor]
    expected: dict[str, Tensor] = field(default_factory=dict)
    has_expected: dict[str, Tensor] = field(default_factory=dict)

    def missing_target(self, modality: str) -> Tensor:
        """Return (B, 1, H, W): what a modality that is no input is to be trained towards.

        The expected echo where the row has one and it shows something there; else the image.
        """
        image = self.images[modality]
        if modality not in self.expected:
            return image
        expected = self.expected[modality]
        return torch.where(expected > -1, expected, image)  # -1 all over in rows without one

    def rows(self, start: int, stop: int) -> Batch:
        """Return some rows of the batch."""
        return self._each(lambda x: x[start:stop], lambda p: p[start:stop])

    def to(self, device: torch.device, dtype: torch.dtype) -> Batch:
        """Return the batch on a device, images and mask in ``dtype``."""
        return self._each(lambda x: x.to(device, dtype), lambda p: p.to(device))

    def _each(self, image: Callable[[Tensor], Tensor], flag: Callable[[Tensor], Tensor]) -> Batch:
        return Batch(
            {m: image(x) for m, x in self.images.items()},
            image(self.fov),
            {m: flag(p) for m, p in self.present.items()},
            {m: image(x) for m, x in self.expected.items()},
            {m: flag(p) for m, p in self.has_expected.items()},
        )


class TileSampler:
    """Draws batches of tiles from prepared cases.

    Args:
        cases: training or validation cases.
        plan: tile size, batch, augmentation and seed.

    Raises:
        TrainerError: no slice of any case has enough field of view.
    """

    def __init__(self, cases: Sequence[CachedCase], plan: Plan) -> None:
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
        modalities = self.modalities
        self.order = SliceOrder(
            self.slices,
            plan,
            [int(self.cases[case].coverage[k]) for case, k in self.slices],
            {n: 2 ** len(case.present) - 1 for n, case in enumerate(self.cases)},
            2 ** len(modalities) - 1,
        )
        self.steps_per_epoch = self.order.steps_per_epoch

    def batch(self, step: int, start: int = 0, stop: int | None = None) -> Batch:
        """Return rows ``start:stop`` of the batch of a step (all by default)."""
        size = self.plan.data.batch
        rows = range(start, size if stop is None else stop)
        return collate(
            [self._tile(step, row) for row in rows],
            [self.cases[self.order.at(step, row)[0]] for row in rows],
            self.modalities,
        )

    def _tile(self, step: int, row: int) -> Floats:
        """Cut, warp and vary one tile: the channels of its case's array, (C, H, W)."""
        data = self.plan.data
        # Neighbouring slices move together, as one volume would.
        place = 0 if data.neighbours else row
        random = np.random.default_rng([self.plan.seed, 2, step, place])
        case, k = self.order.at(step, row)
        source = self.cases[case].array[k]
        height, width = self.plan.model.tile
        centre = fov_point(source[-1] if not data.neighbours else self._anchor(step), random)
        centre += random.uniform(-data.jitter, data.jitter, 2) * (height, width)
        angle = np.deg2rad(random.uniform(-data.rotate, data.rotate))
        zoom = 1 + random.uniform(-data.scale, data.scale)
        matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / zoom
        # Left and right may be exchanged, front and back never. A sagittal slice shows no left.
        mirror = data.slicing.left_right if random.random() < data.flip else None
        if mirror is not None:
            matrix[:, mirror] *= -1
        if data.whole_pixel > 0 and random.random() < data.whole_pixel:
            tile = copy(source, centre, (height, width), mirror=mirror)
        else:
            tile = cut(source, centre, matrix, (height, width))
        # An expected echo has no curve of its own: its level means the same in every case.
        for channel, modality in enumerate(self.modalities):
            limit = data.gamma.get(modality, 0.0)
            apply_gamma(tile[channel], float(np.exp(random.uniform(-limit, limit))))
        return tile

    def _anchor(self, step: int) -> NDArray[np.float16]:
        case, k = self.order.at(step, 0)
        return self.cases[case].array[k][-1]


def fov_point(mask: NDArray[np.float16], random: np.random.Generator) -> NDArray[np.float64]:
    """Draw the position of one pixel inside the mask (the middle when it is empty)."""
    inside = np.flatnonzero(np.asarray(mask).ravel() > 0)
    if not len(inside):
        return (np.array(mask.shape) - 1) / 2
    return np.array(divmod(int(random.choice(inside)), mask.shape[1]), dtype=np.float64)


def copy(
    source: NDArray[np.float16],
    centre: NDArray[np.float64],
    size: tuple[int, int],
    *,
    mirror: int | None = None,
) -> Floats:
    """Copy a tile of whole pixels, bit for bit, with its middle as near ``centre`` as can be.

    A tile of even size has its middle between pixels, so that :func:`cut` around a pixel would
    average four of them and lose a third of the sharpness, which synthesis never sees.

    Args:
        source: (C, h, w), field of view last.
        centre: position of the tile's middle in source pixels.
        size: height and width of the tile.
        mirror: turn this axis of the tile round, 0 rows or 1 columns.

    Returns:
        (C, *size) float32; -1, and no field of view, where the source has ended.
    """
    corner = np.rint(centre - (np.array(size) - 1) / 2).astype(int)
    low = np.maximum(corner, 0)
    high = np.maximum(np.minimum(corner + size, source.shape[1:]), low)
    out = _background(source.shape[0], size)
    there = tuple(slice(a, b) for a, b in zip(low - corner, high - corner, strict=True))
    here = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    out[:, *there] = source[:, *here]
    return out if mirror is None else np.ascontiguousarray(np.flip(out, 1 + mirror))


def _background(channels: int, size: tuple[int, int]) -> Floats:
    out = np.full((channels, *size), -1.0, dtype=np.float32)
    out[-1] = 0
    return out


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
        source: (C, h, w), field of view last.
        centre: position of the tile's middle in source pixels.
        matrix: (2, 2).
        size: height and width of the tile.

    Returns:
        (C, *size) float32.
    """
    middle = (np.array(size) - 1) / 2
    reach = np.abs(matrix) @ (middle + 1) + 2
    low = np.maximum(np.floor(centre - reach).astype(int), 0)
    high = np.minimum(np.ceil(centre + reach).astype(int) + 1, source.shape[1:])
    out = _background(source.shape[0], size)
    if (high - low < 2).any():
        return out
    window = np.asarray(source[:, low[0] : high[0], low[1] : high[1]], dtype=np.float32)
    offset = centre - low - matrix @ middle

    def warp(channel: Floats) -> Floats:
        warped: Floats = ndimage.affine_transform(
            channel, matrix, offset, size, np.float32, 1, "constant", 0.0, prefilter=False
        )
        return warped

    fov = warp(window[-1])
    for channel in range(source.shape[0] - 1):
        image = window[channel]
        inside = (image > -1).astype(np.float32)
        if inside.any():
            # An ultrasound and its expected echo fill the field of view: one warp for all of them.
            weight = fov if np.array_equal(inside, window[-1]) else warp(inside)
            kept = weight > 0.5
            total = warp((image + 1) * inside)
            out[channel][kept] = total[kept] / weight[kept] - 1
    out[-1] = fov > 0.5
    return out


def apply_gamma(image: Floats, gamma: float) -> None:
    """Bend the intensity curve of a normalised image in place; the background stays."""
    inside = image > -1
    unit = np.clip((image[inside] - LOWEST) / (1 - LOWEST), 0, 1)
    image[inside] = unit**gamma * (1 - LOWEST) + LOWEST


def collate(
    tiles: Sequence[Floats], cases: Sequence[CachedCase], modalities: tuple[str, ...]
) -> Batch:
    """Stack tiles, each with the channels of its case's array, into a batch."""

    def stack(channels: Sequence[int | None]) -> Tensor:
        empty = np.full(tiles[0].shape[1:], -1, dtype=np.float32)
        chosen = [empty if c is None else t[c] for t, c in zip(tiles, channels, strict=True)]
        return torch.from_numpy(np.stack(chosen)[:, None])

    def place(case: CachedCase, m: str) -> int | None:
        return len(modalities) + case.expected.index(m) if m in case.expected else None

    companions = [m for m in modalities if any(m in case.expected for case in cases)]
    return Batch(
        {m: stack([i] * len(tiles)) for i, m in enumerate(modalities)},
        stack([-1] * len(tiles)),
        {m: torch.tensor([m in case.present for case in cases]) for m in modalities},
        {m: stack([place(case, m) for case in cases]) for m in companions},
        {m: torch.tensor([m in case.expected for case in cases]) for m in companions},
    )


def fixed_tiles(cases: Sequence[CachedCase], plan: Plan, count: int) -> Batch | None:
    """Return the same ``count`` unaugmented tiles every time, spread over the cases.

    Each lies around the middle of the field of view of a well-covered slice. ``None`` without
    cases.
    """
    if not cases or count < 1:
        return None
    tiles, shown = [], []
    for n in range(count):
        case = cases[n % len(cases)]
        best = np.argsort(-case.coverage, kind="stable")
        used = best[: max(1, int((case.coverage > 0).sum() * 0.8))]
        rounds = max(1, -(-count // len(cases)))
        k = int(np.sort(used)[int((n // len(cases) + 0.5) / rounds * len(used))])
        inside = np.argwhere(np.asarray(case.array[k, -1]) > 0)
        centre = inside.mean(axis=0) if len(inside) else np.array(case.array.shape[2:]) / 2
        tiles.append(copy(case.array[k], centre, plan.model.tile))
        shown.append(case)
    return collate(tiles, shown, plan.model.modalities)
