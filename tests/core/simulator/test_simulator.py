"""Simulated pairs: the same seed gives the same pair, and the truth looks like a brain."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.grid import Grid
from core.simulator import (
    SimulatedCase,
    SimulatorError,
    Tissue,
    simulate_case,
    simulate_from_t2,
    write_cohort,
)
from core.simulator.case import redraw_ultrasound
from core.simulator.physics import RANGES, draw_physics
from core.simulator.probe import Probe, frame_of
from core.simulator.ultrasound import attenuation_loss
from core.volume import Volume

MISREGISTERED = 5
LC2_LIKE = 4


@pytest.fixture(scope="module")
def case() -> SimulatedCase:
    return simulate_case(5, spacing=2.0, shape=(96, 96, 96))


def test_same_seed_same_voxels() -> None:
    draw = partial(simulate_case, spacing=4.0, shape=(40, 40, 40))
    first, again, other = draw(5), draw(5), draw(6)
    assert np.array_equal(first.t2.voxels, again.t2.voxels)
    assert np.array_equal(first.ius.voxels, again.ius.voxels)
    assert first.meta == again.meta
    assert not np.array_equal(first.t2.voxels, other.t2.voxels)


def test_redraws_see_the_case_with_other_speckle_and_gain() -> None:
    size: dict[str, Any] = {"spacing": 2.0, "shape": (96, 96, 96), "physics": "test"}
    case = simulate_case(7, **size)
    draws = list(redraw_ultrasound(7, 2, **size))
    for ius, fov in draws:
        assert np.array_equal(ius > 0, fov)
        assert (fov & case.fov).sum() > 0.1 * case.fov.sum()
        # The anatomy is the case's own: what is bright there is bright here.
        both = fov & case.fov
        assert np.corrcoef(ius[both], case.ius.voxels[both])[0, 1] > 0.3
    assert not np.array_equal(draws[0][0], draws[1][0])
    again, _ = next(iter(redraw_ultrasound(7, 1, **size)))
    assert np.array_equal(again, draws[0][0])


def test_field_of_view_is_where_the_ultrasound_is(case: SimulatedCase) -> None:
    assert np.array_equal(case.ius.voxels > 0, case.fov)
    assert 2000 < case.fov.sum() < 60000
    assert case.ius.voxels.max() <= 255
    assert case.t2.grid.same_as(case.ius.grid)


def test_ultrasound_shows_sulci_bright_and_ventricles_dark(case: SimulatedCase) -> None:
    assert case.meta["ultrasound"] == "physical"
    labels = case.labels.voxels

    def level(tissue: Tissue) -> float:
        return float(np.median(case.ius.voxels[case.fov & (labels == tissue)]))

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
    with pytest.raises(SimulatorError, match=r"t1\.nii\.gz"):
        simulate_case(1, spacing=4.0, shape=(48, 48, 48), anatomy=tmp_path)


def test_beam_and_world_coordinates_are_each_others_inverse() -> None:
    axes = frame_of(np.array([0.3, -0.5, -0.8]), 0.7)
    probe = Probe(np.array([10.0, -20.0, 60.0]), axes, 12.0, 40.0, 70.0, 0.6, 0.4)
    r, theta, roll = np.meshgrid([0.5, 30, 70], [-0.5, 0.1, 0.6], [-0.4, 0, 0.3], indexing="ij")
    back = probe.to_beam(probe.to_world(r, theta, roll))
    np.testing.assert_allclose(back[0], r, atol=2e-3)
    np.testing.assert_allclose(back[1], theta, atol=2e-4)
    np.testing.assert_allclose(back[2], roll, atol=2e-4)


def test_bone_casts_a_shadow_and_fluid_brightens_what_lies_behind() -> None:
    setting = draw_physics(np.random.default_rng(0), "train")
    column = np.ones((60, 3, 1), np.float32)
    column[20:30, 0] = 0
    column[20:30, 1] = 15
    behind = attenuation_loss(column, 0.5, setting)[-1, :, 0]
    assert behind[0] < behind[2] - 0.5
    assert behind[1] > behind[2] + 15


def test_registration_error_only_where_asked() -> None:
    draw = partial(simulate_case, spacing=4.0, shape=(40, 40, 40))

    def moved(**options: Any) -> float:
        return float(draw(MISREGISTERED, **options).meta["scanner"]["mismatch_mm"])

    assert moved() > 0
    assert moved(physics="test") == 0
    assert moved(mismatch=False) == 0


def test_held_out_cases_are_never_lc2_like() -> None:
    draw = partial(simulate_case, LC2_LIKE, spacing=4.0, shape=(40, 40, 40))
    assert draw().meta["ultrasound"] == "lc2"
    assert draw(physics="test").meta["ultrasound"] == "physical"


def test_ultrasound_of_a_given_t2_does_not_depend_on_storage_order(case: SimulatedCase) -> None:
    base = simulate_from_t2(case.t2, 3, spacing=3.0)
    assert base.fov.sum() > 500
    labels = base.labels.voxels
    sulci, white = (
        base.ius.voxels[base.fov & (labels == t)] for t in (Tissue.SULCUS, Tissue.WHITE)
    )
    assert np.median(sulci) > np.median(white) + 5
    affine = case.t2.grid.affine
    flipped = affine @ np.array([[0, 0, 1, 0], [-1, 0, 0, 95], [0, 1, 0, 0], [0, 0, 0, 1]])
    stored = Volume(
        np.transpose(case.t2.voxels, (1, 2, 0))[::-1], Grid((96, 96, 96), flipped), "T2"
    )
    again = simulate_from_t2(stored, 3, spacing=3.0)
    assert again.t2.grid.same_as(base.t2.grid)
    np.testing.assert_allclose(again.ius.voxels, base.ius.voxels, atol=0.5)


def test_a_volume_without_contrast_is_refused() -> None:
    empty = Volume(np.zeros((40, 40, 40), np.float32), Grid((40, 40, 40), np.diag([4, 4, 4, 1])))
    with pytest.raises(SimulatorError, match="brain"):
        simulate_from_t2(empty, 1)
