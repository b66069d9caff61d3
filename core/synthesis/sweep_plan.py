"""Where a virtual probe stands and how it is swept, in numbers that are typed, saved and sent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from core.schema import rebuilt
from core.synthesis.virtual_sweep import Kind, ProbeShape, SweepError, VirtualSweep, place

LIMITS: Mapping[str, tuple[float, float]] = {
    "width_mm": (5.0, 200.0),
    "depth_mm": (5.0, 250.0),
    "length_mm": (0.0, 200.0),
    "step_mm": (0.05, 20.0),
    "pixel_mm": (0.1, 5.0),
    "sweeps": (1, 20),
    "turn_deg": (-180.0, 180.0),
    "tilt_deg": (-45.0, 45.0),
}
"""Least and most of every number."""

Place = tuple[float, float, float]
"""RAS mm."""


@dataclass(frozen=True)
class SweepPlan:
    """A virtual probe, and its sweeps.

    Attributes:
        entry_ras: where the probe stands, RAS mm.
        target_ras: what it looks at, RAS mm.
        kind: of the face.
        width_mm: of the face.
        depth_mm: of the image.
        sweeps: how many, turned by 180°/sweeps each.
        length_mm: of a sweep.
        step_mm: between frames.
        pixel_mm: of the frames.
        turn_deg: of the first sweep about its beam.
        tilt_deg: of the frames about their face; positive looks ahead.
    """

    entry_ras: Place
    target_ras: Place
    kind: Kind = "convex"
    width_mm: float = 30.0
    depth_mm: float = 60.0
    sweeps: int = 1
    length_mm: float = 60.0
    step_mm: float = 0.5
    pixel_mm: float = 0.5
    turn_deg: float = 0.0
    tilt_deg: float = 0.0

    @property
    def shape(self) -> ProbeShape:
        """The image of the probe."""
        return ProbeShape(self.kind, self.width_mm, self.depth_mm)

    def laid(self) -> tuple[VirtualSweep, ...]:
        """Return the sweeps.

        Raises:
            SweepError: entry and target are one point, or a number is out of its limits.
        """
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise SweepError(
                    f"{name.partition('_')[0].capitalize()} of the sweep: expected {low:g} to "
                    f"{high:g}, found {value:g}. Change it."
                )
        return place(
            self.shape,
            np.array(self.entry_ras),
            np.array(self.target_ras),
            sweeps=self.sweeps,
            length=self.length_mm,
            step=self.step_mm,
            pixel=self.pixel_mm,
            turn=math.radians(self.turn_deg),
            tilt=math.radians(self.tilt_deg),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; positions to a thousandth of a mm."""
        told = asdict(self)
        for name in ("entry_ras", "target_ras"):
            told[name] = [round(float(x), 3) for x in told[name]]
        return told

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SweepPlan:
        """Rebuild from ``to_dict``'s result.

        Raises:
            ValueError: a value that its field cannot hold.
        """
        return rebuilt(cls, data)
