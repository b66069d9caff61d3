"""The session: layers, cursor, locks, columns, and the signals that tell of them."""

from __future__ import annotations

import numpy as np
import pytest

from app.state.session import Session
from app.state.values import Compare, Display, Kind, Layout, Ruler, View
from core.grid import Grid
from core.volume import Volume


def volume(modality: str, seed: int = 0, *, synthetic: bool = False, at: float = 0.0) -> Volume:
    rng = np.random.default_rng(seed)
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    affine[:3, 3] = at
    voxels = rng.uniform(10, 100, (8, 9, 5)).astype(np.float32)
    return Volume(voxels, Grid((8, 9, 5), affine), modality, "x.nii", synthetic)


def heard(session: Session) -> list[tuple[object, ...]]:
    """Collect every signal of the session, in order."""
    log: list[tuple[object, ...]] = []
    for name in (
        "layers_changed",
        "layer_changed",
        "voxels_touched",
        "active_changed",
        "cursor_changed",
        "view_changed",
        "display_changed",
    ):
        getattr(session, name).connect(lambda *a, name=name: log.append((name, *a)))
    return log


@pytest.fixture
def session() -> Session:
    s = Session(name="case-1")
    s.add_layer(volume("T2"))
    s.add_layer(volume("iUS", 1))
    return s


def test_the_first_image_is_active_and_centres_the_cursor() -> None:
    s = Session()
    log = heard(s)
    first = s.add_layer(volume("T2"))
    assert s.active is not None
    assert s.active.id == first
    np.testing.assert_allclose(s.cursor, s.layer(first).volume.grid.to_world((4, 4, 2)))
    assert ("layers_changed",) in log
    assert ("cursor_changed", "") in log
    s.set_cursor((1, 2, 3))
    s.add_layer(volume("iUS", 1))
    np.testing.assert_allclose(s.cursor, (1, 2, 3))


def test_setters_are_silent_when_nothing_changes(session: Session) -> None:
    log = heard(session)
    session.set_cursor(session.cursor)
    session.set_cursor((np.nan, 0, 0))
    session.set_display(layout=Layout.PLANES)
    session.set_view(View())
    session.update_layer("real-1", opacity=1.0, visible=True, modality="T2")
    session.set_rulers([])
    assert log == []
    session.set_display(layout=Layout.GRID, compare=Compare.SWIPE)
    assert log == [("display_changed", "layout"), ("display_changed", "compare")]


def test_only_one_volume_of_a_modality_is_available(session: Session) -> None:
    second = session.add_layer(volume("iUS", 2))
    assert session.subset() == ("T2", "iUS")
    assert not session.layer(second).available
    session.update_layer(second, available=True)
    assert not session.layer("real-2").available
    assert session.case().volumes["iUS"] is session.layer(second).volume
    session.update_layer("real-1", available=False)
    assert session.subset() == ("iUS",)
    assert set(session.case().volumes) == {"T2", "iUS"}


def test_renaming_the_modality_shares_the_voxels(session: Session) -> None:
    before = session.layer("real-2").volume.voxels
    session.update_layer("real-2", modality="ceT1")
    assert session.layer("real-2").modality == "ceT1"
    assert np.shares_memory(before, session.layer("real-2").volume.voxels)


def test_position_lock(session: Session) -> None:
    session.set_cursor((1, 1, 1))
    session.set_display(lock_position=False)
    log = heard(session)
    session.set_cursor((2, 2, 2), "real-2")
    assert log == [("cursor_changed", "real-2")]
    np.testing.assert_allclose(session.cursor_of("real-1"), 1)
    np.testing.assert_allclose(session.cursor_of("real-2"), 2)
    session.set_display(lock_position=True)
    np.testing.assert_allclose(session.cursor_of("real-1"), 2)


def test_zoom_lock(session: Session) -> None:
    session.set_view(View(2.0), "real-1")
    assert session.view_of("real-2") == View(2.0)
    session.set_display(lock_zoom=False)
    session.set_view(View(3.0), "real-2")
    assert (session.view_of("real-1").zoom, session.view_of("real-2").zoom) == (2.0, 3.0)
    session.set_display(lock_zoom=True)
    assert session.view_of("real-2") == View(2.0)


