"""What several test files share: the real data's folder, and small volumes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.grid import Grid
from core.volume import Volume

# No test needs a screen; a developer who wants to watch sets another platform.
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
# A run that a test starts is no run of the developer's: the list of runs lies elsewhere meanwhile.
os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp(prefix="mhvae-tests-")
# Nor is what a test times remembered for the developer.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="mhvae-tests-")


@pytest.fixture
def real_data() -> Path:
    """Folder of real volumes; tests that need it are skipped where it is not given."""
    folder = os.environ.get("MHVAE_TEST_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("MHVAE_TEST_DATA names no folder of real volumes")
    return Path(folder)


def oblique_affine(
    spacing: tuple[float, float, float] = (0.7, 1.1, 2.3),
    degrees: tuple[float, float, float] = (20.0, -15.0, 40.0),
    origin: tuple[float, float, float] = (-31.0, 12.5, 7.25),
) -> np.ndarray:
    """Voxel → RAS+ mm matrix turned about x, y and z."""
    affine = np.eye(4)
    for axis, angle in enumerate(np.radians(degrees)):
        a, b = [n for n in range(3) if n != axis]
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        affine[:3, :3] = turn @ affine[:3, :3]
    affine[:3, :3] *= spacing
    affine[:3, 3] = origin
    return affine


@pytest.fixture
def make_volume() -> Callable[..., Volume]:
    """Factory of small volumes with distinct voxels on an oblique, anisotropic grid."""

    def make(
        shape: tuple[int, int, int] = (7, 6, 5),
        affine: np.ndarray | None = None,
        *,
        modality: str = "",
        synthetic: bool = False,
        seed: int = 0,
    ) -> Volume:
        voxels = np.random.default_rng(seed).permutation(int(np.prod(shape))) - 3.0
        grid = Grid(shape, oblique_affine() if affine is None else affine)
        return Volume(
            voxels.reshape(shape).astype(np.float32),
            grid,
            modality=modality,
            source="made",
            synthetic=synthetic,
        )

    return make
