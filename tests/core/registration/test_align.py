"""Alignment: matrices and sliders, centring, refusals, and a search that finds known offsets."""

import numpy as np
import pytest
from align_pair import error_mm, make_pair
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import Cancelled
from core.registration.alignment import (
    AlignError,
    Alignment,
    AlignProgress,
    from_parameters,
    inverted,
    moved,
    to_parameters,
)
from core.registration.methods import METHODS
from core.registration.register import centred, register
from core.registration.similarity import similarity
from core.volume import Volume

SIX = st.tuples(
    *[st.floats(-80, 80)] * 3, st.floats(-180, 180), st.floats(-89, 89), st.floats(-180, 180)
)
POINT = st.tuples(*[st.floats(-500, 500)] * 3)


@pytest.fixture(scope="module")
def pair() -> tuple[Volume, Volume]:
    return make_pair()


@settings(deadline=None)
@given(SIX, POINT)
def test_sliders_survive_the_way_through_a_matrix(
    values: tuple[float, ...], centre: tuple[float, ...]
) -> None:
    matrix = from_parameters(values, centre)
    assert np.allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3))
    again = from_parameters(to_parameters(matrix, centre), centre)
    assert np.allclose(again, matrix, atol=1e-6)
    assert np.allclose(
        matrix[:3, :3] @ centre + matrix[:3, 3], np.add(centre, values[:3]), atol=1e-6
    )


def test_a_positive_turn_about_s_takes_right_to_anterior() -> None:
    matrix = from_parameters([0, 0, 0, 0, 0, 90], [0, 0, 0])
    assert np.allclose(matrix[:3, :3] @ [1, 0, 0], [0, 1, 0])
    assert np.allclose(to_parameters(matrix, [1, 2, 3]), [-3, -1, 0, 0, 0, 90])


def test_straight_up_is_no_trap_for_the_sliders() -> None:
    matrix = from_parameters([1, 2, 3, 20, 90, 40], [5, 5, 5])
    assert np.allclose(from_parameters(to_parameters(matrix, [5, 5, 5]), [5, 5, 5]), matrix)


def test_moving_changes_the_grid_alone(pair: tuple[Volume, Volume]) -> None:
    _, t2 = pair
    matrix = from_parameters([1, 2, 3, 4, 5, 6], [0, 0, 0])
    there = moved(t2, matrix)
    assert there.voxels.base is t2.voxels.base or np.shares_memory(there.voxels, t2.voxels)
    voxel = np.array([3.0, 4.0, 5.0])
    assert np.allclose(
        there.grid.to_world(voxel), matrix[:3, :3] @ t2.grid.to_world(voxel) + matrix[:3, 3]
    )


@pytest.mark.parametrize(
    "matrix", [np.zeros((4, 4)), np.full((4, 4), np.nan), np.eye(3), np.diag([1, 1, 0, 1])]
)
def test_a_matrix_that_is_no_map_is_refused(matrix: np.ndarray) -> None:
    with pytest.raises(AlignError, match=r"x\.tfm: expected"):
        Alignment(matrix, "file", "x.tfm")


def test_centring_brings_far_volumes_together(pair: tuple[Volume, Volume]) -> None:
    ius, t2 = pair
    far = moved(t2, from_parameters([400, -30, 12, 0, 0, 0], [0, 0, 0]))
    with pytest.raises(AlignError, match=r"29\d mm apart.*--centre"):
        register(ius, far)
    back = centred(ius, far)
    assert np.allclose(back.matrix[:3, 3], [-400, 30, -12], atol=2)
    assert back.kind == "centred"


def test_similarity_is_highest_where_the_images_fit(pair: tuple[Volume, Volume]) -> None:
    ius, t2 = pair
    values = [
        similarity(ius, t2, from_parameters([s, 0, 0, 0, 0, 0], [0, 0, 0])) for s in (0, 3, 9, 500)
    ]
    assert values[0] > 1.5 * values[1] > values[2] > values[3] == 0
    assert similarity(t2, ius, np.eye(4)) == pytest.approx(values[0])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("iui_fixed", [True, False])
def test_a_rigid_offset_is_found_both_ways(
    pair: tuple[Volume, Volume], method: str, iui_fixed: bool
) -> None:
    ius, t2 = pair
    offset = from_parameters([5, -4, 3, 5, -4, 6], [10, 0, 0])
    fixed, moving = (ius, t2) if iui_fixed else (t2, ius)
    seen: list[AlignProgress] = []
    result = register(fixed, moved(moving, offset), method=method, progress=seen.append)
    assert error_mm(result.alignment.matrix, offset) < 0.6
    assert result.after > result.before
    assert not result.doubtful, result.reason
    assert (result.alignment.kind, result.alignment.source) == ("rigid", method)
    assert seen[-1].done == seen[-1].total
    assert [s.done for s in seen] == sorted(s.done for s in seen)


@pytest.mark.parametrize("method", METHODS)
def test_an_affine_offset_is_found_and_the_answer_is_always_the_same(
    pair: tuple[Volume, Volume], method: str
) -> None:
    ius, t2 = pair
    offset = from_parameters([3, 2, -4, 3, 3, -5], [0, 0, 0])
    offset[:3, :3] = offset[:3, :3] @ [[1.04, 0.02, 0], [0, 0.97, 0], [0.01, 0, 1.03]]
    results = [register(ius, moved(t2, offset), kind="affine", method=method) for _ in range(2)]
    assert error_mm(results[0].alignment.matrix, offset) < 0.7
    assert np.array_equal(results[0].alignment.matrix, results[1].alignment.matrix)


def test_a_start_is_used(pair: tuple[Volume, Volume]) -> None:
    ius, t2 = pair
    offset = from_parameters([60, 10, 0, 0, 0, 40], [0, 0, 0])
    near = inverted(offset @ from_parameters([2, 1, 0, 2, 0, 0], [0, 0, 0]))
    result = register(ius, moved(t2, offset), start=near)
    assert error_mm(result.alignment.matrix, offset) < 0.6


def test_another_patient_s_images_are_doubtful(pair: tuple[Volume, Volume]) -> None:
    ius, _ = pair
    _, stranger = make_pair(seed=5)
    result = register(ius, stranger)
    assert result.doubtful
    assert result.reason.endswith(".")


def test_cancel_ends_the_search(pair: tuple[Volume, Volume]) -> None:
    ius, t2 = pair
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > 20

    with pytest.raises(Cancelled):
        register(ius, t2, cancelled=cancelled)


def test_unknown_words_are_refused(pair: tuple[Volume, Volume]) -> None:
    with pytest.raises(AlignError, match="rigid or affine"):
        register(*pair, kind="elastic")
    with pytest.raises(AlignError, match="mutual information"):
        register(*pair, method="guessing")


@settings(max_examples=20, deadline=None)
@given(SIX)
def test_similarity_does_not_depend_on_where_the_world_is(values: tuple[float, ...]) -> None:
    ius, t2 = make_pair()
    world = from_parameters(values, [30, -20, 10])
    here = similarity(ius, t2, from_parameters([2, 0, 0, 0, 0, 0], [0, 0, 0]))
    offset = world @ from_parameters([2, 0, 0, 0, 0, 0], [0, 0, 0]) @ inverted(world)
    assert similarity(moved(ius, world), moved(t2, world), offset) == pytest.approx(here, rel=1e-3)
