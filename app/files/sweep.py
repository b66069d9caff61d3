"""Where an ultrasound was swept, so that the window can look there when it is opened."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.state.session import Session
from app.state.values import View
from core.grid import Grid
from core.volume import Volume

MARGIN = 0.8
"""Share of a pane the sweep fills."""
LARGEST_ZOOM = 5.0
STRIDE = 3
"""Every third voxel is enough to find the sweep."""


@dataclass(frozen=True, eq=False)
class Sweep:
    """The swept part of a volume.

    Attributes:
        middle: (3,) RAS mm, the mean position of swept voxels.
        corners: (8, 3) RAS mm, of the block of voxels that holds it.
    """

    middle: NDArray[np.float64]
    corners: NDArray[np.float64]


def find_sweep(volume: Volume) -> Sweep | None:
    """Find the block where a volume differs from its corner voxel; None if nowhere.

    Takes tens of milliseconds for a large volume: call it in a thread.
    """
    some = volume.voxels[::STRIDE, ::STRIDE, ::STRIDE]
    inside = some != some[0, 0, 0]
    counts = [inside.sum(axis=tuple(a for a in range(3) if a != axis)) for axis in range(3)]
    total = int(counts[0].sum())
    if total == 0:
        return None
    middle = [float((np.arange(n.size) * n).sum()) / total * STRIDE for n in counts]
    ends = [STRIDE * np.flatnonzero(n)[[0, -1]] for n in counts]
    corners = np.array(np.meshgrid(*ends, indexing="ij")).reshape(3, 8).T
    grid = volume.grid
    return Sweep(grid.to_world(middle), grid.to_world(corners))


def look_at(session: Session, sweep: Sweep) -> None:
    """Put the cursor into the sweep and let it fill the panes of all three planes."""
    reference = session.reference
    if reference is None:
        return
    grid = reference.volume.grid
    size = grid.spacing * grid.shape
    block = _extent(grid, sweep.corners)
    zoom = float(np.clip(MARGIN * (size / np.maximum(block, 1.0)).min(), 1.0, LARGEST_ZOOM))
    x, y, z = (float(v) for v in sweep.middle - grid.centre)
    session.look_from(View(zoom, (x, y, z)), sweep.middle)


def _extent(grid: Grid, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far points reach along a grid's axes, mm."""
    at = grid.to_voxel(points) * grid.spacing
    return np.asarray(at.max(axis=0) - at.min(axis=0))