def test_window_lock_joins_real_and_synthetic_of_one_modality(session: Session) -> None:
    made = session.add_layer(volume("T2", 3, synthetic=True))
    assert session.layer(made).kind is Kind.SYNTHETIC
    assert session.layer(made).window == session.layer("real-1").window
    session.set_window(made, 20, 30)
    assert session.layer("real-1").window == (20, 30)
    assert session.layer("real-2").window != (20, 30)
    session.set_display(lock_window=False)
    session.set_window(made, 40, 50)
    assert session.layer("real-1").window == (20, 30)
    session.reset_window("real-1")
    assert session.layer("real-1").window == session.layer("real-1").auto
    low, high = session.layer(made).window
    session.set_window(made, 60, 10)
    low, high = session.layer(made).window
    assert low < high


def test_the_window_is_remembered_per_modality_in_relative_terms(session: Session) -> None:
    layer = session.layer("real-1")
    a, b = layer.auto
    session.set_window("real-1", a, a + (b - a) / 2)
    bright = volume("T2")
    bright = Volume(bright.voxels * 10, bright.grid, "T2")
    low, high = session.layer(session.add_layer(bright)).window
    assert low == pytest.approx(a * 10, rel=1e-4)
    assert high == pytest.approx((a + (b - a) / 2) * 10, rel=1e-4)


def test_columns_and_counterpart_follow_what_was_synthesised(session: Session) -> None:
    assert [x.id for x in session.columns()] == ["real-1", "real-2"]
    made = session.add_layer(volume("T2", synthetic=True))
    sigma = session.add_layer(volume("T2", synthetic=True), Kind.SIGMA)
    diff = session.add_layer(volume("T2", synthetic=True), Kind.DIFFERENCE)
    assert [x.id for x in session.columns()] == ["real-1", made, diff, sigma]
    assert session.secondary is not None
    assert session.secondary.id == made
    session.set_active(made)
    assert session.secondary.id == "real-1"
    session.set_columns([made, "real-2"])
    assert [x.id for x in session.columns()] == [made, "real-2"]
    session.remove_layer(made)
    assert [x.id for x in session.columns()] == ["real-2"]
    assert session.active is not None
    assert session.active.id == "real-1"


def test_a_missing_truth_is_replaced_by_the_input(session: Session) -> None:
    session.remove_layer("real-1")
    made = session.add_layer(volume("T2", synthetic=True))
    assert [x.id for x in session.columns()] == ["real-2", made]


def test_remove_and_restore_is_exact(session: Session) -> None:
    gone = session.remove_layer("real-1")
    session.restore_layer(gone, 0)
    assert [x.id for x in session.layers] == ["real-1", "real-2"]
    assert session.layer("real-1") is gone


def test_cycle_skips_hidden_and_labels(session: Session) -> None:
    session.add_layer(volume("", 5), Kind.LABEL)
    third = session.add_layer(volume("FLAIR", 6))
    session.update_layer("real-2", visible=False)
    session.cycle_active(1)
    assert session.active is not None
    assert session.active.id == third
    session.cycle_active(1)
    assert session.active.id == "real-1"


def test_live_voxels_and_final_volume(session: Session) -> None:
    block = np.zeros((8, 9, 5), np.float32)
    live = session.add_layer(Volume(block, volume("T2").grid, "T2", synthetic=True))
    log = heard(session)
    block[1, 2, 3] = 7
    region = (slice(1, 2), slice(2, 3), slice(3, 4))
    session.touch(live, region)
    session.touch("gone", None)
    assert log == [("voxels_touched", live, region)]
    assert session.layer(live).volume.voxels[1, 2, 3] == 7
    session.set_volume(live, volume("T2", 9, synthetic=True))
    assert ("layer_changed", live, "volume") in log


def test_display_survives_json_and_ruler_measures() -> None:
    shown = Display(layout=Layout.GRID, compare=Compare.FLICKER, mix=0.25, lock_zoom=False)
    assert Display.from_dict({**shown.to_dict(), "later": 1}) == shown
    with pytest.raises(ValueError, match="sideways"):
        Display.from_dict({"layout": "sideways"})
    assert Ruler((0, 0, 0), (3, 4, 0)).length == pytest.approx(5)


def test_a_new_patient_moves_a_lost_cursor() -> None:
    s = Session()
    s.add_layer(volume("T2"))
    s.clear()
    assert s.active is None
    assert s.columns() == []
    far = volume("T2", at=500)
    s.add_layer(far)
    np.testing.assert_allclose(s.cursor, far.grid.to_world((4, 4, 2)))


def test_hiding_the_active_volume_shows_the_next(session: Session) -> None:
    log = heard(session)
    session.update_layer("real-1", visible=False)
    assert session.active is not None
    assert session.active.id == "real-2"
    assert ("active_changed",) in log
    session.update_layer("real-2", visible=False)
    assert session.active.id == "real-2"
    assert session.columns() == []
