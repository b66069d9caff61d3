"""One 3-D image in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from core.errors import UserError
from core.grid import Grid

Voxels = NDArray[np.float32]
Mask = NDArray[np.bool_]


class VolumeError(UserError):
    """A file or an array that cannot be used as a volume."""


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels on a grid, with what is known about them.

    Attributes:
        voxels: (i, j, k) float32, finite, in the file's own units (scaling already applied);
            read-only.
        grid: shape and RAS+ mm affine.
        modality: ``"T2"``, ``"iUS"``, …; empty while nobody has said.
        source: what to call the volume on screen (a file name without folders).
        synthetic: whether a model made it.
        warnings: sentences about repairs made on reading (NaN replaced, axis dropped, …).
    """

    voxels: Voxels
    grid: Grid
    modality: str = ""
    source: str = ""
    synthetic: bool = False
    warnings: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.voxels.shape != self.grid.shape:
            raise VolumeError(
                f"{self.source or 'The volume'}: the grid has {self.grid.shape} voxels, "
                f"the data {self.voxels.shape}."
            )
        voxels = np.asarray(self.voxels, dtype=np.float32).view()
        voxels.setflags(write=False)
        object.__setattr__(self, "voxels", voxels)

    def canonical(self) -> Volume:
        """Return the same voxels stored closest to RAS+, by permuting and flipping axes only."""
        order, flipped = self.grid.canonical_order
        steps = tuple(slice(None, None, -1 if flip else 1) for flip in flipped)
        return replace(self, voxels=self.voxels.transpose(order)[steps], grid=self.grid.canonical())
