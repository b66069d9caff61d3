"""A virtual ultrasound probe on the brain: where its frames lie, and what they show.

The probe stands still in its direction and slides across it; every frame is a plane (lateral,
depth), upright or tilted about its face. Several sweeps over one place are turned against each
other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.errors import UserError
from core.grid import Grid
from core.volume import Mask, Volume, Voxels

Kind = Literal["convex", "linear"]
Point = NDArray[np.floating[Any]]


class SweepError(UserError):
    """A probe that cannot be where it was put."""


@dataclass(frozen=True)
class ProbeShape:
    """The image of a probe: a sector between two arcs (convex), or a rectangle (linear).

    Attributes:
        kind: of the face.
        width: of the face, mm; of a convex one along its arc.
        depth: mm from the face along a beam.
        radius: of a convex face, mm.
    """

    kind: Kind = "convex"
    width: float = 30.0
    depth: float = 60.0
    radius: float = 20.0

    @property
    def half_angle(self) -> float:
        """Half the angle of a convex probe's sector, radians."""
        return min(self.width / (2 * self.radius), 0.49 * np.pi)

    @property
    def half_width(self) -> float:
        """Half the width of the whole image, mm."""
        if self.kind == "linear":
            return self.width / 2
        return (self.radius + self.depth) * float(np.sin(self.half_angle))

    def outline(self) -> NDArray[np.float64]:
        """Return the edge of the image as a closed line, (points, 2) mm: lateral, depth."""
        if self.kind == "linear":
            half, deep = self.width / 2, self.depth
            return np.array([[-half, 0], [half, 0], [half, deep], [-half, deep], [-half, 0]])
        angles = np.linspace(-self.half_angle, self.half_angle, 25)
        beams = np.stack([np.sin(angles), np.cos(angles)], axis=1)
        face, end = self.radius * beams, (self.radius + self.depth) * beams[::-1]
        return np.concatenate([face, end, face[:1]]) - [0, self.radius]

    def inside(self, lateral: Point, depth: Point) -> Mask:
        """Tell which points of a frame (mm from the middle of the face) the image shows."""
        if self.kind == "linear":
            return (np.abs(lateral) <= self.width / 2) & (depth >= 0) & (depth <= self.depth)
        along = np.hypot(lateral, depth + self.radius) - self.radius
        angle = np.arctan2(lateral, depth + self.radius)
        return (along >= 0) & (along <= self.depth) & (np.abs(angle) <= self.half_angle)


