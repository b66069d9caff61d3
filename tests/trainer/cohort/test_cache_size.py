"""The cache of prepared cases: what it takes, and that emptying it takes nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from trainer_cohort import tiny_plan, write_cohort

from trainer.cohort.cache import cache_case, is_cached
from trainer.cohort.cache_size import Prepared, empty, prepared_in
from trainer.cohort.scan import CACHE, scan
from trainer.commands.pace import Pace
from trainer.errors import TrainerError

BOTH = ("iUS", "T2")


def test_emptying_frees_what_was_said_and_the_cases_are_prepared_anew(tmp_path: Path) -> None:
    cohort = write_cohort(tmp_path / "cohort", 3)
    data, cache = tiny_plan(cohort).data, cohort / CACHE
    cases = scan(cohort, BOTH)
    first = [cache_case(case, data, BOTH, cache) for case in cases]
    size = sum(file.stat().st_size for file in cache.iterdir())
    assert prepared_in(cache) == Prepared(3, size)
    (cache / "0123456789abcdef.77.part.npy").write_bytes(bytes(100))  # of a killed process
    (cache / "letter.json").write_text("mine")
    (cache / "0123456789abcdef").mkdir()
    assert prepared_in(cache) == Prepared(3, size + 100)
    assert empty(cache) == size + 100
    assert sorted(p.name for p in cache.iterdir()) == ["0123456789abcdef", "letter.json"]
    assert prepared_in(cache) == Prepared(0, 0)
    assert not any(is_cached(case, data, BOTH, cache) for case in cases)
    again = [cache_case(case, data, BOTH, cache) for case in cases]
    assert all((a.array == b.array).all() for a, b in zip(first, again, strict=True))
    (cache / "letter.json").unlink()
    (cache / "0123456789abcdef").rmdir()
    empty(cache)
    assert not cache.exists()
    assert len(scan(cohort, BOTH)) == 3  # the images stay
    assert empty(cache) == 0


def test_a_file_that_cannot_be_deleted_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "0123456789abcdef.npy").write_bytes(bytes(10))

    def refused(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refused)
    with pytest.raises(TrainerError, match=r"0123456789abcdef.npy in .* could not be deleted"):
        empty(tmp_path)


def test_a_stage_says_what_it_still_takes_once_part_of_it_is_done() -> None:
    now = [100.0]
    pace = Pace(lambda: now[0])
    assert pace.left("preparing cases", 0, 4) is None
    now[0] = 110
    assert pace.left("preparing cases", 1, 4) == 30
    now[0] = 112
    assert pace.left("whole steps", 3, 6) is None  # another stage begins anew
    now[0] = 114
    assert pace.left("whole steps", 4, 6) == 4
    assert pace.left("whole steps", 6, 6) == 0
