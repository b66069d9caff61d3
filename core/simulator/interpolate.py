"""Trilinear interpolation of several volumes at the same positions, in one pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from core.simulator.noise import Field

SLAB = 400_000
"""Positions looked up at a time."""


def interpolate(volumes: Sequence[Field], coords: Sequence[Field]) -> list[Field]:
    """Return each volume's values at voxel coordinates; outside, the border goes on.

    torch shares the look-up between volumes: ten cost three times as much as one, where scipy's
    ``map_coordinates`` costs ten times.

    Args:
        volumes: (i, j, k) float32 each, of one shape, at least two voxels along every axis.
        coords: three arrays of one shape: i, j, k.

    Returns:
        one float32 array of the coordinates' shape per volume.
    """
    shape = np.broadcast_shapes(*(c.shape for c in coords))
    every = [np.broadcast_to(c, shape) for c in coords]
    stack = torch.from_numpy(np.stack([np.asarray(v, np.float32) for v in volumes]))[None]
    sizes = volumes[0].shape
    found = np.empty((len(volumes), *shape), np.float32)
    # Slab by slab, so that the scaled copies of the coordinates stay small.
    rows = max(1, SLAB * shape[0] // max(1, int(np.prod(shape))))
    for start in range(0, shape[0], rows):
        part = slice(start, start + rows)
        # grid_sample wants the last axis first, and -1…1 from the first to the last voxel's centre.
        scaled = [
            c[part] * np.float32(2 / (n - 1)) - np.float32(1)
            for c, n in zip(every, sizes, strict=True)
        ]
        grid = torch.from_numpy(np.stack(scaled[::-1], axis=-1).reshape(1, 1, 1, -1, 3))
        with torch.inference_mode():
            values = torch.nn.functional.grid_sample(
                stack, grid, mode="bilinear", padding_mode="border", align_corners=True
            )
        found[:, part] = values[0].numpy().reshape(len(volumes), *scaled[0].shape)
    return list(found)
