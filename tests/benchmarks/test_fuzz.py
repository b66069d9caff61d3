"""A small draw of the damaged files that ``nox -s fuzz`` reads by the thousand."""

from __future__ import annotations

import random
from pathlib import Path

import fuzz as fuzzing
import pytest

KINDS = ["nii", "nii.gz", "nrrd", "mha", "dcm", "tfm", "bundle", "plan", "project", "list"]


def test_sound_files_are_read(tmp_path: Path) -> None:
    every = fuzzing.kinds(tmp_path)
    assert list(every) == KINDS
    for kind in every.values():
        path = tmp_path / f"again-{kind.name}"
        path.write_bytes(kind.sound)
        kind.read(path)


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_read_or_refused(kind: str) -> None:
    outcome = fuzzing.fuzz([kind], 200, seed=16)[kind]
    assert outcome.found == []
    assert outcome.read + outcome.refused == 200
    assert min(outcome.read, outcome.refused) > 0


def test_the_same_seed_damages_the_same() -> None:
    first, again = (
        [fuzzing.damaged(b"a 1 b 2" * 40, random.Random(7), False) for _ in range(3)]
        for _ in range(2)
    )
    assert first == again
