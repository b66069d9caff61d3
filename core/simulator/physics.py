"""The ranges ultrasound physics is drawn from; some of the test ranges are held out of training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from core.simulator.tissues import PROPERTIES, Tissue

PhysicsName = Literal["train", "test"]
Interval = tuple[float, float]

SHARED: dict[str, Interval] = {
    "radius_mm": (8.0, 40.0),
    "pivot_mm": (25.0, 160.0),
    "sweep_mm": (16.0, 42.0),
    "width_mm": (30.0, 50.0),
    "white_db": (3.0, 5.0),
    "fluid_db": (-26.0, -18.0),
    "grey_level": (0.24, 0.36),
    "grey_curve": (1.1, 2.8),
    "noise_db": (-8.0, 1.0),
    "speckle": (0.1, 0.7),
    "grain": (2.0, 7.0),
    "axial_mm": (0.13, 0.28),
    "lateral_mm": (0.2, 0.6),
    "elevation_mm": (0.2, 0.7),
    "specular": (40.0, 110.0),
    "specular_power": (1.5, 4.0),
    "sparse": (0.0, 3e-4),
}
"""Parameter → range in training and in test."""

# The test lies on both sides of training, so that its images are not brighter or darker as a whole.
HELD_OUT: dict[str, tuple[Interval, tuple[Interval, Interval]]] = {
    "fan_deg": ((48.0, 74.0), ((42.0, 47.0), (76.0, 84.0))),
    "depth_mm": ((42.0, 72.0), ((38.0, 41.0), (73.0, 80.0))),
    "frequency_mhz": ((5.0, 8.5), ((4.0, 4.8), (8.7, 10.0))),
    "attenuation_db": ((0.36, 0.62), ((0.28, 0.35), (0.63, 0.72))),
    "compression_db": ((56.0, 76.0), ((50.0, 55.0), (77.0, 84.0))),
    "tumour_db": ((5.0, 10.0), ((4.0, 4.8), (10.2, 12.0))),
    "bright_db": ((13.0, 19.0), ((11.0, 12.8), (19.2, 21.0))),
}
"""Parameter → range in training, ranges in test; they do not touch."""


@dataclass(frozen=True)
class Physics:
    """One draw of the scanner and of tissue acoustics.

    Attributes:
        fan_deg: opening of a convex probe's sector, degrees.
        depth_mm: from the probe's face.
        radius_mm: of the convex face.
        pivot_mm: how far behind the face frames tilt; large for a sliding sweep.
        sweep_mm: length of the sweep at half depth.
        width_mm: of a linear array.
        frequency_mhz, attenuation_db: MHz; dB per cm and MHz of brain.
        compression_db: range of echoes between black and white.
        tumour_db, bright_db, white_db, fluid_db: scatterers of tumour core, of sulci and membranes,
            of white matter and of wide fluid, dB re grey matter.
        grey_level: where grey matter lies between black (0) and white (1) before the grey map.
        grey_curve: power of the grey map that is applied last.
        speckle: what the scanner's speckle reduction leaves of the speckle's contrast in even
            tissue, 0-1; strong echoes keep theirs.
        grain: standard deviation of what digitising and reconstructing add, display values of 255.
        noise_db: receiver noise at full depth, dB re grey matter.
        axial_mm, lateral_mm, elevation_mm: standard deviations of the beam, at the focus.
        specular, specular_power: strength of interfaces, and how directed their echo is.
        sparse: part of the cells with a single strong scatterer.
    """

    fan_deg: float
    depth_mm: float
    radius_mm: float
    pivot_mm: float
    sweep_mm: float
    width_mm: float
    frequency_mhz: float
    attenuation_db: float
    compression_db: float
    tumour_db: float
    bright_db: float
    white_db: float
    fluid_db: float
    grey_level: float
    grey_curve: float
    speckle: float
    grain: float
    noise_db: float
    axial_mm: float
    lateral_mm: float
    elevation_mm: float
    specular: float
    specular_power: float
    sparse: float

    def as_dict(self) -> dict[str, Any]:
        """Return the draw as plain numbers for a JSON sidecar."""
        return {name: round(value, 5) for name, value in asdict(self).items()}


def draw_physics(rng: np.random.Generator, which: PhysicsName) -> Physics:
    """Draw every parameter uniformly from its range for ``which``."""

    def uniform(intervals: Sequence[Interval]) -> float:
        side = int(rng.integers(len(intervals)))
        return float(rng.uniform(*intervals[side]))

    values = {name: uniform([interval]) for name, interval in SHARED.items()}
    for name, (train, test) in HELD_OUT.items():
        values[name] = uniform([train] if which == "train" else test)
    return Physics(**values)


PATIENT = (
    "attenuation_db", "tumour_db", "bright_db", "white_db", "fluid_db", "sparse", "sweep_mm"
)  # fmt: skip
"""Parameters that differ from patient to patient at one scanner; the others are its settings."""


def at_scanner(drawn: Physics, scanner: int, which: PhysicsName) -> Physics:
    """Return a patient's draw as one scanner would show it, with its probe and its settings.

    Args:
        drawn: what was drawn for the patient.
        scanner: non-negative number of the scanner; the same number has the same settings.
        which: as in :func:`draw_physics`.
    """
    settings = draw_physics(np.random.default_rng([scanner, 41]), which)
    return replace(settings, **{name: getattr(drawn, name) for name in PATIENT})


EXPECTED_GREY_CURVE = 1.55
"""Grey map of the expected echo; darker maps of real scanners hide what an image could show."""


def middle_physics() -> Physics:
    """Return the setting of the expected echo: middles of the training ranges, its own grey map."""
    ranges = SHARED | {name: train for name, (train, _) in HELD_OUT.items()}
    middle = {name: sum(interval) / 2 for name, interval in ranges.items()}
    return Physics(**middle | {"grey_curve": EXPECTED_GREY_CURVE})


def echo_amplitudes(
    physics: Physics, rng: np.random.Generator | None = None
) -> dict[Tissue, float]:
    """Return the scatterer amplitude of every tissue, relative to grey matter = 1.

    Args:
        physics: the strengths that are drawn per case.
        rng: how the others differ from case to case; None for the middle of their ranges.
    """

    def normal(deviation: float) -> float:
        return 0.0 if rng is None else float(rng.normal(0, deviation))

    def uniform(low: float, high: float) -> float:
        return (low + high) / 2 if rng is None else float(rng.uniform(low, high))

    decibel = {tissue: p.echo + normal(0.7) for tissue, p in PROPERTIES.items()}
    bright = physics.bright_db
    decibel |= {
        Tissue.GREY: 0.0,
        Tissue.WHITE: physics.white_db,
        Tissue.DEEP_GREY: uniform(0, 2),
        Tissue.CSF: physics.fluid_db,
        Tissue.VENTRICLE: physics.fluid_db,
        Tissue.SULCUS: bright + normal(0.7),
        Tissue.WALL: bright + uniform(-5, 0),
        Tissue.FALX: bright + uniform(0, 3),
        Tissue.DURA: bright + uniform(0, 3),
        Tissue.CHOROID: bright + normal(0.7),
        Tissue.TUMOUR_CORE: physics.tumour_db,
        Tissue.TUMOUR_RIM: physics.tumour_db + uniform(2, 4),
        Tissue.NECROSIS: uniform(-12, 0),
        Tissue.OEDEMA: uniform(0.3, 0.6) * physics.tumour_db,
    }
    return {tissue: float(10 ** (value / 20)) for tissue, value in decibel.items()}
