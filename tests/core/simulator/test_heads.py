"""Heads from label maps: read right, refused with a sentence, the same individual on every grid."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from core.grid import Grid
from core.simulator import SimulatorError, Tissue, simulate_case
from core.simulator.anatomy import Anatomy, in_slabs
from core.simulator.case import heads_for
from core.simulator.heads import load_head
from core.simulator.individuals import build_from_labels
from core.simulator.physics import echo_amplitudes, middle_physics

SPACING = 2.0


def write_head(path: Path, *, affine: np.ndarray | None = None, scale: float = 1.0) -> Path:
    """Write ellipsoids as a label map: scalp, skull, fluid, cortex, white matter, ventricles.

    A thin sulcus runs along x = 40 and a wide cistern lies in front, both fluid outside the brain.
    """
    size = (100, 110, 100)
    axes = [(np.arange(n) - n / 2) * SPACING for n in size]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    radius = np.sqrt((x / 68) ** 2 + (y / 85) ** 2 + (z / 66) ** 2)
    left = x < 0
    labels = np.zeros(size, np.uint16)
    for limit, label in ((1.25, 507), (1.15, 515), (1.06, 24)):
        labels[radius < limit] = label
    labels[radius < 1] = np.where(left, 3, 42)[radius < 1]
    labels[radius < 0.93] = np.where(left, 2, 41)[radius < 0.93]
    sulcus = (np.abs(x - 40) < 1.5) & (z > 5) & (radius < 1)
    labels[(np.abs(x - 40) < 5) & (z > 5) & (radius < 1)] = 42
    labels[sulcus] = 24
    labels[((x - 10) ** 2 + (y - 55) ** 2 + (z - 20) ** 2) < 14**2] = 24
    labels[((np.abs(x) - 12) ** 2 + (y / 2.5) ** 2 + (z - 5) ** 2) < 8**2] = 4
    chosen = np.diag([SPACING, SPACING, SPACING, 1.0]) if affine is None else affine
    chosen = chosen.copy()
    chosen[:3, 3] = [a[0] for a in axes]
    nib.save(nib.Nifti1Image((labels * scale).astype(np.float32), chosen), path)
    return path


@pytest.fixture(scope="module")
def head_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_head(tmp_path_factory.mktemp("heads") / "a_seg.nii.gz")


def grid_at(spacing: float, start: tuple[float, float, float], n: int) -> Grid:
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = start
    return Grid((n, n, n), affine)


def test_the_same_head_on_every_grid(head_file: Path) -> None:
    head = load_head(head_file)

    def on(grid: Grid) -> Anatomy:
        return build_from_labels(np.random.default_rng(1), grid, head, tumour=True)

    whole, part = on(grid_at(3, (-99, -99, -99), 67)), on(grid_at(3, (-39, -39, -9), 26))
    assert whole.tumour is not None
    assert part.tumour is not None
    assert np.array_equal(whole.tumour.centre, part.tumour.centre)
    np.testing.assert_allclose(whole.hull[20:46, 20:46, 30:56], part.hull, atol=0.05)
    # Gradients of the membranes differ at the rim of the part, and nowhere else.
    same = whole.labels()[20:46, 20:46, 30:56] == part.labels()
    assert same[2:-2, 2:-2, 2:-2].mean() > 0.999
    grid = grid_at(1.0, (-69, -69, -39), 120)
    at_once, slab_by_slab = on(grid), in_slabs(on, grid)
    assert np.array_equal(at_once.labels(), slab_by_slab.labels())
    np.testing.assert_allclose(at_once.hull, slab_by_slab.hull, atol=1e-3)


def test_thin_fluid_is_bright_and_wide_fluid_dark_with_a_bright_lining(head_file: Path) -> None:
    head = load_head(head_file)
    found: dict[Tissue, list[float]] = {}
    for seed in range(4):
        whole = grid_at(1.5, (-75, -75, -30), 100)
        anatomy = build_from_labels(np.random.default_rng(seed), whole, head, tumour=False)
        labels, echo = anatomy.labels(), anatomy.paint(echo_amplitudes(middle_physics()))
        for tissue in (Tissue.GREY, Tissue.SULCUS, Tissue.CSF, Tissue.VENTRICLE, Tissue.WALL):
            found.setdefault(tissue, []).append(float(np.median(echo[labels == tissue])))
    mean = {tissue: float(np.mean(values)) for tissue, values in found.items()}
    assert mean[Tissue.SULCUS] > 3 * mean[Tissue.GREY]
    assert mean[Tissue.WALL] > 1.5 * mean[Tissue.GREY]
    assert mean[Tissue.CSF] < 0.3 * mean[Tissue.GREY]
    assert mean[Tissue.VENTRICLE] < 0.3 * mean[Tissue.GREY]


def test_a_pair_of_a_label_map_has_its_expected_echo(head_file: Path) -> None:
    case = simulate_case(3, spacing=2.0, anatomy=head_file.parent)
    assert case.meta["anatomy"] == "label map of a real head"
    assert case.expected is not None
    seen = case.fov & (case.labels.voxels == Tissue.WHITE)
    grey = case.fov & (case.labels.voxels == Tissue.GREY)
    assert np.median(case.expected.voxels[seen]) > np.median(case.expected.voxels[grey])


def test_every_fourth_head_is_kept_for_the_test() -> None:
    maps = [Path(f"{name}_seg.nii.gz") for name in "abcdefghi"]
    train, test = heads_for(maps, "train"), heads_for(maps, "test")
    assert [p.name[0] for p in test] == ["d", "h"]
    assert sorted(train + test) == maps
    assert heads_for(maps[:3], "test") == heads_for(maps[:3], "train") == maps[:3]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"scale": 0.5}, "whole tissue numbers"),
        ({"affine": np.diag([2.0, 2.0, 3.0, 1.0])}, "cubic voxels"),
        ({"scale": 3.0}, "FreeSurfer"),
    ],
)
def test_what_is_no_label_map_is_refused_by_name(
    tmp_path: Path, change: dict[str, object], told: str
) -> None:
    path = write_head(tmp_path / "odd_seg.nii.gz", **change)  # type: ignore[arg-type]
    with pytest.raises(SimulatorError, match=told) as caught:
        load_head(path)
    assert "odd_seg.nii.gz" in str(caught.value)


def test_a_damaged_map_is_named(tmp_path: Path) -> None:
    (tmp_path / "x_seg.nii.gz").write_bytes(b"not a NIfTI file")
    with pytest.raises(SimulatorError, match=r"x_seg\.nii\.gz"):
        simulate_case(1, spacing=4.0, anatomy=tmp_path)
