"""Which part of a case's grid a virtual probe needs to be synthesised."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from core.case import Case
from core.image.preprocess import working_grid
from core.image.resample import resample_mask
from core.models.bundle import Bundle
from core.synthesis.brain_surface import BrainSurface, surface_of
from core.synthesis.virtual_sweep import VirtualSweep, swept_field
from core.volume import Mask, Volume


def brain_on_grid(case: Case, bundle: Bundle) -> Volume:
    """Return the brain of a case's first volume as a mask on the model's grid.

    Raises:
        PreprocessError: the volume would be larger than any head on the model's grid.
    """
    return _brain(_first(case, bundle), bundle.preprocessing.spacing)


def surface_in(case: Case, bundle: Bundle) -> BrainSurface:
    """Return the surface of the brain in a case's first volume, at that volume's own resolution."""
    return _surface(_first(case, bundle))


def field_of(
    sweeps: Sequence[VirtualSweep],
    brain: Volume,
    *,
    margin: float = 0.0,
    wanted: Mask | None = None,
) -> Volume:
    """Return where sweeps see brain.

    Args:
        sweeps: where frames lie.
        brain: a mask on the model's grid.
        margin: mm by which voxels may miss the outer frames.
        wanted: (i, j, k) bool: no more than this.

    Raises:
        SweepError: nowhere.
    """
    seen = brain.voxels > 0
    if wanted is not None:
        seen = seen & wanted
    return swept_field(sweeps, brain.grid, seen, margin)


def forget_brains() -> None:
    """Let go of volumes and their brains."""
    _brain.cache_clear()
    _surface.cache_clear()


def _first(case: Case, bundle: Bundle) -> Volume:
    return case.volumes[next(m for m in bundle.config.modalities if m in case.volumes)]


@lru_cache(maxsize=1)
def _surface(volume: Volume) -> BrainSurface:
    return surface_of(volume)


# A probe that is moved asks again and again for the same head.
@lru_cache(maxsize=1)
def _brain(volume: Volume, spacing: tuple[float, float, float]) -> Volume:
    found, grid = _surface(volume).brain, working_grid(volume.canonical(), spacing)
    mask = resample_mask(found.voxels > 0, found.grid, grid)
    return Volume(mask.astype("float32"), grid, "", "brain")
