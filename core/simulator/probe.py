"""Where the ultrasound probe sits, and the way between world and probe coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.simulator.noise import Field


@dataclass(frozen=True, eq=False)
class Probe:
    """A convex probe that is swept by tilting and sliding, as one smooth motion.

    A frame is the plane (lateral, depth); ``roll`` names the frame. With (x, y, z) along the
    lateral, sweep and depth axes from ``origin``::

        roll  = atan2(y, z + pivot)           frames fan out from ``pivot`` mm behind the face
        rho   = hypot(y, z + pivot) - pivot   depth inside the frame's plane
        theta = atan2(x, rho + radius)        beam angle of the convex face of ``radius`` mm
        r     = hypot(x, rho + radius) - radius   distance from the face along the beam

    Attributes:
        origin: (3,) world mm, the middle of the probe's face.
        axes: (3, 3), rows are unit vectors along lateral, sweep, depth.
        radius: of the convex face, mm.
        pivot: mm behind the face about which frames tilt; large for a sliding sweep.
        depth: mm from the face.
        fan: half angle of the sector, radians.
        sweep: half angle of the tilt, radians.
    """

    origin: NDArray[np.float64]
    axes: NDArray[np.float64]
    radius: float
    pivot: float
    depth: float
    fan: float
    sweep: float

    def to_world(self, r: Field, theta: Field, roll: Field) -> list[Field]:
        """Map broadcastable beam coordinates (mm, rad, rad) to world x, y, z in mm."""
        x = (r + self.radius) * np.sin(theta)
        rho = (r + self.radius) * np.cos(theta) - self.radius
        y = (rho + self.pivot) * np.sin(roll)
        z = (rho + self.pivot) * np.cos(roll) - self.pivot
        return [
            (
                self.origin[a] + x * self.axes[0, a] + y * self.axes[1, a] + z * self.axes[2, a]
            ).astype(np.float32)
            for a in range(3)
        ]

    def to_beam(self, world: list[Field]) -> tuple[Field, Field, Field]:
        """Map broadcastable world x, y, z (mm) to (r, theta, roll) in mm, rad, rad."""
        offset = [w - np.float32(o) for w, o in zip(world, self.origin, strict=True)]
        x, y, z = (
            offset[0] * np.float32(axis[0])
            + offset[1] * np.float32(axis[1])
            + offset[2] * np.float32(axis[2])
            for axis in self.axes
        )
        z = z + np.float32(self.pivot)
        roll = np.arctan2(y, z)
        rho = np.hypot(y, z) + np.float32(self.radius - self.pivot)
        return np.hypot(x, rho) - np.float32(self.radius), np.arctan2(x, rho), roll


def frame_of(direction: NDArray[np.float64], turn: float) -> NDArray[np.float64]:
    """Return rows (lateral, sweep, depth): depth along ``direction``, lateral at ``turn`` rad."""
    depth = direction / np.linalg.norm(direction)
    helper = np.array([0.0, 1.0, 0.0]) if abs(depth[1]) < 0.9 else np.array([1.0, 0.0, 0.0])
    lateral = np.cross(helper, depth)
    lateral /= np.linalg.norm(lateral)
    sweep = np.cross(depth, lateral)
    lateral, sweep = (
        np.cos(turn) * lateral + np.sin(turn) * sweep,
        np.cos(turn) * sweep - np.sin(turn) * lateral,
    )
    return np.stack([lateral, sweep, depth])
