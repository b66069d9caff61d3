"""Read an array along any plane: trilinear or nearest, in plain numpy.

For one plane this is as fast as scipy's general resampler, whose import alone would cost the window
a quarter of a second.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Offsets = NDArray[np.int64]


class PlaneReader:
    """Samples an array at points base + row · down + column · across (voxel positions).

    Args:
        voxels: (i, j, k) array of any real type and memory order; read at every call, so values
            changed in place are seen.
    """

    def __init__(self, voxels: NDArray[Any]) -> None:
        self.voxels = voxels
        # One index per sample instead of three: possible where a permutation of the axes, some of
        # them reversed, is contiguous memory; a view with holes is indexed by axis instead.
        forward = tuple(slice(None, None, -1 if s < 0 else 1) for s in voxels.strides)
        flat = voxels[forward].ravel(order="K")
        self._flat = flat if np.may_share_memory(flat, voxels) else None
        self._steps = [s // voxels.itemsize for s in voxels.strides]
        self._first = sum(
            (n - 1) * -s for n, s in zip(voxels.shape, self._steps, strict=True) if s < 0
        )

    def read(
        self,
        base: NDArray[np.float64],
        down: NDArray[np.float64],
        across: NDArray[np.float64],
        shape: tuple[int, int],
        linear: bool,
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return (rows, columns) values and whether each point lies within the voxels' edges.

        Points beyond the outermost voxel centres take the nearest voxel's value.
        """
        rows = np.arange(shape[0], dtype=np.float32)[:, None]
        columns = np.arange(shape[1], dtype=np.float32)[None, :]
        inside = np.ones(shape, bool)
        places = []
        for n, b, d, a in zip(self.voxels.shape, base, down, across, strict=True):
            at = (np.float32(b) + rows * np.float32(d)) + columns * np.float32(a)
            inside &= (at >= -0.5) & (at <= n - 0.5)
            places.append(np.clip(at, 0, n - 1))
        if not linear:
            return self._at([np.rint(p).astype(np.int64) for p in places]), inside
        return self._trilinear(places), inside

    def _at(self, index: list[Offsets]) -> NDArray[Any]:
        if self._flat is None:
            return self.voxels[tuple(index)]
        return self._flat.take(self._offset(index))

    def _offset(self, index: list[Offsets]) -> Offsets:
        i, j, k = (n * s for n, s in zip(index, self._steps, strict=True))
        return i + j + k + self._first

    def _trilinear(self, places: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Mix the eight voxels around each point, axis by axis."""
        low, share, reach = [], [], []
        for place, n in zip(places, self.voxels.shape, strict=True):
            first = np.minimum(place.astype(np.int64), max(n - 2, 0))
            low.append(first)
            share.append(place - first.astype(np.float32))
            reach.append(min(1, n - 1))
        origin = self._offset(low)

        def corner(shift: tuple[int, ...]) -> NDArray[np.float32]:
            if self._flat is None:
                index = tuple(n + d for n, d in zip(low, shift, strict=True))
                return self.voxels[index].astype(np.float32)
            step = sum(d * s for d, s in zip(shift, self._steps, strict=True))
            return self._flat.take(origin + step).astype(np.float32, copy=False)

        def mixed(shift: tuple[int, ...]) -> NDArray[np.float32]:
            axis = len(shift)
            if axis == 3:
                return corner(shift)
            near = mixed((*shift, 0))
            far = mixed((*shift, reach[axis]))
            far -= near
            far *= share[axis]
            near += far
            return near

        return mixed(())
