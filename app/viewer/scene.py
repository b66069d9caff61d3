"""What all panes share: the frame, samplers and voxel versions of the session's layers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.state.layers import Region
from app.state.session import Session
from app.state.values import Layer, Vector
from app.viewer.geometry import Frame, PlaneAxes
from app.viewer.sampling import Sampler
from core.grid import Grid


class Scene:
    """Derived geometry of a session, recomputed only when what it derives from changes."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._frame: Frame | None = None
        self._key: tuple[Grid, bool] | None = None
        self._samplers: dict[tuple[str, str], Sampler] = {}
        self._versions: dict[str, int] = {}

    @property
    def frame(self) -> Frame | None:
        """The frame of the reference volume; None while the session holds no image."""
        reference = self.session.reference
        if reference is None:
            self._frame = self._key = None
            return None
        key = (reference.volume.grid, self.session.display.world_axes)
        if self._key is None or self._key[0] is not key[0] or self._key[1] != key[1]:
            self._key = key
            self._frame = Frame.of(*key)
        return self._frame

    def sampler(self, layer: Layer) -> Sampler:
        """Return the sampler of a layer's voxels."""
        return self._sampler(layer, "voxels", layer.volume.voxels)

    def field_sampler(self, layer: Layer) -> Sampler | None:
        """Return the sampler of a layer's field of view, or None."""
        if layer.field_of_view is None:
            return None
        return self._sampler(layer, "field", layer.field_of_view)

    def _sampler(self, layer: Layer, role: str, voxels: NDArray[Any]) -> Sampler:
        frame = self.frame
        assert frame is not None
        grid = self.session.shown_grid(layer)
        kept = self._samplers.get((layer.id, role))
        if kept is None or not _same_memory(kept.voxels, voxels):
            kept = Sampler(voxels, grid, frame)
        elif kept.grid is not grid or kept.frame is not frame:
            kept = kept.on(grid, frame)
        self._samplers[layer.id, role] = kept
        return kept

    @property
    def has_oblique(self) -> bool:
        """Whether a visible layer must be resampled, which takes longer than slicing."""
        return any(x.visible and not self.sampler(x).aligned for x in self.session.layers)

    def version(self, layer_id: str) -> int:
        """Return a number that grows whenever the layer's voxels change in place."""
        return self._versions.get(layer_id, 0)

    def touched(self, layer_id: str) -> None:
        """Note that voxels changed in place."""
        self._versions[layer_id] = self.version(layer_id) + 1

    def forget_missing(self) -> None:
        """Drop what belongs to layers that are gone."""
        for key in [k for k in self._samplers if k[0] not in self.session]:
            del self._samplers[key]

    def steps(self, layer: Layer) -> Vector:
        """Return the (3,) mm of one voxel along the frame axes: the layer's own where parallel."""
        lattice = self.sampler(layer).lattice
        assert self.frame is not None
        return self.frame.steps if lattice is None else lattice[1]

    def place(self, layer: Layer, position: Vector) -> Vector:
        """Return the (3,) world position to put the cursor at for a (3,) frame position.

        That is the nearest voxel centre of the layer, or of the reference where the layer is
        oblique to it, no further out than the outermost voxel centres of all volumes.
        """
        frame = self.frame
        assert frame is not None
        corners = [frame.to_frame(x.volume.grid.corners) for x in self.session.layers]
        low = np.min([c.min(0) for c in corners], axis=0)
        high = np.max([c.max(0) for c in corners], axis=0)
        lattice = self.sampler(layer).lattice
        if lattice is None:
            if not frame.native:
                return frame.to_world(np.clip(position, low, high))
            lattice = frame.start, frame.steps
        start, steps = lattice
        first = np.ceil((low - start) / steps - 1e-6)
        last = np.floor((high - start) / steps + 1e-6)
        index = np.clip(np.rint((position - start) / steps), first, last)
        return frame.to_world(start + index * steps)

    def region_meets(self, layer: Layer, region: Region | None, axes: PlaneAxes, d: float) -> bool:
        """Tell whether a block of voxels lies on (or within a voxel of) the plane at depth ``d``.

        Args:
            layer: whose voxels.
            region: storage-order block, None for all.
            axes: the pane's axes.
            d: mm along the through axis.
        """
        frame = self.frame
        if region is None or frame is None:
            return True
        grid = layer.volume.grid
        ends = [s.indices(n) for s, n in zip(region, grid.shape, strict=True)]
        if any(stop <= start for start, stop, _ in ends):
            return False
        edges = np.array([[start - 1, stop] for start, stop, _ in ends], float)
        corners = np.stack(np.meshgrid(*edges, indexing="ij"), -1).reshape(-1, 3)
        depth = frame.to_frame(grid.to_world(corners))[:, axes.through]
        return bool(depth.min() <= d <= depth.max())


def _same_memory(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Tell whether two arrays show the same memory in the same way."""
    return a is b or bool(a.__array_interface__ == b.__array_interface__)
