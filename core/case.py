"""One patient: the volumes that belong together, and which of them the model may see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from core.errors import UserError
from core.volume import Volume


class CaseError(UserError):
    """Volumes that cannot stand together in one case."""


@dataclass(frozen=True, eq=False)
class Case:
    """The real volumes of one patient, at most one per modality.

    Attributes:
        name: pseudonymous id; never a patient's name.
        volumes: modality → volume; every volume keeps its own grid.
    """

    name: str
    volumes: Mapping[str, Volume] = field(default_factory=dict)

    def check_overlap(self) -> None:
        """Refuse volumes that do not share any space.

        Raises:
            CaseError: two volumes' world bounding boxes do not meet; the sentence gives the
                distance between them in mm.
        """
        items = list(self.volumes.items())
        for n, (name_a, a) in enumerate(items):
            for name_b, b in items[n + 1 :]:
                gap = box_distance(a, b)
                if gap > 0:
                    raise CaseError(
                        f"{name_a} ({a.source}) and {name_b} ({b.source}) do not overlap: they are "
                        f"{gap:.0f} mm apart in space. Expected volumes of one patient in one "
                        "coordinate system; register them first, or check that both files belong "
                        "to the same patient."
                    )


def box_distance(a: Volume, b: Volume) -> float:
    """Return the distance in mm between two volumes' world bounding boxes; 0 when they meet."""
    low = np.maximum(a.grid.corners.min(0), b.grid.corners.min(0))
    high = np.minimum(a.grid.corners.max(0), b.grid.corners.max(0))
    return float(np.linalg.norm(np.maximum(low - high, 0)))
