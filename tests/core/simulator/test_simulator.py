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
from core.simulator.noise import head_noise
from core.simulator.physics import (
    HELD_OUT,
    PATIENT,
    at_scanner,
    draw_physics,
    middle_physics,
)
from core.simulator.probe import Probe, frame_of
from core.simulator.ultrasound import ENHANCEMENT_DB, attenuation_loss
from core.volume import Volume

MISREGISTERED = 6


def level(case: SimulatedCase, tissue: Tissue, image: str = "ius") -> float:
    """Return the median of a tissue in the field of view."""
    volume: Volume = getattr(case, image)
    return float(np.median(volume.voxels[case.fov & (case.labels.voxels == tissue)]))


@pytest.fixture(scope="module")
def case() -> SimulatedCase:
    return simulate_case(11, spacing=1.5, whole_head=True)


def test_same_seed_same_voxels() -> None:
    draw = partial(simulate_case, spacing=4.0)
    first, again, other = draw(5), draw(5), draw(6)
    assert np.array_equal(first.t2.voxels, again.t2.voxels)
    assert np.array_equal(first.ius.voxels, again.ius.voxels)
    assert first.meta == again.meta
    assert not np.array_equal(first.t2.voxels[:20, :20, :20], other.t2.voxels[:20, :20, :20])


def test_noise_belongs_to_the_head_and_not_to_the_grid() -> None:
    def on(spacing: float, start: float, n: int) -> Any:
        affine = np.diag([spacing, spacing, spacing, 1.0])
        affine[:3, 3] = start
        return head_noise(np.random.default_rng(3), Grid((n, n, n), affine), 9.0)

    coarse, fine = on(4.0, -20.0, 10), on(1.0, -8.0, 20)
    # World -8, -4, 0, 4, 8 lie on both grids.
    np.testing.assert_allclose(coarse[3:8, 3:8, 3:8], fine[0:17:4, 0:17:4, 0:17:4], atol=1e-4)
    assert 0.5 < on(4.0, -100.0, 50).std() < 1.5


def test_redraws_see_the_case_with_other_speckle_and_gain() -> None:
    size: dict[str, Any] = {"spacing": 2.0, "physics": "test"}
    case = simulate_case(7, **size)
    draws = list(redraw_ultrasound(7, 2, **size))
    for scan in draws:
        assert scan.image.shape == case.ius.grid.shape
        assert np.array_equal(scan.image > 0, scan.fov)
        # The anatomy is the case's own: what is bright there is bright here.
        both = scan.fov & case.fov
        assert both.sum() > 1000
        assert case.expected is not None
        assert np.corrcoef(scan.expected[both], case.expected.voxels[both])[0, 1] > 0.7
    assert not np.array_equal(draws[0].image, draws[1].image)
    again = next(iter(redraw_ultrasound(7, 1, **size)))
    assert np.array_equal(again.image, draws[0].image)


def test_field_of_view_is_where_the_ultrasound_is(case: SimulatedCase) -> None:
    assert np.array_equal(case.ius.voxels > 0, case.fov)
    volume = case.fov.sum() * 1.5**3 / 1000
    assert 15 < volume < 250
    assert case.ius.voxels.max() <= 255
    assert case.expected is not None
    assert np.array_equal(case.expected.voxels > 0, case.fov)


def test_the_t2_reaches_beyond_the_view_and_over_the_head_when_asked(case: SimulatedCase) -> None:
    box = simulate_case(11, spacing=4.0)
    assert (box.t2.grid.corners.min(0) <= box.ius.grid.corners.min(0) + 2).all()
    assert (box.t2.grid.corners.max(0) >= box.ius.grid.corners.max(0) - 2).all()
    size = np.ptp(case.t2.grid.corners, axis=0)
    assert (size > 120).all()


def test_ultrasound_shows_sulci_bright_and_ventricles_dark(case: SimulatedCase) -> None:
    assert case.meta["ultrasound"] == "physical"
    for image in ("ius", "expected"):
        assert level(case, Tissue.SULCUS, image) > level(case, Tissue.GREY, image) + 10
        assert level(case, Tissue.VENTRICLE, image) < level(case, Tissue.WHITE, image) - 10


def test_expected_echo_has_no_speckle_and_the_same_level_in_every_case() -> None:
    cases = [simulate_case(seed, spacing=1.5) for seed in (5, 11, 12)]
    levels = []
    for case in cases:
        assert case.expected is not None
        white = case.fov & (case.labels.voxels == Tissue.WHITE)
        levels.append(float(np.median(case.expected.voxels[white])))
        assert levels[-1] > level(case, Tissue.GREY, "expected")
        pairs = white[1:] & white[:-1]
        step = [
            np.median(np.abs(np.diff(v, axis=0))[pairs]) / np.median(v[white])
            for v in (case.ius.voxels, case.expected.voxels)
        ]
        assert step[1] < 0.7 * step[0]
    assert np.ptp(levels) < 6
    shown = [level(case, Tissue.WHITE) for case in cases]
    assert np.ptp(shown) > 2 * np.ptp(levels)  # the scanner's own settings differ


def test_held_out_physics_lies_on_both_sides_of_training() -> None:
    for train, (below, above) in HELD_OUT.values():
        assert below[0] < below[1] < train[0] < train[1] < above[0] < above[1]
    middle, draws = middle_physics(), np.random.default_rng(0)
    for name, (train, tests) in HELD_OUT.items():
        assert train[0] < getattr(middle, name) < train[1]
        seen = [getattr(draw_physics(draws, "test"), name) for _ in range(60)]
        assert all(any(a <= v <= b for a, b in tests) for v in seen)
        assert min(seen) < train[0]
        assert max(seen) > train[1]


