"""Cut a volume along a frame plane: by plain slicing where the axes agree, else by resampling.

A cut's rows run down the screen (the up axis falls) and its columns run along the across axis as
the pane shows it, so a cut can be painted without flipping.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.viewer.geometry import Frame, PlaneAxes
from app.viewer.oblique import PlaneReader
from core.grid import Grid

MAX_SIDE = 800
"""Largest side in pixels of an obliquely resampled cut."""


@dataclass(frozen=True)
class Visible:
    """The part of a plane on screen: frame mm along the two axes, and the mm of one pixel."""

    across: tuple[float, float]
    up: tuple[float, float]
    pixel: float


@dataclass(frozen=True)
class Raster:
    """Pixel geometry of a cut, in frame mm.

    Attributes:
        left: across coordinate of the left edge as shown (of the first column's outer edge).
        top: up coordinate of the top edge.
        width, height: mm a column and a row measure (both positive).
        columns, rows: numbers of pixels.
    """

    left: float
    top: float
    width: float
    height: float
    columns: int
    rows: int


@dataclass(frozen=True, eq=False)
class Cut:
    """Voxels of one plane.

    Attributes:
        values: (rows, columns) in the volume's units.
        inside: (rows, columns) bool, where the volume has voxels; None when everywhere.
        raster: where the pixels lie.
    """

    values: NDArray[Any]
    inside: NDArray[np.bool_] | None
    raster: Raster


class Sampler:
    """Cuts one array on its grid along the planes of one frame.

    Args:
        voxels: (i, j, k) array of any real type, storage order.
        grid: its geometry.
        frame: what to cut along.
    """

    def __init__(self, voxels: NDArray[Any], grid: Grid, frame: Frame) -> None:
        self.voxels = voxels
        self.grid = grid
        self.frame = frame

    def on(self, grid: Grid, frame: Frame) -> Sampler:
        """Return a sampler of the same array elsewhere; what reading it needs is kept."""
        other = Sampler(self.voxels, grid, frame)
        if "_reader" in self.__dict__:
            other.__dict__["_reader"] = self._reader
        return other

    @cached_property
    def _aligned(self) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[np.float64]] | None:
        """Return (view along the frame's axes, first voxel's frame position, steps), if parallel.

        Parallel means that no voxel centre is more than a twentieth of a voxel off.
        """
        directions = self.frame.axes.T @ (self.grid.affine[:3, :3] / self.grid.spacing)
        order = np.abs(directions).argmax(axis=1)
        if sorted(order) != [0, 1, 2]:
            return None
        signs = np.sign(directions[np.arange(3), order])
        ideal = np.zeros((3, 3))
        ideal[np.arange(3), order] = signs
        reach = self.grid.spacing * (np.array(self.grid.shape) - 1)
        if (np.abs(directions - ideal) * reach).max() > 0.05 * self.grid.spacing.min():
            return None
        steps = tuple(slice(None, None, -1 if s < 0 else 1) for s in signs)
        view = self.voxels.transpose(tuple(order))[steps]
        spacing = self.grid.spacing[order]
        centre = self.frame.to_frame(self.grid.centre)
        return view, centre - (np.array(view.shape) - 1) / 2 * spacing, spacing

    @property
    def aligned(self) -> bool:
        """Whether the array's axes are the frame's."""
        return self._aligned is not None

    @property
    def lattice(self) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Frame position of a voxel centre and the steps between centres, if parallel."""
        return None if self._aligned is None else self._aligned[1:]

    def planes_at(self, axes: PlaneAxes, depth: float, linear: bool) -> tuple[int, int, float]:
        """Return (first slice, second slice, weight of the second) for an aligned array.

        Both are -1 outside the array's edges. Without ``linear``, or within a fiftieth of a voxel
        of a slice, the weight is 0.
        """
        assert self._aligned is not None
        view, start, steps = self._aligned
        n = axes.through
        t = (depth - start[n]) / steps[n]
        count = view.shape[n]
        if not -0.5 - 1e-6 <= t <= count - 0.5 + 1e-6:
            return -1, -1, 0.0
        nearest = min(max(round(t), 0), count - 1)
        if not linear or abs(t - nearest) < 0.02 or not 0 <= t <= count - 1:
            return nearest, nearest, 0.0
        low = int(t)
        return low, low + 1, t - low

    def cut(
        self, axes: PlaneAxes, depth: float, linear: bool, visible: Visible | None = None
    ) -> Cut | None:
        """Cut at ``depth`` mm along the through axis, on the array's own raster where parallel.

        An oblique cut covers the visible part only (default: everything), no finer than the screen.

        Returns:
            None where the plane misses the volume or none of it is visible.
        """
        if self._aligned is None:
            raster = self._bounds(axes, linear, visible)
            return None if raster is None else self._resample(axes, depth, linear, raster)
        view, start, steps = self._aligned
        first, second, weight = self.planes_at(axes, depth, linear)
        if first < 0:
            return None
        values = _face(view, axes, first)
        if weight:
            values = (1 - weight) * values + np.float32(weight) * _face(view, axes, second)
        rows, columns = values.shape
        width, height = float(steps[axes.across]), float(steps[axes.up])
        low, high = start[axes.across] - width / 2, start[axes.across] + (columns - 0.5) * width
        top = float(start[axes.up] + (rows - 0.5) * height)
        left = float(low if axes.across_sign > 0 else high)
        return Cut(values, None, Raster(left, top, width, height, columns, rows))

    def cut_on(self, axes: PlaneAxes, depth: float, linear: bool, raster: Raster) -> Cut | None:
        """Cut at ``depth`` on a given raster (that of another volume), for arithmetic."""
        own = self.cut(axes, depth, linear) if self.aligned else None
        if own is not None and _same(own.raster, raster):
            return own
        return self._resample(axes, depth, linear, raster)

    def _bounds(self, axes: PlaneAxes, linear: bool, visible: Visible | None) -> Raster | None:
        """Return a raster over the visible part of the volume; None where there is none.

        Its pixels lie on multiples of their size, so that panning does not make them shimmer.
        """
        corners = self.frame.to_frame(self.grid.corners)
        low, high = corners.min(0)[[axes.across, axes.up]], corners.max(0)[[axes.across, axes.up]]
        # Voxel edges show when values are not interpolated: sample finer then.
        step = float(self.grid.spacing.min()) / (1 if linear else 3)
        if visible is not None:
            low = np.maximum(low, (visible.across[0], visible.up[0]))
            high = np.minimum(high, (visible.across[1], visible.up[1]))
            step = max(step, visible.pixel)
        if (high <= low).any():
            return None
        step = max(step, float((high - low).max()) / MAX_SIDE)
        first, last = np.floor(low / step), np.ceil(high / step)
        columns, rows = (last - first).astype(int).tolist()
        left = float((first if axes.across_sign > 0 else last)[0] * step)
        return Raster(left, float(last[1] * step), step, step, columns, rows)

    def _resample(self, axes: PlaneAxes, depth: float, linear: bool, raster: Raster) -> Cut | None:
        # Voxel position = base + row * down + column * across, all affine in the pixel index.
        position = np.empty(3)
        position[axes.across] = raster.left + axes.across_sign * raster.width / 2
        position[axes.up] = raster.top - raster.height / 2
        position[axes.through] = depth
        base = self.grid.to_voxel(self.frame.to_world(position))
        turn = self.grid.inverse[:3, :3] @ self.frame.axes
        down = -turn[:, axes.up] * raster.height
        across = turn[:, axes.across] * axes.across_sign * raster.width
        shape = (raster.rows, raster.columns)
        values, inside = self._reader.read(base, down, across, shape, linear)
        if not inside.any():
            return None
        return Cut(values, None if inside.all() else inside, raster)

    @cached_property
    def _reader(self) -> PlaneReader:
        return PlaneReader(self.voxels)


def _face(view: NDArray[Any], axes: PlaneAxes, index: int) -> NDArray[Any]:
    """Return one face of an array along the frame's axes, rows down and columns as shown."""
    picked: list[int | slice] = [slice(None)] * 3
    picked[axes.through] = index
    face = view[tuple(picked)]
    # Every plane's across axis comes before its up axis, so the face is (across, up).
    return face.T[::-1, :: axes.across_sign]


def _same(a: Raster, b: Raster) -> bool:
    return (a.columns, a.rows) == (b.columns, b.rows) and bool(
        np.allclose(
            (a.left, a.top, a.width, a.height), (b.left, b.top, b.width, b.height), atol=1e-3
        )
    )
