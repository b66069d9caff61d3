"""The noise of a sample: one field over the whole volume for every level, cut into tiles.

A tile's noise depends on where the tile lies and on nothing else, so tiles agree where they
overlap, whatever the batch and whichever tile comes first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from core.models.base.network import Network
from core.models.bundle import Preprocessing
from core.synthesis.request import Tile
from core.synthesis.tiles import Tiling

REACH = 3
"""Pixels of a level over which its noise becomes another, from slice to slice.

At 0.5 mm, neighbouring slices then correlate by 0.87 and the next by 0.5; the texture of a real
ultrasound at 0.4 mm by 0.7 to 0.8 and 0.5, that of simulated ones by 0.8 to 0.9 and 0.4 to 0.8.
"""

PLANES = 128
"""Planes kept: two for each level of some samples. Those of the built-in models take 70 MB."""


def tile_noise(
    model: Network,
    preprocessing: Preprocessing,
    tiling: Tiling,
    tiles: Sequence[Tile],
    seed: int,
    sample: int,
    factors: Sequence[float] = (),
) -> list[Tensor]:
    """Return the noise of some tiles: per level, coarsest first, (tiles, ...) standard normal.

    Factors that the model was calibrated with make a level's noise wider or narrower than that.

    In a slice the values of a level are independent. From slice to slice they pass from one plane
    of noise to the next, which lies ``REACH`` pixels of that level further on.

    Args:
        model: the network whose latents it is for.
        preprocessing: spacing, and the plane the slices lie in.
        tiling: of the volume.
        tiles: which ones.
        seed: of the request.
        sample: number of the draw.
        factors: on every level, coarsest first; none for 1 everywhere.
    """
    spacing, axis = preprocessing.spacing, preprocessing.axis
    pools = model.config.stride.bit_length() - 1
    pixel = max(mm for n, mm in enumerate(spacing) if n != axis)
    first = tiling.rows[0], tiling.columns[0]
    levels = []
    for level, (_, channels, *size) in enumerate(model.noise_shapes(1)):
        shift = pools - level
        extent = [n >> shift for n in tiling.extent] if size else []
        reach = REACH * pixel * 2**shift / spacing[axis]
        cut = []
        for tile in tiles:
            plane, part = divmod(tile.index / reach, 1)
            corner = [(at - begin) >> shift for at, begin in zip(tile.origin, first, strict=True)]
            place = [slice(at, at + n) for at, n in zip(corner, size, strict=False)]
            near, far = (
                _plane((seed, sample, n, level), (channels, *extent))[:, *place]
                for n in (int(plane), int(plane) + 1)
            )
            # The squares of the weights add up to 1, so that every slice has unit variance.
            cut.append(math.cos(math.pi / 2 * part) * near + math.sin(math.pi / 2 * part) * far)
        drawn = torch.stack(cut)
        levels.append(drawn * factors[level] if factors else drawn)
    return levels


@lru_cache(maxsize=PLANES)
def _plane(key: tuple[int, ...], shape: tuple[int, ...]) -> Tensor:
    """Draw one plane of a level; all tiles of its slices cut theirs out of it."""
    return torch.randn(*shape, generator=_generator(*key))


def _generator(*key: int) -> torch.Generator:
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state))
