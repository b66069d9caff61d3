"""Tables for people: whole, and harmless in a spreadsheet."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from core.tables import write_table


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("exact", [False, True])
def test_a_table_for_people_runs_nothing(tmp_path: Path, exact: bool) -> None:
    path = tmp_path / "table.csv"
    rows: list[dict[str, Any]] = [
        {"case": "=HYPERLINK(1)", "error": -0.5, "beyond": 1},
        {"case": "Case2"},
    ]
    write_table(path, ("case", "error"), rows, exact=exact)
    first, second = read(path)
    assert first == {"case": "=HYPERLINK(1)" if exact else "'=HYPERLINK(1)", "error": "-0.5"}
    assert second == {"case": "Case2", "error": ""}
