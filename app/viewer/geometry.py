"""Planes in millimetres: the frame the panes cut along, and a pane's mm → pixel map."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.state.values import Convention, Plane, Vector
from core.grid import Grid

LETTERS = ("LR", "PA", "IS")
"""Per world axis: the letter towards its negative and its positive end."""


@dataclass(frozen=True, eq=False)
class Frame:
    """Three perpendicular axes near R, A and S along which every pane cuts.

    Frame positions are mm along these axes from ``origin``.

    Attributes:
        axes: (3, 3) orthonormal; column n is the world direction of frame axis n.
        origin: (3,) world position of the reference volume's middle.
        size: (3,) mm, the reference volume's extent along the axes.
        steps: (3,) mm, one voxel of the reference volume along each axis.
        start: (3,) frame position of a voxel centre; voxel centres lie at start + n · steps.
        native: whether the axes are the reference volume's own (not for a sheared one).
    """

    axes: NDArray[np.float64]
    origin: Vector
    size: Vector
    steps: Vector
    start: Vector
    native: bool

    @classmethod
    def of(cls, grid: Grid, world_axes: bool = False) -> Frame:
        """Build the frame of a reference grid: its own axes (nearest rotation), or the world's."""
        canonical = grid.canonical()
        directions = canonical.affine[:3, :3] / canonical.spacing
        u, _, vt = np.linalg.svd(directions)
        axes = np.eye(3) if world_axes else u @ vt
        corners = (canonical.corners - grid.centre) @ axes
        return cls(
            axes=axes,
            origin=grid.centre,
            size=corners.max(0) - corners.min(0),
            steps=np.array(canonical.spacing, dtype=np.float64),
            start=-(np.array(canonical.shape) - 1) / 2 * canonical.spacing,
            native=bool(np.allclose(axes, directions, atol=1e-5)),
        )

    def to_frame(self, world: ArrayLike) -> Vector:
        """Map (..., 3) world mm to (..., 3) frame mm."""
        return np.asarray((np.asarray(world, np.float64) - self.origin) @ self.axes)

    def to_world(self, position: ArrayLike) -> Vector:
        """Map (..., 3) frame mm to (..., 3) world mm."""
        return np.asarray(np.asarray(position, np.float64) @ self.axes.T + self.origin)

    @cached_property
    def oblique(self) -> float:
        """Largest angle in degrees between a frame axis and its world axis."""
        cosines = np.clip(np.diagonal(self.axes), -1, 1)
        return float(np.degrees(np.arccos(cosines.min())))


@dataclass(frozen=True)
class PlaneAxes:
    """Which frame axes run across, up and through a pane.

    ``across_sign`` is -1 where the right edge of the screen is the negative end of the axis.
    """

    across: int
    up: int
    through: int
    across_sign: int


def plane_axes(plane: Plane, convention: Convention) -> PlaneAxes:
    """Return a plane's axes: A or S is up; R is left in radiological views; A is left in sagittal.

    The convention changes axial and coronal planes only.
    """
    side = -1 if convention is Convention.RADIOLOGICAL else 1
    if plane is Plane.AXIAL:
        return PlaneAxes(0, 1, 2, side)
    if plane is Plane.CORONAL:
        return PlaneAxes(0, 2, 1, side)
    return PlaneAxes(1, 2, 0, -1)


def letter(direction: ArrayLike) -> str:
    """Return the patient direction (L R P A I S) nearest to a (3,) world direction."""
    d = np.asarray(direction, np.float64)
    axis = int(np.argmax(np.abs(d)))
    return LETTERS[axis][int(d[axis] > 0)]


def edge_letters(frame: Frame, axes: PlaneAxes) -> tuple[str, str, str, str]:
    """Return the letters at the left, right, top and bottom edge of a pane."""
    right = frame.axes[:, axes.across] * axes.across_sign
    up = frame.axes[:, axes.up]
    return letter(-right), letter(right), letter(up), letter(-up)


@dataclass(frozen=True)
class Projection:
    """Frame mm ↔ pixels of one pane.

    Attributes:
        axes: the pane's axes.
        middle: pixel (x, y) of the pane's middle.
        focus: frame position shown there, along (across, up).
        scale: pixels per mm.
    """

    axes: PlaneAxes
    middle: tuple[float, float]
    focus: tuple[float, float]
    scale: float

    def x(self, across: float) -> float:
        """Pixel column of a frame coordinate."""
        return self.middle[0] + (across - self.focus[0]) * self.scale * self.axes.across_sign

    def y(self, up: float) -> float:
        """Pixel row of a frame coordinate; up on screen is the axis's positive end."""
        return self.middle[1] - (up - self.focus[1]) * self.scale

    def to_frame(self, x: float, y: float, depth: float) -> Vector:
        """Return the (3,) frame position under a pixel, ``depth`` mm along the through axis."""
        out = np.empty(3)
        out[self.axes.across] = (
            self.focus[0] + (x - self.middle[0]) / self.scale * self.axes.across_sign
        )
        out[self.axes.up] = self.focus[1] - (y - self.middle[1]) / self.scale
        out[self.axes.through] = depth
        return out