@dataclass(frozen=True, eq=False)
class VirtualSweep:
    """One sweep.

    Attributes:
        shape: of each image.
        entry: (3,) RAS mm, the middle of the face in the middle of the sweep.
        axes: (3, 3), rows are unit vectors along lateral, sweep and depth, RAS.
        offsets: (frames,) mm, where each frame lies along the sweep.
        pixel: mm, of the frames.
        tilt: of every frame about the lateral axis in its face, radians; positive looks ahead.
    """

    shape: ProbeShape
    entry: Point
    axes: NDArray[np.float64]
    offsets: Point
    pixel: float
    tilt: float = 0.0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of a frame, pixels."""
        return (
            2 * int(np.ceil(self.shape.half_width / self.pixel)) + 1,
            int(np.ceil(self.shape.depth / self.pixel)) + 1,
        )

    @property
    def calibration(self) -> NDArray[np.float64]:
        """(4, 4) pixel (x, y, 0, 1) → mm of the probe (lateral, sweep, depth), 0 at its face."""
        matrix = np.zeros((4, 4))
        matrix[0, 0] = matrix[2, 1] = self.pixel
        matrix[1, 2] = -self.pixel  # right-handed: x lateral, y depth, z against the sweep
        matrix[0, 3] = -self.pixel * (self.size[0] - 1) / 2
        matrix[3, 3] = 1
        return matrix

    @property
    def frame_axes(self) -> NDArray[np.float64]:
        """(3, 3), rows are unit vectors along lateral, across the frame, and its depth, RAS."""
        lateral, sweep, depth = self.axes
        cosine, sine = np.cos(self.tilt), np.sin(self.tilt)
        return np.stack([lateral, cosine * sweep - sine * depth, cosine * depth + sine * sweep])

    @property
    def poses(self) -> NDArray[np.float64]:
        """(frames, 4, 4) mm of the probe → RAS mm."""
        poses = np.tile(np.eye(4), (len(self.offsets), 1, 1))
        poses[:, :3, :3] = self.frame_axes.T
        poses[:, :3, 3] = self.entry + self.offsets[:, None] * self.axes[1]
        return poses

    def fan(self) -> Mask:
        """Return which pixels of a frame the probe shows, (width, height)."""
        width, height = self.size
        x = (np.arange(width) - (width - 1) / 2) * self.pixel
        return self.shape.inside(x[:, None], (np.arange(height) * self.pixel)[None])

    def covers(self, grid: Grid, margin: float = 0.0) -> Mask:
        """Return which voxels of a grid some frame passes through, (i, j, k).

        Args:
            grid: whose voxels.
            margin: mm along the sweep by which they may miss the first and the last frame.
        """
        local = self.axes @ grid.affine[:3, :3]
        start = self.axes @ (grid.affine[:3, 3] - self.entry)
        ends = self.offsets[[0, -1]]
        half = self.pixel / 2 + margin
        cosine, tangent = np.cos(self.tilt), np.tan(self.tilt)
        out = np.zeros(grid.shape, bool)
        (i0, i1), (j0, j1), (k0, k1) = self._box(grid, half)
        i, j = np.arange(i0, i1)[:, None], np.arange(j0, j1)[None]
        for k in range(k0, k1):
            lateral, along, depth = (
                local[a, 0] * i + local[a, 1] * j + local[a, 2] * k + start[a] for a in range(3)
            )
            along = along - tangent * depth  # where the face is of the frame through a voxel
            swept = (along >= ends[0] - half) & (along <= ends[1] + half)
            if swept.any():
                inside = self.shape.inside(lateral, depth / cosine)
                out[i0:i1, j0:j1, k] = swept & inside
        return out

    def _box(self, grid: Grid, half: float) -> NDArray[np.int_]:
        """Return first and last + 1 voxel of each axis around all frames, ``half`` mm thick."""
        flat = self.shape.outline()
        edge = self.entry + flat[:, :1] * self.axes[0] + flat[:, 1:] * self.frame_axes[2]
        along = self.offsets[[0, -1]] + [-half, half]
        at = grid.to_voxel((edge + along[:, None, None] * self.axes[1]).reshape(-1, 3))
        # One voxel more: the outline of an arc is a chain of chords.
        ends = [np.floor(at.min(axis=0)) - 1, np.ceil(at.max(axis=0)) + 2]
        return np.clip(np.stack(ends, axis=1).astype(int), 0, np.array(grid.shape)[:, None])

    def frames(
        self,
        volume: Volume,
        *,
        nearest: bool = False,
        progress: Callable[[int, int], None] = lambda *_: None,
    ) -> Voxels:
        """Sample a volume in every frame.

        Args:
            volume: what to look at.
            nearest: for labels.
            progress: called with frames done, and all.

        Returns:
            (width, height, frames) float32, 0 outside the fan and outside the volume.
        """
        from scipy import ndimage

        width, height = self.size
        shown = self.fan()
        x, y = np.nonzero(shown)
        pixels = np.stack([x, y, np.zeros_like(x), np.ones_like(x)]).astype(float)
        out = np.zeros((width, height, len(self.offsets)), np.float32)
        for n, pose in enumerate(self.poses):
            at = (volume.grid.inverse @ pose @ self.calibration @ pixels)[:3]
            out[x, y, n] = ndimage.map_coordinates(
                volume.voxels, at, order=0 if nearest else 1, cval=0.0
            )
            progress(n + 1, len(self.offsets))
        return out


def place(
    shape: ProbeShape,
    entry: Point,
    target: Point,
    *,
    sweeps: int = 1,
    length: float = 60.0,
    step: float = 0.5,
    pixel: float = 0.5,
    turn: float = 0.0,
    tilt: float = 0.0,
) -> tuple[VirtualSweep, ...]:
    """Lay sweeps through an entry, looking at a target; each is turned by 180°/``sweeps``.

    Args:
        shape: of the images.
        entry: RAS mm.
        target: RAS mm.
        sweeps: how many.
        length: of each, mm.
        step: between frames, mm.
        pixel: of the frames, mm.
        turn: of the first sweep about its beam, radians.
        tilt: of the frames about their face, radians.

    Raises:
        SweepError: entry and target are one point.
    """
    from core.simulator.probe import frame_of  # a window starts without the simulator

    direction = np.asarray(target, float) - np.asarray(entry, float)
    if np.linalg.norm(direction) < 1:
        raise SweepError(
            f"Entry {told_point(entry)} and target {told_point(target)}: expected 1 mm or more "
            "between them, to know where the probe looks. Move one."
        )
    half = round(length / (2 * step))
    offsets = np.arange(-half, half + 1, dtype=np.float64) * step
    start, turns = np.asarray(entry, float), [turn + n * np.pi / sweeps for n in range(sweeps)]
    return tuple(
        VirtualSweep(shape, start, frame_of(direction, by), offsets, pixel, tilt) for by in turns
    )


def swept_field(
    sweeps: Sequence[VirtualSweep], grid: Grid, brain: Mask, margin: float = 0.0
) -> Volume:
    """Return where the sweeps see brain, as a mask volume on ``grid``.

    ``margin``: mm by which voxels may miss the outer frames.

    Raises:
        SweepError: nowhere.
    """
    field = np.zeros(grid.shape, bool)
    for sweep in sweeps:
        field |= sweep.covers(grid, margin)
    field &= brain
    if not field.any():
        raise SweepError(
            "The sweep sees nothing of the brain. Put the entry on its surface, and the target "
            "inside."
        )
    return Volume(field.astype(np.float32), grid, "", "field of view of the sweep")


def box_of(field: Volume) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Return first voxel and shape of the smallest box that holds a mask."""
    spans = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        inside = np.flatnonzero(field.voxels.any(axis=others))
        spans.append((int(inside[0]), int(inside[-1] - inside[0]) + 1))
    (i, ni), (j, nj), (k, nk) = spans
    return (i, j, k), (ni, nj, nk)


def told_point(point: Point) -> str:
    """Return a position as people type it."""
    return ",".join(f"{x:.4g}" for x in point)