def test_one_scanner_has_one_setting_and_many_patients() -> None:
    draws = [draw_physics(np.random.default_rng(n), "test") for n in range(3)]
    seen = [at_scanner(d, 7, "test").as_dict() for d in draws]
    for name in seen[0]:
        values = {one[name] for one in seen}
        assert len(values) == (3 if name in PATIENT else 1), name
    assert at_scanner(draws[0], 8, "test").frequency_mhz != seen[0]["frequency_mhz"]
    case = simulate_case(3, spacing=3.0, physics="test", scanner=7)
    assert case.meta["scanner"]["frequency_mhz"] == seen[0]["frequency_mhz"]


def test_cohort_resumes_and_skips_what_is_whole(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        seen.append((done, total))

    write = partial(write_cohort, 2, 30, tmp_path, spacing=4.0)
    first = write(progress=progress, cancelled=lambda: len(seen) > 1)
    assert [p.name for p in first] == ["Case030.json"]
    before = (tmp_path / "Case030-T2.nii.gz").stat().st_mtime_ns
    both = write()
    assert [p.name for p in both] == ["Case030.json", "Case031.json"]
    assert (tmp_path / "Case030-T2.nii.gz").stat().st_mtime_ns == before
    assert (tmp_path / "Case031-iUS-expected.nii.gz").is_file()
    assert not list(tmp_path.glob(".part-*"))


def test_lc2_like_cases_come_only_when_asked_for(tmp_path: Path) -> None:
    write_cohort(2, 30, tmp_path, spacing=4.0, lc2_share=0.5)
    assert (tmp_path / "Case030-iUS-expected.nii.gz").is_file()
    assert '"ultrasound": "lc2"' in (tmp_path / "Case031.json").read_text()
    assert not (tmp_path / "Case031-iUS-expected.nii.gz").exists()
    with pytest.raises(SimulatorError, match="training"):
        simulate_case(1, spacing=4.0, physics="test", echo="lc2")


def test_missing_maps_are_named(tmp_path: Path) -> None:
    with pytest.raises(SimulatorError, match=r"t1\.nii\.gz"):
        simulate_case(1, spacing=4.0, anatomy=tmp_path)


def test_beam_and_world_coordinates_are_each_others_inverse() -> None:
    axes = frame_of(np.array([0.3, -0.5, -0.8]), 0.7)
    probe = Probe(np.array([10.0, -20.0, 60.0]), axes, 12.0, 40.0, 70.0, 0.6, 0.4)
    r, theta, roll = np.meshgrid([0.5, 30, 70], [-0.5, 0.1, 0.6], [-0.4, 0, 0.3], indexing="ij")
    back = probe.to_beam(probe.to_world(r, theta, roll))
    np.testing.assert_allclose(back[0], r, atol=2e-3)
    np.testing.assert_allclose(back[1], theta, atol=2e-4)
    np.testing.assert_allclose(back[2], roll, atol=2e-4)


def test_fluid_brightens_what_lies_behind_it_but_not_much() -> None:
    setting = draw_physics(np.random.default_rng(0), "train")
    frame = np.ones((60, 20, 1), np.float32)
    frame[20:30, 0] = 0
    frame[20:30, 1] = 3
    behind = attenuation_loss(frame, 0.5, setting)[-1, :, 0]
    assert behind[0] < behind[5] - 1
    assert behind.min() >= -ENHANCEMENT_DB
    assert behind[1] > behind[5] + 3
    # Where every beam meets the same tissue, the gain has undone all of it.
    even = attenuation_loss(np.full((60, 5, 5), 1.1, np.float32), 0.5, setting)
    assert np.abs(even).max() < 1e-4


def test_registration_error_only_where_asked() -> None:
    draw = partial(simulate_case, spacing=4.0)

    def moved(**options: Any) -> float:
        return float(draw(MISREGISTERED, **options).meta["scanner"]["mismatch_mm"])

    assert moved() > 0
    assert moved(physics="test") == 0
    assert moved(mismatch=False) == 0


def test_ultrasound_of_a_given_t2_does_not_depend_on_storage_order(case: SimulatedCase) -> None:
    base = simulate_from_t2(case.t2, 3, spacing=3.0)
    assert base.fov.sum() > 500
    assert level(base, Tissue.SULCUS) > level(base, Tissue.WHITE) + 5
    shape = case.t2.grid.shape
    turn = np.array([[0, 0, 1, 0], [-1, 0, 0, shape[1] - 1], [0, 1, 0, 0], [0, 0, 0, 1.0]])
    # Stored axes (1 reversed, 2, 0): index (a, b, c) of the copy is (c, n1 - 1 - a, b) here.
    stored = Volume(
        np.ascontiguousarray(np.transpose(case.t2.voxels, (1, 2, 0))[::-1]),
        Grid((shape[1], shape[2], shape[0]), case.t2.grid.affine @ turn),
        "T2",
    )
    again = simulate_from_t2(stored, 3, spacing=3.0)
    assert again.t2.grid.same_as(base.t2.grid)
    np.testing.assert_allclose(again.ius.voxels, base.ius.voxels, atol=0.5)


def test_a_volume_without_contrast_is_refused() -> None:
    empty = Volume(np.zeros((40, 40, 40), np.float32), Grid((40, 40, 40), np.diag([4, 4, 4, 1])))
    with pytest.raises(SimulatorError, match="brain"):
        simulate_from_t2(empty, 1)
