"""The ranges ultrasound physics is drawn from; some of the test ranges are held out of training."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from core.simulator.tissues import PROPERTIES, Tissue

PhysicsName = Literal["train", "test"]
Interval = tuple[float, float]

# parameter: (train, test). Where both are equal the range is shared; the others do not touch.
RANGES: dict[str, tuple[Interval, Interval]] = {
    "fan_deg": ((52.0, 74.0), (76.0, 90.0)),
    "depth_mm": ((50.0, 85.0), (50.0, 85.0)),
    "radius_mm": ((8.0, 35.0), (8.0, 35.0)),
    "pivot_mm": ((25.0, 160.0), (25.0, 160.0)),
    "sweep_mm": ((28.0, 58.0), (28.0, 58.0)),
    "frequency_mhz": ((5.0, 8.5), (8.7, 10.0)),
    "attenuation_db": ((0.30, 0.60), (0.62, 0.80)),
    "compression_db": ((45.0, 57.0), (58.0, 65.0)),
    "tumour_db": ((6.0, 10.5), (11.0, 13.0)),
    "bright_db": ((14.0, 18.5), (19.0, 21.0)),
    "white_db": ((1.0, 3.0), (1.0, 3.0)),
    "fluid_db": ((-28.0, -22.0), (-28.0, -22.0)),
    "grey_level": ((0.16, 0.22), (0.16, 0.22)),
    "axial_mm": ((0.15, 0.30), (0.15, 0.30)),
    "lateral_mm": ((0.4, 1.0), (0.4, 1.0)),
    "elevation_mm": ((0.6, 1.3), (0.6, 1.3)),
    "specular": ((90.0, 220.0), (90.0, 220.0)),
    "specular_power": ((1.5, 4.0), (1.5, 4.0)),
}


@dataclass(frozen=True)
class Physics:
    """One draw of the scanner and of tissue acoustics; names and units as in ``RANGES``."""

    fan_deg: float
    depth_mm: float
    radius_mm: float
    pivot_mm: float
    sweep_mm: float
    frequency_mhz: float
    attenuation_db: float
    compression_db: float
    tumour_db: float
    bright_db: float
    white_db: float
    fluid_db: float
    grey_level: float
    axial_mm: float
    lateral_mm: float
    elevation_mm: float
    specular: float
    specular_power: float

    def as_dict(self) -> dict[str, Any]:
        """Return the draw as plain numbers for a JSON sidecar."""
        return {name: round(value, 5) for name, value in asdict(self).items()}


def draw_physics(rng: np.random.Generator, which: PhysicsName) -> Physics:
    """Draw every parameter uniformly from its range for ``which``."""
    column = 0 if which == "train" else 1
    return Physics(**{name: float(rng.uniform(*both[column])) for name, both in RANGES.items()})


def echo_amplitudes(rng: np.random.Generator, physics: Physics) -> dict[Tissue, float]:
    """Return the scatterer amplitude of every tissue, relative to grey matter = 1."""
    decibel = {tissue: p.echo + float(rng.normal(0, 0.7)) for tissue, p in PROPERTIES.items()}
    bright = physics.bright_db
    decibel |= {
        Tissue.GREY: 0.0,
        Tissue.WHITE: physics.white_db,
        Tissue.DEEP_GREY: float(rng.uniform(0, 2)),
        Tissue.CSF: physics.fluid_db,
        Tissue.VENTRICLE: physics.fluid_db,
        Tissue.SULCUS: bright + float(rng.normal(0, 0.7)),
        Tissue.FALX: bright + float(rng.uniform(0, 3)),
        Tissue.DURA: bright + float(rng.uniform(0, 3)),
        Tissue.CHOROID: bright,
        Tissue.TUMOUR_CORE: physics.tumour_db,
        Tissue.TUMOUR_RIM: physics.tumour_db + float(rng.uniform(2, 4)),
        Tissue.NECROSIS: float(rng.uniform(-12, 2)),
        Tissue.OEDEMA: float(rng.uniform(0.3, 0.6)) * physics.tumour_db,
    }
    return {tissue: float(10 ** (value / 20)) for tissue, value in decibel.items()}
