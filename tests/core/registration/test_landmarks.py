"""Point pairs: files, errors, fits."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.registration.alignment import AlignError, from_parameters
from core.registration.landmarks import (
    COLUMNS,
    Landmark,
    align_by_landmarks,
    read_landmarks,
    target_registration_error,
    write_landmarks,
)

POINT = st.tuples(*[st.floats(-300, 300)] * 3)
NAME = st.text(
    st.characters(
        codec="utf-8",
        exclude_characters="\r\n\x00\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029",
        exclude_categories=["Cs"],
    ),
    min_size=1,
    max_size=12,
)
PAIRS = st.lists(st.builds(Landmark, NAME, POINT, POINT), max_size=6)


@settings(max_examples=40, deadline=None)
@given(PAIRS, st.sampled_from(["a.json", "a.csv", "a.fcsv"]))
def test_pairs_survive_every_format(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[Landmark], name: str
) -> None:
    files = write_landmarks(tmp_path_factory.mktemp("l") / name, pairs)
    assert len(files) == (2 if name.endswith("fcsv") else 1)
    for file in files:
        assert list(read_landmarks(file)) == pairs


def test_slicer_lists_say_their_space(tmp_path: Path) -> None:
    row = "1,10,20,30,0,0,0,1,1,1,0,F-1,,\n"
    for space, sign in (("LPS", -1), ("1", -1), ("RAS", 1), ("0", 1)):
        for end in ("fixed", "moving"):
            (tmp_path / f"p-{end}.fcsv").write_text(f"# CoordinateSystem = {space}\n{row}")
        (pair,) = read_landmarks(tmp_path / "p-moving.fcsv")
        assert pair == Landmark("F-1", (10 * sign, 20 * sign, 30), (10 * sign, 20 * sign, 30))


@pytest.mark.parametrize("kind", ["rigid", "affine"])
def test_a_known_map_is_found_from_pairs(kind: str) -> None:
    matrix = from_parameters([3, -2, 8, 12, -7, 30], [1, 2, 3])
    if kind == "affine":
        matrix[:3, :3] = matrix[:3, :3] @ np.diag([1.04, 0.97, 1.01])
    moving = np.random.default_rng(0).uniform(-40, 40, (6, 3))
    pairs = [
        Landmark(str(n), tuple(matrix[:3, :3] @ p + matrix[:3, 3]), tuple(p))
        for n, p in enumerate(moving)
    ]
    found = align_by_landmarks(pairs, kind)
    assert np.allclose(found.matrix, matrix, atol=1e-8)
    assert found.kind == "landmarks"
    errors, mean, largest = target_registration_error(pairs, np.eye(4))
    assert errors.shape == (6,)
    assert mean > 5
    assert largest == errors.max()
    assert target_registration_error(pairs, found.matrix)[2] < 1e-6


def test_points_that_leave_a_direction_open_are_refused() -> None:
    line = [Landmark(str(n), (n * 10.0, 0, 0), (n * 10.0, 5, 0)) for n in range(6)]
    with pytest.raises(AlignError, match="on one line"):
        align_by_landmarks(line, "rigid")
    corners = [(0, 0, 0), (9, 0, 0), (0, 9, 0), (9, 9, 0)]
    flat = [Landmark(str(n), p, p) for n, p in enumerate(corners)]
    assert np.allclose(align_by_landmarks(flat, "rigid").matrix, np.eye(4))
    with pytest.raises(AlignError, match="in one plane"):
        align_by_landmarks(flat, "affine")
    with pytest.raises(AlignError, match="at least 3 pairs"):
        align_by_landmarks(line[:2], "rigid")
    with pytest.raises(AlignError, match="no landmarks"):
        target_registration_error([], np.eye(4))


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.json", "{", "damaged"),
        ("a.json", '{"landmarks": [{"name": "x", "fixed": [1], "moving": [1]}]}', "damaged"),
        ("a.csv", "name,x\nA,1\n", "damaged"),
        ("a.csv", f"{','.join(COLUMNS)}\nA,1,2,nan,1,2,3\n", "damaged"),
        ("a.txt", "", "expected landmarks as"),
        ("b-fixed.fcsv", "1,2,3\n", "pairs"),
    ],
)  # fmt: skip
def test_other_files_are_refused(tmp_path: Path, name: str, text: str, sentence: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(AlignError, match=sentence):
        read_landmarks(tmp_path / name)


def test_lists_of_different_length_are_refused(tmp_path: Path) -> None:
    (tmp_path / "c-fixed.fcsv").write_text("1,1,2,3\n2,1,2,3\n")
    (tmp_path / "c-moving.fcsv").write_text("1,1,2,3\n")
    with pytest.raises(AlignError, match="found 2 and 1"):
        read_landmarks(tmp_path / "c-fixed.fcsv")
