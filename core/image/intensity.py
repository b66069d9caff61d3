"""The map between a volume's own units and the model's [-1, 1]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.errors import UserError
from core.volume import Mask, Voxels

STEP = 255 / 256
"""Inside values start at -255/256, so that the background's -1 stays its own."""


class IntensityError(UserError):
    """A volume whose values leave nothing to normalise."""


@dataclass(frozen=True)
class Normaliser:
    """The linear map between a volume's own units and the model's [-1, 1].

    Attributes:
        low: value that maps to -255/256.
        high: value that maps to 1; values beyond are clipped.
    """

    low: float
    high: float

    @classmethod
    def fit(
        cls, voxels: Voxels, mask: Mask, percentiles: tuple[float, float] = (0.0, 99.95)
    ) -> Normaliser:
        """Take low and high as percentiles of the voxels inside ``mask``.

        Raises:
            IntensityError: the mask is empty or the values inside are all one.
        """
        inside = voxels[mask]
        if inside.size == 0:
            raise IntensityError(
                "No voxel lies inside the field of view; expected an image, found only background."
            )
        low, high = (float(v) for v in np.percentile(inside, percentiles))
        if not high > low:
            low, high = float(inside.min()), float(inside.max())
        if not high > low:
            raise IntensityError(
                f"All voxels inside the field of view have the value {low:g}; "
                "there is no image to use."
            )
        return cls(low, high)

    def forward(self, voxels: Voxels, mask: Mask) -> Voxels:
        """Map to the model's range: inside [-255/256, 1], outside exactly -1."""
        # In place: a whole head at 0.5 mm has 400 MB, and every pass over it counts.
        scale = (1 + STEP) / (self.high - self.low)
        out: Voxels = np.subtract(voxels, self.low, dtype=np.float32)
        out *= np.float32(scale)
        out -= np.float32(STEP)
        np.clip(out, np.float32(-STEP), np.float32(1), out=out)
        out[~mask] = -1
        return out

    def inverse(self, values: Voxels, mask: Mask, background: float = 0.0) -> Voxels:
        """Map the model's range back to the volume's units; ``background`` outside the mask."""
        unit = np.clip((values + STEP) / (1 + STEP), 0.0, 1.0)
        own = unit * (self.high - self.low) + self.low
        return np.where(mask, own, np.float32(background)).astype(np.float32)

    def inverse_deviation(self, values: Voxels) -> Voxels:
        """Map a standard deviation from the model's range to the volume's units."""
        return (values * ((self.high - self.low) / (1 + STEP))).astype(np.float32)
