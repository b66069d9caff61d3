"""Simulated pairs: the same seed gives the same pair, and the truth looks like a brain."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from core.phantom import Phantom, PhantomError, Tissue, simulate_case, write_cohort
from core.phantom.physics import RANGES


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return simulate_case(5, spacing=2.0, shape=(96, 96, 96))


def test_same_seed_same_voxels(phantom: Phantom) -> None:
    again = simulate_case(5, spacing=2.0, shape=(96, 96, 96))
    other = simulate_case(6, spacing=2.0, shape=(96, 96, 96))
    assert np.array_equal(phantom.t2.voxels, again.t2.voxels)
    assert np.array_equal(phantom.ius.voxels, again.ius.voxels)
    assert phantom.meta == again.meta
    assert not np.array_equal(phantom.t2.voxels, other.t2.voxels)


def test_field_of_view_is_where_the_ultrasound_is(phantom: Phantom) -> None:
    assert np.array_equal(phantom.ius.voxels > 0, phantom.fov)
    assert 2000 < phantom.fov.sum() < 60000
    assert phantom.ius.voxels.max() <= 255
    assert phantom.t2.grid.same_as(phantom.ius.grid)


def test_ultrasound_shows_sulci_bright_and_ventricles_dark(phantom: Phantom) -> None:
    assert phantom.meta["ultrasound"] == "physical"
    labels = phantom.labels.voxels

    def level(tissue: Tissue) -> float:
        return float(np.median(phantom.ius.voxels[phantom.fov & (labels == tissue)]))

    assert level(Tissue.SULCUS) > level(Tissue.GREY) + 10
    assert level(Tissue.VENTRICLE) < level(Tissue.WHITE) - 10


def test_held_out_physics_is_disjoint() -> None:
    apart = [n for n, (a, b) in RANGES.items() if a[1] < b[0] or b[1] < a[0]]
    shared = [n for n, (a, b) in RANGES.items() if a == b]
    assert sorted(apart + shared) == sorted(RANGES)
    assert {"fan_deg", "compression_db", "tumour_db", "attenuation_db"} <= set(apart)


def test_cohort_resumes_and_skips_what_is_whole(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        seen.append((done, total))

    write = partial(write_cohort, 2, 30, tmp_path, spacing=4.0, shape=(48, 48, 48))
    first = write(progress=progress, cancelled=lambda: len(seen) > 1)
    assert [p.name for p in first] == ["Case030.json"]
    before = (tmp_path / "Case030-T2.nii.gz").stat().st_mtime_ns
    both = write()
    assert [p.name for p in both] == ["Case030.json", "Case031.json"]
    assert (tmp_path / "Case030-T2.nii.gz").stat().st_mtime_ns == before
    assert not list(tmp_path.glob(".part-*"))


def test_missing_maps_are_named(tmp_path: Path) -> None:
    with pytest.raises(PhantomError, match=r"t1\.nii\.gz"):
        simulate_case(1, spacing=4.0, shape=(48, 48, 48), anatomy=tmp_path)
