"""The map between a volume's own units and the model's [-1, 1]."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from core.errors import UserError
from core.volume import Mask, Voxels

STEP = 255 / 256
"""Inside values start at -255/256, so that the background's -1 stays its own."""
BELOW, ABOVE = 1.0, 20.0
"""How far beyond an image's 5th and 95th percentile its values may reach, in widths of the two.

No dark vessel lies as far below the tissue as the tissue is wide; padding does. Bright fluid
and strong echoes lie far above it, so there is much room there.
"""
RINGING = 0.1
"""Part of an image below its background that ringing can explain; more of it is meant."""
MANY = 1e-3
"""Part of an image that was set aside, from which some of the rest is mixed with it."""


class IntensityError(UserError):
    """A volume whose values leave nothing to normalise."""


@dataclass(frozen=True)
class Normaliser:
    """The linear map between a volume's own units and the model's [-1, 1].

    Attributes:
        low: value that maps to -255/256.
        high: value that maps to 1; values beyond are clipped.
        aside: voxels that had no say in them, because no image reaches so far.
    """

    low: float
    high: float
    aside: int = field(default=0, compare=False)

    @classmethod
    def fit(
        cls, voxels: Voxels, mask: Mask, percentiles: tuple[float, float] = (0.0, 99.95)
    ) -> Normaliser:
        """Take low and high as percentiles of the image inside ``mask``.

        Values that no image has (padding, single wrong voxels, ringing below the background) are
        set aside first; a clean image has none and its percentiles are exact.

        Raises:
            IntensityError: the mask is empty or the values inside are all one.
        """
        inside = voxels[mask]
        if inside.size == 0:
            raise IntensityError(
                "No voxel lies inside the field of view; expected an image, found only background."
            )
        background = None if mask.all() else float(np.median(voxels[~mask]))
        ends = _ends(inside, background)
        kept, aside = inside, 0
        if ends is not None:
            beyond = (inside < ends[0]) | (inside > ends[1])
            if beyond.any():
                kept = inside[~beyond]
                # Holes of the background are no wrong voxels.
                aside = int((beyond & (inside != background)).sum())
                if (beyond & (inside != background) & (inside < ends[0])).mean() > MANY:
                    percentiles = (max(percentiles[0], 1.0), percentiles[1])
        low, high = (float(v) for v in np.percentile(kept, percentiles))
        if not high > low:
            low, high = float(kept.min()), float(kept.max())
        if not high > low:
            raise IntensityError(
                f"All voxels inside the field of view have the value {low:g}; "
                "there is no image to use."
            )
        return cls(low, high, aside)

    def warnings(self, source: str) -> tuple[str, ...]:
        """Say how many voxels had no say in the scale."""
        if not self.aside:
            return ()
        lie = "voxel lies" if self.aside == 1 else "voxels lie"
        return (
            f"{source or 'The volume'}: {self.aside} {lie} far outside the image's values and "
            f"did not count for its scale, which runs from {self.low:.4g} to {self.high:.4g}.",
        )

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


def _ends(inside: Voxels, background: float | None) -> tuple[float, float] | None:
    """Return the values that an image can reach at most; None where it has no width.

    Args:
        inside: (n,) values in the field of view.
        background: value around it; None where there is nothing around it.
    """
    tissue = inside if background is None else inside[inside != background]
    if tissue.size == 0:
        return None
    dark, bright = (float(v) for v in np.percentile(tissue, [5, 95]))
    width = bright - dark
    if not width > 0:
        return None
    lowest, highest = dark - BELOW * width, bright + ABOVE * width
    # Neither magnitude images nor echoes have values below nothing, unless many are.
    floor = 0.0 if background is None else background
    under = float((tissue < floor - 0.01 * (bright - floor)).mean())
    if bright > floor and 0 < under < RINGING:
        lowest = max(lowest, floor)
    return lowest, highest
