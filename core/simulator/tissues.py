"""The tissues of a simulated head and what T2 and ultrasound see of each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Tissue(IntEnum):
    """Label values of the tissue volume; ``WALL`` is what lines fluid: pia and its
    vessels around sulci, ependyma in ventricles."""

    AIR = 0
    CSF = 1
    GREY = 2
    WHITE = 3
    VENTRICLE = 4
    SULCUS = 5
    FALX = 6
    CHOROID = 7
    VESSEL = 8
    DURA = 9
    SKULL = 10
    SCALP = 11
    DEEP_GREY = 12
    OEDEMA = 13
    TUMOUR_CORE = 14
    TUMOUR_RIM = 15
    NECROSIS = 16
    CYST = 17
    WALL = 18


@dataclass(frozen=True)
class Properties:
    """What one tissue looks like.

    Attributes:
        t2: mean T2 intensity, 0-1.
        echo: scatterer strength, dB re grey matter.
        impedance: acoustic impedance, MRayl.
        attenuation: relative to brain; 0 in fluid, about 15 in bone.
    """

    t2: float
    echo: float
    impedance: float
    attenuation: float


PROPERTIES: dict[Tissue, Properties] = {
    Tissue.AIR: Properties(0.0, -30.0, 1.52, 0.0),
    Tissue.CSF: Properties(0.92, -25.0, 1.52, 0.0),
    Tissue.GREY: Properties(0.55, 0.0, 1.61, 1.0),
    Tissue.WHITE: Properties(0.42, 4.0, 1.62, 1.0),
    Tissue.VENTRICLE: Properties(0.95, -25.0, 1.52, 0.0),
    Tissue.SULCUS: Properties(0.85, 15.0, 1.58, 0.8),
    Tissue.FALX: Properties(0.22, 17.0, 1.75, 1.5),
    Tissue.CHOROID: Properties(0.6, 15.0, 1.62, 1.0),
    Tissue.VESSEL: Properties(0.12, 12.0, 1.66, 0.5),
    Tissue.DURA: Properties(0.15, 16.0, 1.75, 1.5),
    Tissue.SKULL: Properties(0.06, 10.0, 5.0, 15.0),
    Tissue.SCALP: Properties(0.55, 6.0, 1.5, 2.0),
    Tissue.DEEP_GREY: Properties(0.45, 1.0, 1.615, 1.0),
    Tissue.OEDEMA: Properties(0.75, 4.0, 1.61, 1.0),
    Tissue.TUMOUR_CORE: Properties(0.66, 8.0, 1.63, 1.1),
    Tissue.TUMOUR_RIM: Properties(0.58, 12.0, 1.65, 1.2),
    Tissue.NECROSIS: Properties(0.8, -4.0, 1.58, 0.6),
    Tissue.CYST: Properties(0.93, -20.0, 1.53, 0.0),
    Tissue.WALL: Properties(0.58, 8.0, 1.6, 0.9),
}
